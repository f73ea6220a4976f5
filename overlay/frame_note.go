package overlay

import (
	"cmp"
	"fmt"

	"ringway/internal/wire"
	"ringway/membership"
)

// A note is a Datagram on its way. (Incarnation, Number) tell those of one origin apart.
type note struct {
	Hops        uint8 // how often it may still be passed on
	Origin      membership.NodeID
	Instance    membership.InstanceID // of Origin
	Incarnation uint64
	Number      uint64
	// To are the instances that this copy is for: 1 to maxNoteTo, ascending. At each fork
	// the copies share them. They are not signed: what the data is for, it says itself.
	To []membership.SiteInstance
	// Signed says that Stamp is the origin's. One that goes from its origin straight to a
	// gateway that it is for needs none: the link's keys prove it.
	Signed bool
	Stamp  stamp // of all but how the note travels
	Data   []byte
}

// text is what the origin signs.
func (n *note) text() []byte {
	return signedText(n.Origin, n.Instance, n.Incarnation, n.Number, n.Data)
}

const (
	noteHeadBytes = 1 + 1 + 4 + 8 + 8 + 8 + 1 + 1
	noteToBytes   = 12
	// maxNoteBytes is the largest datagram that a note makes.
	maxNoteBytes = noteHeadBytes + maxNoteTo*noteToBytes + stampBytes + MaxDatagramBytes
)

// append appends the note as a datagram.
func (n *note) append(b []byte) []byte {
	b = append(b, byte(gramNote), n.Hops)
	b = wire.AppendUint32(b, uint32(n.Origin))
	b = wire.AppendUint64(b, uint64(n.Instance))
	b = wire.AppendUint64(b, n.Incarnation)
	b = wire.AppendUint64(b, n.Number)
	b = append(b, byte(len(n.To)))
	for _, to := range n.To {
		b = appendInstance(b, to)
	}
	b = wire.AppendBool(b, n.Signed)
	if n.Signed {
		b = n.Stamp.append(b)
	}
	return append(b, n.Data...)
}

// decodeNote decodes what follows the kind.
func decodeNote(r *wire.Reader) (note, error) {
	n := note{Hops: r.Uint8(), Origin: membership.NodeID(r.Uint32()), Instance: membership.InstanceID(r.Uint64()), Incarnation: r.Uint64(), Number: r.Uint64()}
	count := int(r.Uint8())
	if n.Hops > maxHops || count == 0 || count > maxNoteTo {
		r.Fail(fmt.Errorf("%w: note with %d hops for %d instances", wire.ErrLimit, n.Hops, count))
		count = 0
	}
	n.To = make([]membership.SiteInstance, count)
	for i := range n.To {
		n.To[i] = readInstance(r)
		if i > 0 && compareInstances(n.To[i-1], n.To[i]) >= 0 {
			r.Fail(fmt.Errorf("instances of a note do not ascend"))
		}
	}
	if n.Signed = r.Bool(); n.Signed {
		n.Stamp = readStamp(r)
	}
	if r.Len() > MaxDatagramBytes {
		r.Fail(wire.ErrLimit)
	}
	n.Data = r.Rest()
	return n, breach(r.Done())
}

func compareInstances(a, b membership.SiteInstance) int {
	return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.Instance, b.Instance))
}
