//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"

	"ringway/internal/netlab"
)

// A Node is a place for a node: a namespace, its cable, and the process that runs there
// at present.
type Node struct {
	Name  string
	Space *netlab.Space
	Cable *netlab.Cable

	operator

	site    *Site
	address netip.Addr

	mu      sync.Mutex
	starts  int
	process *process // nil: none was started
	faults  []error
}

// A process is one life of a node.
type process struct {
	cmd      *exec.Cmd
	log      string
	expected bool // its end is what we want
	ended    chan struct{}
	err      error // when it has ended
}

func newNode(s *Site, i int) (*Node, error) {
	n := &Node{Name: fmt.Sprintf("n%d", i+1), site: s, address: netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)})}
	var err error
	if n.Space, err = s.network.Space(n.Name); err != nil {
		return nil, err
	}
	if n.Cable, err = s.Switch.Plug(n.Space, netip.PrefixFrom(n.address, 24)); err != nil {
		return nil, err
	}
	n.operator = newOperator(n.Name, adminPort, n.Space.Dial)
	return n, nil
}

// Address returns where clients connect: a unix socket, which all namespaces share.
func (n *Node) Address() string { return "unix:" + filepath.Join(n.site.folder, n.Name+".sock") }

// logFile returns where the process of a life logs.
func (n *Node) logFile(life int) string {
	return filepath.Join(n.site.logFolder(), fmt.Sprintf("%s-%d.log", n.Name, life))
}

// Start starts a process at this place. The one before must have been ended.
func (n *Node) Start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.starts++
	p := &process{log: n.logFile(n.starts), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"node", "--topology", n.site.topology, "--name", n.Name}
	if n.site.cfg.Trace {
		args = append(args, "--trace", n.site.traceFolder())
	}
	p.cmd = exec.Command(n.site.cfg.Binary, args...) //nolint:gosec // what Build built
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := n.Space.Start(p.cmd); err != nil {
		return err
	}
	n.process = p
	go n.await(p)
	return nil
}

// await notices the process's end, and whether anybody wanted it.
func (n *Node) await(p *process) {
	p.err = p.cmd.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !p.expected {
		n.faults = append(n.faults, fmt.Errorf("node %s ended by itself: %w", n.Name, errors.Join(p.err, errors.New(p.cmd.ProcessState.String()))))
	}
	close(p.ended)
}

// present returns the process that was started last, or nil.
func (n *Node) present() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// String returns the node's name.
func (n *Node) String() string { return n.Name }

// Lives returns how many processes have been started here.
func (n *Node) Lives() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.starts
}

// signal sends the process a signal; expected says that it may end of it.
func (n *Node) signal(s syscall.Signal, expected bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return fmt.Errorf("node %s: no process to send %v", n.Name, s)
	}
	n.process.expected = n.process.expected || expected
	if err := n.process.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("node %s: %v: %w", n.Name, s, err)
	}
	return nil
}

// Kill ends the process as a power failure does, and waits until it is gone.
func (n *Node) Kill() error {
	if err := n.signal(syscall.SIGKILL, true); err != nil {
		return err
	}
	<-n.present().ended
	return nil
}

// Restart kills the process and starts another one at once.
func (n *Node) Restart() error {
	if err := n.Kill(); err != nil {
		return err
	}
	return n.Start()
}

// Pause stops the process where it is; Continue lets it go on.
func (n *Node) Pause() error { return n.signal(syscall.SIGSTOP, false) }

// Continue undoes Pause.
func (n *Node) Continue() error { return n.signal(syscall.SIGCONT, false) }

// Terminate asks the process to end in order; Ended waits for it.
func (n *Node) Terminate() error { return n.signal(syscall.SIGTERM, true) }

// Ended waits for the end of a process that was asked to end in order.
func (n *Node) Ended(ctx context.Context) error {
	p := n.present()
	if p == nil {
		return fmt.Errorf("node %s: no process to wait for", n.Name)
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		return fmt.Errorf("node %s does not end: %w", n.Name, ctx.Err())
	}
	if p.err != nil {
		return fmt.Errorf("node %s did not end well: %w", n.Name, p.err)
	}
	return nil
}

// abandon makes every end an expected one; reap waits for it.
func (n *Node) abandon() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.expected = true
	}
}

func (n *Node) reap() {
	if p := n.present(); p != nil {
		<-p.ended
	}
}

// deadly is what a log must never have: Go's last words.
var deadly = regexp.MustCompile(`(?m)^(panic: |fatal error: |WARNING: DATA RACE|SIG[A-Z]+: )`)

// lastWords returns those of Go that the end of a log has.
func lastWords(file string) error {
	log, err := tail(file)
	if err != nil {
		return err
	}
	if at := deadly.FindIndex(log); at != nil {
		return fmt.Errorf("%s: %s", filepath.Base(file), log[at[0]:min(len(log), at[0]+4000)])
	}
	return nil
}

// Fault says what the node did wrong in any of its lives.
func (n *Node) Fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	faults := n.faults
	for i := range n.starts {
		faults = append(faults, lastWords(n.logFile(i+1)))
	}
	return errors.Join(faults...)
}

// tailBytes is how much of the end of a log is looked at and shown.
const tailBytes = 32 << 10

// Log returns the end of the log of the present process.
func (n *Node) Log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return ""
	}
	log, err := tail(n.process.log)
	if err != nil {
		return err.Error()
	}
	return string(log)
}

func tail(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, tailBytes))
}
