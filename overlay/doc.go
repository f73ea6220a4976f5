// Package overlay is the gateways' shell: QUIC links between sites, and everything
// that travels over them. It moves bytes and knows the shape of the network; what the
// bytes mean is for the packages that call it.
//
// # What a Gateway does
//
//   - Links. It keeps one to eight QUIC connections (lanes) to every gateway of the
//     linked sites and of its own site, more than one while they make a link faster that
//     holds up its writers; the end with the lower name dials. The certificate says who the
//     peer is, the first stream (the hello) that both mean the same federation and
//     version. Hellos, datagrams answered at once, measure the link and decide
//     whether it is up. A gateway whose site knows that its process is dead is not waited
//     for (obituary.go). Which sites are linked may change while it runs (SetLinks).
//
//   - Link state. It advertises its own links, signed, floods what others advertise,
//     and computes routes (package routing). What a link costs is its way, without the
//     queues that traffic makes (type meter; docs/decisions/0031).
//
//   - Logs. Every site instance is a log of numbered entries, each with destinations. A
//     site in one piece is one instance; a split one has several, each with the gateways
//     that advertise it. A gateway subscribes at its parent in the tree of the log's
//     origin; for its own instance, if
//     routing made it the importer, and for the children that subscribed here. So an
//     entry crosses a link once, and only towards sites that it is for.
//
//   - Promises: small, newest wins, datagrams, down the own instance's tree and along a
//     second path that shares no gateway with it. On a full link they make room for the
//     records (type ration).
//
//   - Datagrams: to the nearest gateway of each of some instances, hop by hop, at most once
//     and in any order, for a Handler's unreliable messages. They get lost where a packet
//     does, and where there is no room (note.go, share.go).
//
//   - Control messages: to one gateway of an instance, hop by hop, on a stream of their
//     own. They arrive in order, at most once. Those under way over a link that falls
//     silent take another way (reroute.go); one that is at a gateway that dies is lost:
//     senders repeat until answered.
//
//   - Certificates. Links are made anew when certificates change, the new connection
//     before the old one goes, and closed when a peer's no longer counts (admit.go).
//
//   - Bulk: control messages that are large and can wait, on a stream of their own that
//     takes turns with the logs' (Gateway.Bulk). None is sent another way.
//
//   - Proofs. Own logs are sealed, block by block, as far as somebody takes them; what
//     comes of other logs is used and passed on once its block's seal was good. Promises,
//     notes that others pass on and control messages are signed by their origin (seal.go, proof.go, stamp.go;
//     docs/decisions/0017).
//
// # State
//
// One goroutine, the event loop, owns links, link state, routes and subscriptions
// (type core). All other goroutines move bytes and hand it events (Gateway.post):
// per lane a few readers and writers; per subscription one reader here and one writer
// there; per imported log one importer; one for the Handler's other methods. The loop
// never waits for any of them, nor for the Handler.
//
// # Rules
//
//  1. Entries of a log reach the Handler in the order of their numbers, each at most
//     once while the log is pulled. Nothing is lost by a lost link or a new parent:
//     whoever subscribes says from which number on, for each site.
//
//  2. A store covers instances from a floor on (type store). A taker whose position is no
//     longer held is refused (refusedDropped), looks for another holder that is nearer
//     to the origin, and at last insists; the parent then goes back upstream, and for
//     a bounded time lets the log wait for that child.
//
//  3. A parent must be nearer to the log's origin than the child: no circles.
//
//  4. Nothing is queued for a child. Its writer reads the store by number, QUIC's flow
//     control holds it back, and what the Handler has not taken holds back the parent.
//
//  5. Every queue and every decoder has a bound (limits.go). Promises and notes drop the oldest,
//     control messages the newest; link state keeps one advertisement a gateway.
//     A subscription uses all lanes of its link (stripe.go): its batches are numbered, and
//     appended in that order.
//
//  6. A peer that breaks a rule (errBreach) is disconnected, counted and named in the
//     log, at a bounded rate. One that should not be here at all is refused before it
//     becomes a lane.
//
//  7. A link that went down has to prove itself, longer each time; meanwhile it carries
//     only what has no other way. One that connects for the first time is up at once.
//
//  8. A planned stop is announced (routing.Draining) before the links go.
//
//  9. Nothing of another site counts, or is passed on, that its origin did not sign: so
//     whoever passes on something bad is to blame. What arrives on the origin's own link
//     needs no proof until it is passed on. A certificate that only this gateway does not
//     trust is nobody's breach.
//
// # Locks
//
// Three kinds, each held for a few instructions and never while waiting: the inbox's,
// then a store's; and those of the queues between two goroutines, which are leaves, as
// is the verifier's. Nothing is called back while a lock is held.
//
// # Imports
//
// Package overlay may import topology, membership, routing, internal/wire and
// internal/pki, and quic-go.
package overlay
