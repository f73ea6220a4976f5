package seal

import (
	"encoding/binary"
	"fmt"
	"io"

	"ringway/internal/window"
	"ringway/membership"
	"ringway/site/ring"
)

// A Share is what a node tells one peer, over a channel that nobody else can read.
type Share struct {
	Boot    uint64 // which life of the node; never zero
	Epoch   uint32 // grows with every change of the keys within a life
	Counter uint64 // packets sealed under the sender key so far: those are too old for the peer
	Sender  Secret // of its sender key
	Wrap    Secret // of the key under which this peer is to wrap view keys for it
}

// A peer is what is known of another node of the site.
type peer struct {
	boot    uint64
	epoch   uint32
	senders [2]senderKey // the newest first; the second until a packet under the first has come
	wrap    wrapping     // given by the peer
	given   [2]given     // given to the peer: the newest, and the one before
}

// A senderKey opens what a peer seals before a ring exists.
type senderKey struct {
	key    key
	window *window.Window
}

// A given wrap key was given to a peer. The key in use is of one life of the peer, which
// counts its offers from one.
type given struct {
	secret Secret
	key    key    // of the life that is known; nothing before
	opened uint64 // highest number of an offer
}

// of makes the key for a life of the peer.
func (g *given) of(boot uint64) {
	g.key, g.opened = derive(&g.secret, forWrap, ofLife(boot)...), 0
}

// own is the key under which this node seals what goes before a ring.
type own struct {
	key    key
	secret Secret
	used   uint64
}

// A Keyring holds the keys that one node knows. It is not safe for concurrent use.
//
//	K1 … K6: see the package's page
type Keyring struct {
	self   membership.NodeID
	boot   uint64
	epoch  uint32
	random io.Reader
	own    own  // in use
	next   *own // told to peers, not yet in use
	peers  map[membership.NodeID]*peer
	views  []*view // oldest first
	newest uint64  // counter of the ring installed last
}

// NewKeyring draws the keys of a node's life, and a number that tells it from others.
// The nodes are all others of the site; random is crypto/rand's Reader, but in tests.
func NewKeyring(self membership.NodeID, nodes []membership.NodeID, random io.Reader) (*Keyring, error) {
	k := &Keyring{self: self, epoch: 1, random: random, peers: map[membership.NodeID]*peer{}}
	if err := k.SetNodes(nodes); err != nil {
		return nil, err
	}
	boot, err := k.secret()
	if err != nil {
		return nil, err
	}
	k.boot = max(binary.LittleEndian.Uint64(boot[:]), 1)
	first, err := k.draw()
	if err != nil {
		return nil, err
	}
	k.own = *first
	return k, nil
}

func (k *Keyring) secret() (s Secret, err error) {
	if _, err := io.ReadFull(k.random, s[:]); err != nil {
		return Secret{}, fmt.Errorf("drawing a key: %w", err)
	}
	return s, nil
}

func (k *Keyring) draw() (*own, error) {
	s, err := k.secret()
	if err != nil {
		return nil, err
	}
	return &own{key: derive(&s, forSender), secret: s}, nil
}

// give draws a new wrap key for a peer.
func (k *Keyring) give(p *peer) error {
	s, err := k.secret()
	if err != nil {
		return err
	}
	p.given[1], p.given[0] = p.given[0], given{secret: s}
	if p.boot != 0 {
		p.given[0].of(p.boot)
	}
	return nil
}

// SetNodes replaces the other nodes of the site; the keys of one that is left out are
// forgotten.
func (k *Keyring) SetNodes(nodes []membership.NodeID) error {
	wanted := map[membership.NodeID]bool{}
	for _, n := range nodes {
		if n == k.self || len(wanted) == ring.MaxNodes {
			continue
		}
		wanted[n] = true
		if k.peers[n] != nil {
			continue
		}
		p := &peer{}
		if err := k.give(p); err != nil {
			return err
		}
		k.peers[n] = p
	}
	for n := range k.peers {
		if !wanted[n] {
			delete(k.peers, n)
		}
	}
	return nil
}

// ShareFor returns what to tell a peer. It is secret.
func (k *Keyring) ShareFor(node membership.NodeID) (Share, bool) {
	p := k.peers[node]
	if p == nil {
		return Share{}, false
	}
	o := &k.own
	if k.next != nil {
		o = k.next
	}
	return Share{Boot: k.boot, Epoch: k.epoch, Counter: o.used, Sender: o.secret, Wrap: p.given[0].secret}, true
}

// Learn takes a peer's share. What is known already changes nothing: its replay windows
// go on.
func (k *Keyring) Learn(node membership.NodeID, s *Share) bool {
	p := k.peers[node]
	if p == nil || s.Boot == 0 || p.boot == s.Boot && s.Epoch <= p.epoch {
		return false
	}
	w := &window.Window{}
	w.StartAt(s.Counter)
	fresh := senderKey{key: derive(&s.Sender, forSender), window: w}
	if p.boot == s.Boot {
		p.senders[1] = p.senders[0]
	} else { // what is kept is of a life that has ended
		p.senders[1], p.given[1] = senderKey{}, given{}
		p.given[0].of(s.Boot)
	}
	p.senders[0] = fresh
	p.boot, p.epoch = s.Boot, s.Epoch
	p.wrap = wrapping{key: derive(&s.Wrap, forWrap, ofLife(k.boot)...)}
	return true
}

// Knows says whether the node's share of some life is known.
func (k *Keyring) Knows(node membership.NodeID) bool {
	p := k.peers[node]
	return p != nil && p.boot != 0
}

// Forget forgets a peer that is no longer believed: nothing that it seals is opened any
// more, under whatever key, until it is learnt anew.
func (k *Keyring) Forget(node membership.NodeID) error {
	p := k.peers[node]
	if p == nil {
		return nil
	}
	fresh := &peer{}
	if err := k.give(fresh); err != nil {
		return err
	}
	k.peers[node] = fresh
	return nil
}

// Rotate draws new sender and wrap keys. They are told to peers from now on; the sender
// key is used from Switch on, when peers have had the time to learn it.
func (k *Keyring) Rotate() error {
	next, err := k.draw()
	if err != nil {
		return err
	}
	for _, p := range k.peers {
		if err := k.give(p); err != nil {
			return err
		}
	}
	k.next = next
	k.epoch++
	return nil
}

// Switch begins to seal under the sender key that Rotate drew.
func (k *Keyring) Switch() {
	if k.next != nil {
		k.own.secret.erase()
		k.own, k.next = *k.next, nil
	}
}
