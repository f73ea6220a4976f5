// Package session is the clients' side of a node: it speaks the Spread client
// protocol over TCP and unix sockets, hands requests to the node in batches, and
// writes what the node delivers.
//
// # A session's life
//
// A connection has HandshakeTimeout to say hello, choose its methods, prove what they
// ask for and be accepted. Each does so in its own goroutine, so a silent one delays
// nobody; when there are many, the oldest of the busiest address gives way. Names are
// given when a client has proved that it may come in, not before. Accepted, it is a
// Session with a private name that nobody else on this node has. The name stays taken
// until the node calls Release, when the departure has gone round the ring; a client
// that wants it meanwhile waits. A client that showed a key takes its name over from the
// session that showed the same.
//
// What clients may do is topology.Access. SetAccess puts another in force: sessions see
// it with their next request, and those that could not come in any more end.
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
// gathered writes. A queue has a bound in messages and bytes. What happens to a session
// that does not read is its policy: it is disconnected when its queue is full; or it
// loses unreliable messages first; or, from a mark far below the bound, Backend.Hold
// stops whoever sends to it, and Backend.LetGo lets them go on. The node itself never
// waits for a client. A server that closes gives clients FlushTime to read what is queued.
//
// # Calls
//
// A session that negotiated it may ask for groups and members (call.go). The answer comes
// in the stream of messages.
//
// # Hosts that are gone
//
// WatchHosts ends sessions whose hosts do not acknowledge what is sent (lost.go); TCP's
// keep-alive, which the listeners set, those that nothing is sent to.
//
// Package session may import internal/spread, internal/lostpeer, membership, topology and site/merge.
package session
