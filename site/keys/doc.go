// Package keys lets the nodes of a site meet: pairwise DTLS sessions on the UDP port
// after each node's LAN address, with certificates on both sides, over which each node
// tells each other one its share of the ring's keys (site/seal says what a share is).
//
// # Sessions
//
//	dial     a node dials every other node of its site with which it has no session; a
//	         sealed packet of a node whose keys it does not have makes it dial at once
//	accept   one socket; a connection for each remote address; each handshake in a
//	         goroutine of its own, so that nobody waits for somebody else's
//	talk     both sides tell their share until it is acknowledged, and again each second;
//	         who says nothing for a while is dialled anew
//
// Sessions are means only. Shares are the same in all sessions with a peer, so two that
// come about at once do no harm; a share stays good when its session ends, so a ring
// does not depend on the port after it was formed. What ends a share is a new life of the
// peer, a newer share, or that its certificate is no longer valid: expired, revoked, or
// of a node that the topology no longer has. Then the peer is forgotten and all others
// are given new shares, which it never learns.
//
// # The handshake
//
// pion/dtls v2, DTLS 1.2, with one cipher suite, our own implementation of
// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 (RFC 7905), whose nonces are the IV
// and the record's number. The suites that come with the module draw their explicit
// nonces at random (CVE-2026-26014) and are not offered. Ed25519 certificates,
// extended master secret, no resumption, no pre-shared keys.
//
// # Strangers
//
//	1 datagrams from addresses that no node of the site has are dropped
//	2 who has not echoed a cookie (HelloVerifyRequest) has one of pendingMax places,
//	  the oldest gives way; new ones are limited in rate for each address
//	3 who has, has one of verifiedMax places and handshakeTime to finish
//	4 a certificate must name a node of this site, be valid now and not be revoked;
//	  who dials wants the node that it dialled
//	5 of an established session, only sealed records count: alerts in the clear, with
//	  which a stranger could end it, are dropped
//	6 messages are of fixed size and few; a session that sends nonsense is closed
//
// Each cause is counted, and logged once a minute.
//
// Package keys may import membership, site/seal and internal/pki.
package keys
