package demo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// feedGroup is the group that all members are in. localGroup has members in the first
// site only.
const (
	feedGroup  = "feed"
	localGroup = "local"
)

// gatherTime bounds the joining of all members.
const gatherTime = 30 * time.Second

// A cast is who takes part: a member in every node, a publisher in every site, and one
// that speaks to the first site only.
type cast struct {
	members    []*member
	publishers []*publisher
	local      *publisher
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// gather connects everybody, joins the groups, and waits until all members see each
// other.
func gather(ctx context.Context, p *plan, now func() time.Duration) (c *cast, err error) {
	c = &cast{}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, gatherTime, errors.New("it took too long"))
	defer cancel()
	if err := c.connect(ctx, p); err != nil {
		return nil, err
	}
	var all, near []string
	for _, m := range c.members {
		c.running.Go(func() { m.receive(running, now) })
		all = append(all, m.name)
		if m.site == 0 {
			near = append(near, m.name)
		}
	}
	for _, pub := range append(slices.Clone(c.publishers), c.local) {
		c.running.Go(func() { pub.watch(running) })
	}
	slices.Sort(all)
	slices.Sort(near)
	if err := c.join(ctx, feedGroup, all); err != nil {
		return nil, err
	}
	return c, c.join(ctx, localGroup, near)
}

func (c *cast) connect(ctx context.Context, p *plan) error {
	for s, site := range p.sites {
		for _, n := range site.nodes {
			m, err := newMember(ctx, n, s)
			if err != nil {
				return err
			}
			c.members = append(c.members, m)
		}
		pub, err := newPublisher(ctx, site.nodes[len(site.nodes)-1], s, "web")
		if err != nil {
			return err
		}
		c.publishers = append(c.publishers, pub)
	}
	var err error
	c.local, err = newPublisher(ctx, p.sites[0].nodes[0], 0, "local")
	return err
}

// join has the named members join a group and waits until each sees all of them.
func (c *cast) join(ctx context.Context, group string, names []string) error {
	named := func(m *member) bool { return slices.Contains(names, m.name) }
	for _, m := range c.members {
		if named(m) {
			if err := m.conn.Join(ctx, group); err != nil {
				return err
			}
		}
	}
	for _, m := range c.members {
		if named(m) {
			if err := m.awaitMembers(ctx, group, names); err != nil {
				return err
			}
		}
	}
	return nil
}

// close ends all connections.
func (c *cast) close() {
	c.stop()
	for _, m := range c.members {
		m.conn.Close()
	}
	for _, p := range append(slices.Clone(c.publishers), c.local) {
		if p != nil {
			p.conn.Close()
		}
	}
	c.running.Wait()
}

// sentEach returns how many messages each publisher sent to the feed's group.
func (c *cast) sentEach() []int {
	var each []int
	for _, p := range c.publishers {
		each = append(each, len(p.sent))
	}
	return each
}

func (c *cast) sent() int {
	total := 0
	for _, n := range c.sentEach() {
		total += n
	}
	return total
}

// delivered returns how many messages of the feed's group every member has.
func (c *cast) delivered() int {
	least := c.members[0].count(feedGroup)
	for _, m := range c.members[1:] {
		least = min(least, m.count(feedGroup))
	}
	return least
}

// awaitAll waits until every member has n messages of the feed's group.
func (c *cast) awaitAll(ctx context.Context, n int) error {
	for _, m := range c.members {
		if err := m.awaitCount(ctx, feedGroup, n); err != nil {
			return err
		}
	}
	return nil
}
