// Package freeport finds ports on loopback for nodes that will be started in a moment: those
// of the demo and of tests.
//
// To ask the kernel for a port and to give it back is a race: it belongs to the range from
// which the kernel serves whoever asks next, be it another test's listener or just an
// outgoing connection, and a node that is started, or started again, then finds it taken.
// (A client that tries such a port in vain may even connect to itself.) So ports are taken
// from below that range, and each is reserved for this process as long as it lives: other
// processes that ask here, such as the tests of another package, get others.
//
// The package imports nothing of ours.
package freeport
