package merge

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// A snapshot is the machine's state at the position at which a lineage was decided:
// no body is there and nothing of the ring has been processed. It travels through
// the ring to the nodes that learn. snapshotVersion stands first.
const snapshotVersion = 9

// Bounds of the lists in a snapshot. They are only there so that a decoder cannot be
// made to allocate without input; Count checks that too.
const maxListed = math.MaxInt32

// snapshot encodes the replicated state.
func (m *machine) snapshot() []byte {
	b := []byte{snapshotVersion}
	b = wire.AppendUint64(b, uint64(m.instance))
	b = m.view.Append(b)
	b = appendPosition(appendPosition(b, m.installed), m.line)
	b = wire.AppendUint64(wire.AppendUint32(b, m.local), m.epoch)
	b = wire.AppendUint64(wire.AppendUint64(b, m.wanted), m.ticks)
	b = m.past.Append(wire.AppendBool(b, m.primary))
	b = m.appendStreams(b)
	b = m.appendOrder(b)
	b = m.appendClients(b)
	b = m.appendGroups(b)
	return m.appendFlush(b)
}

// restoreMachine decodes a snapshot. What it returns without error has every vector
// in the length of its view.
func restoreMachine(cfg *Config, names *interner, data []byte) (*machine, error) {
	r := wire.NewReader(data)
	if v := r.Uint8(); v != snapshotVersion {
		return nil, fmt.Errorf("snapshot: version %d, this node speaks %d: run the same release on all nodes of a site", v, snapshotVersion)
	}
	instance := membership.InstanceID(r.Uint64())
	view := membership.ReadSiteView(&r)
	if r.Err() != nil {
		return nil, fmt.Errorf("snapshot: %w", r.Err())
	}
	if _, ok := view.Index(instance); !ok {
		return nil, errors.New("snapshot: view lacks its own instance")
	}
	m := newMachine(cfg, names, instance, view)
	m.installed, m.line = readPosition(&r), readPosition(&r)
	m.local, m.epoch = r.Uint32(), r.Uint64()
	m.wanted, m.ticks = r.Uint64(), r.Uint64()
	m.primary, m.past = r.Bool(), membership.ReadPrimary(&r)
	m.readStreams(&r)
	m.readOrder(&r)
	m.readClients(&r)
	m.readAllGroups(&r)
	m.readFlush(&r)
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return m, nil
}

func appendInts(b []byte, list []int64) []byte {
	for _, v := range list {
		b = wire.AppendInt64(b, v)
	}
	return b
}

func appendUints(b []byte, list []uint64) []byte {
	for _, v := range list {
		b = wire.AppendUint64(b, v)
	}
	return b
}

func readInts(r *wire.Reader, list []int64) {
	for i := range list {
		list[i] = r.Int64()
	}
}

func readUints(r *wire.Reader, list []uint64) {
	for i := range list {
		list[i] = r.Uint64()
	}
}

func (m *machine) appendStreams(b []byte) []byte {
	b = wire.AppendInt64(b, m.clock)
	b = appendInts(appendInts(b, m.floor), m.leads)
	b = appendUints(b, m.outIdx)
	b = wire.AppendInt64(wire.AppendUint64(wire.AppendUint64(b, m.outN), m.trim), m.maxT)
	b = wire.AppendUint32(b, uint32(len(m.held)))
	for _, r := range m.held {
		b = wire.AppendBool(b, r != nil)
		if r != nil {
			b = r.appendState(b)
		}
	}
	b = appendUints(appendUints(b, m.inNext), m.logNext)
	b = appendInts(appendInts(b, m.prom), m.w)
	b = appendInts(appendInts(b, m.late), m.reading)
	for src, in := range m.heldIn {
		b = wire.AppendUint32(b, uint32(len(in)))
		for _, r := range in {
			b = wire.AppendBlob(wire.AppendBool(b, m.ahead[src][r.at] == r), r.full())
		}
		ahead := slices.Sorted(maps.Keys(m.ahead[src]))
		b = appendUints(wire.AppendUint32(b, uint32(len(ahead))), ahead)
	}
	for _, waiting := range m.waiting {
		b = append(b, byte(len(waiting)))
		for _, p := range waiting {
			b = appendHeard(b, p)
		}
	}
	return b
}

