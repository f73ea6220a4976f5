// Package client is the library with which a Go application uses Ringway. It speaks
// the Spread Toolkit's client protocol and works against a Spread daemon too.
//
//	conn, err := client.Dial(ctx, "4803@localhost", client.Options{Name: "web-1", Membership: true})
//	if err != nil { … }
//	defer conn.Close()
//
//	err = conn.Join(ctx, "events")
//	err = conn.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"events"}, Data: line})
//
//	for {
//		event, err := conn.Receive(ctx)
//		switch e := event.(type) {
//		case *client.Message: // e.Sender, e.Data
//		case *client.View:    // e.Group, e.Members, e.Cause
//		}
//	}
//
// # Connections
//
// A connection is one session with one private name, "#web-1#lon-1": the name that the
// application asked for and its node's. An address is what Spread's own clients take:
// "4803" is the unix socket /tmp/4803, "4803@host" and "host:port" are TCP,
// "unix:PATH" any unix socket.
//
// # Concurrency
//
// Any number of goroutines may call Join, Leave, Send and SendBatch; each call's
// messages stay together and in order. One goroutine at a time may call Receive or
// ReceiveBatch. Close may be called at any time and ends what waits.
//
// # Contexts
//
// A context that ends in Receive loses nothing. One that ends in Send before a byte went
// out loses nothing but that message; in SendBatch, the messages that had not gone out.
// One that ends while a message is half written makes the connection useless, and every
// later call says so with ErrConnection. A context that is passed again and again costs
// no allocation.
//
// # Back-pressure
//
// Send blocks while the node has enough of this session. A node disconnects a session
// that does not read what it is sent, so an application that sends must receive too.
//
// # Memory
//
// Data of a received message refers to memory that is never reused, 64 KiB that it
// shares with its neighbours: keep it as long as you like, and clone small ones that you
// keep for long. Sending does not keep Data.
//
// # Errors
//
// A *RefusedError is a node's answer to the handshake, with its code; ErrTooLarge,
// ErrGroups and ErrService are found before anything is sent, and the connection goes
// on; after ErrConnection it does not. Messages of up to MaxMessageBytes are negotiated
// with Ringway's nodes; a Spread daemon refuses that, Dial then connects again without,
// and MaxMessage tells what is possible.
//
// Package client may import internal/spread and membership.
package client
