package merge

import (
	"slices"

	"ringway/internal/wire"
	"ringway/membership"
)

// inbound is a record of another site in our order (I1).
func (m *machine) inbound(data []byte) {
	r, idx, err := readRecord(data, &m.view, m.self, m.names)
	switch {
	case err != nil:
		m.badFrames++
		m.faultOf(data, "record: "+err.Error())
		return
	case r == nil || m.cut != nil:
		return // of another view, or of one that has ended
	case idx != m.inNext[r.src] && !m.off(anyIdx):
		m.duplicate++
		return
	case r.t > m.clock+maxAhead+maxLead && !m.off(anyAhead):
		return // injected again until the clock is there; whoever brings it knows whose fault that is (ahead.go)
	}
	if r.ref > 0 && !m.takeBody(r) {
		return // injected again when the body is there
	}
	if r.t <= m.prom[r.src] && !m.off(noFault) { // I3
		m.hold(m.off(noIdxGate) || m.off(noFloor), "Z4: T of an import is not above the promise")
		m.breach(r.src, "record: deadline breaks a promise")
	}
	m.inNext[r.src]++
	m.logNext[r.src] = r.n + 1
	m.imported++
	m.applied++
	m.traceImport(r, idx, false)
	m.heldIn[r.src] = append(m.heldIn[r.src], r)
	m.absorb(r)
	if m.ahead[r.src] != nil {
		m.closeUp(r.src)
		return
	}
	m.retryPromises(r.src)
}

// traceImport tells of a record that was taken in; filled: out of its stream's order, from
// what another member held when the view ended.
func (m *machine) traceImport(r *record, idx uint64, filled bool) {
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TraceImport, Closing: filled, Src: m.view.Members[r.src].Instance, Idx: idx, N: r.n, T: r.t, Instance: m.instance, View: m.view.ID})
	}
}

// faultOf names the site of a record that does not decode.
func (m *machine) faultOf(data []byte, what string) {
	in := wire.NewReader(data)
	h := readRecordHead(&in)
	if i, ok := m.view.Index(h.src); ok && in.Err() == nil && i != m.self {
		m.breach(i, what)
	}
}

func (m *machine) absorb(r *record) {
	switch r.kind {
	case kindPrepare:
		m.prepareIn(r)
	case kindPrepareAck:
		m.ackIn(r)
	case kindInterestOff:
		m.offIn(r)
	case kindNodeLost:
		if !m.off(noNodeLost) {
			m.lose(lostNode{r.node, r.boot}, r.src, r.n)
		}
	}
	m.place(r)
}

// promised takes up a promise, or keeps it until the records below its idx are
// there (I2).
func (m *machine) promised(p heard) {
	src := int(p.src)
	if src >= len(m.view.Members) || src == m.self {
		return
	}
	m.late[src] = p.late
	m.reading[src] = max(m.reading[src], p.reading)
	if p.idx <= m.inNext[src] || m.off(noIdxGate) {
		m.keep(p)
		return
	}
	if m.waiting[src] = append(m.waiting[src], p); len(m.waiting[src]) > maxWaiting {
		m.waiting[src] = thinned(m.waiting[src])
	}
}

// thinned leaves out the promise that is missed least: the one whose neighbours are
// nearest to each other. So records that come late do not all have to be there before
// anything of them counts: the promises that wait are spread over them. The oldest is the
// one whose records come first, and the newest is the best.
func thinned(w []heard) []heard {
	least := 1
	for i := 2; i < len(w)-1; i++ {
		if w[i+1].idx-w[i-1].idx < w[least+1].idx-w[least-1].idx {
			least = i
		}
	}
	return slices.Delete(w, least, least+1)
}

// keep makes a promise count. P and W are maxima.
func (m *machine) keep(p heard) {
	m.prom[p.src] = max(m.prom[p.src], p.p)
	m.w[p.src] = max(m.w[p.src], p.w)
	if m.cfg.Trace != nil {
		m.cfg.Trace(&TraceEvent{Kind: TracePromise, Src: m.view.Members[p.src].Instance, P: p.p, Idx: p.idx, W: p.w, Instance: m.instance, View: m.view.ID})
	}
}

func (m *machine) retryPromises(src int) {
	kept := m.waiting[src][:0]
	for _, p := range m.waiting[src] {
		if p.idx <= m.inNext[src] {
			m.keep(p)
			m.samples = append(m.samples, p)
		} else {
			kept = append(kept, p)
		}
	}
	m.waiting[src] = kept
}

// improves says whether a promise would tell anything new.
func (m *machine) improves(p heard) bool {
	if p.p <= m.prom[p.src] && p.w <= m.w[p.src] {
		return false
	}
	w := m.waiting[p.src]
	return len(w) == 0 || p.p > w[len(w)-1].p || p.w > w[len(w)-1].w || p.idx < w[len(w)-1].idx
}

// faulty says that a record cannot become part of this view, whoever injects it.
func (m *machine) foreign(log membership.LogID) bool {
	i, ok := m.view.Index(log.Instance)
	return !ok || i == m.self || log.View != m.view.ID || m.view.Members[i].Site != log.Site
}
