//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netns"
)

// MaxName bounds names of networks and spaces: one is the name of an interface, which
// Linux limits to 15 bytes.
const MaxName = 15

// A Network is a set of namespaces. Its methods may be called concurrently.
type Network struct {
	name   string
	home   netns.NsHandle // where the maker runs
	starts chan func()    // to the keeper
	ended  chan struct{}  // the keeper has

	mu     sync.Mutex
	spaces []*Space
	closed bool
}

// New begins a network and removes what dead makers left behind.
func New(name string) (*Network, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	if err := Sweep(); err != nil {
		return nil, fmt.Errorf("remove what killed processes left: %w", err)
	}
	// Not /proc/self, which is the first thread's: that one may have ended a goroutine in
	// another namespace, and such a thread does not end but stays there, asleep.
	home, err := netns.GetFromPath("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("the own network namespace: %w", err)
	}
	n := &Network{name: name, home: home, starts: make(chan func()), ended: make(chan struct{})}
	go n.keep()
	return n, nil
}

// keep runs what starts processes, all on one thread. The kernel kills them when that
// thread ends: at the latest with this process, however it ends.
func (n *Network) keep() {
	runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
	defer close(n.ended)
	for start := range n.starts {
		start()
	}
}

// Space makes a namespace with loopback up and nothing else.
func (n *Network) Space(name string) (*Space, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("space: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("space %s: network %s is closed", name, n.name)
	}
	for _, s := range n.spaces {
		if s.name == name {
			return nil, fmt.Errorf("space %s: network %s has one of that name", name, n.name)
		}
	}
	s, err := newSpace(n, name)
	if err != nil {
		return nil, fmt.Errorf("space %s: %w", name, err)
	}
	n.spaces = append(n.spaces, s)
	return s, nil
}

// Close kills what runs in the network and removes it. It may be called twice.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	var faults []error
	for _, s := range n.spaces {
		faults = append(faults, s.remove())
	}
	close(n.starts)
	<-n.ended
	return errors.Join(append(faults, n.home.Close())...)
}

// enter calls f on a thread that is in the namespace.
func (n *Network) enter(ns netns.NsHandle, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			runtime.UnlockOSThread()
			result <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		err := f()
		// A thread that cannot come home stays locked, and ends with the goroutine.
		if netns.Set(n.home) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// start starts the command on the keeper's thread, in the namespace.
func (n *Network) start(ns netns.NsHandle, cmd *exec.Cmd) error {
	result := make(chan error, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return fmt.Errorf("network %s is closed", n.name)
	}
	n.starts <- func() {
		if err := netns.Set(ns); err != nil {
			result <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		err := cmd.Start()
		result <- errors.Join(err, netns.Set(n.home))
	}
	return <-result
}

func checkName(name string) error {
	legal := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-'
	}
	if name == "" || len(name) > MaxName || strings.ContainsFunc(name, func(r rune) bool { return !legal(r) }) || name[0] == '.' || name[0] == '-' {
		return fmt.Errorf("name %.40q: want 1 to %d of a-z, 0-9, '.', '_' and '-', not beginning with '.' or '-'", name, MaxName)
	}
	return nil
}

// notAllowed adds what to do to an error that says that something is not permitted.
func notAllowed(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: network namespaces need root; in a container, run it with --privileged", err)
	}
	return err
}
