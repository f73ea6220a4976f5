// Package core composes the two pure machines of a node, the site's ring
// (site/ring) and the replicated machine above it (site/merge), into one. The
// node's shell and the simulator run this same value, so what the simulator
// proves is what the node does.
//
// # What it does
//
// Every method is a step: it hands one thing that happened to the machine that
// wants it and then settles both:
//
//  1. the ring's packets are appended to Effects.Send;
//  2. the ring's events are given to the Replica one by one, in their order, and
//     what the Replica wants done is appended to Effects.Merge;
//  3. if the Replica asked to send, the ring is kicked, and the steps start again
//     at 1.
//
// So when a step returns, the two machines agree and everything that can go out
// now has been handed out. A ring of one delivers to itself and could go on like
// that for as long as its clients have anything to say; after maxRounds the step
// ends, Deadline is in the past, and the next Wake goes on. Packets that arrived
// meanwhile thus get their turn.
//
// # What the shell does
//
// The shell carries out Effects in the order of its fields, then calls Reset. It
// calls Wake when Deadline has passed, and no later than the next step.
//
// # Rules
//
//	R1  Events reach the Replica in the ring's order, each exactly once.
//	R2  Outputs, records, promises and controls leave in the order in which the
//	    Replica made them.
//	R3  Merge.Records are of the log that Merge.State, or the last State before
//	    it, names. Records of a log that ended within the step are in Ended.
//	R4  A step ends, whatever the machines ask for.
//	R5  Time does not go back, and of the Replica's a leap is no part: it goes on by what
//	    this node waited for and a little more, whatever the shell's clock says
//	    (clock.go, docs/decisions/0033). What is left out the Replica is told.
//
// A Core is not safe for concurrent use. The package has no goroutine, channel,
// mutex, clock, random source or socket. It imports membership, site/ring and
// site/merge.
package core
