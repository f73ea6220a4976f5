//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"ringway/internal/netlab"
)

// A machine is a node's namespace and the process that runs there at present.
type machine struct {
	*nodePlan
	site   *sitePlan
	space  *netlab.Space
	folder string  // of its logs and traces
	loss   float64 // share that it loses of what its LAN sends it
	starts int
	paused bool
	cmd    *exec.Cmd // nil: none was started
	ended  chan struct{}
	err    error // when it has ended
}

// stopTime is how long a node may take to leave in order.
const stopTime = 5 * time.Second

// running says whether a process is there.
func (m *machine) running() bool {
	if m.cmd == nil {
		return false
	}
	select {
	case <-m.ended:
		return false
	default:
		return true
	}
}

// start starts the node. It logs to a file of its own.
func (m *machine) start(l *Lab) error {
	if m.running() {
		return fmt.Errorf("node %s runs already", m.Name)
	}
	m.starts++
	log, err := os.Create(filepath.Join(m.folder, "log", fmt.Sprintf("%s-%d.log", m.Name, m.starts)))
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"node", "--topology", l.file, "--name", m.Name}
	if !l.untraced {
		args = append(args, "--trace", filepath.Join(m.folder, "trace"))
	}
	if l.plan.topology.Certs == "" {
		args = append(args, "--insecure")
	}
	cmd := exec.Command(l.binary, args...) //nolint:gosec // this program
	cmd.Stdout, cmd.Stderr = log, log
	if err := m.space.Start(cmd); err != nil {
		return fmt.Errorf("node %s: %w", m.Name, err)
	}
	m.cmd, m.paused, m.ended = cmd, false, make(chan struct{})
	go func(ended chan struct{}) {
		m.err = cmd.Wait()
		close(ended)
	}(m.ended)
	return nil
}

func (m *machine) signal(s syscall.Signal) error {
	if !m.running() {
		return fmt.Errorf("node %s does not run", m.Name)
	}
	if err := m.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("node %s: %w", m.Name, err)
	}
	return nil
}

// kill ends the process as a power failure does.
func (m *machine) kill() error {
	if err := m.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-m.ended
	return nil
}

// stop lets the process leave in order, and kills it if it does not.
func (m *machine) stop() error {
	if m.paused {
		return m.kill()
	}
	if err := m.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-m.ended:
		if m.err != nil {
			return fmt.Errorf("node %s did not end well: %w", m.Name, m.err)
		}
		return nil
	case <-time.After(stopTime):
		return errors.Join(fmt.Errorf("node %s did not end in order within %v", m.Name, stopTime), m.kill())
	}
}

func (m *machine) pause(stop bool) error {
	s := syscall.SIGSTOP
	if !stop {
		s = syscall.SIGCONT
	}
	if err := m.signal(s); err != nil {
		return err
	}
	m.paused = stop
	return nil
}

// state is a word on the process.
func (m *machine) state() string {
	switch {
	case m.cmd == nil:
		return "not started"
	case m.running() && m.paused:
		return "paused"
	case m.running():
		return "running"
	case m.err != nil:
		return "ended: " + m.err.Error()
	}
	return "ended"
}