func (m *machine) readStreams(r *wire.Reader) {
	m.clock = r.Int64()
	readInts(r, m.floor)
	readInts(r, m.leads)
	readUints(r, m.outIdx)
	m.outN, m.trim, m.maxT = r.Uint64(), r.Uint64(), r.Int64()
	m.held = make([]*record, 0, r.Count(maxListed, 1))
	for range cap(m.held) {
		var rec *record
		if r.Bool() {
			rec = m.readState(r)
			for rest, i := rec.dests.Without(m.self), 0; rest != 0 && i < len(rec.idx); rest, i = rest&(rest-1), i+1 {
				m.owe(rest.First(), rec)
			}
		}
		m.held = append(m.held, rec)
	}
	readUints(r, m.inNext)
	readUints(r, m.logNext)
	readInts(r, m.prom)
	readInts(r, m.w)
	readInts(r, m.late)
	readInts(r, m.reading)
	for src := range m.heldIn {
		m.readHeldIn(r, src)
	}
	for i := range m.waiting {
		n := int(r.Uint8())
		if n > maxWaiting {
			r.Fail(fmt.Errorf("%w: %d waiting promises", wire.ErrLimit, n))
		}
		for j := 0; j < n && r.Err() == nil; j++ {
			m.waiting[i] = append(m.waiting[i], m.readOwnHeard(r, i))
		}
	}
}

func (m *machine) readOwnHeard(r *wire.Reader, src int) heard {
	p := readHeard(r)
	p.src = uint8(src)
	return p
}

// appendState encodes a record as the machine holds it.
func (r *record) appendState(b []byte) []byte {
	b = append(b, byte(r.src))
	b = wire.AppendInt64(wire.AppendUint64(b, r.n), r.t)
	b = appendPosition(wire.AppendUint64(b, uint64(r.dests)), r.pos)
	b = append(wire.AppendUint64(b, r.at), byte(len(r.idx)))
	b = appendUints(b, r.idx)
	return wire.AppendBlob(b, r.appendRest(nil, false))
}

func (m *machine) readState(in *wire.Reader) *record {
	r := &record{src: int(in.Uint8()), n: in.Uint64(), t: in.Int64(), dests: membership.Set(in.Uint64())}
	r.pos, r.at = readPosition(in), in.Uint64()
	n := int(in.Uint8())
	if r.src >= len(m.view.Members) || r.dests&^m.view.All() != 0 || n > r.dests.Without(r.src).Len() || r.src == m.self && n != r.dests.Without(r.src).Len() {
		in.Fail(errors.New("record of no member of the view"))
		r.src, r.dests = m.self, 0
		return r
	}
	if n > 0 {
		r.idx = make([]uint64, n)
		readUints(in, r.idx)
	}
	rest := wire.NewReader(in.Blob(maxListed))
	if in.Err() == nil {
		if r.readRest(&rest, m.names); rest.Err() != nil {
			in.Fail(rest.Err())
		} else if r.ref > 0 {
			in.Fail(errNoBody)
		}
	}
	return r
}

