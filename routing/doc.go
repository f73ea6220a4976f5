// Package routing is the link-state side of the overlay, as pure values: what every
// gateway says about itself, the database of all of it, and the paths that follow.
//
// # Words
//
// A gateway advertises its own adjacencies, nobody else's. An Advertisement is
// ordered by (Incarnation, Counter); the incarnation is the gateway's boot. Signed is
// an advertisement as it travels: relayed unchanged, with its origin's signature,
// which the shell verifies before it puts it into the Database.
//
// # Paths
//
// Compute takes a database and makes Routes, a value that never changes:
//
//  1. An edge counts only if both ends advertise it; it costs what its dearer end
//     says, so that both directions agree.
//  2. A gateway that drains may begin or end a path, not lie within one. One whose site
//     lets nobody through (NoTransit) may lie within paths that begin or end in its site.
//  3. Equal cost: the path over the lower gateway ids wins, so that all who have the
//     same database find the same paths.
//  4. Every site instance that some gateway advertises has a tree, whose roots, at
//     distance zero, are the gateways that advertise it. Data of the instance flows down
//     its tree. Roots that drain feed only what the other roots do not reach.
//  5. In every other instance, be it of the same site, the gateway nearest to the roots
//     (ties: the lowest id) is the importer; one that drains only if all that can be reached do. So a gateway
//     that drains loses its children and its imports wherever somebody can take over,
//     and cuts nobody off where nobody can.
//  6. A gateway that another one of its site calls dead does not count, in that life and
//     in all before it: its neighbours would find out only by its silence. One that lives
//     refutes it by a higher incarnation (as in SWIM; Das, Gupta, Motivala, 2002).
//
// A site whose ring is split is two instances, each with gateways of its own, and so
// two trees. A gateway that advertises no instance passes data on and imports nothing.
//
// Gateways of one site are neighbours like any others; their LAN edge has the cost
// LANCost.
//
// # Bounds
//
// A database has at most MaxGateways entries of at most MaxEdges edges each.
//
// Package routing may import internal/wire and membership, and has no goroutine,
// lock, clock, random source or socket.
package routing
