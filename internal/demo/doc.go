// Package demo is Ringway's main job on one machine, without root and without a file:
// sites of two nodes each as processes on loopback, WAN links emulated between their
// gateways, a member in every node, a real feed published from every site, a
// site cut off and a gateway killed, and in the end a comparison of what all members received.
//
// # What runs where
//
// Nodes are child processes: this program's own `ringway node`, with a generated
// topology, certificates of a throw-away authority and log files in a temporary folder.
// Relays (internal/relay), clients and the comparison run in this process, so one clock
// stamps sending and receiving.
//
// # Steps
//
//  1. Start nodes; wait until each says that the federation is complete.
//  2. Connect a member to every node and a publisher to one node of each site.
//  3. Publish the feed, a line a message, service agreed, round robin over the sites.
//  4. Cut the last site off while everybody speaks (isolate.go). Both sides get views of
//     their own and go on; a group with members in one site only notices nothing. Heal;
//     they merge.
//  5. Kill a gateway with SIGKILL while everybody speaks, and start it again (strike.go).
//  6. Compare (compare.go): what two members both have is in the same order, byte by
//     byte; each message is everywhere where it had to arrive, once, and nowhere else;
//     each publisher's messages in its order; the same between the same two views. And it
//     has taken less than a minute until here.
//
// A node that does not get to run for as long as the others wait is given up by them, as it
// should be; what was sent meanwhile is then not everywhere. Members who lose sight of each
// other with nothing cut between them therefore end the attempt, with that as the reason, as do
// nodes that are not ready in time, and all begins again with longer time-outs (apart.go); the
// second time it is an error.
//
// With Config.Keep all of it then goes on running until interrupted.
//
// # Output
//
// Text tells this as a story; on a terminal, a picture of sites, links and counters
// stands below it (picture.go). With JSON, each line is an object with a "type": start,
// ready, again, progress, cut, kill, latency, local_latency, check, result, running; their
// fields are those of the types in report.go, and are only ever added to.
//
// # Rules
//
//  1. Children end when this process does, however it ends; they are ended by process
//     id.
//  2. Every wait has a deadline, and what was waited for is said when it passes, with
//     the ends of the nodes' logs.
//  3. Messages under way are bounded.
package demo
