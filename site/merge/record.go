package merge

import (
	"errors"
	"fmt"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// A recordKind says what a record tells the sites it goes to.
type recordKind uint8

const (
	// Ordered by (T, source, n); data of a weaker service goes by arrival.
	kindData recordKind = iota + 1
	kindJoin
	kindLeave
	kindDown     // a client disconnected
	kindNodeDown // a node left its site's lineage
	// Acted on at import.
	kindPrepare
	kindPrepareAck
	kindInterestOff
	kindNodeLost
	kindEnd // not a kind
)

// A record is an accepted request or a step of the directory, as its source and its
// destinations hold it. T never changes (Z1).
type record struct {
	kind    recordKind
	service membership.Service // of data
	discard bool               // of data: not to the sender
	rejoin  bool               // of a join: the client was in before its node learned
	first   bool               // of a PrepareAck: nothing of the source counts any more
	last    bool               // of a PrepareAck: complete
	src     int                // place in the view
	n       uint64
	t       int64
	dests   membership.Set
	idx     []uint64 // own: one for each destination but the source, ascending
	at      uint64   // of another site: its index in the stream to this one
	client  membership.ClientID
	seq     uint64
	name    string
	hint    [4]byte
	groups  []string
	data    []byte
	mark    int64 // PrepareAck: maxT; InterestOff: T of what emptied the group
	members []membership.Member
	node    membership.NodeID // NodeDown, NodeLost; with boot
	boot    uint32

	pos ring.Position // own: where it was accepted
	raw []byte        // of another site: as it came, to be handed on in a Fill
	ref int           // of another site: the size of its body, if raw has only a reference
}

// ordered says whether the record is delivered by its key.
func (r *record) ordered() bool {
	return r.kind == kindData && r.service.Ordered() || r.kind > kindData && r.kind < kindPrepare
}

// ofClient says whether a client asked for it: such records keep that client's order (D4).
func (r *record) ofClient() bool { return r.kind >= kindData && r.kind <= kindDown }

// safe says whether the record waits for stability.
func (r *record) safe() bool { return r.kind == kindData && r.service == membership.Safe }

// less compares keys.
func (r *record) less(o *record) bool {
	if r.t != o.t {
		return r.t < o.t
	}
	if r.src != o.src {
		return r.src < o.src // members ascend by instance
	}
	return r.n < o.n
}

// cost is what the record counts in bytes.
func (r *record) cost() int { return 128 + len(r.data) + 48*len(r.members) }

const (
	recordDiscard = 1 << iota
	recordRejoin
	recordFirst
	recordLast
	recordRef // the size of the body stands here, and the body went ahead (B1c)
)

// append encodes the record for other sites; its source is at place r.src of v.
func (r *record) append(b []byte, v *membership.SiteView) []byte {
	return r.appendRest(r.appendHead(b, v), false)
}

// appendReference encodes it without its body.
func (r *record) appendReference(b []byte, v *membership.SiteView) []byte {
	return r.appendRest(r.appendHead(b, v), true)
}

func (r *record) appendHead(b []byte, v *membership.SiteView) []byte {
	b = wire.AppendUint64(v.ID.Append(b), uint64(v.Members[r.src].Instance))
	b = wire.AppendInt64(wire.AppendUint64(b, r.n), r.t)
	b = wire.AppendUint64(b, uint64(r.dests))
	for _, i := range r.idx {
		b = wire.AppendUint64(b, i)
	}
	return b
}

func (r *record) appendRest(b []byte, ref bool) []byte {
	flags := byte(0)
	if r.discard {
		flags |= recordDiscard
	}
	if r.rejoin {
		flags |= recordRejoin
	}
	if r.first {
		flags |= recordFirst
	}
	if r.last {
		flags |= recordLast
	}
	if ref {
		flags |= recordRef
	}
	b = append(b, byte(r.kind), byte(r.service), flags)
	if ref {
		b = wire.AppendUint32(b, uint32(len(r.data)))
	}
	switch r.kind {
	case kindData, kindJoin, kindLeave, kindDown:
		b = wire.AppendUint64(r.client.Append(b), r.seq)
		b = append(wire.AppendString(b, r.name), r.hint[:]...)
		b = appendGroups(b, r.groups)
		if ref {
			return b
		}
		return append(b, r.data...)
	case kindNodeDown, kindNodeLost:
		return wire.AppendUint32(wire.AppendUint32(b, uint32(r.node)), r.boot)
	default:
		b = appendGroups(wire.AppendInt64(b, r.mark), r.groups)
		return appendMembers(b, r.members)
	}
}

func appendMembers(b []byte, members []membership.Member) []byte {
	b = wire.AppendUint32(b, uint32(len(members)))
	for _, m := range members {
		b = wire.AppendString(m.Client.Append(b), m.Name)
	}
	return b
}

// recordHead is what tells where a record belongs.
type recordHead struct {
	view membership.ViewID
	src  membership.InstanceID
	n    uint64
	t    int64
	d    membership.Set
}

const recordHeadBytes = membership.ViewIDBytes + 8 + 8 + 8 + 8

func readRecordHead(r *wire.Reader) recordHead {
	return recordHead{membership.ReadViewID(r), membership.InstanceID(r.Uint64()), r.Uint64(), r.Int64(), membership.Set(r.Uint64())}
}

// readRecord decodes a record of view v for the member at place self. It returns
// the record's index in the stream to self too. A record of another view has a nil
// record and no error.
func readRecord(data []byte, v *membership.SiteView, self int, names *interner) (rec *record, idx uint64, err error) {
	r := wire.NewReader(data)
	h := readRecordHead(&r)
	if r.Err() != nil {
		return nil, 0, r.Err()
	}
	if h.view != v.ID {
		return nil, 0, nil
	}
	src, ok := v.Index(h.src)
	if !ok || src == self || h.d&^v.All() != 0 || !h.d.Has(self) {
		return nil, 0, fmt.Errorf("record of %v to places %b does not belong here", h.src, h.d)
	}
	others := h.d.Without(src)
	rank := others.Rank(self)
	for i := range others.Len() {
		if at := r.Uint64(); i == rank {
			idx = at
		}
	}
	rec = &record{src: src, n: h.n, t: h.t, dests: h.d, at: idx, raw: data}
	rec.readRest(&r, names)
	return rec, idx, r.Err()
}

// indexTo returns the index that a record of another site, as it came, has in the stream of its
// source to the member at a place, one of its destinations.
func indexTo(raw []byte, src, place int) (idx uint64) {
	r := wire.NewReader(raw)
	h := readRecordHead(&r)
	for range h.d.Without(src).Rank(place) + 1 {
		idx = r.Uint64()
	}
	return idx
}

func (r *record) readRest(in *wire.Reader, names *interner) {
	r.kind, r.service = recordKind(in.Uint8()), membership.Service(in.Uint8())
	flags := in.Uint8()
	r.discard, r.rejoin = flags&recordDiscard != 0, flags&recordRejoin != 0
	r.first, r.last = flags&recordFirst != 0, flags&recordLast != 0
	if flags&recordRef != 0 {
		r.ref = readSize(in)
	}
	switch r.kind {
	case kindData, kindJoin, kindLeave, kindDown:
		r.client, r.seq = membership.ReadClientID(in), in.Uint64()
		r.name = names.name(readName(in, membership.MaxPrivateName))
		copy(r.hint[:], in.Bytes(4))
		r.groups = readGroups(in, names)
		r.data = in.Rest()
	case kindNodeDown, kindNodeLost:
		r.node, r.boot = membership.NodeID(in.Uint32()), in.Uint32()
	case kindPrepare, kindPrepareAck, kindInterestOff:
		r.mark = in.Int64()
		r.groups = readGroups(in, names)
		r.members = readMembers(in, names, maxChunk)
	default:
		in.Fail(fmt.Errorf("record: %w %d", errKind, r.kind))
	}
	r.check(in)
	if in.Err() == nil {
		if err := in.Done(); err != nil {
			in.Fail(err)
		}
	}
}

// check refuses what no honest source makes.
func (r *record) check(in *wire.Reader) {
	switch {
	case in.Err() != nil:
	case r.ref > 0 && (r.kind != kindData || len(r.data) > 0):
		in.Fail(errNoBody)
	case r.kind == kindData && !r.service.Valid():
		in.Fail(fmt.Errorf("record: service %d", r.service))
	case r.kind >= kindPrepare && r.kind <= kindInterestOff || r.kind == kindJoin || r.kind == kindLeave:
		if len(r.groups) != 1 {
			in.Fail(fmt.Errorf("record of kind %d names %d groups", r.kind, len(r.groups)))
		}
	}
}

// errNoBody says that a record has a reference where its body belongs, or both.
var errNoBody = errors.New("record: a reference where none belongs")

// full is a record of another site as it would have come with its body.
func (r *record) full() []byte {
	if r.ref == 0 {
		return r.raw
	}
	const refBytes = 4
	flags := recordHeadBytes + 8*r.dests.Without(r.src).Len() + 2
	b := append(make([]byte, 0, len(r.raw)-refBytes+len(r.data)), r.raw[:flags]...)
	b = append(b, r.raw[flags]&^recordRef)
	return append(append(b, r.raw[flags+1+refBytes:]...), r.data...)
}

const memberBytes = membership.ClientIDBytes + 1

func readMembers(r *wire.Reader, names *interner, limit int) []membership.Member {
	n := r.Count(limit, memberBytes)
	if n == 0 {
		return nil
	}
	members := make([]membership.Member, 0, n)
	for range n {
		c := membership.ReadClientID(r)
		members = append(members, membership.Member{Client: c, Name: names.name(readName(r, membership.MaxPrivateName))})
	}
	return members
}
