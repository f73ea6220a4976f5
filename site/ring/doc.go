// Package ring orders frames among the nodes of one site and keeps its nodes
// agreed on who is there: level 1 of Ringway's order. It is an Accelerated Ring
// (Babay and Amir, 2016) over Totem's single-ring membership and recovery (Amir,
// Moser, Melliar-Smith, Agarwal and Ciarfella, 1995), with extended virtual
// synchrony.
//
// The package is one pure machine. Packets, new work and passed deadlines go in
// (Receive, Kick, Wake); packets to send and events come out (Effects). It has no
// goroutine, channel, mutex, clock, random source or socket, and it may import
// only membership and internal/wire.
//
// # Order
//
// A token goes round the members in ascending order of their ids. Only its holder
// numbers packets, and most of them follow the token instead of delaying it
// (token.go). A packet holds several small frames or a piece of a large one
// (pack.go, assemble.go). Packets stay in a window (window.go) until every member
// is known to hold them: the stable line, the smaller of the two arus that a node
// sent in its last two visits. Services differ in when a frame is handed up
// (data.go):
//
//	unreliable, reliable    Arrive, when its packet comes; a cut one when it is whole
//	fifo, causal, agreed    Deliver, when everything before it was delivered
//	safe                    Deliver, when it is stable too; what is behind it waits
//
// When all is stable, everybody knows it and nobody has work, the representative
// (the lowest id) keeps the token for Timing.Hold at a time; a node with new work
// wakes it by a small unicast. A ring of one sends nothing but probes: what its
// Source gives is delivered at once, in bounded batches.
//
// # Membership
//
//	Gather       joins with the sets of known and given-up nodes, until those left agree   gather.go
//	Commit       a commit token goes round twice with what each brings along               commit.go
//	Recovery     old packets are sent again until all who come along hold the same         recovery.go
//	Operational  the ring is installed                                                     token.go, data.go
//
// Gather begins at the start, on token loss, when the predecessor falls silent, on
// a join, when rings hear each other both ways (probe.go), and when one receiver
// keeps the ring from moving on. Ring counters start at the wall clock of the first
// representative and only grow, so ring ids never repeat without a disk.
//
// A process that dies on a host that lives is out after some 40 ms: its host says so when
// somebody knocks (knock.go). With the default timing a node that falls silent otherwise is
// out some 0.32 s after its last packet (Silence and Consensus); a healed partition is one ring a fraction of a second
// later, at most Timing.Probe; a node started again under its name is in the ring
// after a few milliseconds, because its incarnation tells at once that its former
// life has ended. TestTimeTo* print these times.
//
// A node that leaves in order waits until the others hold what it has sent, and tells
// them (leave.go): they are a ring again after a few milliseconds.
//
// What does not fit together is kept apart for a while instead of being tried
// again and again: a node that was heard but did not come along, or was asked to
// leave because it kept the others waiting, is shunned for 0.5 s, doubling up to
// 30 s. Joins are limited for each sender; a process that was asleep drops the ones
// that waited for it; a join that gives this node up, or is a member's from before
// the ring, changes nothing.
//
// # What holds
//
//  1. A node hands up frames in the order of their positions, each once; nodes that
//     hand up a packet's frames hand up the same ones.
//  2. Frames of one Stream keep their order and have no gap within a ring, except
//     when their node is lost.
//  3. Installed views with the same ID have the same members, this node among them.
//  4. Nodes that go from one ring to the next together (View.Together) hand up the
//     same ordered frames in between, the same ones of them before Transitional.
//  5. A safe frame handed up before Transitional is handed up by every member of
//     the ring that does not crash; one after it by every member of Together.
//  6. Stable at a position: every member holds all up to there.
//  7. A node that takes a frame from its Source and lives, or leaves in order, hands it up;
//     all members of the ring that it leaves have handed up what of it lies there.
//
// # What the shell owes
//
// It sends Effects.Send in order, knocks where Effects.Knock says, and then hands on
// Effects.Events; it tells the machine who was Refused; it never reuses
// the memory of a packet given to Receive; it calls Wake soon after Deadline, and
// asks PreferToken before each read when both kinds of packets wait. A commit token
// of a site with more than some 25 nodes exceeds MaxPacket and is fragmented by IP,
// so sockets must take datagrams of up to 16 KiB. What was sent by multicast may
// loop back; it is ignored.
//
// # How it is tested
//
// A simulator (sim_test.go) runs whole sites of the machine in virtual time; the
// checker (check_test.go) holds what they hand up against the list above.
// TestRandom throws schedules of faults (schedule_test.go), shortens one that fails
// and writes it down; those kept are in testdata/schedules. More of them:
//
//	go test ./site/ring -run TestRandom -v -ring.shape=long -ring.from=1000 -ring.seeds=20000 -timeout=24h
//	go test ./site/ring -run TestReplay -v -ring.replay=FILE
//
// Every rule of membership can be switched off (hooks.go), and each must then be
// missed (mutant_test.go).
package ring
