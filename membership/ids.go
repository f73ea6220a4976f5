package membership

import (
	"fmt"
	"hash/fnv"

	"ringway/internal/wire"
)

// A NodeID names a node everywhere in the federation. It is the FNV-1a hash of
// the node's name, so it does not depend on the node's place in the topology
// file and stays the same when the file is reloaded; topology refuses a file in
// which two names collide. Zero is no node.
type NodeID uint32

// A SiteID names a site; it is derived from the name like a NodeID.
// Zero is no site.
type SiteID uint32

// An InstanceID names one uninterrupted lineage of a site's rings
// (docs/sequencing.md). Zero is no instance.
type InstanceID uint64

// NodeIDOf returns the id of the node of that name.
func NodeIDOf(name string) NodeID { return NodeID(hashName(name)) }

// SiteIDOf returns the id of the site of that name.
func SiteIDOf(name string) SiteID { return SiteID(hashName(name)) }

func hashName(name string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(name))
	if v := h.Sum32(); v != 0 {
		return v
	}
	return 1
}

func (n NodeID) String() string     { return fmt.Sprintf("%08x", uint32(n)) }
func (s SiteID) String() string     { return fmt.Sprintf("%08x", uint32(s)) }
func (i InstanceID) String() string { return fmt.Sprintf("%016x", uint64(i)) }

// A ClientID names one client session for ever: Session holds the low 32 bits of
// its node's boot id above a counter, so that a restarted node never reuses one.
type ClientID struct {
	Node    NodeID
	Session uint64
}

func (c ClientID) String() string { return fmt.Sprintf("%v/%x", c.Node, c.Session) }

// Compare orders client ids, by node first.
func (c ClientID) Compare(d ClientID) int {
	switch {
	case c.Node != d.Node:
		return compare(c.Node, d.Node)
	default:
		return compare(c.Session, d.Session)
	}
}

// A ViewID names a site view: epochs only grow, and the proposer, an instance,
// separates views that were proposed at the same time.
type ViewID struct {
	Epoch    uint64
	Proposer InstanceID
}

func (v ViewID) String() string { return fmt.Sprintf("%d.%v", v.Epoch, v.Proposer) }

// Compare orders view ids, by epoch first.
func (v ViewID) Compare(w ViewID) int {
	if v.Epoch != w.Epoch {
		return compare(v.Epoch, w.Epoch)
	}
	return compare(v.Proposer, w.Proposer)
}

func compare[T ~uint32 | ~uint64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ViewIDBytes is the size of an encoded ViewID.
const ViewIDBytes = 16

// Append appends v in ViewIDBytes bytes.
func (v ViewID) Append(b []byte) []byte {
	return wire.AppendUint64(wire.AppendUint64(b, v.Epoch), uint64(v.Proposer))
}

// ReadViewID reads what Append wrote.
func ReadViewID(r *wire.Reader) ViewID {
	return ViewID{Epoch: r.Uint64(), Proposer: InstanceID(r.Uint64())}
}

// ClientIDBytes is the size of an encoded ClientID.
const ClientIDBytes = 12

// Append appends c in ClientIDBytes bytes.
func (c ClientID) Append(b []byte) []byte {
	return wire.AppendUint64(wire.AppendUint32(b, uint32(c.Node)), c.Session)
}

// ReadClientID reads what Append wrote.
func ReadClientID(r *wire.Reader) ClientID {
	return ClientID{Node: NodeID(r.Uint32()), Session: r.Uint64()}
}
