package seal

import (
	"errors"

	"ringway/membership"
	"ringway/site/ring"
)

// Reasons not to seal a packet.
var (
	ErrNoKey   = errors.New("no key for this ring")
	ErrWornOut = errors.New("the key has sealed as many packets as it may")
	errForeign = errors.New("not a packet of the ring")
)

// An Outgoing packet has its key and counter: it is ready to be sealed, once.
type Outgoing struct {
	header header
	key    key
	to     membership.NodeID
	plain  []byte
}

// Next takes the key and the next counter for a packet. A packet to several nodes, by
// whatever way, is sealed once.
func (k *Keyring) Next(p ring.Packet) (Outgoing, error) {
	e := ring.Describe(p.Data)
	o := Outgoing{header: header{kind: kindSender, sender: k.self}, to: p.To, plain: p.Data}
	if p.To != 0 {
		o.header.flags |= flagDirect
	}
	switch e.Class {
	case ring.ClassRing:
		v := k.view(e.Ring)
		if v == nil {
			return o, ErrNoKey
		}
		o.header.kind = kindView
		return o, o.use(v.key, &v.used)
	case ring.ClassCommit:
		v := k.view(e.Ring)
		if v == nil && e.Ring.Representative == k.self {
			var err error
			if v, err = k.found(e.Ring, ring.CommitMembers(p.Data)); err != nil {
				return o, err
			}
		}
		if v == nil {
			return o, ErrNoKey
		}
		o.header.flags |= flagOffers
		o.plain = append(append(make([]byte, 0, len(p.Data)+len(v.offers)), p.Data...), v.offers...)
	case ring.ClassOpen:
	default:
		return o, errForeign
	}
	return o, o.use(k.own.key, &k.own.used)
}

// use takes the next counter under a key.
func (o *Outgoing) use(key key, used *uint64) error {
	if *used >= maxCounter {
		return ErrWornOut
	}
	*used++
	o.key, o.header.key, o.header.counter = key, key.id, *used
	return nil
}

// Size returns how many bytes Seal appends.
func (o *Outgoing) Size() int { return len(o.plain) + Overhead }

// Seal appends the sealed packet to b. It may run without the Keyring's lock.
func (o *Outgoing) Seal(b []byte, w *Work) []byte {
	at := len(b)
	b = o.header.append(b)
	extra := w.authenticated(b[at:], o.header.flags, o.to)
	return o.key.aead.Seal(b, nonce(b[at:]), o.plain, extra)
}
