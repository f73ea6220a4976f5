// Package seal keeps strangers out of a ring: it turns the ring's packets into sealed
// ones, opens those of others, and knows which key belongs to whom. AES-256-GCM, a
// fresh key for each ring.
//
// The package is pure: keys, counters and replay windows are values; chance comes in
// as an io.Reader. It has no goroutine, channel, mutex, clock or socket. It imports
// membership and site/ring (to tell packets apart). docs/decisions has the reasons, and
// docs/security.md what the scheme does and does not protect.
//
// # Keys
//
//	sender key   one for each node and life, drawn by it, known to its site. It seals
//	             what goes before a ring exists: joins, probes, commit tokens.
//	view key     one for each ring, drawn by its representative. It seals the rest.
//	wrap key     one for each ordered pair of nodes, drawn by the one that will open
//	             with it and known to the other one alone. It carries view keys.
//
// Sender keys and wrap keys travel as Shares, which site/keys hands from node to node
// over DTLS. A view key travels in the commit token of its ring: the representative
// adds an offer for each member, the key sealed under that member's wrap key, and each
// member passes the offers on. So everybody has the key when the token's first rotation
// is through, before the first packet that needs it, and there is no message more.
//
// # A sealed packet
//
//	0  magic 'S', version 1, kind, flags   one byte each
//	4  key id                              first four bytes derived from the key
//	8  sender                              node id, of the node that sealed it
//	12 counter                             of that sender under that key, from 1
//	20 the ring's packet, sealed; of a commit token, offers behind it
//	   16 bytes tag
//
// Bytes 8 to 19 are the nonce. The header is authenticated, and with it, of a packet
// that is meant for one node, that node's id.
//
// # Rules
//
//	K1 A counter is used once under a key: each node counts for itself from the moment
//	   it got the key, and gets a key once. Keys live in memory only; a node that starts
//	   again draws new ones and cannot open an offer that was made to its former life.
//	K2 A view key is drawn for one ring, and the key in use is derived from it and the
//	   ring's id. The one of an older ring is forgotten when a ring is installed.
//	K3 An offer is opened only under the wrap key given to the ring's representative,
//	   for exactly that ring and node, and only if its number is higher than all before.
//	K4 A packet is handed up once (a window of 8192 counters for each sender and key), in
//	   the class that its key is for, in the ring that its key is of, and if it is not
//	   data that others may send again, from the node that sealed it.
//	K5 What cannot be opened costs no more than its tag, and changes nothing.
//	K6 Every table is bounded: peers by the site, sender keys by two for each peer,
//	   view keys by maxViews.
//
// A Keyring is not safe for concurrent use; site/lan has the lock. Sealing and opening
// themselves (Outgoing.Seal, Incoming.Open) need no lock.
package seal
