// Package bench measures throughput and latency through real client connections, as
// an application would see them.
//
// Each sender is a connection of its own; one more connection receives. A message
// carries its sender, its number and the time at which it was sent, in the clock of
// this one process. What the receiver gets in the time measured, after a warm-up,
// makes the figures.
//
// # Rules
//
//  1. A sender never has more than Window messages under way, so that no queue
//     overflows and nothing is dropped. At full speed, latency is therefore about
//     Window messages long; measure latency at a Rate below the maximum.
//  2. With a Rate, the time of a message that goes out late is when it was due: a stall
//     shows in the latency of every message that it delayed. The first 2 ms do not
//     count, since they are this process's timers.
//  3. Nothing is allocated per message on the sending side, and the receiving side
//     adds nothing to what package client does.
//  4. Every message that the service guarantees must arrive, in its sender's order
//     where the service promises one; Result counts what did not.
package bench
