package sim

import "time"

// recovery is how long after a node has come back its site is left alone: time to
// form a ring, learn the state and become a voter again.
const recovery = 3 * time.Second

// nextFault lets one thing go wrong and comes back later.
func (f *federation) nextFault() {
	if !f.talking {
		return
	}
	fault := f.profile.Faults[f.faults.IntN(len(f.profile.Faults))]
	f.stats.Faults++
	f.strike(fault, f.sites[f.faults.IntN(len(f.sites))])
	f.after(f.faults.about(f.profile.FaultEvery), f.nextFault)
}

// strike makes one fault happen, at a site if it is one of a site.
func (f *federation) strike(fault Fault, s *site) {
	during := f.faults.between
	switch fault {
	case CrashNode:
		f.crashNode(s)
	case LoseLAN, LoseMuch:
		p := 2 + f.faults.Float64()*6
		if fault == LoseMuch {
			p *= 4
		}
		s.lan.all(p, func(int, int) bool { return true })
		f.after(during(50*time.Millisecond, time.Second), s.lan.heal)
	case LoseOneWay, LoseMuchOneWay:
		p := 10 + f.faults.Float64()*20
		if fault == LoseMuchOneWay {
			p = 60
		}
		from, to := f.faults.IntN(len(s.places)), f.faults.IntN(len(s.places))
		s.lan.all(p, func(a, b int) bool { return a == from && b == to })
		f.after(during(20*time.Millisecond, 200*time.Millisecond), s.lan.heal)
	case PauseShort:
		// Less than a third of the token loss time-out, so that nobody is given up.
		f.sleepNode(s, during(5*time.Millisecond, 90*time.Millisecond))
	case PauseLong:
		f.sleepNode(s, during(400*time.Millisecond, 3*time.Second))
	case CutLink, DelayLink:
		f.troubleLink(fault == CutLink)
	case LosePromises:
		f.loseSomePromises()
	case PartitionLAN:
		side := make([]int, len(s.places))
		for i := range side {
			side[i] = f.faults.IntN(2)
		}
		s.lan.all(100, func(a, b int) bool { return side[a] != side[b] })
		f.after(during(100*time.Millisecond, 3*time.Second), s.lan.heal)
	case PartitionWAN:
		side := make([]int, len(f.sites))
		for i := range side {
			side[i] = f.faults.IntN(2)
		}
		f.cutLinks(func(a, b int) bool { return side[a] != side[b] })
		f.after(during(200*time.Millisecond, 4*time.Second), f.wan.heal)
	case CrashSite:
		for _, at := range s.places {
			if at.life != nil {
				at.life.crash()
			}
			f.after(during(100*time.Millisecond, 2*time.Second), func() { f.boot(at) })
		}
	}
}

// crashNode ends a node, one of a site at a time: a majority of the lineage stays.
func (f *federation) crashNode(s *site) {
	if f.now < s.busyUntil || len(s.places) < 3 {
		return
	}
	at := s.places[f.faults.IntN(len(s.places))]
	if at.life == nil {
		return
	}
	at.life.crash()
	down := f.faults.between(5*time.Millisecond, 1500*time.Millisecond)
	s.busyUntil = f.now + down + recovery
	f.after(down, func() { f.boot(at) })
}

func (f *federation) sleepNode(s *site, wait time.Duration) {
	if at := s.places[f.faults.IntN(len(s.places))]; at.life != nil {
		at.life.sleep(f.now + wait)
	}
}

// troubleLink cuts a link that has a way round it, or makes it longer.
func (f *federation) troubleLink(cut bool) {
	n := len(f.sites)
	if n < 2 {
		return
	}
	i := f.faults.IntN(n)
	j := (i + 1 + f.faults.IntN(n-1)) % n
	w := f.wan
	if cut {
		for a := range n {
			for b := range n {
				if w.cut[a][b] {
					return // one at a time: two could cut a site off
				}
			}
		}
		if n < 3 {
			return
		}
		w.cut[i][j], w.cut[j][i] = true, true
	} else {
		extra := f.faults.between(time.Millisecond, 60*time.Millisecond)
		w.extra[i][j], w.extra[j][i] = extra, extra
	}
	w.changed()
	f.after(f.faults.between(100*time.Millisecond, 2*time.Second), func() {
		w.cut[i][j], w.cut[j][i] = false, false
		w.extra[i][j], w.extra[j][i] = 0, 0
		w.changed()
	})
}

// cutLinks cuts all links for which the function says so.
func (f *federation) cutLinks(of func(a, b int) bool) {
	for a := range f.sites {
		for b := range f.sites {
			f.wan.cut[a][b] = f.wan.cut[a][b] || of(a, b)
		}
	}
	f.wan.changed()
}

func (f *federation) loseSomePromises() {
	i, j := f.faults.IntN(len(f.sites)), f.faults.IntN(len(f.sites))
	loss := 30 + f.faults.Float64()*70
	f.wan.loss[i][j] = loss
	f.after(f.faults.between(50*time.Millisecond, 1500*time.Millisecond), func() { f.wan.loss[i][j] = 0 })
}

// heal ends all trouble at once.
func (f *federation) heal() {
	for _, s := range f.sites {
		s.lan.heal()
		for _, at := range s.places {
			if at.life == nil {
				f.after(f.faults.between(10*time.Millisecond, 500*time.Millisecond), func() { f.boot(at) })
			}
		}
	}
	f.wan.heal()
}
