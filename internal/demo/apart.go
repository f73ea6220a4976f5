package demo

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A patience is how long nodes and gateways may be silent before the others go on
// without them.
type patience struct {
	tokenLoss time.Duration // zero: the default
	hello     time.Duration // between gateways
}

// patiences are tried in turn. The first has the defaults, but for twice the time between
// hellos: a machine that runs everything at once is not to take a busy moment for a dead
// link. The second is for a machine that also does something else.
var patiences = []patience{
	{hello: 200 * time.Millisecond},
	{hello: 500 * time.Millisecond, tokenLoss: 1500 * time.Millisecond},
}

// errApart says that members lost sight of each other though nobody had cut anything
// between them: a node did not get to run for longer than the others wait. They come
// together again, but what was sent meanwhile need not have arrived.
type errApart struct{ member, missed string }

func (e *errApart) Error() string {
	return fmt.Sprintf("%s lost sight of %s, though nothing was cut between them: the machine was too busy for one of their nodes", e.member, e.missed)
}

// errLate says that a node was not ready in time: rings and links that form are lost again
// and again where nodes do not get to run.
type errLate struct{ node, lacks string }

func (e *errLate) Error() string {
	return fmt.Sprintf("node %s is not ready after %v: %s", e.node, readyTime, e.lacks)
}

// busyCause returns what an attempt failed for that another one, with more patience, may
// not; nil: it failed for something else.
func busyCause(err error) error {
	var apart *errApart
	var late *errLate
	switch {
	case errors.As(err, &apart):
		return apart
	case errors.As(err, &late):
		return late
	}
	return nil
}

// watchOver returns a context that ends, with an errApart, when members lose sight of
// each other without having been told to.
func (c *cast) watchOver(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	apart := func(e *errApart) { cancel(e) }
	c.apart.Store(&apart)
	return ctx, func() { cancel(nil) }
}

// lookAround is called after a member has received something.
func (c *cast) lookAround(m *member) {
	alarm := c.apart.Load()
	if alarm == nil {
		return
	}
	seen, ok := m.settledView(feedGroup)
	if !ok {
		return
	}
	for _, other := range c.all() {
		if other == m || !c.belongTogether(m.site, other.site) || !other.isSettled() {
			continue
		}
		if !seen.has(other.name) {
			(*alarm)(&errApart{m.name, other.name})
			return
		}
	}
}

// belongTogether says whether nothing is cut, or about to be, between members of two sites. Those
// of one side of a cut may take the step into the side's view one by one; from then on they do.
func (c *cast) belongTogether(a, b int) bool {
	if a == b || !c.cut.Load() {
		return true
	}
	off := c.parted.Load()
	return off != nil && off.has(a) == off.has(b)
}

// settle says of all living members that everybody knows them: from now on a view without
// one of them is something to explain.
func (c *cast) settle() {
	for _, m := range c.living(c.everybody) {
		m.mu.Lock()
		m.settled = true
		m.mu.Unlock()
	}
}

// apartCause returns the errApart that ended a context, if that is what did.
func apartCause(ctx context.Context) error {
	var e *errApart
	if cause := context.Cause(ctx); errors.As(cause, &e) {
		return e
	}
	return nil
}