func (m *machine) appendOrder(b []byte) []byte {
	b = appendInts(b, []int64{m.h, m.v, m.wself, m.maxDelivered, m.maxArrived, m.maxMoved, m.delivered.t, int64(m.delivered.src)})
	b = wire.AppendUint64(b, m.delivered.n)
	b = wire.AppendUint32(b, uint32(len(m.horizons)))
	for _, h := range m.horizons {
		b = wire.AppendInt64(appendPosition(b, h.pos), h.h)
	}
	b = wire.AppendUint32(b, uint32(len(m.snaps)))
	for _, s := range m.snaps {
		b = appendInts(appendPosition(b, s.pos), s.floor)
		b = appendUints(appendUints(b, s.outIdx), s.inNext)
		b = wire.AppendInt64(wire.AppendInt64(b, s.w), s.reading)
	}
	// Most stand in held or heldIn too: only their places there go again.
	at := map[*record]int{}
	for _, in := range m.heldIn {
		for i, r := range in {
			at[r] = i
		}
	}
	for _, list := range [][]*record{m.pend, m.fifoWait} {
		b = wire.AppendUint32(b, uint32(len(list)))
		for _, r := range list {
			switch i, in := at[r]; {
			case r.src == m.self && m.heldAt(r.n) == r:
				b = wire.AppendUint64(append(b, refOwn), r.n)
			case in:
				b = wire.AppendUint32(append(b, refIn, byte(r.src)), uint32(i))
			default:
				b = r.appendState(append(b, refNone))
			}
		}
	}
	return b
}

// How a list names a record.
const (
	refNone = iota // it follows
	refOwn         // its number, in held
	refIn          // its source and place, in heldIn
)

// heldAt returns the own record of that number, if it is held.
func (m *machine) heldAt(n uint64) *record {
	if n < m.trim || n-m.trim >= uint64(len(m.held)) {
		return nil
	}
	return m.held[n-m.trim]
}

func (m *machine) readOrder(r *wire.Reader) {
	m.h, m.v, m.wself = r.Int64(), r.Int64(), r.Int64()
	m.maxDelivered, m.maxArrived, m.maxMoved = r.Int64(), r.Int64(), r.Int64()
	m.delivered = record{t: r.Int64(), src: int(r.Int64()), n: r.Uint64()}
	m.horizons = make([]horizon, r.Count(maxHorizons, 24))
	for i := range m.horizons {
		m.horizons[i] = horizon{readPosition(r), r.Int64()}
	}
	n := len(m.view.Members)
	m.snaps = make([]snap, r.Count(maxSnaps, 32+24*n))
	for i := range m.snaps {
		s := snap{pos: readPosition(r), floor: make([]int64, n), outIdx: make([]uint64, n), inNext: make([]uint64, n)}
		readInts(r, s.floor)
		readUints(r, s.outIdx)
		readUints(r, s.inNext)
		s.w, s.reading = r.Int64(), r.Int64()
		m.snaps[i] = s
	}
	m.pend, m.fifoWait = m.readList(r), m.readList(r)
	for _, rec := range m.pend {
		if rec.ofClient() {
			m.pending[rec.client]++
		}
	}
}

func (m *machine) readList(r *wire.Reader) []*record {
	list := make([]*record, 0, r.Count(maxListed, 6))
	for range cap(list) {
		var rec *record
		switch r.Uint8() {
		case refOwn:
			rec = m.heldAt(r.Uint64())
		case refIn:
			if src, at := int(r.Uint8()), int(r.Uint32()); src < len(m.heldIn) && at < len(m.heldIn[src]) {
				rec = m.heldIn[src][at]
			}
		default:
			rec = m.readState(r)
		}
		if rec == nil || r.Err() != nil {
			r.Fail(errors.New("record is not held"))
			return nil
		}
		list = append(list, rec)
	}
	return list
}

