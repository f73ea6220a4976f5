package sim

import "time"

// trouble draws the faults: some by themselves, some one upon the other, before all
// has recovered from the first.
func (a *artist) trouble() {
	end := a.Length - calmBefore
	left := a.faults.count(a.shape.Faults[0], a.shape.Faults[1])
	for left > 0 {
		at := a.faults.between(1500*time.Millisecond, end-50*time.Millisecond)
		if a.faults.percent(6) {
			at = a.faults.between(0, 1500*time.Millisecond) // while the first ring forms
		}
		for more := true; more && left > 0; left-- {
			lasts := a.fault(at, end)
			if a.talk.percent(85) {
				a.around(at)
			}
			if a.talk.percent(60) {
				a.around(min(at+lasts, end))
			}
			more = a.faults.percent(50)
			// The next one comes while the site is busy with this one, or with its end.
			if a.faults.percent(40) {
				at += lasts
			}
			if at += a.faults.about(a.reaction()); at >= end {
				break
			}
		}
	}
}

// reaction is about how long it takes until something that happened has an effect, so
// that the next fault hits what it led to.
func (a *artist) reaction() time.Duration {
	if len(a.Sites) > 1 {
		return 400 * time.Millisecond
	}
	return 150 * time.Millisecond
}

// lasting picks how long a fault takes: about as long as the site takes to notice,
// mostly, or seconds.
func (a *artist) lasting() time.Duration {
	switch a.faults.IntN(4) {
	case 0:
		return a.faults.between(time.Millisecond, 250*time.Millisecond)
	case 1:
		return a.faults.between(2*time.Second, 8*time.Second)
	}
	return a.faults.between(100*time.Millisecond, 1500*time.Millisecond)
}

// fault draws one and returns how long it lasts.
func (a *artist) fault(at, end time.Duration) time.Duration {
	family := OfLAN
	if len(a.shape.Mix) > 0 {
		family = a.shape.Mix[a.faults.IntN(len(a.shape.Mix))]
	}
	if family != OfLAN {
		return a.wide(family, at, end)
	}
	site := a.faults.IntN(len(a.Sites))
	lasts := min(a.lasting(), end-at)
	s := Step{At: at, Site: site, Node: a.first[site] + a.faults.IntN(a.Sites[site].Nodes), For: lasts}
	switch r := a.faults.IntN(100); {
	case r < 18:
		return a.crash(s, end)
	case r < 30:
		s.Verb, s.For = Pause, min(a.pause(), end-at)
	case r < 36:
		s.Verb, s.By = Slow, a.faults.between(50*time.Microsecond, 3*time.Millisecond)
	case r < 58 && a.Sites[site].Nodes > 1:
		return a.partition(s, end)
	case r < 70:
		s.Verb, s.Percent = Lose, float64(a.faults.count(1, 25))
	case r < 84 && a.Sites[site].Nodes > 1:
		a.oneWay(s)
		return lasts
	case r < 90:
		s.Verb, s.Percent, s.By = Late, float64(a.faults.count(1, 50)), a.faults.between(0, 20*time.Millisecond)
	case r < 95:
		s.Verb, s.Percent = Double, float64(a.faults.count(1, 50))
	default:
		s.Verb, s.By = Delay, a.faults.between(100*time.Microsecond, 20*time.Millisecond)
	}
	a.add(s)
	return s.For
}

func (a *artist) pause() time.Duration {
	if a.faults.percent(30) {
		return a.faults.between(time.Second, 10*time.Second)
	}
	return a.faults.between(50*time.Millisecond, time.Second)
}

// crash draws the end of one node or of several at once, and their next lives: at
// once, while they are being given up, or later; sometimes several in a row, rarely
// none.
func (a *artist) crash(s Step, end time.Duration) time.Duration {
	nodes, base := a.Sites[s.Site].Nodes, a.first[s.Site]
	if a.faults.percent(4) && nodes > 3 {
		a.add(Step{At: s.At, Verb: Die, Node: s.Node})
		return 0
	}
	several := 1
	if a.faults.percent(20) {
		several = a.faults.count(min(2, nodes), nodes)
	}
	begin, last, first := s.At, s.At, s.Node
	for i := range several {
		s.Verb, s.Node, s.At = Crash, base+(first-base+i)%nodes, begin
		for more := true; more && s.At < end; more = a.faults.percent(25) {
			s.For = min(a.lasting(), end-s.At)
			if a.faults.percent(35) {
				s.For = min(a.faults.between(time.Millisecond, 12*time.Millisecond), end-s.At)
			}
			a.add(s)
			last = max(last, s.At+s.For)
			s.At += s.For + a.faults.about(150*time.Millisecond)
		}
	}
	return last - begin
}

// partition draws one partition, or several that follow each other without a heal.
func (a *artist) partition(s Step, end time.Duration) time.Duration {
	s.Verb = Partition
	begin := s.At
	for more := true; more && s.At < end; more = a.faults.percent(35) {
		s.For, s.Sides = min(a.lasting(), end-s.At), a.sides(a.Sites[s.Site].Nodes)
		a.add(s)
		s.At += s.For.Truncate(time.Microsecond)
	}
	return s.At - begin
}

// sides parts nodes or sites in two or three, or cuts one off.
func (a *artist) sides(n int) string {
	sides := make([]byte, n)
	parts := a.faults.count(2, 3)
	alone := -1
	if a.faults.percent(40) {
		alone = a.faults.IntN(n)
	}
	for i := range sides {
		switch {
		case alone < 0:
			sides[i] = byte('a' + a.faults.IntN(parts))
		case i == alone:
			sides[i] = 'b'
		default:
			sides[i] = 'a'
		}
	}
	return string(sides)
}

// oneWay draws loss of one direction: between two nodes, or of all or some that a
// node sends or should hear.
func (a *artist) oneWay(s Step) {
	s.Verb, s.Percent = OneWay, 100
	if a.faults.percent(50) {
		s.Percent = float64(a.faults.count(10, 95))
	}
	nodes, base := a.Sites[s.Site].Nodes, a.first[s.Site]
	s.Peer = base + (s.Node-base+1+a.faults.IntN(nodes-1))%nodes
	if a.faults.percent(50) {
		a.add(s)
		return
	}
	mute, all, node := a.faults.percent(50), a.faults.percent(50), s.Node
	for peer := base; peer < base+nodes; peer++ {
		if peer == node || !all && a.faults.percent(50) {
			continue
		}
		if s.Node, s.Peer = node, peer; mute {
			s.Node, s.Peer = peer, node
		}
		a.add(s)
	}
}
