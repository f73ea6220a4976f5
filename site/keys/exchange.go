package keys

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"ringway/membership"
)

// An Exchange keeps a node and its peers informed of each other's keys. It is safe for
// concurrent use.
type Exchange struct {
	cfg   Config
	log   *slog.Logger
	l     *listener
	stats stats
	peers map[membership.NodeID]*peer // never changes

	mu       sync.Mutex // of everything in the peers
	numbered uint64     // sessions so far
	shown    uint64     // changes of this node's certificate so far
	said     map[string]time.Time
	changed  chan struct{} // capacity one: a peer was met
	rotated  time.Time
	waiting  bool // for peers to learn a new share, before it is used
}

// A peer is another node as the Exchange sees it.
type peer struct {
	node     Node
	kick     chan struct{} // capacity one: dial now
	sessions []*session    // oldest first
	cert     *x509.Certificate
	boot     uint64 // of the share that is known
	renew    bool   // a session that shows this node's new certificate is wanted
}

// acknowledged says whether the peer has this node's share of an epoch.
func (p *peer) acknowledged(epoch uint32) bool {
	return slices.ContainsFunc(p.sessions, func(s *session) bool { return s.acked >= epoch })
}

// Open binds the DTLS port. Nobody is met before Run.
func Open(cfg Config) (*Exchange, error) {
	e := &Exchange{cfg: cfg, log: cfg.Log, peers: map[membership.NodeID]*peer{}, said: map[string]time.Time{}, changed: make(chan struct{}, 1), rotated: time.Now()}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	for _, n := range cfg.Nodes {
		e.peers[n.ID] = &peer{node: n, kick: make(chan struct{}, 1)}
	}
	var err error
	if e.l, err = listen(Port(cfg.Address), cfg.Nodes, &e.stats); err != nil {
		return nil, fmt.Errorf("DTLS port %s: %w (the port after a node's address is for its keys)", Port(cfg.Address), err)
	}
	return e, nil
}

// Close releases the port of an Exchange that does not run.
func (e *Exchange) Close() { e.l.close() }

// Run meets the peers until the context ends.
func (e *Exchange) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var reading, dialling sync.WaitGroup
	e.l.serve = func(c *inbound) { e.accept(ctx, c) }
	changed := e.cfg.Identity.Changed() // before anybody is shown the certificate
	reading.Go(e.l.run)
	for _, p := range e.peers {
		dialling.Go(func() { e.keepUp(ctx, p) })
	}
	e.watch(ctx, changed)
	dialling.Wait() // they begin sessions, for which close waits
	e.l.close()
	reading.Wait()
	return nil
}

// Meet dials a node now, if there is no session with it. It does not block.
func (e *Exchange) Meet(id membership.NodeID) {
	if p := e.peers[id]; p != nil {
		select {
		case p.kick <- struct{}{}:
		default:
		}
	}
}

// Settle waits until every peer has this node's share and the other way round, or for a
// moment only: a node must start whether or not there are others.
func (e *Exchange) Settle(ctx context.Context) {
	short, long := time.NewTimer(settleTime), time.NewTimer(settleMax)
	defer short.Stop()
	defer long.Stop()
	patient := false
	for {
		met, meeting := e.met()
		if met || patient && !meeting {
			return
		}
		select {
		case <-e.changed:
		case <-short.C:
			patient = true
		case <-long.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// met says whether all peers are met, and whether some are about to be.
func (e *Exchange) met() (all, some bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all = true
	for _, p := range e.peers {
		known := p.boot != 0 && p.acknowledged(1)
		all = all && known
		some = some || !known && len(p.sessions) > 0
	}
	return all, some
}

func (e *Exchange) notify() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// keepUp dials one peer whenever there is a reason to.
func (e *Exchange) keepUp(ctx context.Context, p *peer) {
	for ctx.Err() == nil {
		if e.wanted(p) {
			e.dial(ctx, p)
		}
		select {
		case <-p.kick:
		case <-time.After(dialEvery):
		case <-ctx.Done():
		}
	}
}

func (e *Exchange) wanted(p *peer) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(p.sessions) == 0 || p.renew
}

// watch looks after certificates and keys until the context ends.
func (e *Exchange) watch(ctx context.Context, changed <-chan struct{}) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
			changed = e.cfg.Identity.Changed()
			e.renew()
		case <-ticker.C:
		}
		e.check()
	}
}

// renew makes every session anew, with this node's new certificate.
func (e *Exchange) renew() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shown++
	for _, p := range e.peers {
		p.renew = true
	}
	for id := range e.peers {
		e.Meet(id)
	}
}

// showing returns which of this node's certificates a handshake that begins now shows, or
// an older one: then the certificate is shown once more.
func (e *Exchange) showing() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.shown
}

// check forgets peers that are no longer to be believed, and changes this node's keys
// when that is due.
func (e *Exchange) check() {
	rotate := false
	for _, p := range e.peers {
		e.mu.Lock()
		cert := p.cert
		e.mu.Unlock()
		if cert == nil {
			continue
		}
		if err := e.cfg.Identity.Allowed(cert); err != nil {
			e.forget(p, err)
			rotate = true
		}
	}
	e.mu.Lock()
	rotate = rotate || time.Since(e.rotated) >= rotateEvery
	e.mu.Unlock()
	if rotate {
		e.rotate()
	}
	e.switchKeys()
}

// forget lets a peer speak no more. It may come back with another certificate.
func (e *Exchange) forget(p *peer, why error) {
	e.mu.Lock()
	sessions := p.sessions
	p.sessions, p.cert, p.boot = nil, nil, 0
	e.mu.Unlock()
	e.stats.forgotten.Add(1)
	e.log.Warn("a node of this site is no longer believed: its packets are dropped", "peer", p.node.Name, "error", why)
	if err := e.cfg.Keyring.Forget(p.node.ID); err != nil {
		e.log.Error("keys cannot be drawn", "error", err)
	}
	for _, s := range sessions {
		s.conn.Close() //nolint:errcheck // it ends in any case
	}
}

// rotate draws new keys and tells them to those who are still believed.
func (e *Exchange) rotate() {
	if err := e.cfg.Keyring.Rotate(); err != nil {
		e.log.Error("keys cannot be drawn", "error", err)
		return
	}
	e.stats.rotated.Add(1)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rotated, e.waiting = time.Now(), true
	for _, p := range e.peers {
		for _, s := range p.sessions {
			s.tellNow()
		}
	}
}

// switchKeys uses the new sender key once all who are here have it, or have had the time.
func (e *Exchange) switchKeys() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.waiting {
		return
	}
	for id, p := range e.peers {
		share, ok := e.cfg.Keyring.ShareFor(id)
		if ok && len(p.sessions) > 0 && !p.acknowledged(share.Epoch) && time.Since(e.rotated) < switchAfter {
			return
		}
	}
	e.waiting = false
	e.cfg.Keyring.Switch()
}

// complain logs something about a peer or a cause, once in a while.
func (e *Exchange) complain(key, text string, args ...any) {
	e.mu.Lock()
	last, before := e.said[key]
	quiet := before && time.Since(last) < complainEvery || !before && len(e.said) >= maxSaid
	if !quiet {
		e.said[key] = time.Now()
	}
	e.mu.Unlock()
	if !quiet {
		e.log.Warn(text, args...)
	}
}

// maxSaid bounds the kinds of complaints that are told apart: some for each node.
const maxSaid = 1024
