package lan

import (
	"crypto/rand"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ringway/membership"
	"ringway/site/ring"
	"ringway/site/seal"
)

const (
	// sealBatch is how many packets are sealed before they are sent: what one
	// UDP_SEGMENT message or one sendmmsg takes, and a bound for the scratch memory.
	sealBatch = maxSegments
	// complainEvery bounds the log lines about packets that are dropped, for each cause.
	complainEvery = time.Minute
)

// A Seal seals what a port sends and opens what it receives. It is a keyring and the
// lock around it, safe for concurrent use. No packet is sealed or opened under the lock.
type Seal struct {
	mu     sync.Mutex
	keys   *seal.Keyring
	hint   atomic.Pointer[func(membership.NodeID)]
	log    *slog.Logger
	faults [seal.Faults]atomic.Uint64
	unsent atomic.Uint64
	said   [seal.Faults]atomic.Int64 // when, in nanoseconds since started
	start  time.Time
}

// NewSeal makes the seal of a node among the others of its site.
func NewSeal(self membership.NodeID, others []membership.NodeID, log *slog.Logger) (*Seal, error) {
	keys, err := seal.NewKeyring(self, others, rand.Reader)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Seal{keys: keys, log: log, start: time.Now()}, nil
}

// OnUnknown sets what is called, from the readers' goroutines and perhaps often, when a
// packet names a node of the site whose key is missing. It must not block.
func (s *Seal) OnUnknown(f func(membership.NodeID)) { s.hint.Store(&f) }

// ShareFor returns what the node's peer is to be told.
func (s *Seal) ShareFor(node membership.NodeID) (seal.Share, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.ShareFor(node)
}

// Learn takes what a peer has told, and says whether it was new.
func (s *Seal) Learn(node membership.NodeID, share *seal.Share) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.Learn(node, share)
}

// Knows says whether a peer's keys are known.
func (s *Seal) Knows(node membership.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.Knows(node)
}

// Forget lets a peer speak no more.
func (s *Seal) Forget(node membership.NodeID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.Forget(node)
}

// Rotate draws new keys of this node, for the next ring; see seal.Keyring.
func (s *Seal) Rotate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys.Rotate()
}

// Switch begins to use the keys that Rotate drew.
func (s *Seal) Switch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.Switch()
}

// Installed tells that a ring is in force, so that the keys before it are forgotten.
func (s *Seal) Installed(id ring.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys.Installed(id)
}

// A sealer has the scratch memory of sealing.
type sealer struct {
	work    seal.Work
	next    []seal.Outgoing
	packets []ring.Packet
	memory  []byte
}

// seal returns the packets sealed, in the sealer's memory. What has no key is left out:
// it is lost, as on the wire, and the ring sends it again if it still matters.
func (s *Seal) seal(packets []ring.Packet, w *sealer) []ring.Packet {
	w.next, w.packets = w.next[:0], w.packets[:0]
	size := 0
	s.mu.Lock()
	for i := range packets {
		next, err := s.keys.Next(packets[i])
		if err != nil {
			s.unsent.Add(1)
			continue
		}
		size += next.Size()
		w.next = append(w.next, next)
		w.packets = append(w.packets, ring.Packet{To: packets[i].To})
	}
	s.mu.Unlock()
	if cap(w.memory) < size {
		w.memory = make([]byte, 0, 2*size)
	}
	memory := w.memory[:0]
	for i := range w.next {
		at := len(memory)
		memory = w.next[i].Seal(memory, &w.work)
		w.packets[i].Data = memory[at:len(memory):len(memory)]
	}
	clear(w.next) // they hold the ring's packets
	return w.packets
}

// open returns a packet opened, in the arena's memory, or nil.
func (s *Seal) open(packet []byte, from net.Addr, memory *arena, w *seal.Work) []byte {
	s.mu.Lock()
	in, fault := s.keys.Find(packet)
	s.mu.Unlock()
	if fault != seal.None {
		s.drop(fault, in.Sender(), from)
		return nil
	}
	plain, ok := in.Open(memory.room(in.Size(packet)), packet, w)
	if !ok {
		s.drop(seal.Forged, in.Sender(), from)
		return nil
	}
	s.mu.Lock()
	opened, fault := s.keys.Accept(&in, plain)
	s.mu.Unlock()
	if fault != seal.None {
		s.drop(fault, in.Sender(), from)
		return nil
	}
	memory.take(plain)
	return opened
}

// complaints are the causes worth a log line, with what an operator should know. The
// others happen in every change of the ring.
var complaints = [seal.Faults]string{
	seal.Unsealed:  "it is not sealed: does a node run with --insecure?",
	seal.Malformed: "it is none of ours",
	seal.Stranger:  "it names a node that is not in this site or not in this ring",
	seal.Replayed:  "it came before, or far too late",
	seal.Forged:    "its seal is broken",
	seal.Misplaced: "it is sealed under a key that is not for it",
	seal.NoOffer:   "it forms a ring and has no key for this node",
}

// drop counts a packet that is not handed up, and says so once in a while.
func (s *Seal) drop(fault seal.Fault, sender membership.NodeID, from net.Addr) {
	n := s.faults[fault].Add(1)
	if fault == seal.UnknownKey {
		if hint := s.hint.Load(); hint != nil {
			(*hint)(sender)
		}
	}
	if complaints[fault] == "" {
		return
	}
	now := int64(time.Since(s.start)) + 1
	last := s.said[fault].Load()
	if last != 0 && now-last < int64(complainEvery) || !s.said[fault].CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("a ring packet was dropped: "+complaints[fault], "from", from.String(), "so far", n)
}

// SealStats counts packets that were not sealed or opened, by cause.
type SealStats struct {
	Unsealed   uint64 // not sealed
	Malformed  uint64
	Own        uint64 // looped back
	Stranger   uint64 // of no node of this site, or of this ring
	UnknownKey uint64 // of a ring or life that this node has no key of
	Replayed   uint64
	Forged     uint64
	Misplaced  uint64
	NoOffer    uint64
	Unsent     uint64 // of a ring that this node has no key of, not sent
}

// Stats returns the counters.
func (s *Seal) Stats() SealStats {
	n := func(f seal.Fault) uint64 { return s.faults[f].Load() }
	return SealStats{
		Unsealed: n(seal.Unsealed), Malformed: n(seal.Malformed), Own: n(seal.Own), Stranger: n(seal.Stranger),
		UnknownKey: n(seal.UnknownKey), Replayed: n(seal.Replayed), Forged: n(seal.Forged), Misplaced: n(seal.Misplaced),
		NoOffer: n(seal.NoOffer), Unsent: s.unsent.Load(),
	}
}
