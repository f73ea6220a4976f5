package keys

import "sync/atomic"

// Stats counts what an Exchange did.
type Stats struct {
	Sessions        uint64 // that came about
	Learnt          uint64 // shares
	Forgotten       uint64 // peers whose certificate is no longer valid
	Rotated         uint64 // times this node drew new keys
	DialsFailed     uint64
	HandshakeFailed uint64 // of who echoed a cookie
	Refused         uint64 // certificates
	Nonsense        uint64 // datagrams or messages that are none of ours
	Strangers       uint64 // datagrams from addresses that no node has
	Limited         uint64 // handshakes that were one too many for their address
	Displaced       uint64 // handshakes that gave way to newer ones
	Crowded         uint64 // handshakes for which there was no room
	ReadErrors      uint64
}

type stats struct {
	sessions, learnt, forgotten, rotated  atomic.Uint64
	dialsFailed, handshakeFailed, refused atomic.Uint64
	nonsense, strangers, limited          atomic.Uint64
	displaced, crowded, readErrors        atomic.Uint64
}

// Stats returns the counters.
func (e *Exchange) Stats() Stats {
	s := &e.stats
	return Stats{
		Sessions: s.sessions.Load(), Learnt: s.learnt.Load(), Forgotten: s.forgotten.Load(), Rotated: s.rotated.Load(),
		DialsFailed: s.dialsFailed.Load(), HandshakeFailed: s.handshakeFailed.Load(), Refused: s.refused.Load(),
		Nonsense: s.nonsense.Load(), Strangers: s.strangers.Load(), Limited: s.limited.Load(),
		Displaced: s.displaced.Load(), Crowded: s.crowded.Load(), ReadErrors: s.readErrors.Load(),
	}
}
