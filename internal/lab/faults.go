//go:build linux

package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"ringway/internal/netem"
	"ringway/internal/netlab"
)

// Do carries out a command, in the words of `ringway lab`.
func (l *Lab) Do(command string, args ...string) error {
	if err := l.broken(); err != nil {
		return err
	}
	switch command {
	case "run":
		return l.Run(args)
	case "kill":
		return l.Kill(args)
	case "stop":
		return l.Stop(args)
	case "restart":
		return l.Restart(args)
	case "pause":
		return l.Pause(args)
	case "continue":
		return l.Continue(args)
	case "heal":
		return l.Heal()
	}
	if len(args) == 0 {
		return fmt.Errorf("%s: of what?", command)
	}
	switch command {
	case "partition":
		return l.Partition(args[0])
	case "set":
		return l.Set(args[0], args[1:])
	case "cut", "join":
		return l.Cut(args[0], command == "cut")
	}
	return fmt.Errorf("%s: a lab has no such command", command)
}

// broken says why nothing makes sense in this lab any more.
func (l *Lab) broken() error {
	if e, ok := l.wan.(*emulated); ok {
		return e.dead()
	}
	return nil
}

// Run starts the named nodes, or all that do not run.
func (l *Lab) Run(names []string) error {
	if len(names) > 0 {
		return l.some(names, func(m *machine) error { return m.start(l) })
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return each(l.machines, func(m *machine) error {
		if m.running() {
			return nil
		}
		return m.start(l)
	})
}

// Kill ends nodes as a power failure does.
func (l *Lab) Kill(names []string) error { return l.some(names, (*machine).kill) }

// Stop lets nodes leave in order, all at once, and says which did not end well.
func (l *Lab) Stop(names []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, err := l.named(names)
	if err != nil {
		return err
	}
	faults := make([]error, len(list))
	var ends sync.WaitGroup
	for i, m := range list {
		ends.Go(func() { faults[i] = m.stop() })
	}
	ends.Wait()
	return errors.Join(faults...)
}

// Pause stops nodes where they are.
func (l *Lab) Pause(names []string) error {
	return l.some(names, func(m *machine) error { return m.pause(true) })
}

// Continue lets paused nodes go on.
func (l *Lab) Continue(names []string) error {
	return l.some(names, func(m *machine) error { return m.pause(false) })
}

// Restart kills nodes, as far as they run, and starts them again.
func (l *Lab) Restart(names []string) error {
	return l.some(names, func(m *machine) error {
		if m.running() {
			if err := m.kill(); err != nil {
				return err
			}
		}
		return m.start(l)
	})
}

func (l *Lab) some(names []string, f func(*machine) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, err := l.named(names)
	if err != nil {
		return err
	}
	return each(list, f)
}

func each(list []*machine, f func(*machine) error) error {
	var faults []error
	for _, m := range list {
		faults = append(faults, f(m))
	}
	return errors.Join(faults...)
}

// named returns the machines of these nodes.
func (l *Lab) named(names []string) (list []*machine, err error) {
	if len(names) == 0 {
		return nil, errors.New("no node is named")
	}
	for _, name := range names {
		m, err := l.machine(name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// Set changes a link: "lon-fra" both directions, "lon>fra" one, "all" every link. Of a
// site's LAN and a node's way to it, "lon" and "lon-1", it can set the loss.
func (l *Lab) Set(what string, settings []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(settings, " ")
	if receivers := l.receivers(what); len(receivers) > 0 {
		return l.setLAN(receivers, text)
	}
	if what == "all" {
		var faults []error
		for _, k := range l.plan.links {
			faults = append(faults, l.wan.change(k.a.Name, k.b.Name, text, false))
		}
		return errors.Join(faults...)
	}
	a, b, oneWay, err := l.parseLink(what)
	if err != nil {
		return err
	}
	return l.wan.change(a, b, text, oneWay)
}

// receivers returns the machines of a site, or the one of a node.
func (l *Lab) receivers(name string) (list []*machine) {
	for _, m := range l.machines {
		if m.site.Name == name || m.Name == name {
			list = append(list, m)
		}
	}
	return list
}

// setLAN has machines of a site lose a share of what their LAN sends them.
func (l *Lab) setLAN(receivers []*machine, settings string) error {
	p, err := netem.Parse(settings)
	if err != nil {
		return err
	}
	if p != (netem.Profile{Loss: p.Loss}) {
		return fmt.Errorf("%s: a LAN has no settings but loss, as in loss=5%%", settings)
	}
	for _, m := range receivers {
		m.loss = p.Loss
	}
	return l.filter(receivers[0].site)
}

// filter has the switch of a site do what is set at present.
func (l *Lab) filter(s *sitePlan) error {
	rules := netlab.Partition(l.divided[s]...)
	for _, m := range l.machines {
		if m.site == s && m.loss > 0 {
			rules = append(rules, netlab.Lossy(m.nodePlan.space, m.loss))
		}
	}
	return l.lans[s].Filter(rules...)
}

// parseLink finds the two sites of "a-b" or "a>b". Names may have dashes.
func (l *Lab) parseLink(text string) (a, b string, oneWay bool, err error) {
	for i := range text {
		if text[i] != '-' && text[i] != '>' {
			continue
		}
		a, b = text[:i], text[i+1:]
		if l.plan.site(a) != nil && l.plan.site(b) != nil {
			_, err := l.plan.link(a, b)
			return a, b, text[i] == '>', err
		}
	}
	return "", "", false, fmt.Errorf("%s: want two sites, as in lon-fra for both directions or lon>fra for one; or a site or a node, for its LAN", text)
}

// Cut cuts a link, or joins it again.
func (l *Lab) Cut(link string, cut bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, b, oneWay, err := l.parseLink(link)
	if err != nil {
		return err
	}
	if oneWay {
		return errors.New("a cut is for both directions: for one, set loss=100%")
	}
	return l.wan.down(a, b, cut)
}

// Partition divides the federation: parts of sites, or parts of the nodes of one site.
// Sites or nodes that are in no part keep all their links.
func (l *Lab) Partition(text string) error {
	var parts [][]string
	for _, part := range strings.Split(text, "/") {
		var names []string
		for _, name := range strings.Split(part, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
		parts = append(parts, names)
	}
	if len(parts) < 2 {
		return fmt.Errorf("%s: want parts, as in lon,fra/nyc", text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(parts...)
	if len(all) == 0 {
		return fmt.Errorf("%s: nobody is named", text)
	}
	part := l.partNodes
	if l.plan.site(all[0]) != nil {
		part = l.partSites
	}
	if err := part(parts); err != nil {
		return err
	}
	l.parts = append(l.parts, text)
	return nil
}

func (l *Lab) partSites(parts [][]string) error {
	of := map[string]int{}
	for i, part := range parts {
		for _, name := range part {
			if l.plan.site(name) == nil {
				return fmt.Errorf("%s: no such site in %s", name, l.plan.topology.Path)
			}
			of[name] = i + 1
		}
	}
	var faults []error
	for _, k := range l.plan.links {
		if a, b := of[k.a.Name], of[k.b.Name]; a > 0 && b > 0 {
			faults = append(faults, l.wan.down(k.a.Name, k.b.Name, a != b))
		}
	}
	return errors.Join(faults...)
}

func (l *Lab) partNodes(parts [][]string) error {
	var site *sitePlan
	spaces := make([][]string, len(parts))
	for i, part := range parts {
		for _, name := range part {
			n, s := l.plan.node(name)
			switch {
			case n == nil:
				return fmt.Errorf("%s: no such site or node in %s", name, l.plan.topology.Path)
			case site != nil && s != site:
				return fmt.Errorf("%s is of site %s, others of %s: divide one site at a time, or sites", name, s.Name, site.Name)
			}
			site = s
			spaces[i] = append(spaces[i], n.space)
		}
	}
	l.divided[site] = spaces
	return l.filter(site)
}

// Heal undoes all partitions and cuts. Settings of links stay.
func (l *Lab) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	for _, k := range l.plan.links {
		faults = append(faults, l.wan.down(k.a.Name, k.b.Name, false))
	}
	clear(l.divided)
	for site := range l.lans {
		faults = append(faults, l.filter(site))
	}
	l.parts = nil
	return errors.Join(faults...)
}
