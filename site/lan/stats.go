package lan

import "sync/atomic"

// Stats counts what a port did since it was opened.
type Stats struct {
	Mode          Mode
	SentPackets   uint64
	SentCalls     uint64 // messages given to the kernel: runs, or single packets
	SentBytes     uint64
	Received      uint64
	ReceivedBytes uint64
	ReceivedCalls uint64
	Own           uint64 // own multicast packets, dropped
	Truncated     uint64 // larger than any ring packet, dropped
	UnknownPeer   uint64 // to a node without an address
	Foreign       uint64 // messages from an address that is no peer's; handed up, the ring tells
	Sealed        uint64 // sealed packets that came to a port without seals, dropped
	Refused       uint64 // packets that the kernel did not take
	ReadErrors    uint64 // reads that failed and were tried again
	ReceiveBuffer int    // bytes granted
}

type stats struct {
	sentPackets, sentCalls, sentBytes      atomic.Uint64
	received, receivedBytes, receivedCalls atomic.Uint64
	own, truncated, unknownPeer, refused   atomic.Uint64
	foreign, readErrors, sealed            atomic.Uint64
	receiveBuffer                          int
}

// Stats returns the counters.
func (p *Port) Stats() Stats {
	s := &p.stats
	return Stats{
		Mode:        p.Mode(),
		SentPackets: s.sentPackets.Load(), SentCalls: s.sentCalls.Load(), SentBytes: s.sentBytes.Load(),
		Received: s.received.Load(), ReceivedBytes: s.receivedBytes.Load(), ReceivedCalls: s.receivedCalls.Load(),
		Own: s.own.Load(), Truncated: s.truncated.Load(), UnknownPeer: s.unknownPeer.Load(), Refused: s.refused.Load(),
		Sealed: s.sealed.Load(), Foreign: s.foreign.Load(), ReadErrors: s.readErrors.Load(),
		ReceiveBuffer: s.receiveBuffer,
	}
}