func (m *machine) appendClients(b []byte) []byte {
	b = appendNodes(b, m.voters)
	b = wire.AppendUint32(b, uint32(len(m.present)))
	for _, id := range sortedKeys(m.present) {
		b = wire.AppendUint64(wire.AppendUint32(b, uint32(id)), m.present[id])
	}
	b = wire.AppendUint64(wire.AppendUint32(b, uint32(m.from.Representative)), m.from.Counter)
	b = wire.AppendUint64(b, m.salt)
	b = wire.AppendUint32(b, uint32(len(m.nodes)))
	for _, id := range sortedKeys(m.nodes) {
		at := m.nodes[id]
		b = wire.AppendInt64(wire.AppendUint64(wire.AppendUint32(b, uint32(id)), at.boot), at.min)
	}
	b = wire.AppendUint32(b, uint32(len(m.downT)))
	for _, id := range sortedKeys(m.downT) {
		b = wire.AppendInt64(wire.AppendUint32(b, uint32(id)), m.downT[id])
	}
	b = wire.AppendUint32(b, uint32(len(m.lost)))
	for _, l := range m.sortedLost() {
		b = wire.AppendUint32(wire.AppendUint32(b, uint32(l.node)), l.boot)
		b = m.lost[l].append(b)
	}
	b = appendLost(appendLost(b, m.lostLater), m.lostBefore)
	b = wire.AppendUint32(b, uint32(len(m.clients)))
	for _, id := range m.sortedClients() {
		c := m.clients[id]
		b = wire.AppendString(id.Append(b), c.name)
		b = wire.AppendInt64(wire.AppendUint64(b, c.next), c.last)
		b = m.appendAway(b, c)
	}
	return b
}

func (m *machine) sortedLost() []lostNode {
	return slices.SortedFunc(maps.Keys(m.lost), func(a, b lostNode) int {
		return cmp.Or(cmp.Compare(a.node, b.node), cmp.Compare(a.boot, b.boot))
	})
}

func (l losses) append(b []byte) []byte {
	b = append(b, byte(len(l)))
	for _, place := range sortedKeys(l) {
		b = wire.AppendUint64(append(b, byte(place)), l[place])
	}
	return b
}

// readLosses leaves out what is no place of all.
func readLosses(r *wire.Reader, all membership.Set) losses {
	l := losses{}
	for range r.Uint8() {
		if place, n := int(r.Uint8()), r.Uint64(); r.Err() == nil && all.Has(place) {
			l[place] = n
		}
	}
	return l
}

func (m *machine) readClients(r *wire.Reader) {
	m.voters = readNodes(r)
	for range r.Count(membership.MaxSiteNodes, 12) {
		id := membership.NodeID(r.Uint32())
		m.present[id] = r.Uint64()
	}
	m.from = ring.ID{Representative: membership.NodeID(r.Uint32()), Counter: r.Uint64()}
	m.salt = r.Uint64()
	for range r.Count(membership.MaxSiteNodes, 20) {
		id := membership.NodeID(r.Uint32())
		m.nodes[id] = attached{r.Uint64(), r.Int64()}
	}
	for range r.Count(maxListed, 12) {
		id := membership.NodeID(r.Uint32())
		m.downT[id] = r.Int64()
	}
	for range r.Count(maxListed, 16) {
		l := lostNode{membership.NodeID(r.Uint32()), r.Uint32()}
		if m.lost[l] = readLosses(r, m.view.All()); len(m.lost[l]) == 0 {
			r.Fail(errors.New("node is lost to no member of the view"))
			return
		}
	}
	m.lostLater, m.lostBefore = readLost(r, maxListed), readLost(r, maxListed)
	for range r.Count(maxListed, memberBytes+20) {
		c := &ownClient{id: membership.ReadClientID(r)}
		c.name = m.names.name(readName(r, membership.MaxPrivateName))
		c.next, c.last = r.Uint64(), r.Int64()
		c.away = m.readAway(r)
		m.clients[c.id] = c
	}
}

const (
	groupPrepares = 1 << iota
	groupSignalled
)

