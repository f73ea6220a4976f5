// Package trace records what happens at a node as events of internal/evs, so that a
// real node is judged by the same code as a simulated one.
//
//	Recorder   turns steps of a site/core machine, and what clients ask for, into events
//	Writer     writes events to a file, off the loop that records them
//	Load       reads files back, and joins them to the traces of one run
//	Moment     what all clocks say when a trace begins, so that Load can compare traces
//
// A Recorder is fed in the order of things: what clients do when it reaches the core,
// and a step's Effects when they are handed out. Its Note is merge.Config.Trace.
//
// # Names of messages
//
// A machine numbers requests when they are proposed, and anew when a node comes to
// another instance; clients number what they send. In a node's events Submit has the
// client's number, everything else the machine's, and Named says which is which. Load
// replaces the one by the other. A message of a node that crashed before it knew keeps
// the machine's number, beyond all others (Unnamed).
//
// # Files
//
// One file a node's life: NODE-BOOT.jsonl, JSON lines as docs/traces.md describes.
// It is flushed every FlushInterval and at an orderly stop. A node that is killed loses
// the last events; a torn last line is left out.
//
// Package trace may import internal/evs, membership and the pure machines.
package trace
