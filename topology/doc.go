// Package topology reads the operator's file: the one description of a federation
// that all its nodes share (docs/topology.md has the schema).
//
// # What it gives
//
// Load and Parse return a Topology that is complete and consistent, or a *Faults with
// everything that is wrong, by line, each with what would be right. There is nothing
// in between: no topology with warnings, no default that hides a slip.
//
// # How it reads
//
//	bytes -> line index (lines.go) -> TOML decoder -> tables (table.go)
//	      -> sections (read.go), values (values.go) -> whole file (check.go)
//
// The decoder turns the file into maps; reading those by hand, not by reflection into
// structs, is what lets every fault be collected: a wrong type in one place does not
// end the reading of the others. The decoder keeps no positions, so a small scanner
// finds the line of every key beforehand. It also refuses what the decoder would
// choke on: arrays within arrays without end, keys without end.
//
// # Rules
//
//  1. A Topology that Load returned never changes; a reload makes another.
//  2. Every node has an id, a name, an address and at least one client listener.
//     Names and ids are unique in the federation, those of sites too.
//  3. No two sockets that nodes open collide, as far as a file can tell: an address
//     belongs to one machine, except loopback, which every machine has. Nodes with the
//     same LAN address, and nodes on loopback, are taken to share a machine.
//  4. A site of several nodes has a multicast group of its own or says that it uses
//     unicast. All addresses of a site's ring are IPv4, or all are IPv6.
//  5. With two sites or more, each has a gateway and links lead from each to each
//     other. A file without links means a link between every two sites.
//  6. Faults come in the order of lines, at most maxFaults of them. TOML that does not
//     parse is one fault, because what follows it has no certain meaning.
//  7. Where rules of access are given, the first that matches a client decides; a
//     client that none matches may do nothing.
//
// It may import membership, and nothing else of Ringway's.
package topology
