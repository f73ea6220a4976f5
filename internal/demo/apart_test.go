package demo

import (
	"context"
	"errors"
	"fmt"
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
