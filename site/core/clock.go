package core

import "time"

// How far a leap gets: a step counts at most beat and late together, 45 ms. They are also
// what view time can be ahead for a leap of the node that leads its site, while nobody
// sends; while somebody does, steps are due every few milliseconds.
const (
	// late is by how much a step may come after it was due and still count in full: more
	// than a machine with a free core is ever late.
	late = 20 * time.Millisecond
	// beat is how often a node wants to be woken if it waits for nothing sooner. In a ring
	// of several the token comes about as often.
	beat = 25 * time.Millisecond
)

// A clock makes of the shell's time the two that the machines go by (R5). Neither goes back.
//
// The ring's counts every leap ahead; it has its own way with them (a nap) and with what
// has waited in sockets meanwhile. The Replica's counts the time in which this node could
// have acted: of a step that comes after it was due, no more than late. What is missing then
// may be a leap, in which nothing has happened, or time in which the process did not run, in
// which nobody else was silent.
type clock struct {
	shell, ring, awake time.Duration
	plain              bool // tests: R5 is off
}

// start is the first step.
func (c *clock) start(shell time.Duration) { c.shell, c.ring, c.awake = shell, shell, shell }

// step takes the time of a step that was due when the shell's was due. It returns how much
// of what has passed the Replica's time leaves out.
func (c *clock) step(shell, due time.Duration) (slept time.Duration) {
	passed, most := shell-c.shell, max(0, due-c.shell)+late
	c.shell = shell
	switch {
	case c.plain:
	case passed < 0:
		return 0 // how much has passed cannot be known, but it was less than a beat
	case passed > most:
		slept = passed - most
	}
	c.ring += passed
	c.awake += passed - slept
	return slept
}

// fromRing and fromAwake turn a time of a machine into one of the shell.

func (c *clock) fromRing(at time.Duration) time.Duration { return at - c.ring + c.shell }

func (c *clock) fromAwake(at time.Duration) time.Duration { return at - c.awake + c.shell }
