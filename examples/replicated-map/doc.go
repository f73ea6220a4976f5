// Command replicated-map is a map that several processes hold: each has a copy, all
// copies change alike, and it goes on while more than half of them can reach each other.
// README.md says how to use it and why it is right.
//
//	machine.go   what a replica makes of each event: a pure machine
//	transfer.go  the records in messages, and a copy of the map in pieces
//	replica.go   the shell: a session, and operations that wait for their outcome
//	main.go      a prompt
package main
