// Package conformance holds a real node against Spread's client protocol, byte by byte.
// It is tests only. Its client (client_test.go) is made of bytes and shares no code with
// the server's codec or with package client, so that a mistake in those shows.
//
// Every statement about connecting is tried over TCP, TCP on IPv6 where the machine has
// it, and a unix socket; every statement about messages there in both byte orders.
// Statements about partitions need several nodes, which are processes that are stopped,
// continued and killed. That nothing comes is shown without waiting: a message of the
// client's to itself is the next thing that it receives.
//
// # What is held, and where
//
// statements_test.go lists what the protocol's description says a server does, statement
// by statement, with the tests that hold a node to it; TestTheListsAreTrue keeps the list
// and the one of docs/spread.md true. The numbers are those of the sections of the
// description that this project was built from; T are its traps for servers, where a node
// is kinder than the original.
//
// T10 is about what clients see of a reset, T16 about linking old libraries: nothing that
// a server could do.
package conformance
