// Package demo is Ringway's main job on one machine, without root and without a file:
// sites of two nodes each as processes on loopback, WAN links emulated between their
// gateways, a member in every node, a real feed published from every site, and in the
// end a comparison of what all members received.
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
//  4. Cut every WAN link. A group with members in one site only goes on; a federated
//     message waits. Heal; what waited arrives, and the federation goes on.
//  5. Compare: every member has the same messages in the same order, byte by byte;
//     every line once; each publisher's lines in its order.
//
// # Output
//
// Text tells this as a story. With JSON, each line is an object with a "type": start,
// ready, progress, cut, latency, local_latency, check, result; their fields are those of
// the types in report.go, and are only ever added to.
//
// # Rules
//
//  1. Children end when this process does, however it ends; they are ended by process
//     id.
//  2. Every wait has a deadline, and what was waited for is said when it passes, with
//     the ends of the nodes' logs.
//  3. Messages under way are bounded.
package demo
