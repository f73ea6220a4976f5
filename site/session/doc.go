// Package session is the clients' side of a node: it speaks the Spread client
// protocol over TCP and unix sockets, hands requests to the node in batches, and
// writes what the node delivers.
//
// # A session's life
//
// A connection has HandshakeTimeout to say hello, choose a method and be accepted;
// each connection does so in its own goroutine, so a silent one delays nobody, and
// in a crowd of silent ones the time is short. The only method implemented is NULL;
// others are not offered, so a node that asks for one of them alone lets nobody in. Accepted, it is a Session with a private name that nobody else on this node has.
// The name stays taken until the node calls Release, when the departure has gone
// round the ring.
//
// # Reading
//
// One goroutine a session reads into memory that is never reused; requests refer to
// it, so a message is not copied here. All complete messages that a read brought go
// to Backend.Submit at once. Submit blocks while the node has enough of this session,
// and TCP holds the client back. Memory for a large message grows with what has come,
// not with what its header claims.
//
// A header that breaks a rule ends the session, as in the original, with the reason in
// the log and in the counters. So does, unlike there, a group name that is empty or has
// no NUL, and joining or leaving a private group. Of a message's type only the service
// and self discard go on; of a name, what stands before its NUL.
//
// # Writing
//
// Deliver encodes each output once and appends the bytes to the queue of every
// session that gets it; a writer goroutine for each session drains its queue with
// gathered writes. A queue has a bound in messages and bytes. A session that goes over
// it is disconnected; the node never waits for a client. A server that closes gives
// clients flushTime to read what is queued.
//
// Package session may import internal/spread, membership and site/merge.
package session
