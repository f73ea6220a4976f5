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
// ReceiveBatch. A context that ends while a message is half written makes the
// connection useless, and every later call says so; a context that ends in Receive
// loses nothing.
//
// # Back-pressure
//
// Send blocks while the node has enough of this session. A node disconnects a session
// that does not read what it is sent, so an application that sends must receive too.
//
// # Memory
//
// Data of a received message refers to memory that is never reused; keep it as long as
// you like. Sending does not keep Data.
package client
