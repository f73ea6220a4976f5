package session

import (
	"encoding/binary"
	"slices"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// arenaBytes is the memory that encoded messages share.
const arenaBytes = 256 << 10

// An encoder makes the bytes that clients receive. Messages lie in arenas that are
// never reused, so any number of sessions may hold them.
type encoder struct {
	nodeName func(membership.NodeID) string
	order    func(a, b merge.Member) int
	free     []byte
}

func newEncoder(cfg *Config) encoder {
	return encoder{nodeName: cfg.NodeNameOf, order: cfg.Order}
}

// room returns an empty slice with capacity for size bytes.
func (e *encoder) room(size int) []byte {
	if size > arenaBytes/4 {
		return make([]byte, 0, size)
	}
	if len(e.free) < size {
		e.free = make([]byte, arenaBytes)
	}
	room := e.free[:0:size]
	e.free = e.free[size:]
	return room
}

// message encodes a message as its members receive it.
func (e *encoder) message(m *merge.Message) []byte {
	b := e.room(spread.HeaderBytes + spread.GroupBytes*len(m.Groups) + len(m.Data))
	kind := spread.TypeOf(m.Service)
	if m.SelfDiscard {
		kind |= spread.TypeSelfDiscard
	}
	b = spread.AppendType(b, kind)
	b = spread.AppendPrivateGroup(b, m.SenderName, e.nodeName(m.Sender.Node))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Groups)))
	b = append(b, m.Hint[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Data)))
	for _, g := range m.Groups {
		b = spread.AppendGroup(b, g)
	}
	return append(b, m.Data...)
}

// transition encodes a transitional signal: the id of the view that is being left.
func (e *encoder) transition(group string, id merge.GroupViewID) []byte {
	b := e.room(spread.HeaderBytes + spread.ViewIDBytes)
	b = spread.AppendHeader(b, spread.TypeTransitional, group, 0, [4]byte{}, spread.ViewIDBytes)
	return spread.AppendViewID(b, viewID(id))
}

// left encodes the answer to a session's own leave.
func (e *encoder) left(group string) []byte {
	return spread.AppendHeader(e.room(spread.HeaderBytes), spread.TypeByLeave, group, 0, [4]byte{}, 0)
}

func viewID(id merge.GroupViewID) spread.ViewID { return spread.ViewID{id.Origin, id.Time, id.Index} }

var causeTypes = map[merge.Cause]uint32{
	merge.CauseJoin: spread.TypeByJoin, merge.CauseLeave: spread.TypeByLeave,
	merge.CauseDisconnect: spread.TypeByDisconnect, merge.CauseNetwork: spread.TypeByNetwork,
}

// A preparedView is a group view's encoding, less the number in which receivers of
// different sets differ.
type preparedView struct {
	sets     [][]string
	encoded  []byte
	offsetAt int
	variants map[int][]byte // by own set
	setOf    map[string]int // by member, if there is more than one set
}

// prepare sorts and encodes a view.
func (e *encoder) prepare(v *merge.GroupView) *preparedView {
	p := &preparedView{sets: e.sets(v), variants: map[int][]byte{}}
	members := e.sorted(v.Members)
	bodyBytes := 20
	for _, set := range p.sets {
		bodyBytes += 4 + spread.GroupBytes*len(set)
	}
	b := make([]byte, 0, spread.HeaderBytes+spread.GroupBytes*len(members)+bodyBytes)
	b = spread.AppendHeader(b, spread.TypeRegular|causeTypes[v.Cause], v.Group, len(members), [4]byte{}, bodyBytes)
	for _, m := range members {
		b = spread.AppendGroup(b, m)
	}
	p.encoded, p.offsetAt = spread.AppendViewBody(b, viewID(v.ID), p.sets, 0)
	p.variants[0] = p.encoded
	if len(p.sets) > 1 {
		p.setOf = make(map[string]int, len(members))
		for i, set := range p.sets {
			for _, name := range set {
				p.setOf[name] = i
			}
		}
	}
	return p
}

// forMember returns the encoding for the member of that private group.
func (p *preparedView) forMember(private string) []byte {
	own := p.setOf[private]
	if encoded, ok := p.variants[own]; ok {
		return encoded
	}
	encoded := slices.Clone(p.encoded)
	binary.LittleEndian.PutUint32(encoded[p.offsetAt:], uint32(spread.SetOffset(p.sets, own)))
	p.variants[own] = encoded
	return encoded
}

// sets returns the sets of a view: the one who changed, or for the network's doing
// where everybody came from, in the order in which the sets come, which is the same at
// all receivers; members of a set stand in the topology's order.
func (e *encoder) sets(v *merge.GroupView) [][]string {
	if v.Cause != merge.CauseNetwork {
		return [][]string{{e.privateOf(v.Changed)}}
	}
	if len(v.Sets) == 0 {
		return [][]string{e.sorted(v.Members)}
	}
	sets := make([][]string, len(v.Sets))
	for i, set := range v.Sets {
		sets[i] = e.sorted(set)
	}
	return sets
}

// sorted returns the members' private groups in the order that clients expect.
func (e *encoder) sorted(members []merge.Member) []string {
	order := slices.Clone(members)
	slices.SortFunc(order, e.order)
	names := make([]string, len(order))
	for i, m := range order {
		names[i] = e.privateOf(m)
	}
	return names
}
