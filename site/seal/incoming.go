package seal

import (
	"ringway/internal/window"
	"ringway/membership"
	"ringway/site/ring"
)

// A Fault is why a packet is not handed up.
type Fault uint8

// The faults.
const (
	None       Fault = iota
	Unsealed         // not sealed at all: a node that runs with --insecure, or a stranger
	Malformed        // too short, of another version, with unknown flags
	Own              // sealed by this very node, looped back
	Stranger         // of a node that is not of this site, or not in the ring of that key
	UnknownKey       // under a key that this node does not have, or no longer
	Replayed         // came before, or is too old to tell
	Forged           // the seal is broken: changed on the way, or made without the key
	Misplaced        // well sealed, but not under a key that is for such a packet
	NoOffer          // a commit token without a key for this node
	Faults
)

// Incoming is a packet of which the key is known.
type Incoming struct {
	header header
	key    key
	window *window.Window
	view   *view // nil: under a sender key
	from   *peer
	self   membership.NodeID
}

// Find finds out whether a packet could be opened, with the least work.
func (k *Keyring) Find(packet []byte) (Incoming, Fault) {
	h, ok := parseHeader(packet)
	switch {
	case ok:
	case len(packet) == 0 || packet[0] != magic:
		return Incoming{}, Unsealed
	default:
		return Incoming{}, Malformed
	}
	in := Incoming{header: h, self: k.self}
	if h.sender == k.self {
		return in, Own
	}
	if in.from = k.peers[h.sender]; in.from == nil {
		return in, Stranger
	}
	if h.kind == kindView {
		return in, k.findView(&in)
	}
	for i := range in.from.senders {
		s := &in.from.senders[i]
		if s.key.aead != nil && s.key.id == h.key {
			in.key, in.window = s.key, s.window
			return in, in.replayed()
		}
	}
	return in, UnknownKey
}

func (k *Keyring) findView(in *Incoming) Fault {
	if in.from.boot == 0 {
		return UnknownKey // forgotten: what it still seals is of no interest
	}
	for _, v := range k.views {
		if v.key.id != in.header.key {
			continue
		}
		w := v.windows[in.header.sender]
		if w == nil {
			return Stranger
		}
		in.key, in.window, in.view = v.key, w, v
		return in.replayed()
	}
	return UnknownKey
}

func (in *Incoming) replayed() Fault {
	if !in.window.Fresh(in.header.counter) {
		return Replayed
	}
	return None
}

// Sender returns the node that claims to have sealed the packet.
func (in *Incoming) Sender() membership.NodeID { return in.header.sender }

// Size returns how many bytes Open appends.
func (in *Incoming) Size(packet []byte) int { return len(packet) - Overhead }

// Open appends the packet, opened, to b, which must not overlap it but exactly. It may
// run without the Keyring's lock.
func (in *Incoming) Open(b, packet []byte, w *Work) ([]byte, bool) {
	extra := w.authenticated(packet, in.header.flags, in.self)
	b, err := in.key.aead.Open(b, nonce(packet), packet[HeaderBytes:], extra)
	return b, err == nil
}

// Accept hands up an opened packet, once: it takes the offers off a commit token and
// learns the key that one holds for this node.
func (k *Keyring) Accept(in *Incoming, plain []byte) ([]byte, Fault) {
	if !in.window.Accept(in.header.counter) {
		return nil, Replayed
	}
	if in.view == nil && in.from.senders[1].key.aead != nil && in.window == in.from.senders[0].window {
		in.from.senders[1] = senderKey{}
	}
	packet, offers := plain, []byte(nil)
	if in.header.flags&flagOffers != 0 {
		var ok bool
		if packet, offers, ok = splitOffers(plain); !ok {
			return nil, Misplaced
		}
	}
	e := ring.Describe(packet)
	if !in.fits(&e, offers != nil) {
		return nil, Misplaced
	}
	if e.Class == ring.ClassCommit && k.view(e.Ring) == nil {
		if e.Ring.Counter <= k.newest {
			return nil, UnknownKey // late, of a ring that is not to be any more
		}
		secret, ok := k.openOffer(e.Ring, offers)
		if !ok {
			return nil, NoOffer
		}
		k.addView(newView(e.Ring, &secret, offers, k.self))
		secret.erase()
	}
	return packet, None
}

// fits says whether a packet is one that this key is for.
func (in *Incoming) fits(e *ring.Envelope, offers bool) bool {
	if e.Class == 0 || e.Sender != in.header.sender && !e.Relayed || offers != (e.Class == ring.ClassCommit) {
		return false
	}
	if in.view != nil {
		return e.Class == ring.ClassRing && e.Ring == in.view.id
	}
	return e.Class != ring.ClassRing
}
