package demo

import "strings"

// Sites is a set of sites of the plan: a bit for each.
type sites uint8

func siteSet(list ...int) (s sites) {
	for _, i := range list {
		s |= 1 << i
	}
	return s
}

// allSites is the set of the first n.
func allSites(n int) sites { return 1<<n - 1 }

func (s sites) has(site int) bool { return s&(1<<site) != 0 }

// names lists the sites as people do.
func (s sites) names(p *plan) string {
	var names []string
	for i := range p.sites {
		if s.has(i) {
			names = append(names, p.sites[i].name)
		}
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}
