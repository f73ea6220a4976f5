// Package scenario runs real node processes in network namespaces, breaks them, and looks
// at what clients see: a whole site, as tests and to measure how long everything takes
// (scripts/bench-views), and labs of any topology, by scripts.
//
//	site, err := scenario.NewSite(scenario.Config{Nodes: 5, Binary: ringway})
//	chatter := scenario.NewChatter(site.Nodes, scenario.ChatEvery) // clients that send all the time
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
// # Scripts
//
// A Script is a scenario in a lab (internal/lab), a page of text in the folder scripts:
//
//	# The site's LAN loses 5 %, then a node dies.
//	lab one-site.toml
//
//	set lon loss=5%
//	settle
//	kill lon-2
//	view without lon-2
//	run lon-2
//	view all
//
// A Stage plays it: all nodes start, with two clients each that chat; when they have
// settled, the script does its lines, one after the other, and a line that waits fails
// after a minute. In the end everything must be well: all clients in one view, with
// everything that they sent. Then clients' records, processes and traces are judged.
//
// Settings, before anything else:
//
//	lab FILE              the topology, relative to the script; its nodes need admin ports
//	chat TIME             how often each client sends, on average; default 40ms
//	untraced              no traces: where many messages are to be carried and what the
//	                      clients see is enough to judge by
//	disk NODE SIZE        the node's logs and traces are on a disk of its own, as 256kb
//
// What `ringway lab` does as well; a site stands for all its nodes:
//
//	kill stop run restart pause continue NODE…
//	set LINK|SITE|NODE KEY=VALUE…, cut A-B, join A-B, partition A,B/C, heal
//
// so `kill`, `pause`, `stop` (which drains) and `run` of a gateway are its crash, hang,
// drain and return.
//
// More faults:
//
//	flap A-B TIMES DOWN UP   the link goes, and comes back, again and again, as 5 1s 500ms
//	files NODE NUMBER     the process may have so many files open
//	crowd NODE            clients connect until the node takes no more
//	leave NODE            they go, and the node takes a new one
//
// What is waited for:
//
//	settle                all clients are in one view and everything has arrived
//	view all              a view of exactly these clients: all,
//	view without A B      all but those at A and B,
//	view A B / C          or one for each part
//	together A B          a view with these, with others or without
//	deliver A B / C       every client of each part sends what comes to all of that part
//	sites A B / C         the nodes' view of sites is exactly their part
//	path A B C            all gateways of A reach C over B as the next site; path A C: directly
//	filled NODE           its disk is full, and it says so
//	go TIME               clients chat
//
// What is measured and printed, but not judged:
//
//	stream NODE RATE      a client there sends so many messages a second, and one at each
//	                      node looks whether every number comes, once and in order: that is
//	                      judged, but while their views do not have the sender. Who sends
//	                      must live.
//	watch                 from now on,
//	stall A B / C         so long no message came to a client of each part, and none of
//	                      each stream; in the end, median and longest of the streams' stalls
//
// Again and again:
//
//	repeat TIMES          the lines up to
//	end                   this one
//
// Those in scripts/long hold, too, and take minutes. One that does not hold yet would stand
// in scripts/waiting and say what it waits for; there is none.
//
// # Chatter
//
// A Chatter has two clients at each Place, a node of a site or of a lab. They send messages of all services and of
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
//   - All copies of a view have the same members, and agree on who came along with whom; a
//     view has its owner in it and comes once; its sets divide its members (P1, P2, P5).
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
// before the fault is injected until the last client has the view that follows. MeasureSites
// does so with sites in a lab, of which one is cut off.
//
// The package is for Linux.
package scenario
