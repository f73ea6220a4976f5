// Package spreadconf reads the configuration file of the Spread Toolkit and writes the
// topology file that is nearest to it: what `ringway check --from-spread` prints.
//
// # What becomes of what
//
//	segment                  a site, with the segment's group if that is multicast, else unicast;
//	                         with Options.OneSite, or if the file says WideAreaNetwork = false,
//	                         all segments are one site
//	daemon                   a node; its name without what names may not contain
//	interfaces C, D, M       clients, address, admin
//	TokenTimeout             timing.token_loss, where it is no default of Spread's
//	MaxSessionMessages       access.limits.queue_messages, if it is more than the default
//	authentication methods   access.methods, and addresses for the file of method IP
//
// Everything else is a note in the file: each keyword with its line, why nothing in the
// topology stands for it, and what to do instead.
//
// # How it reads
//
//	bytes -> words (lex.go) -> segments and settings (parse.go, segment.go)
//	      -> sites and nodes (convert.go, ports.go), notes (keywords.go,
//	      settings.go, access.go) -> text (write.go)
//
// # Rules
//
//  1. What Topology writes passes topology.Parse; it checks that itself.
//  2. Everything that is wrong is reported at once, by line, as *topology.Faults. Only
//     what Spread itself would not understand is wrong: an unknown keyword, a value of
//     another kind, an address that two daemons have.
//  3. It opens nothing. A daemon of which the file has the name alone is looked up by
//     the function that the caller gives.
//
// It may import topology and membership, and nothing else of Ringway's.
package spreadconf
