// Package site is a node: one event loop that feeds the ring and the merge machine
// (site/core) from the outside and carries out what they want done.
//
//	   LAN                clients               gateways of other sites
//	site/lan            site/session                  overlay
//	    \ batches of        | batches of               / batches of
//	     \ packets          | requests                / records
//	      +-----------> inbox -----> loop <----------+
//	                                  |
//	                              site/core
//
// # Who owns what
//
// The loop's goroutine owns the core, the gates and everything else that has no lock;
// a comment at each type says so. Reader goroutines leave batches in the inbox and
// never touch the core. Writers (the ring's sockets, the sessions' queues, the
// overlay's logs) take what the loop hands them without blocking it. There is one
// lock here, the inbox's; nothing is called while it is held.
//
// # Rules
//
//  1. Time is monotonic and starts at zero with the node.
//  2. With data and token packets waiting, the ring decides which come first.
//  3. What a step wants sent on the ring is sent before the next step. What it wants
//     handed to clients and to the overlay is handed over once for each batch.
//  4. A producer is held back by a gate when its queue in the replica is full: a
//     session is then not read, an overlay stream is not read. Nobody else waits.
//  5. A stop is orderly, and the loop runs until its end (drain.go): clients' departures
//     go round the ring, other sites get what was sent, the gateway hands over, the ring
//     is told, then the sockets close.
//  6. Of a topology that changes while the node runs, only what no other node of the site
//     has to decide alike is put in force: rules of access, and links (reload.go).
//  7. The overlay is told from where each log goes on. Where the replica goes on lower than
//     it has got, the log is pulled anew (puller.go).
//
// Package site may import every package but cmd and the simulator.
package site
