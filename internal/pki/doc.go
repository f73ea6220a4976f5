// Package pki says who a node is: the federation's certificate authority, the
// certificates of its nodes, the TLS configurations in which gateways show them to
// each other, and the signatures under link-state advertisements.
//
// # Who is who
//
// A federation has one authority (ca.pem, ca-key.pem), made by `ringway keys init`.
// It signs a certificate for each node (NODE.pem, NODE-key.pem), made by
// `ringway keys issue`. A certificate carries its owner's name as its only URI:
//
//	ringway://FEDERATION/site/SITE/node/NODE
//
// All keys are Ed25519. A node needs ca.pem and its own two files; ca-key.pem stays
// with whoever issues. ca.pem may hold several certificates, so that an authority can
// be replaced while nodes run.
//
// A throw-away identity is made in memory, signed by itself, for a federation on
// loopback or one that was told to be insecure. It believes every peer's name.
//
// # Rules
//
//  1. TLS 1.3 only, ALPN "ringway/1", certificates on both sides. A peer that
//     negotiated another protocol, or none, is refused.
//  2. A peer is the name in its certificate, never its address. The name counts only
//     after the certificate was found to be signed by the authority, valid now and
//     meant for that side of TLS. A throw-away identity skips this rule, but not 3.
//  3. The certificate's federation is the own one. Who dials names the node that must
//     answer; who listens learns from PeerName who called, and decides.
//  4. A signature covers a text that nothing else in the protocol signs, then the
//     body: a signature made for one purpose proves nothing for another.
//  5. Private keys are files of mode 0600. No key and no authority is ever
//     overwritten; a certificate is renewed for the key that exists.
//  6. What is cached is bounded, and never outlives the certificate's validity.
//
// # What it does not do
//
// Certificates are read once, by LoadIdentity: a renewed one counts from the node's
// next start. There is no revocation: a certificate is good until it expires or the
// authority is replaced.
//
// It imports nothing of Ringway's.
package pki
