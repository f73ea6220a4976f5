//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// siteNames says which of these names is no site of the topology.
func (s *Script) siteNames(names []string) error {
	for _, name := range names {
		if _, ok := s.topology.SiteByName(name); !ok {
			return fmt.Errorf("%s: no such site in %s", name, s.topology.Path)
		}
	}
	return nil
}

func checkPath(s *Script, args []string) error { return s.siteNames(args) }

// checkSites takes parts of sites.
func checkSites(s *Script, args []string) error {
	for _, part := range splitParts(args) {
		if len(part) == 0 {
			return errors.New("want all, or parts of sites like A B / C")
		}
		if err := s.siteNames(part); err != nil && !slices.Equal(part, []string{"all"}) {
			return err
		}
	}
	return nil
}

// splitParts divides words at each "/".
func splitParts(args []string) (parts [][]string) {
	parts = append(parts, nil)
	for _, arg := range args {
		if arg == "/" {
			parts = append(parts, nil)
			continue
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], arg)
	}
	return parts
}

// sites waits until the nodes of each part say that the view of sites is that part.
func (p *play) sites(ctx context.Context, args []string) error {
	for _, part := range splitParts(args) {
		if slices.Equal(part, []string{"all"}) {
			part = nil
			for _, s := range p.script.topology.Sites {
				part = append(part, s.Name)
			}
		}
		for _, m := range p.federation.Nodes {
			if !slices.Contains(part, m.site) || m.process().State != "running" {
				continue
			}
			if err := poll(ctx, fmt.Sprintf("%s to be in a view of the sites %v", m, part), func() error {
				status, err := m.Status(ctx)
				if err == nil && !sameSet(status.View.Members, part) {
					err = fmt.Errorf("it has %v", status.View.Members)
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// path waits until every gateway of the first site sends what is for the last one to the
// one between, or directly.
func (p *play) path(ctx context.Context, args []string) error {
	next, to := args[1], args[len(args)-1]
	for _, n := range p.federation.Nodes {
		if n.site != args[0] || !n.gateway || n.process().State != "running" {
			continue
		}
		if err := poll(ctx, fmt.Sprintf("%s to reach %s over %s", n, to, next), func() error {
			status, err := n.Status(ctx)
			if err != nil {
				return err
			}
			for _, r := range status.Routes {
				if r.Site != to {
					continue
				}
				if way := p.sitesOf(r.Path); len(way) < 2 || way[1] != next {
					return fmt.Errorf("its way is %s, of %.0f ms", strings.Join(way, " "), r.Cost)
				}
				return nil
			}
			return fmt.Errorf("it has no route to %s", to)
		}); err != nil {
			return err
		}
	}
	return nil
}

// sitesOf returns the sites of a path of gateways, each once.
func (p *play) sitesOf(path []string) (sites []string) {
	for _, gateway := range path {
		if m := p.federation.member(gateway); m != nil {
			sites = append(sites, m.site)
		}
	}
	return slices.Compact(sites)
}

func checkFlap(_ *Script, args []string) error {
	if n, err := strconv.Atoi(args[1]); err != nil || n < 1 || n > maxSteps {
		return fmt.Errorf("%s: want how often, as 5", args[1])
	}
	return errors.Join(checkTime(nil, args[2:]), checkTime(nil, args[3:]))
}

// flap cuts a link and joins it, again and again; it ends with the link joined.
func (p *play) flap(ctx context.Context, args []string) error {
	times, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	down, err1 := time.ParseDuration(args[2])
	up, err2 := time.ParseDuration(args[3])
	err = errors.Join(err1, err2)
	for range times {
		if err != nil {
			return err
		}
		err = errors.Join(p.federation.Lab.Do("cut", args[0]), sleep(ctx, down), p.federation.Lab.Do("join", args[0]), sleep(ctx, up))
	}
	return err
}
