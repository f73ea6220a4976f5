// Package pki says who a node is: the authorities of a federation, the certificates of
// its nodes, what has been revoked, the TLS configurations in which gateways show their
// certificates to each other, and the signatures under what others relay.
//
// # Who is who
//
// A federation has one authority (ca.pem, ca-key.pem), made by `ringway keys init`, or
// one for each site (`--site`), whose certificates stand together in every node's
// ca.pem. It signs a certificate for each node (NODE.pem, NODE-key.pem), made by
// `ringway keys issue`. A certificate carries its owner's name as its only URI:
//
//	ringway://FEDERATION/site/SITE/node/NODE
//
// All keys are Ed25519. A node needs ca.pem, revoked.pem if there is one, and its own
// two files; ca-key.pem stays with whoever issues. ca.pem may hold several
// certificates, so that an authority can be replaced while nodes run.
//
// A throw-away identity is made in memory, signed by itself, for a federation on
// loopback or one that was told to be insecure. It believes every peer's name.
//
// # What changes while a node runs
//
// Watch looks at the files each second. A new certificate is shown by the next
// handshake and signs what is signed next; new authorities and revocation lists count
// for every check that begins afterwards. What cannot be used is reported, and what
// was read before stays. Who depends on it waits for Changed, then asks Allowed about
// the peers it has.
//
// `ringway keys revoke` writes revoked.pem: X.509 revocation lists in PEM form, one for
// each authority and signed by it. issued.jsonl, beside ca-key.pem, has a line for each
// certificate, so that a node is revoked with all that it ever got.
//
// # Rules
//
//  1. TLS 1.3 only, ALPN "ringway/1", certificates on both sides. A peer that
//     negotiated another protocol, or none, is refused.
//  2. A peer is the name in its certificate, never its address. The name counts only
//     after the certificate was found to be signed by an authority that may sign for
//     that site, valid now, not revoked, and meant for that side of TLS. A clock may be
//     behind by ClockSkew; and who is believed already is not asked again whether it is
//     valid yet, only whether it still is. A throw-away identity skips this rule, but
//     not 3.
//  3. The certificate's federation is the own one. Who dials names the node that must
//     answer; who listens learns from PeerName who called, and decides.
//  4. A signature covers the purpose, then the body: made for one purpose it proves
//     nothing for another.
//  5. Private keys are files that only their owner may read; others are refused. No
//     authority is ever overwritten. A certificate is renewed for the key that exists,
//     unless a new key is asked for. A revoked key is never used again.
//  6. What is cached is bounded, and outlives neither the certificate's validity nor
//     the authorities and lists it was checked against.
//  7. A list never goes back to an older one while a node runs and trusts its authority.
//
// It imports nothing of Ringway's.
package pki
