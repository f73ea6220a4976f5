package sim

import "time"

// wide draws a fault that concerns the federation, and returns how long it lasts.
func (a *artist) wide(family Family, at, end time.Duration) time.Duration {
	n := len(a.Sites)
	s := Step{At: at, Site: a.faults.IntN(n), For: min(a.lasting(), end-at)}
	s.Far = (s.Site + 1 + a.faults.IntN(n-1)) % n
	switch family {
	case OfGateways:
		return a.gateways(s, end)
	case OfHangs:
		s.Verb, s.For = Pause, min(a.faults.between(4*time.Second, 10*time.Second), end-at)
		s.Node = a.first[s.Site] + a.faults.IntN(a.Sites[s.Site].Gateways)
		a.add(s)
	case OfHunger:
		return a.starve(s, end)
	case OfSites:
		return a.darken(s, end)
	case OfLinks:
		return a.linkFault(s, end)
	case OfSplits:
		return a.split(s, end)
	case OfPromises:
		a.promiseFault(s)
	case OfHints:
		if s.Verb = Blind; a.faults.percent(30) {
			s.Verb = Deaf
		}
		a.add(s)
	case OfClocks:
		s.Verb, s.For, s.Node = Jump, 0, a.faults.IntN(a.nodes())
		s.By = []time.Duration{20 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second, 10 * time.Minute, time.Hour}[a.faults.IntN(5)]
		if s.By = a.faults.between(s.By/2, s.By).Truncate(time.Microsecond); s.By/time.Microsecond%2 == 1 {
			s.By = -s.By
		}
		a.add(s)
	}
	return s.For
}

// promiseFault draws promises that get lost or come late, or a slower or restless link.
func (a *artist) promiseFault(s Step) {
	switch a.faults.IntN(4) {
	case 0:
		s.Verb, s.Percent = Mute, float64(a.faults.count(20, 100))
		s.For = min(s.For, 1500*time.Millisecond)
	case 1:
		s.Verb, s.By = Hold, a.faults.between(time.Millisecond, 400*time.Millisecond)
	default:
		k := a.Links[a.faults.IntN(len(a.Links))]
		s.Site, s.Far = k.A, k.B
		if s.Verb, s.By = Stretch, a.faults.between(time.Millisecond, 60*time.Millisecond); a.faults.percent(50) {
			s.Verb = Shake
		}
	}
	a.add(s)
}

// linkFault draws what happens to one link: a cut, several in a row (a link that flaps),
// a longer way, jitter or loss.
func (a *artist) linkFault(s Step, end time.Duration) time.Duration {
	k := a.Links[a.faults.IntN(len(a.Links))]
	s.Site, s.Far = k.A, k.B
	switch a.faults.IntN(6) {
	case 0, 1:
		s.Verb = Cut
	case 2:
		s.Verb = Cut
		begin := s.At
		for n := a.faults.count(2, 6); n > 0 && s.At < end; n-- {
			s.For = min(a.faults.between(100*time.Millisecond, 900*time.Millisecond), end-s.At)
			a.add(s)
			s.At += s.For + a.faults.between(100*time.Millisecond, 900*time.Millisecond)
		}
		return min(s.At, end) - begin
	case 3:
		s.Verb, s.By = Stretch, a.faults.between(time.Millisecond, 100*time.Millisecond)
	case 4:
		s.Verb, s.By = Shake, a.faults.between(time.Millisecond, 50*time.Millisecond)
	default:
		s.Verb, s.Percent = Spoil, float64(a.faults.count(1, 40))
	}
	a.add(s)
	return s.For
}

// split draws one split of the federation, or several that follow each other without a
// heal. A site's ring may break while the sites agree on new views, or a gateway die.
func (a *artist) split(s Step, end time.Duration) time.Duration {
	s.Verb = Split
	begin := s.At
	for more := true; more && s.At < end; more = a.faults.percent(35) {
		s.For = min(a.lasting(), end-s.At)
		if a.faults.percent(50) {
			s.For = min(a.faults.between(time.Second, 5*time.Second), end-s.At)
		}
		s.Sides = a.sides(len(a.Sites))
		a.add(s)
		s.At += s.For.Truncate(time.Microsecond)
	}
	if a.faults.percent(40) {
		hit := begin + a.faults.between(200*time.Millisecond, 1500*time.Millisecond)
		if a.faults.percent(50) {
			hit = s.At + a.faults.between(1500*time.Millisecond, 4*time.Second)
		}
		if hit < end-50*time.Millisecond {
			x := Step{At: hit, Site: a.faults.IntN(len(a.Sites)), For: min(a.lasting(), end-hit)}
			x.Node = a.first[x.Site] + a.faults.IntN(a.Sites[x.Site].Nodes)
			if a.faults.percent(50) && a.Sites[x.Site].Nodes > 1 {
				a.partition(x, end)
			} else {
				a.gateways(x, end)
			}
			a.around(hit)
		}
	}
	return s.At - begin
}

// gateways draws what happens to gateways of a site: one or all die or hang and come
// back.
func (a *artist) gateways(s Step, end time.Duration) time.Duration {
	n := a.Sites[s.Site].Gateways
	first, several := a.faults.IntN(n), 1
	if a.faults.percent(30) {
		several = n
	}
	last := s.At
	for i := range several {
		x := s
		x.Node = a.first[s.Site] + (first+i)%n
		x.At += a.faults.between(0, 300*time.Millisecond) * time.Duration(min(i, 1))
		if x.At >= end {
			continue
		}
		x.For = min(a.lasting(), end-x.At)
		x.Verb = Crash
		if a.faults.percent(35) {
			x.Verb, x.For = Pause, min(a.pause(), end-x.At)
		} else if a.faults.percent(30) {
			x.For = min(a.faults.between(time.Millisecond, 12*time.Millisecond), end-x.At)
		}
		a.add(x)
		last = max(last, x.At+x.For)
	}
	return last - s.At
}

// starve draws machines that have too little time for a while: each node stands still for
// up to a second, again and again.
func (a *artist) starve(s Step, end time.Duration) time.Duration {
	until := min(s.At+a.faults.between(time.Second, 4*time.Second), end)
	for node := range a.nodes() {
		x := s
		x.Verb, x.Node = Pause, node
		for x.At += a.faults.about(300 * time.Millisecond); x.At < until; x.At += x.For + a.faults.about(500*time.Millisecond) {
			x.For = min(a.faults.between(20*time.Millisecond, time.Second), end-x.At)
			a.add(x)
		}
	}
	return until - s.At
}

// darken draws the end of all nodes of a site at once, and their next lives.
func (a *artist) darken(s Step, end time.Duration) time.Duration {
	last := s.At
	for i := range a.Sites[s.Site].Nodes {
		x := s
		x.Verb, x.Node = Crash, a.first[s.Site]+i
		x.For = min(a.faults.between(50*time.Millisecond, 2*time.Second), end-x.At)
		a.add(x)
		last = max(last, x.At+x.For)
	}
	return last - s.At
}
