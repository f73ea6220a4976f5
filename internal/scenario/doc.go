// Package scenario runs whole sites of real node processes in network namespaces,
// breaks them, and looks at what clients see: as tests, and to measure how long
// everything takes (scripts/bench-views).
//
//	site, err := scenario.NewSite(scenario.Config{Nodes: 5, Binary: ringway})
//	chatter := scenario.NewChatter(site, scenario.ChatEvery) // clients that send all the time
//	err = site.Nodes[2].Kill()
//	err = chatter.Views(ctx, []string{"n1", "n2", "n4", "n5"})
//	err = site.Nodes[2].Start()
//	err = chatter.Finish(ctx)
//	chatter.Close()
//	verdicts := scenario.Judge(chatter.Sessions())
//
// # A site
//
// A Site is one LAN of namespaces (internal/netlab) with a `ringway node` in each, with
// multicast and all defaults. Clients use unix sockets, which all namespaces share; the
// nodes' admin ports are reached from within their namespaces. Logs go to files of which
// a failing test prints the ends. Everything is gone after Close, and if the process
// that made it is killed, with the next one's start.
//
// # Chatter
//
// A Chatter has two clients at each node. They send messages of all services and of
// sizes from nothing to a hundred packets, to one group or to two, and one of them
// joins and leaves a group now and then. Each keeps a record of everything it gets.
// Settled waits until all are in one view and everything sent there has arrived at
// everybody.
//
// # The judge
//
// Judge compares the records. It knows nothing but what clients see, and asks:
//
//   - Messages are as they were sent, come once at most, to members only, and in the
//     sender's order from FIFO on.
//   - One order exists that contradicts no session: messages of causal and stronger
//     service and views in the order in which each got them, and everything that a
//     session had got or sent before its own next message (P11, P12).
//   - All copies of a view say the same; a view has its owner in it and comes once; its
//     sets divide its members (P1, P2, P5).
//   - Who goes from one view to the next together comes from the same view with the
//     same messages (P7, P15).
//   - A safe message that comes before the signal comes to every member of the view
//     that does not crash, and after it to everybody who comes along (P14).
//   - What a session sends to a group that it never leaves comes back to it (P8).
//
// The nodes' own traces, where they are written, are judged by internal/evs as well.
//
// # Measure
//
// Measure does the same faults again and again on three nodes and takes times, from
// before the fault is injected until the last client has the view that follows.
//
// The package is for Linux.
package scenario
