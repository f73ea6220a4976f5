// Package merge orders messages between sites: every site's ring orders inside the
// site, and site streams are merged by deadline timestamps. It is level 2 of the
// hierarchical sequence and keeps the group directory.
//
// # The idea
//
// A federated message carries a deadline T, far enough ahead for its farthest
// destination. Every site promises each other "all that I send you later lies above
// P", P running ahead by the path's delay. A site delivers up to its horizon H, the
// lowest of its own clock and all promises, in the order of (T, source, number). Local
// messages are delivered in the ring's order and never wait for the WAN, unless their
// own sender has a federated one under way (the hold rule).
//
// # Parts
//
//	Replica     a node's whole: takes ring events, clients' requests and what the
//	            overlay brings; is the ring's Source
//	machine     the replicated state: a function of the ring's order, alike at all
//	            nodes of the site (accept, order, inbound, directory, view, nodes)
//	proposer    this node's clients: what the machine has not accepted yet, and the
//	            deadlines that are proposed for it, at the token's visit
//	gateway     when to tick, what to release, which promises to give
//	importer    records that came in and are not in the ring's order yet
//	bulk        large bodies between sites, which go ahead of their records
//	breach      who breaks the protocol, and what becomes of it
//	descent     lineage: which of the nodes that meet in a ring have the state, and
//	            how the others get it (a snapshot through the ring)
//	arrival     how nodes that have no part in it yet bring in their clients
//	flush       a change of the site view: its steps, and what each is decided by (fill,
//	            cut, tail, install)
//	slow        who is slow, for groups that do not wait for ever
//	exchange    a gateway's part in a flush: what it sends, and makes up for
//	proposal    site views: who proposes one, and when (peers: who is steady enough)
//
// # Rules
//
// The names are those of docs/services.md and of the comments at the types.
//
//	S1  What reaches outward rests on Ticks at or below the act line L, which every
//	    member of the ring holds.
//	S2  A record leaves the site when every member of the ring holds what accepted it.
//	S3  A promise speaks of a Tick that is itself held by every member.
//	C7  Time in which the node could not act, and leaps of its clock, are no part of the
//	    time that steps are given; view time makes up for the former (sleep.go).
//	P2  The machine accepts or rejects a proposed T; it never changes it.
//	I1  Imports are taken by index, so that several gateways may bring the same one.
//	I2  A promise counts when the records below its index are there.
//	I4  Who breaks the protocol is taken out of the view. A gap in a stream is its
//	    source's doing if the log has nothing between, and the site still lacks it when all
//	    of the ring hear of it (docs/decisions/0037).
//	J1  The first member of a site in a group is announced to all sites, which answer
//	    with what they have, before its join gets a deadline.
//	J4  The last one's leave takes the interest away again.
//
//	N1  Of several fragments of a site at most one goes on with its instance: a
//	    majority of the electorate, and of every electorate that others may have
//	    formed since (docs/decisions/0011). The others close it and learn, or found
//	    their own.
//	N4  Behind a gap that a broken ring left, only clients' messages count.
//	N8  Nodes that come into an instance are let in together, so that each of their
//	    groups has one new view, with a set for each part (docs/decisions/0012).
//
//	B1  A large body goes to other sites before its request, behind everything else (bulk.go).
//	B2  A site takes so much of bodies from each other one, those first that came first there.
//
// A group that loses somebody to a broken ring has its transitional signal before
// anything that the lost may not have; from then until the view without them, joins
// and leaves look like changes of the network, as Spread's clients expect.
//
// V, the line up to which everything is delivered, stays below the T of every pending
// record, also of one whose T another, delivered record shares. A site's answer to a
// Prepare outdates its own earlier records to that group. Both were found by the
// random federations of this package's tests.
//
// # Views of sites
//
// A view is a list of instances. When link state shows another list, or a member does
// not keep up, the reachable instance with the lowest id proposes a new view; flush.go
// has the rules X2 to X7. Each step is decided by the ring frame that brings the last
// thing it needs, so that all nodes of an instance take it at one position:
//
//	X1  Proposals have growing epochs. The next instance's turn comes a second later.
//	    One that makes no progress is proposed anew, without who is missing most.
//	X3  Every control message carries the whole proposal: whoever gets one takes part.
//	    A Fill is a stream of bytes, the same at all nodes of its sender; the promises
//	    that come with its first piece need not be.
//	    What it brings of a third one's records is acted on in the order of their index.
//	X5  Any true promise of a lost source is evidence, whoever kept it. A whole promise
//	    says also what others can have delivered of what is lacking here, so that few have
//	    to end a view alone (stand.go, docs/decisions/0023).
//	X6  Directories travel in Fills, so that an install gives each group one view,
//	    with the same sets everywhere: those who end the old view with one key.
//	    Members of sources that are lost leave the groups before what lies above K:
//	    not all that go on together know the same of them.
//	X8  Who was lost has to be steady before a view takes it in again, longer each
//	    time; its own proposals are declined for as long, and it is told how long
//	    (docs/decisions/0036). Nobody is taken out of a view whose others come in a moment.
//	B6  Who is slow is taken out for the sake of groups that do not wait (slow.go). Whoever
//	    sees members in a newer view, which it cannot be part of without having said
//	    Ready, goes on without them at once.
//
// Several instances of one site may be in one view: parts of a site that lost touch.
// They are members like others. A node may close a view in one of them and come back to
// the very same view in another; nothing at or below what it saw reaches it again.
//
// Clocks, leads and lateness decide latency, never order.
//
// # Testing
//
// `go test ./site/merge -merge.seeds=1000` runs random federations in virtual time;
// -merge.seed repeats one. TestRandomPartitions cuts WANs and
// sites apart, TestHarshWAN one link after the other while half of the promises are lost,
// TestTornRings sites whose rings lose packets; with -merge.first=0 others each time. Every
// rule can be switched off by hooks, and a test must notice (docs/rules.md).
//
// Package merge may import internal/wire, membership and site/ring. It has no
// goroutine, lock, clock, random source or socket.
package merge
