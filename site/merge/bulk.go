package merge

import (
	"slices"

	"ringway/membership"
	"ringway/site/ring"
)

// Large bodies between sites (B1, B2). A body of more than inlineMax crosses the ring of its
// sender first, and then the WAN, piece by piece and behind everything else; only then comes
// the small request with the deadline. So neither a deadline nor whoever sends something
// meanwhile waits for it.
//
//	B1a What is offered, served or said to be held is held by every member of the ring.
//	B1b A federated request is accepted when all of D hold its body. Its node does not
//	    propose it before; if D has grown on the way, it is rejected and waits again.
//	B1c In a log there is only a reference. The machine of a destination takes the record
//	    in when it has the body, and the record is whole from there on: as it is held, in
//	    Fills and in snapshots.
//	B1d Who meets a reference without the body asks the source for it, which has it in the
//	    held record until that is stable everywhere. Meanwhile that stream waits, and no other.
//	    So nothing is lost if a destination drops a body that it held.
//	B1e Bodies are no part of a snapshot. Those of the own site are dropped when a lineage is
//	    decided, and come again; those of other sites if somebody learns then.
//	B1f The source says of a body that it does not have that it is gone, and the destination
//	    drops it: a body outlives neither its sender's wish nor its record.
//	B2a A destination takes up to bulkWindow from each source, or one body. What is offered
//	    beyond it waits.
//	B2b All destinations give way to the body that came first at the source: for it they drop
//	    later ones, which come again. Else two bodies could each wait for the other at
//	    different sites.
//	B2c The bodies of accepted messages to a destination that are not stable there are
//	    bounded likewise; they cost no credit (B3).
//
// Two places of the machine hold bodies: machine.bodies those of own clients, and
// machine.transfers those that come from other sites.

// A heldBody is a body of an own client whose request is not accepted yet.
type heldBody struct {
	seq    uint64
	groups []string
	data   []byte
	pos    ring.Position           // where it became complete
	holds  []membership.InstanceID // of other sites
}

// A transfer is a body of another site on its way here, or here and waiting for its record.
type transfer struct {
	bodyKey
	size  int
	order ring.Position // as in the Offer
	data  []byte        // nil: no piece has come
	there []bool        // pieces
	lacks int           // how many have not come
	pos   ring.Position // where the last piece came
	pull  pull          // this node's part as a gateway; not replicated
}

// bulkIn is an ordered message of another instance about a body.
func (m *machine) bulkIn(b *bulk) {
	place, ok := m.view.Index(b.from)
	if !ok || place == m.self || b.to != m.instance {
		return
	}
	switch b.kind {
	case bulkOffer:
		m.offered(b)
	case bulkPiece:
		m.pieceIn(place, b)
	case bulkHeld:
		if h := m.bodies[b.client]; h != nil && h.seq == b.seq && !slices.Contains(h.holds, b.from) {
			h.holds = append(h.holds, b.from)
		}
	case bulkGone:
		if !m.off(keepGone) {
			m.dropTransfer(b.from, b.bodyKey)
		}
	}
}

func (m *machine) transfer(from membership.InstanceID, k bodyKey) *transfer {
	for _, t := range m.transfers[from] {
		if t.bodyKey == k {
			return t
		}
	}
	return nil
}

func (m *machine) dropTransfer(from membership.InstanceID, k bodyKey) {
	list := slices.DeleteFunc(m.transfers[from], func(t *transfer) bool { return t.bodyKey == k })
	if m.transfers[from] = list; len(list) == 0 {
		delete(m.transfers, from)
	}
}

// offered makes room for a body, if it may come now (B2).
func (m *machine) offered(b *bulk) {
	if t := m.transfer(b.from, b.bodyKey); t != nil {
		if t.size == b.size && t.order != (ring.Position{}) {
			t.order = b.order // it came anew at its source
		}
		return
	}
	if !m.admits(b) {
		return
	}
	list := m.transfers[b.from]
	total := b.size
	for _, t := range list {
		total += t.size
	}
	for total > bulkWindow && len(list) > 0 && !m.off(anyWindow) {
		last := latest(list)
		total -= list[last].size
		list = slices.Delete(list, last, last+1)
	}
	t := &transfer{bodyKey: b.bodyKey, size: b.size, order: b.order, lacks: piecesOf(b.size)}
	t.there = make([]bool, t.lacks)
	m.transfers[b.from] = append(list, t)
}

// admits says whether an offered body may come: it and those before it fit into the window. One
// for which a record waits may always.
func (m *machine) admits(b *bulk) bool {
	if b.order == (ring.Position{}) || m.off(anyWindow) {
		return true
	}
	before := 0
	for _, t := range m.transfers[b.from] {
		if t.order.Compare(b.order) <= 0 || m.off(firstCome) {
			before += t.size
		}
	}
	return before == 0 || before+b.size <= bulkWindow
}

// latest is which of some bodies came last at their source.
func latest(list []*transfer) int {
	last := 0
	for i, t := range list {
		if t.order.Compare(list[last].order) >= 0 {
			last = i
		}
	}
	return last
}

func (m *machine) pieceIn(place int, b *bulk) {
	t := m.transfer(b.from, b.bodyKey)
	if t == nil {
		return
	}
	from, to := pieceAt(t.size, b.index)
	if int(b.index) >= len(t.there) || to-from != len(b.data) {
		m.breach(place, "body: a piece that is none of it")
		return
	}
	if t.there[b.index] {
		return
	}
	if t.data == nil {
		t.data = make([]byte, t.size)
	}
	copy(t.data[from:to], b.data)
	t.there[b.index] = true
	if t.lacks--; t.lacks == 0 {
		t.pos = m.pos
	}
}

// takeBody gives an imported record its body (B1c). It returns false if that is not there.
func (m *machine) takeBody(r *record) bool {
	from, k := m.view.Members[r.src].Instance, bodyKey{r.client, r.seq}
	t := m.transfer(from, k)
	if t == nil || t.lacks > 0 {
		return false
	}
	m.dropTransfer(from, k)
	if t.size != r.ref {
		m.breach(r.src, "record: its body has another size")
		return false
	}
	r.data = t.data
	return true
}

// heldByAll says whether all other destinations have the body of a client's next request.
func (m *machine) heldByAll(c membership.ClientID, d membership.Set) bool {
	h := m.bodies[c]
	if h == nil {
		return false
	}
	for rest := d.Without(m.self); rest != 0; rest &= rest - 1 {
		if !slices.Contains(h.holds, m.view.Members[rest.First()].Instance) {
			return false
		}
	}
	return true
}

// byReference says whether the body of an own record travels apart from it.
func (m *machine) byReference(r *record) bool {
	return m.cfg.Bulk && r.kind == kindData && len(r.data) > inlineMax
}

// owe counts what is under way to a member (B2c, B3).
func (m *machine) owe(place int, r *record) (cost int) {
	if cost = r.cost(); m.byReference(r) {
		cost -= len(r.data)
		m.owedBulk[place] += len(r.data)
	}
	m.owed[place] += cost
	return cost
}

// forgetTransfers drops what comes from instances that are not in the view any more.
func (m *machine) forgetTransfers() {
	for from := range m.transfers {
		if _, ok := m.view.Index(from); !ok {
			delete(m.transfers, from)
		}
	}
}
