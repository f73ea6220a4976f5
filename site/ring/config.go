package ring

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ringway/membership"
)

// Config is what a Machine knows from the start.
type Config struct {
	Self    membership.NodeID
	Members []membership.NodeID // all nodes of the site, Self among them
	// Incarnation tells this start of the node from earlier ones: the wall clock
	// in nanoseconds, never reused. Ring counters begin there, so that ring ids
	// never repeat without a disk.
	Incarnation uint64
	// Label is a hash of the federation's and the site's names. It rides in every
	// packet; packets with another one are dropped and counted.
	Label uint32
	// MaxPacket is the number of bytes of a UDP payload that is not fragmented.
	MaxPacket int
	Windows   Windows
	Timing    Timing

	off mutant // rules switched off by this package's tests
}

// Windows is the flow control, in packets.
type Windows struct {
	Personal    int // new packets of one node at one token visit, at most
	Global      int // packets of all nodes in one rotation, about
	Accelerated int // of a visit's packets, how many may follow the token
}

// DefaultWindows suits Gigabit and faster networks: a visit's packets of an
// ordinary Ethernet fit one segmented send of 64 KiB.
func DefaultWindows() Windows { return Windows{Personal: 44, Global: 160, Accelerated: 20} }

// Timing is every duration of the protocol. All nodes of a site should have the
// same.
type Timing struct {
	TokenLoss  time.Duration // no token for so long: the ring is broken
	Retransmit time.Duration // no token for so long: send the last one again
	Hello      time.Duration // a node lets its successor hear from it this often
	Silence    time.Duration // a predecessor not heard for so long is dead
	Hold       time.Duration // an idle token rests so long at the representative
	Probe      time.Duration // how often a ring makes itself known to strangers
	Join       time.Duration // how often a join is repeated
	Consensus  time.Duration // who has not agreed by then is left behind
	Commit     time.Duration // no new ring by then: gather again
	Knock      time.Duration // no token for so long: ask the successor's host whether it is dead
}

// DefaultTiming derives the times for a site of that many nodes. A token turn
// takes some 50 µs a node, so only large sites need more patience.
func DefaultTiming(nodes int) Timing {
	loss := 300*time.Millisecond + time.Duration(max(0, nodes-16))*5*time.Millisecond
	return TimingFor(loss)
}

// TimingFor derives all times from the token loss time-out.
func TimingFor(tokenLoss time.Duration) Timing {
	return Timing{
		TokenLoss:  tokenLoss,
		Retransmit: tokenLoss / 4,
		Hello:      tokenLoss / 6,
		Silence:    tokenLoss * 3 / 4,
		Hold:       tokenLoss / 12,
		Probe:      time.Second,
		Join:       tokenLoss / 15,
		Consensus:  tokenLoss / 3,
		Commit:     tokenLoss / 2,
		Knock:      tokenLoss / 8, // more than Hold
	}
}

// Validate says what is wrong with c, or nil. New repairs what it says, so that
// a ring never fails to start; a shell reports it to the operator.
func (c Config) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Self == 0 || !slices.Contains(c.Members, c.Self) {
		fault("node %v is not among the members of its site; add it to the topology", c.Self)
	}
	if len(c.Members) > MaxNodes {
		fault("%d nodes in one site, at most %d; divide the site", len(c.Members), MaxNodes)
	}
	if c.Incarnation == 0 || c.Incarnation >= maxIncarnation {
		fault("incarnation %d is not a wall clock in nanoseconds; set the clock", c.Incarnation)
	}
	if c.MaxPacket < MinPacketBytes || c.MaxPacket > MaxPacketBytes {
		fault("packets of %d bytes, want %d to %d", c.MaxPacket, MinPacketBytes, MaxPacketBytes)
	}
	if c.Windows.Personal < 1 || c.Windows.Global < 1 || c.Windows.Accelerated < 0 {
		fault("windows %+v: personal and global want at least 1, accelerated at least 0", c.Windows)
	}
	t := c.Timing
	if t.TokenLoss <= 0 || t.Retransmit <= 0 || t.Hello <= 0 || t.Silence <= 0 || t.Hold <= 0 ||
		t.Probe <= 0 || t.Join <= 0 || t.Consensus <= 0 || t.Commit <= 0 || t.Knock <= 0 {
		fault("timing %+v has a time that is not positive", t)
	}
	return errors.Join(faults...)
}

// repaired returns c with everything that Validate refuses put right.
func (c Config) repaired() Config {
	c.Members = slices.Clone(c.Members)
	if !slices.Contains(c.Members, c.Self) {
		c.Members = append(c.Members, c.Self)
	}
	slices.Sort(c.Members)
	c.Members = slices.Compact(c.Members)
	if len(c.Members) > MaxNodes {
		c.Members = slices.DeleteFunc(c.Members[:MaxNodes], func(n membership.NodeID) bool { return n == c.Self })
		c.Members = append(c.Members[:min(len(c.Members), MaxNodes-1)], c.Self)
		slices.Sort(c.Members)
	}
	c.Incarnation = min(max(c.Incarnation, 1), maxIncarnation-1)
	if c.MaxPacket == 0 {
		c.MaxPacket = 1400
	}
	c.MaxPacket = min(max(c.MaxPacket, MinPacketBytes), MaxPacketBytes)
	if c.Windows == (Windows{}) {
		c.Windows = DefaultWindows()
	}
	c.Windows.Personal = min(max(c.Windows.Personal, 1), MaxOutstanding/4)
	c.Windows.Global = max(c.Windows.Global, 1)
	c.Windows.Accelerated = max(c.Windows.Accelerated, 0)
	c.Timing = c.Timing.repaired(len(c.Members))
	return c
}

func (t Timing) repaired(nodes int) Timing {
	d := DefaultTiming(nodes)
	if t.TokenLoss > 0 {
		d = TimingFor(t.TokenLoss)
	}
	or := func(given, derived time.Duration) time.Duration {
		if given > 0 {
			return given
		}
		return max(derived, time.Microsecond)
	}
	return Timing{
		TokenLoss: or(t.TokenLoss, d.TokenLoss), Retransmit: or(t.Retransmit, d.Retransmit),
		Hello: or(t.Hello, d.Hello), Silence: or(t.Silence, d.Silence), Hold: or(t.Hold, d.Hold),
		Probe: or(t.Probe, d.Probe), Join: or(t.Join, d.Join),
		Consensus: or(t.Consensus, d.Consensus), Commit: or(t.Commit, d.Commit),
		Knock: or(t.Knock, d.Knock),
	}
}