func (m *machine) appendGroups(b []byte) []byte {
	// Whom a group has accepted stands with the group.
	in := map[*group][]membership.ClientID{}
	for _, id := range m.sortedClients() {
		for g := range m.clients[id].groups {
			in[g] = append(in[g], id)
		}
	}
	all := m.sortedGroups(func(*group) bool { return true })
	b = wire.AppendUint32(b, uint32(len(all)))
	for _, g := range all {
		b = wire.AppendUint64(wire.AppendString(b, g.Name), uint64(g.Interest))
		b = appendInts(b, []int64{g.onT, g.offT})
		b = wire.AppendUint32(b, uint32(g.pendingOwn))
		b = wire.AppendUint32(wire.AppendUint32(wire.AppendUint32(b, g.id.Origin), g.id.Time), g.id.Index)
		flags := byte(0)
		for i, set := range []bool{g.prep != nil, g.signalled} {
			if set {
				flags |= 1 << i
			}
		}
		b = append(b, flags)
		b = appendUints(append(b, byte(len(g.told))), g.told)
		if g.prep != nil {
			b = wire.AppendInt64(wire.AppendUint64(b, uint64(g.prep.acked)), g.prep.maxT)
			b = wire.AppendUint32(b, uint32(len(g.prep.wait)))
			for _, w := range g.prep.wait {
				b = wire.AppendString(w.Client.Append(b), w.Name)
				b = wire.AppendBool(wire.AppendUint64(b, w.seq), w.rejoin)
			}
		}
		ghosts := slices.SortedFunc(slices.Values(g.ghosts), func(a, b Member) int { return a.Client.Compare(b.Client) })
		b = appendMembers(appendMembers(b, ghosts), g.Own())
		b = wire.AppendUint32(b, uint32(len(in[g])))
		for _, id := range in[g] {
			b = id.Append(b)
		}
		b = wire.AppendUint32(b, uint32(g.Remotes()))
		g.EachRemote(func(from int, x Member) {
			b = wire.AppendString(x.Client.Append(append(b, byte(from))), x.Name)
		})
	}
	return b
}

func (m *machine) readAllGroups(r *wire.Reader) {
	for range r.Count(maxListed, 40) {
		g := m.group(string(readName(r, membership.MaxGroupName)))
		g.Interest = membership.Set(r.Uint64()) & m.view.All()
		g.onT, g.offT, g.pendingOwn = r.Int64(), r.Int64(), int(r.Uint32())
		g.id = GroupViewID{r.Uint32(), r.Uint32(), r.Uint32()}
		flags := r.Uint8()
		g.signalled = flags&groupSignalled != 0
		if n := int(r.Uint8()); n == len(m.view.Members) {
			g.told = make([]uint64, n)
			readUints(r, g.told)
		} else if n > 0 {
			r.Fail(errors.New("group has answers of another view"))
		}
		if flags&groupPrepares != 0 {
			m.setPrep(g, m.readPreparation(r))
			for _, w := range g.prep.wait {
				m.noteEntering(g.Name, w)
			}
		}
		g.ghosts = readMembers(r, m.names, maxListed)
		for _, x := range readMembers(r, m.names, maxListed) {
			if g.Join(x) {
				m.index(x.Client, g)
			}
		}
		m.readMemberships(r, g)
	}
}

func (m *machine) readPreparation(r *wire.Reader) *preparation {
	p := &preparation{acked: membership.Set(r.Uint64()), maxT: r.Int64()}
	for range r.Count(maxListed, memberBytes+9) {
		c := membership.ReadClientID(r)
		x := membership.Member{Client: c, Name: m.names.name(readName(r, membership.MaxPrivateName))}
		p.wait = append(p.wait, waiter{x, r.Uint64(), r.Bool()})
	}
	return p
}

// readMemberships reads who is accepted in g, and its members at other sites.
func (m *machine) readMemberships(r *wire.Reader, g *group) {
	for range r.Count(maxListed, membership.ClientIDBytes) {
		c := m.clients[membership.ReadClientID(r)]
		if c == nil {
			r.Fail(errors.New("group has a client that is not there"))
			return
		}
		c.groups.add(g)
		g.acceptedOwn++
	}
	for range r.Count(maxListed, memberBytes+1) {
		from := int(r.Uint8())
		x := membership.Member{Client: membership.ReadClientID(r)}
		x.Name = m.names.name(readName(r, membership.MaxPrivateName))
		if from >= len(m.view.Members) || from == m.self {
			r.Fail(errors.New("group has members of no member of the view"))
			return
		}
		m.joinRemote(g, from, x)
	}
}
