package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
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
	everybody  sites
	now        func() time.Duration
	publishers []*publisher
	local      *publisher
	stop       context.CancelFunc
	context    context.Context // of all receiving
	running    sync.WaitGroup
	cut        atomic.Bool           // sites are cut off from each other, or only just come together
	parted     atomic.Pointer[sites] // who is cut off, while both sides have views of their own
	apart      atomic.Pointer[func(*errApart)]

	mu      sync.Mutex
	members []*member // only ever added to
}

// gather connects everybody, joins the groups, and waits until all members see each
// other.
func gather(ctx context.Context, p *plan, now func() time.Duration) (_ *cast, err error) {
	c := &cast{everybody: allSites(len(p.sites)), now: now}
	c.context, c.stop = context.WithCancel(context.WithoutCancel(ctx))
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
	for _, pub := range append(slices.Clone(c.publishers), c.local) {
		c.running.Go(func() { pub.watch(c.context) })
	}
	for _, m := range c.members {
		if err := c.join(ctx, m); err != nil {
			return nil, err
		}
	}
	if _, err := c.awaitMembers(ctx, feedGroup, c.everybody); err != nil {
		return nil, err
	}
	if _, err = c.awaitMembers(ctx, localGroup, siteSet(0)); err != nil {
		return nil, err
	}
	c.settle()
	return c, nil
}

func (c *cast) connect(ctx context.Context, p *plan) error {
	for s, site := range p.sites {
		for _, n := range site.nodes {
			if _, err := c.connectMember(ctx, n, s); err != nil {
				return err
			}
		}
		pub, err := newPublisher(ctx, site.nodes[site.anchor()], s, "web", audience{c.everybody, c.everybody})
		if err != nil {
			return err
		}
		c.publishers = append(c.publishers, pub)
	}
	var err error
	c.local, err = newPublisher(ctx, p.sites[0].nodes[0], 0, "local", audience{siteSet(0), siteSet(0)})
	return err
}

// connectMember adds a member at a node.
func (c *cast) connectMember(ctx context.Context, n planNode, site int) (*member, error) {
	m, err := newMember(ctx, n, site)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.members = append(c.members, m)
	c.mu.Unlock()
	c.running.Go(func() { m.receive(c.context, c.now, c.lookAround) })
	return m, nil
}

// join has a member join the feed's group, and the local one in the first site.
func (c *cast) join(ctx context.Context, m *member) error {
	if m.site == 0 {
		if err := m.conn.Join(ctx, localGroup); err != nil {
			return err
		}
	}
	return m.conn.Join(ctx, feedGroup)
}

// all returns all members, those of killed nodes included.
func (c *cast) all() []*member {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.members)
}

// living returns the members in some sites whose nodes were not killed.
func (c *cast) living(in sites) []*member {
	return slices.DeleteFunc(c.all(), func(m *member) bool { return !in.has(m.site) || !m.alive() })
}

// awaitMembers waits until all living members in some sites have a view of the group
// with themselves in it and nobody else, and says when the last of them had it.
func (c *cast) awaitMembers(ctx context.Context, group string, in sites) (last time.Duration, err error) {
	members := c.living(in)
	var names []string
	for _, m := range members {
		names = append(names, m.name)
	}
	slices.Sort(names)
	for _, m := range members {
		at, err := m.awaitMembers(ctx, group, names)
		if err != nil {
			return 0, err
		}
		last = max(last, at)
	}
	return last, nil
}

// awaitAll waits until every living member has the last message of every publisher.
func (c *cast) awaitAll(ctx context.Context) error {
	for _, m := range c.living(c.everybody) {
		for _, p := range c.publishers {
			if err := m.awaitLast(ctx, feedGroup, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// address says, for the publishers in some sites, for whom they speak from now on.
func (c *cast) address(in sites, to audience) {
	for _, p := range c.publishers {
		if in.has(p.site) {
			p.address(to)
		}
	}
}

// narrow says, of what the publishers in some sites sent since a moment, that it has to
// arrive in these sites only.
func (c *cast) narrow(in sites, since time.Duration) {
	for _, p := range c.publishers {
		if in.has(p.site) {
			p.narrow(since, in)
		}
	}
}

// close ends all connections.
func (c *cast) close() {
	c.stop()
	for _, m := range c.all() {
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
		each = append(each, p.count())
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

// delivered returns how many messages of the feed's group every living member has.
func (c *cast) delivered() int {
	members := c.living(c.everybody)
	least := members[0].count(feedGroup)
	for _, m := range members[1:] {
		least = min(least, m.count(feedGroup))
	}
	return least
}

// histories returns what every member received in the feed's group.
func (c *cast) histories() []history {
	var all []history
	for _, m := range c.all() {
		all = append(all, m.history(feedGroup))
	}
	return all
}

// A talk is everybody speaking all the time, while things break.
type talk struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	failed  error
}

// Every publisher of the feed sends a message each talkEvery; the local one each
// localEvery.
const (
	talkEvery  = 20 * time.Millisecond
	localEvery = 10 * time.Millisecond
)

// talk has everybody speak until it is ended.
func (c *cast) talk(ctx context.Context, p *plan) *talk {
	t := &talk{}
	speaking, stop := context.WithCancel(ctx)
	t.stop = stop
	for _, pub := range c.publishers {
		t.running.Go(func() {
			t.speak(speaking, talkEvery, func(i int) error {
				return pub.send(ctx, feedGroup, fmt.Appendf(nil, "%s speaks, number %d", p.sites[pub.site].name, i), c.now)
			})
		})
	}
	t.running.Go(func() {
		t.speak(speaking, localEvery, func(i int) error {
			return c.local.send(ctx, localGroup, fmt.Appendf(nil, "local %d", i), c.now)
		})
	})
	return t
}

// speak says something at every tick. What is begun is finished, so that nothing is
// recorded as sent and was not.
func (t *talk) speak(ctx context.Context, every time.Duration, say func(i int) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := say(i); err != nil {
			t.mu.Lock()
			t.failed = errors.Join(t.failed, err)
			t.mu.Unlock()
			return
		}
	}
}

// end ends it and says what went wrong.
func (t *talk) end() error {
	t.stop()
	t.running.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}
