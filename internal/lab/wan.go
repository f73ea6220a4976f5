//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ringway/internal/netem"
	"ringway/internal/netlab"
)

// A wan makes the links between routers and changes them.
type wan interface {
	// connect makes a link; its interfaces are up at both routers.
	connect(l *linkPlan, a, b *netlab.Space, p netem.Profile) error
	// change changes what settings name, in both directions or in the one from a to b.
	change(a, b, settings string, oneWay bool) error
	// down cuts both directions, or joins them.
	down(a, b string, cut bool) error
	status() []netem.Direction
	// fault says why the links carry nothing any more, or less well than they should.
	fault() error
	kind() string
	close() error
}

// kernel is a wan by tc netem.
type kernel struct {
	tc    string
	lanes []*lane
}

// A lane is one direction of a link.
type lane struct {
	from, to string
	space    *netlab.Space // that sends
	profile  netem.Profile
	cut      bool
}

// hasNetem tries whether this kernel has tc netem.
func hasNetem(s *netlab.Space) bool {
	tc, err := exec.LookPath("tc")
	return err == nil && run(s, tc, "qdisc", "replace", "dev", "lo", "root", "netem", "delay", "1us") == nil &&
		run(s, tc, "qdisc", "del", "dev", "lo", "root") == nil
}

func newKernel() (wan, error) {
	tc, err := exec.LookPath("tc")
	if err != nil {
		return nil, fmt.Errorf("tc: %w: install iproute2", err)
	}
	return &kernel{tc: tc}, nil
}

func (k *kernel) kind() string { return "tc netem" }
func (k *kernel) fault() error { return nil }
func (k *kernel) close() error { return nil }

func (k *kernel) connect(l *linkPlan, a, b *netlab.Space, p netem.Profile) error {
	for _, x := range []*lane{{from: l.a.Name, to: l.b.Name, space: a, profile: p}, {from: l.b.Name, to: l.a.Name, space: b, profile: p}} {
		k.lanes = append(k.lanes, x)
		if err := k.apply(x); err != nil {
			return err
		}
	}
	return nil
}

// apply makes the kernel do what a lane says.
func (k *kernel) apply(x *lane) error {
	p := x.profile
	if x.cut {
		p = netem.Profile{Loss: 1}
	}
	return run(x.space, k.tc, append([]string{"qdisc", "replace", "dev", x.to, "root", "netem"}, p.TC()...)...)
}

func (k *kernel) each(a, b string, oneWay bool, f func(*lane) error) error {
	found := false
	for _, x := range k.lanes {
		if x.from == a && x.to == b || !oneWay && x.from == b && x.to == a {
			found = true
			if err := errors.Join(f(x), k.apply(x)); err != nil {
				return err
			}
		}
	}
	if !found {
		return fmt.Errorf("no link between %s and %s", a, b)
	}
	return nil
}

func (k *kernel) change(a, b, settings string, oneWay bool) error {
	return k.each(a, b, oneWay, func(x *lane) (err error) {
		p, err := x.profile.With(settings)
		if err == nil {
			x.profile = p
		}
		return err
	})
}

func (k *kernel) down(a, b string, cut bool) error {
	return k.each(a, b, false, func(x *lane) error { x.cut = cut; return nil })
}

func (k *kernel) status() (list []netem.Direction) {
	for _, x := range k.lanes {
		list = append(list, netem.Direction{From: x.from, To: x.to, Profile: x.profile, Down: x.cut})
	}
	return slices.Clip(list)
}

// run runs a short command in a space.
func run(s *netlab.Space, name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...) //nolint:gosec // tc, found in the path
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.Start(cmd); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
