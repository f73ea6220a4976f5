// Package evs holds the traces that nodes record and checks what extended virtual
// synchrony demands of them (docs and PREDICATES). The simulator, integration
// tests and live nodes write the same traces.
//
// # Traces
//
// A trace is what one node recorded in one life: JSON lines, one Event each, in
// the order in which they happened there. Decode is strict. A trace that ends with
// stop is that of a node that was there at the end; without it the node crashed.
//
// Some kinds of events are added to those of PREDICATES.md, so that a trace can be
// checked that was taken at the outside of a node, where only sessions are seen:
// connect and gone (a session's begin and end; connect names its private group)
// and ask (the session asked to join or leave a group). cast says when a message without
// order that concerns its site only left its node: no machine accepts it.
//
// # From outside, and with keys
//
// The place of a message in the order, (T, source, n), is known to the machine
// only. Traces with send events have it ("keyed"). Without it the checker uses
// that group views have the same id everywhere and a place in the total order: who
// is addressed follows from the view of the group that a member had when it got
// the message. What follows marks what each predicate is checked by.
//
//	P1  self inclusion            ring, view
//	P2  agreement                 ring, view, formed
//	P3  monotone views            view and attach; dlv with a view
//	P4  signal, then view         sig, view, lineage, attach
//	P5  transitional sets         sig, view
//	P6  integrity                 outside, by the client's own joins and leaves; keyed, by place
//	P7  virtual synchrony         keyed, between views; outside, between rings
//	P8  self delivery             keyed; outside, in runs that settle, for members when they sent
//	P9  configuration             keyed
//	P10 sender's order            outside
//	P11 causal                    (a) outside; (b) keyed, else it follows from P26 with (a)
//	P12 total order               outside, with group views and signals
//	P13 no hole                   outside, by group view; and keyed
//	P14 safe                      outside, in runs that settle, by group view and signal; and keyed
//	P15 same place                outside; also that nobody leaves a group view out
//	P16 after down                keyed; but for fifo messages, whose deadline is no place
//	P17 one lineage               formed, lineage; on one clock also that older rings are older
//	P18 same T                    keyed
//	P19 promises                  import, promise and send
//	P20 streams                   import
//	P21 released is safe          Facts
//	P22 site agreement            send, down, import, cut and view, by ring and instance
//	P23 scope                     Facts: the traces of the same seed with an untroubled WAN
//	P24 bounds                    Facts
//	P25 one component             in runs that settle, on one clock, if it is known since when
//	P26 everything arrives        in runs that settle; keyed, and outside
//	P27 nothing left              Facts
//	P28 few views                 as P25
//	P29 one line of primary views clocks that can be compared
//
// Judge says which of them could not be checked, and why. Facts are what only the
// simulator knows, who sees all nodes at once. Strict EVS, which also asks for equal
// regular parts, is promised for local messages only (P7); Verdict.Parts counts how
// often others were in different parts.
//
// A client whose node went on without most of its ring, or took up another lineage,
// is left out until it has come back where somebody must stay (P8, P14, P15's gaps,
// P26): what it missed meanwhile is a question of configurations, which P7 asks.
//
// # Cost
//
// Some thousand messages and tens of clients take well under a second, a million events
// of some ten nodes about ten: P11 keeps pasts as bit sets, P12 sorts topologically, P13
// to P15 go through group views. Time is nearly linear; the pasts take a bit for each
// pair of messages.
//
// # Reading the code
//
// event.go and codec.go are the trace, check.go the table of predicates, history.go,
// place.go and periods.go what they look at; configuration.go, messages.go, order.go,
// synchrony.go, mechanism.go, liveness.go, quiet.go and facts.go the predicates.
//
// The package imports nothing of ours.
package evs
