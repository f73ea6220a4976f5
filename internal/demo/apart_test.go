package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ringway/client"
)

// apartScene has a member at each node of two sites, whom everybody knows.
func apartScene() *cast {
	c := &cast{everybody: allSites(2)}
	for i, name := range []string{"#m#a-1", "#m#a-2", "#m#b-1", "#m#b-2"} {
		m := &member{name: name, site: i / 2, got: map[string][]delivery{}, views: map[string][]groupView{}, changed: make(chan struct{})}
		c.members = append(c.members, m)
		c.see(m, "#m#a-1", "#m#a-2", "#m#b-1", "#m#b-2")
	}
	c.settle()
	return c
}

// see has a member receive a view.
func (c *cast) see(m *member, names ...string) {
	m.record([]client.Event{&client.View{Group: feedGroup, Members: names}}, nil, 0)
	c.lookAround(m)
}

func TestMembersThatLoseSightOfEachOther(t *testing.T) {
	for _, test := range []struct {
		name   string
		happen func(c *cast)
		want   string // who was missed; empty: nothing to explain
	}{
		{"all see all", func(*cast) {}, ""},
		{"a ring falls apart", func(c *cast) { c.see(c.members[2], "#m#a-1", "#m#a-2", "#m#b-1") }, "#m#b-2"},
		{"a site is lost", func(c *cast) { c.see(c.members[0], "#m#a-1", "#m#a-2") }, "#m#b-1"},
		{"a site is cut off", func(c *cast) {
			c.cut.Store(true)
			c.see(c.members[0], "#m#a-1", "#m#a-2")
		}, ""},
		{"sites of one side lose each other when both sides have their views", func(c *cast) {
			c.cut.Store(true)
			other := siteSet(2)
			c.parted.Store(&other)
			c.see(c.members[0], "#m#a-1", "#m#a-2")
		}, "#m#b-1"},
		{"two sides see only themselves", func(c *cast) {
			c.cut.Store(true)
			off := siteSet(1)
			c.parted.Store(&off)
			c.see(c.members[0], "#m#a-1", "#m#a-2")
		}, ""},
		{"a ring falls apart while a site is cut off", func(c *cast) {
			c.cut.Store(true)
			c.see(c.members[0], "#m#a-1")
		}, "#m#a-2"},
		{"a node is killed", func(c *cast) {
			c.members[3].die()
			c.see(c.members[3], "#m#b-2") // whatever it still received
			c.see(c.members[2], "#m#a-1", "#m#a-2", "#m#b-1")
		}, ""},
		{"somebody has only just joined", func(c *cast) {
			c.members = append(c.members, &member{name: "#n#b-2", site: 1})
			c.see(c.members[2], "#m#a-1", "#m#a-2", "#m#b-1", "#m#b-2")
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := apartScene()
			ctx, cancel := c.watchOver(t.Context())
			defer cancel()
			test.happen(c)
			var apart *errApart
			if err := apartCause(ctx); errors.As(err, &apart) != (test.want != "") || apart != nil && apart.missed != test.want {
				t.Errorf("got %v, want %q to be missed", err, test.want)
			}
		})
	}
}

// TestSitesThatTakeAStepApart: what a site sent before it took a step without the others of
// its side has to arrive with those who took it along only.
func TestSitesThatTakeAStepApart(t *testing.T) {
	for _, test := range []struct {
		together [2][]string // with whom members of each site came
		want     [2]sites
	}{
		{[2][]string{{"#m#a-1", "#m#a-2", "#m#b-1", "#m#b-2"}, {"#m#a-1", "#m#a-2", "#m#b-1", "#m#b-2"}}, [2]sites{allSites(2), allSites(2)}},
		{[2][]string{{"#m#a-1", "#m#a-2"}, {"#m#b-1", "#m#b-2"}}, [2]sites{siteSet(0), siteSet(1)}},
	} {
		c := apartScene()
		for _, m := range c.members {
			m.views[feedGroup] = []groupView{{network: true, together: test.together[m.site]}}
		}
		everybody := audience{allSites(2), allSites(2)}
		for site := range 2 {
			c.publishers = append(c.publishers, &publisher{site: site, to: everybody, sent: []sending{{at: 10, to: everybody}, {at: 30, to: everybody}}})
		}
		d := &demo{cast: c, plan: &plan{sites: []planSite{{name: "a"}, {name: "b"}}}, report: newReporter(io.Discard, false, false)}
		d.partedWays(allSites(2), 20)
		for site, p := range c.publishers {
			if sent := p.sendings(); sent[0].to != everybody || sent[1].to.must != test.want[site] || sent[1].to.may != allSites(2) {
				t.Errorf("came with %v: what site %d sent is for %+v", test.together, site, sent)
			}
		}
	}
}

// TestAnInterruptIsNoParting: what ends for another reason is not tried again.
func TestAnInterruptIsNoParting(t *testing.T) {
	parent, interrupt := context.WithCancel(t.Context())
	c := apartScene()
	ctx, cancel := c.watchOver(parent)
	defer cancel()
	interrupt()
	if err := apartCause(ctx); err != nil {
		t.Error(err)
	}
	late := fmt.Errorf("start: %w", &errLate{"a-1", "no ring"})
	if cause := busyCause(late); cause == nil || !strings.Contains(cause.Error(), "node a-1 is not ready after") {
		t.Errorf("a node that is late: %v", cause)
	}
	if cause := busyCause(errEnded); cause != nil {
		t.Errorf("a node that has ended: %v", cause)
	}
	if patiences[1].tokenLoss < time.Second {
		t.Error("the second attempt is no more patient than the first")
	}
}

// TestNobodyToGather: nodes that do not take members are an error, with what was begun ended.
func TestNobodyToGather(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	nobody := planSite{name: "a", nodes: []planNode{{name: "a-1", address: netip.MustParseAddrPort("127.0.0.1:1")}}}
	if _, err := gather(ctx, &plan{sites: []planSite{nobody}}, func() time.Duration { return 0 }); err == nil {
		t.Error("members of nodes that are not there")
	}
}
