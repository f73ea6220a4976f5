// Package relay emulates a WAN link between two UDP endpoints on one machine, without
// root: who dials is given the relay's address instead of the target's, and the relay
// carries packets both ways with the delay, jitter, loss and rate of a Profile. A link
// can be changed and cut while it carries traffic.
//
//	client ----> [listen socket] --> pipe (forward) --> [socket for that client] ----> target
//	       <----                 <-- pipe (back)    <--                          <----
//
// A pipe is one direction: a path (the model: when does which packet arrive?) and one
// goroutine that sends what is due, in order.
//
// # Rules
//
//  1. A direction never reorders. Jitter wanders instead of jumping: its slope is less
//     than one, so a later packet is due later.
//  2. A packet that is due is sent as soon as the machine allows (0.1 ms late in the
//     middle, on a quiet one). Deadlines are absolute, so lateness does not add up.
//  3. A cut drops what arrives and what is on its way; nothing is sent while cut.
//  4. Everything is bounded: clients, queued packets, queued bytes, waiting time at a
//     rate.
//
// Path is pure: time and randomness come in as values. It imports nothing of
// Ringway's.
package relay
