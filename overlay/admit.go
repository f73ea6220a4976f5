package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"ringway/internal/pki"
)

// Who may stay. A link outlives what its certificates said when it was made, so they
// are looked at again: when authorities or revocation lists have changed, and when one
// has expired. Before it comes to that the end that dials makes the lane anew, the new
// connection before the old one goes, and nothing that the link carries notices.

const (
	// admitInterval is how often expiry is looked at. A revoked peer is out as soon as
	// the list is read.
	admitInterval = time.Second
	// refreshSpread is over how long a gateway spreads the lanes that it makes anew
	// because its own certificate has changed.
	refreshSpread = 3 * time.Second
	// refreshAhead bounds how long before the end of a certificate its lanes are made
	// anew; a tenth of its validity if that is less. A clock that leaps forward by an hour
	// leaves half of it.
	refreshAhead = 2 * time.Hour
	// refreshLook is how often a gateway looks at how long its lanes' certificates have, as
	// clocks leap and timers do not.
	refreshLook = time.Minute
	// refreshRetry is the least time between two attempts to make a lane anew.
	refreshRetry = time.Second
	// successionTime is how long the end that dialled keeps the old connection, so that
	// what is under way arrives; the other end closes it some time later by itself.
	successionTime = time.Second
)

// guard watches the certificates until ctx ends.
func (g *Gateway) guard(ctx context.Context) {
	ticker := time.NewTicker(admitInterval)
	defer ticker.Stop()
	changed := g.cfg.Identity.Changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = g.cfg.Identity.Changed() // before looking: no change is missed
			g.post(func(c *core) {
				c.publisher.Again() // with the new certificate
				c.expel(func(*lane) bool { return true })
			})
		case <-ticker.C:
			now := time.Now()
			g.post(func(c *core) { c.expel(func(l *lane) bool { return now.After(l.cert.NotAfter) }) })
		}
	}
}

// expel closes the lanes, of those that are suspect, whose peer may no longer take
// part.
func (c *core) expel(suspect func(*lane) bool) {
	for _, l := range c.order {
		for _, lane := range l.lanes {
			if lane != nil && suspect(lane) && !c.admitted(lane) {
				c.laneLost(l, lane, false)
			}
		}
	}
}

// admitted says whether a lane's peer may take part now; if not, it closes the lane.
func (c *core) admitted(lane *lane) bool {
	err := c.cfg.Identity.Allowed(lane.cert)
	if err == nil {
		return true
	}
	c.count.expelled.Add(1)
	c.warn("peer's certificate no longer counts: link closed", "peer", lane.peer.Name, "site", lane.peer.Site.Name, "error", err)
	lane.close(codeRefused, fmt.Sprintf("certificate no longer counts: %v", err))
	return false
}

// keepFresh serves a lane, and its successors, until one ends without a successor.
func (g *Gateway) keepFresh(ctx context.Context, l *lane) {
	for l != nil {
		ended := make(chan struct{})
		g.wg.Go(func() {
			l.serve()
			close(ended)
		})
		l = g.successor(ctx, l, ended)
	}
}

// successor makes the lane anew when it is time, and returns the new one; nil: the lane
// has ended.
func (g *Gateway) successor(ctx context.Context, l *lane, ended <-chan struct{}) *lane {
	// Its own certificate's change is answered at some time of its own.
	spread := time.Duration(g.rand() * float64(refreshSpread))
	for {
		changed := g.cfg.Identity.Changed()
		wait, due := g.refreshIn(l, spread)
		timer := time.NewTimer(wait)
		select {
		case <-ended:
			timer.Stop()
			return nil
		case <-changed:
			timer.Stop()
			continue
		case <-timer.C:
		}
		if !due {
			continue
		}
		next, err := g.dial(ctx, l.peer, l.index, dialTime)
		if err == nil {
			return next
		}
		if ctx.Err() == nil {
			g.warn("link cannot be made anew with the present certificates: the old one goes on", "peer", l.peer.Name, "site", l.peer.Site.Name, "error", err)
		}
		spread = refreshSpread
	}
}

// refreshIn returns when a lane should be made anew; not due: when to ask again.
func (g *Gateway) refreshIn(l *lane, spread time.Duration) (wait time.Duration, due bool) {
	if !bytes.Equal(l.shown, g.cfg.Identity.CertificateDER()) {
		return spread, true
	}
	ends := l.cert.NotAfter
	if own := g.cfg.Identity.Expires(); own.Before(ends) {
		ends = own
	}
	left := time.Until(ends)
	if wait := left - min(pki.Validity(l.cert)/10, refreshAhead); wait > 0 {
		return min(wait, refreshLook), wait <= refreshLook
	}
	// It has been made anew already, or could not be: the peer may get its certificate
	// at any moment before the end.
	return max(left/4, refreshRetry), true
}

// succeed lets a new lane take the place of one that stands, with the same run of the
// peer at the other end.
func (c *core) succeed(l *link, old, lane *lane) {
	l.lanes[lane.index] = lane
	c.moveSubscriptions(old)
	for _, frame := range old.control.take() {
		lane.control.put(frame.to, frame.data)
	}
	wait := successionTime
	if !l.dials {
		wait *= 3
	}
	time.AfterFunc(wait, func() { old.close(codeReplaced, "made anew") })
	if lane.index == 0 {
		l.meter.peerNext = 0 // the peer may have begun to count anew
		c.sendHello(l, c.now())
		lane.state.putDigest(c.db.Digest())
	}
	c.count.renewed.Add(1)
	c.log.Info("lane made anew", "peer", lane.peer.Name, "site", lane.peer.Site.Name, "lane", lane.index)
}

// moveSubscriptions lets the feeds that are pulled over a lane look for another one.
func (c *core) moveSubscriptions(from *lane) {
	for _, f := range c.feeds {
		if f.up != nil && f.up.uses(from) {
			c.stopUpstream(f)
			f.retryAt = 0
		}
	}
}

// innocent says whether a signature that does not count is no fault of the neighbour
// who relays it: neighbours read authorities and lists at different moments, and their
// clocks differ.
func innocent(err error) bool {
	for _, why := range []error{pki.ErrRevoked, pki.ErrExpired, pki.ErrNotYetValid, pki.ErrUnknownCA} {
		if errors.Is(err, why) {
			return true
		}
	}
	return false
}
