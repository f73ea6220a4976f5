package ring

import (
	"time"

	"ringway/membership"
)

// Limits of the protocol: every node of a site must agree on them.
const (
	// MaxNodes bounds the nodes of a site and with them every list of nodes.
	MaxNodes = membership.MaxSiteNodes
	// MaxRanges bounds the retransmission requests in a token, so that it fits a
	// packet of an ordinary Ethernet.
	MaxRanges = 64
	// MaxOutstanding bounds the packets beyond the stable line: what a node keeps
	// for others and what recovery may have to send again.
	MaxOutstanding = 2048
	// windowSlots is the size of the window. A node's stable line may trail that
	// of the node which assigned a number by what is assigned in one rotation, at
	// most MaxOutstanding, hence twice that.
	windowSlots = 2 * MaxOutstanding
	// MaxLarge bounds the frames that one node has cut and not yet sent whole.
	MaxLarge = 4
	// MaxLargeBytes bounds the sizes of all cut frames of a ring that are under
	// way, which is what every node may have to keep for their assembly. A node
	// starts another one only if the token has room for it.
	MaxLargeBytes = 256 << 20
	// MaxPacketBytes is the largest payload of a UDP datagram over IPv4.
	MaxPacketBytes = 65507
	// MinPacketBytes leaves room for a token with all its ranges.
	MinPacketBytes = 1024
	// maxHoles bounds the gaps that a node lists in a commit token. One that has
	// more says so, and others then send whatever it might lack.
	maxHoles = 8
	// maxCounter bounds ring counters, so that a forged one cannot make them
	// wrap. Wall clocks in nanoseconds stay below it until 2116.
	maxCounter = 1 << 62
	// maxIncarnation keeps incarnations, where counters begin, so far below
	// maxCounter that no number of views gets there: a node whose clock is mad
	// must not use up the counters of its site.
	maxIncarnation = maxCounter - 1<<40
	// maxSeq bounds packet numbers for the same reason.
	maxSeq = 1 << 62
)

// Limits of tuning: each node may have its own.
const (
	// maxWaiting bounds the frames taken from the Source that cannot go yet,
	// because a large frame of their stream is under way.
	maxWaiting = 256
	// promptPackets is up to how many packets of one visit go out before the
	// token even though the accelerated window would let them follow it: the next
	// node then holds them when the token comes, and they become stable a
	// rotation earlier. Sparse traffic wants latency.
	promptPackets = 4
	// minPiece is the smallest piece worth its header at the end of a packet.
	minPiece = 128
	// minTail is the smallest rest of a packet for which the Source is asked: a
	// frame that then does not fit grows old until the next packet.
	minTail = 64
	// soloFrames and soloBytes bound what a ring of one delivers in one step, so
	// that the shell gets to its clients in between.
	soloFrames = 256
	soloBytes  = 1 << 20
	// arenaBytes is how much memory is allocated at once for outgoing packets.
	arenaBytes = 128 << 10
	// joinCoalesce delays a join that answers others' joins, so that many nodes
	// starting at once do not each answer each other.
	joinCoalesce = 2 * time.Millisecond
	// joinRate and joinBurst bound the joins believed from one node per second.
	joinRate  = 200
	joinBurst = 100
	// eagerProbes is how much more often than each Timing.Probe a ring makes itself
	// known for eagerTime after it was installed, if nodes of the site are not in
	// it: what was cut is often whole again soon.
	eagerProbes = 4
	eagerTime   = 30 * time.Second
	// recoveryPatience bounds a recovery, in token losses, though its token comes
	// round: some members then cannot get what they lack.
	recoveryPatience = 8
	// probeReply bounds how often a node answers foreign probes.
	probeReply = 20 * time.Millisecond
	// restlessVisits is for how many rotations a new ring never holds its token,
	// so that every member installs it without waiting.
	restlessVisits = 4
	// stuckVisits and the token loss time-out together are how long one receiver
	// may keep the aru from moving before it is asked to leave.
	stuckVisits = 100
	// minShun and maxShun bound how long a node that was left behind although it
	// could be heard is not merged with again. The time doubles with each
	// occurrence, so that one-way loss does not spin the ring for ever.
	minShun = 500 * time.Millisecond
	maxShun = 30 * time.Second
)
