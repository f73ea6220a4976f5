// Package client is the library with which a Go application uses Ringway. It speaks
// the Spread Toolkit's client protocol and works against a Spread daemon too.
//
//	session, err := client.Open(ctx, []string{"4803@lon-1", "4803@lon-2"}, client.SessionOptions{
//		Options: client.Options{Name: "web-1", Membership: true},
//	})
//	if err != nil { … }
//	defer session.Close()
//
//	err = session.Join(ctx, "events")
//	err = session.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"events"}, Data: line})
//
//	for {
//		event, err := session.Receive(ctx)
//		switch e := event.(type) {
//		case *client.Message: // e.Sender, e.Data
//		case *client.View:    // e.Group, e.Members, e.Cause
//		case *client.Gap:     // the connection was lost and is back: something may be missing
//		}
//	}
//
// # Connections and sessions
//
// A Conn is one connection to one node, with one private name, "#web-1#lon-1": the name
// that the application asked for and its node's. When it ends, it has ended. A Session is
// a Conn that comes back: it connects again with a back-off, to the same node or another
// of its addresses, under the same name, joins its groups again, and says so by a Gap.
// Both have the same calls.
//
// # Addresses
//
//	4803                the unix socket /tmp/4803, as Spread's clients have it
//	4803@host           TCP
//	host:4803           TCP; IPv6 as [::1]:4803 or 4803@::1
//	unix:/path          any unix socket
//	tls://host:4806     TLS; Options.TLS, made by TLSConfig, says whom to trust
//
// # What a Session promises
//
//   - A message for which Send returned nil is in the hands of the operating system.
//     If the connection is lost just then, it may not arrive; a message that comes back
//     to its sender, who is a member, has been ordered.
//   - No message is sent twice. Where a connection breaks within a message or a batch,
//     the rest goes over the next one.
//   - Between two Gaps the events are those of one Conn: in one order, without a gap.
//     After a Gap nothing is known of the time between; ask for state again.
//
// # Concurrency
//
// Any number of goroutines may call Join, Leave, Send, SendBatch, Groups and Members; each
// call's messages stay together and in order. One goroutine at a time may call Receive or
// ReceiveBatch. Close may be called at any time and ends what waits.
//
// # Contexts
//
// A context that ends in Receive loses nothing. One that ends in Send before a byte went
// out loses nothing but that message; in SendBatch, the messages that had not gone out.
// One that ends while a message is half written makes the connection useless, and every
// later call of a Conn says so with ErrConnection; a Session makes another one. A context
// that is passed again and again costs no allocation.
//
// # Scopes
//
// What a session sends within its node's site waits for what it sent to other sites before.
// Options.IndependentScopes says that it need not, and docs/services.md what that gives up.
//
// # Back-pressure
//
// Send blocks while the node has enough of this session. What a node does with a session
// that does not read what it is sent, Options.SlowReader can ask for: end it, drop
// unreliable messages, or hold back those who send to it. An application that sends must
// receive too.
//
// # Memory
//
// Data of a received message refers to memory that is never reused, 64 KiB that it
// shares with its neighbours: keep it as long as you like, and clone small ones that you
// keep for long. Messages themselves are made in blocks of 32 that live as long as one of
// them. Sending does not keep Data.
//
// # Hosts that are gone
//
// A node whose host is lost ends the connection within half a minute (package
// internal/lostpeer has the times), with ErrConnection; a Session goes to another node.
//
// # Errors
//
// A *RefusedError is a node's answer to the handshake, with its code; ErrMethod says that
// node and Options have no authentication method in common, ErrTLS that the node's
// certificate is not good. ErrTooLarge, ErrGroups and ErrService are found before anything
// is sent, and the connection goes on; after ErrConnection it does not. Messages of up to
// MaxMessageBytes, listings and slow-reader policies are negotiated with Ringway's nodes;
// a Spread daemon refuses that, Dial then connects again without, and MaxMessage tells
// what is possible.
//
// # Cost
//
// Sending allocates nothing; receiving allocates the memory of the data and a thirty-second
// of a block of messages: `go test ./client -run XXX -bench . -benchmem`.
//
// Package client may import internal/spread, internal/lostpeer and membership.
package client
