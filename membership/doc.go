// Package membership has the words that every other package speaks: ids of nodes,
// sites, instances, views and clients; the services; site views; sets of their
// members; and the membership of one group as one site knows it.
//
// # Identity
//
// NodeID and SiteID are hashes of names, so they do not depend on the order of the
// topology file. An InstanceID names one uninterrupted lineage of a site's rings. A
// ClientID is never used twice. A ViewID names a site view: epochs only grow.
//
// # Site views
//
// A SiteView is a list of at most MaxSites instances, ascending, and an id. Whoever
// has to talk about several members of a view does it with a Set, a bit for each
// place in the list.
//
// # Groups
//
// A Group holds who is in a group: the members at this site and, when the group
// reaches further, those that other sites told about. Invariants:
//
//	M1  A client stands in a group at most once.
//	M2  Own and remote members are apart: what one site says about its members never
//	    changes those of another.
//	M3  Slices that were handed out are never changed; a change makes new ones. So
//	    they can be shared with whoever still writes them to a socket.
//
// The package is pure: no goroutine, channel, mutex, clock, random source or socket.
// It may import only internal/wire.
package membership
