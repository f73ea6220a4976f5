//go:build linux

package scenario

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"ringway/client"
)

// crowdMost bounds a crowd: a node that takes so many has another limit than was set.
const crowdMost = 1000

// crowdWait is how long one of a crowd waits to be let in. A node that has place takes a
// few milliseconds.
const crowdWait = 2 * time.Second

// files limits how many files a node's process may have open, from now on.
func (p *play) files(_ context.Context, args []string) error {
	n, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	pid := p.federation.member(args[0]).process().PID
	if pid == 0 {
		return fmt.Errorf("node %s does not run", args[0])
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil); err != nil {
		return fmt.Errorf("limit the files of process %d: %w", pid, err)
	}
	return nil
}

// crowd connects clients to a node until it takes no more.
func (p *play) crowd(ctx context.Context, args []string) error {
	m := p.federation.member(args[0])
	for i := range crowdMost {
		attempt, cancel := context.WithTimeout(ctx, crowdWait)
		conn, err := client.Dial(attempt, m.clients, m.options(fmt.Sprintf("crowd%d", i)))
		cancel()
		if err != nil {
			p.say("%s takes %d more clients, then: %v", m, i, err)
			return nil
		}
		p.crowds[m.node] = append(p.crowds[m.node], conn)
	}
	return fmt.Errorf("%s takes %d clients: `files` limits it", m, crowdMost)
}

// leave has a crowd leave, and waits until the node takes somebody new.
func (p *play) leave(ctx context.Context, args []string) error {
	m := p.federation.member(args[0])
	p.disperse(m.node)
	return poll(ctx, m.node+" to take clients again", func() error {
		attempt, cancel := context.WithTimeout(ctx, crowdWait)
		defer cancel()
		conn, err := client.Dial(attempt, m.clients, m.options("newcomer"))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (p *play) disperse(node string) {
	for _, conn := range p.crowds[node] {
		conn.Close()
	}
	p.crowds[node] = nil
}
