//go:build linux

package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ringway/internal/netlab"
)

// Run starts the named nodes, or all that do not run.
func (l *Lab) Run(names []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.each(names, func(m *machine) error {
		if len(names) == 0 && m.running() {
			return nil
		}
		return m.start(l)
	})
}

// Kill ends nodes as a power failure does.
func (l *Lab) Kill(names []string) error { return l.some(names, (*machine).kill) }

// Stop lets nodes leave in order.
func (l *Lab) Stop(names []string) error { return l.some(names, (*machine).stop) }

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
	if len(names) == 0 {
		return errors.New("no node is named")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.each(names, f)
}

func (l *Lab) each(names []string, f func(*machine) error) error {
	list := l.machines
	if len(names) > 0 {
		list = nil
		for _, name := range names {
			m, err := l.machine(name)
			if err != nil {
				return err
			}
			list = append(list, m)
		}
	}
	var faults []error
	for _, m := range list {
		faults = append(faults, f(m))
	}
	return errors.Join(faults...)
}

// Set changes a link: "lon-fra" both directions, "lon>fra" one, "all" every link.
func (l *Lab) Set(link string, settings []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(settings, " ")
	if link == "all" {
		var faults []error
		for _, k := range l.plan.links {
			faults = append(faults, l.wan.change(k.a.Name, k.b.Name, text, false))
		}
		return errors.Join(faults...)
	}
	a, b, oneWay, err := l.parseLink(link)
	if err != nil {
		return err
	}
	return l.wan.change(a, b, text, oneWay)
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
	return "", "", false, fmt.Errorf("%s: want two sites, as in lon-fra for both directions or lon>fra for one", text)
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
	l.parts = append(l.parts, text)
	if l.plan.site(all[0]) != nil {
		return l.partSites(parts)
	}
	return l.partNodes(parts)
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
	return l.lans[site].Filter(netlab.Partition(spaces...)...)
}

// Heal undoes all partitions and cuts. Settings of links stay.
func (l *Lab) Heal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var faults []error
	for _, k := range l.plan.links {
		faults = append(faults, l.wan.down(k.a.Name, k.b.Name, false))
	}
	for _, lan := range l.lans {
		faults = append(faults, lan.Heal())
	}
	l.parts = nil
	return errors.Join(faults...)
}
