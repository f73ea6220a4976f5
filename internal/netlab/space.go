//go:build linux

package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// folder is where `ip netns` looks for named namespaces.
const folder = "/run/netns"

// A Space is a network namespace: a machine, as far as the network is concerned.
type Space struct {
	network *Network
	name    string
	file    string // its name in folder
	ns      netns.NsHandle
	link    *netlink.Handle
	cables  int
}

func newSpace(n *Network, name string) (*Space, error) {
	s := &Space{network: n, name: name, file: maker() + n.name + "-" + name}
	if err := s.create(); err != nil {
		os.Remove(s.Path()) // it is only there if the mount failed
		return nil, notAllowed(err)
	}
	err := s.open()
	if err != nil {
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// create makes the namespace on a thread that is locked while it is in it.
func (s *Space) create() error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		ns, err := netns.NewNamed(s.file)
		s.ns = ns
		// A thread that cannot come home stays locked, and ends with the goroutine.
		if netns.Set(s.network.home) == nil {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("make network namespace %s: %w", s.file, err)
	}
	return nil
}

func (s *Space) open() (err error) {
	if s.link, err = netlink.NewHandleAt(s.ns, syscall.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink socket in %s: %w", s.file, err)
	}
	lo, err := s.link.LinkByName("lo")
	if err == nil {
		err = s.link.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("set up loopback: %w", err)
	}
	return nil
}

// Name returns the name that the space was made with.
func (s *Space) Name() string { return s.name }

// Path returns a file that stands for the namespace; its base name is what `ip netns
// exec` takes.
func (s *Space) Path() string { return filepath.Join(folder, s.file) }

// Do calls f on a thread in the namespace. What f starts on other goroutines is not in
// it.
func (s *Space) Do(f func() error) error { return s.network.enter(s.ns, f) }

// Start starts the command in the namespace. It is killed when this process ends.
func (s *Space) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := s.network.start(s.ns, cmd); err != nil {
		return fmt.Errorf("start %s in %s: %w", filepath.Base(cmd.Path), s.name, err)
	}
	return nil
}

// Dial connects from within the namespace. The address must be numeric: a name would
// be looked up on another thread.
func (s *Space) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = s.Do(func() (err error) {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// InterfaceDown takes the interface of the space's i-th cable, from 0, down as an
// operator does: its routes go, and what is sent fails.
func (s *Space) InterfaceDown(i int) error { return s.setInterface(i, (*netlink.Handle).LinkSetDown) }

// InterfaceUp undoes InterfaceDown.
func (s *Space) InterfaceUp(i int) error { return s.setInterface(i, (*netlink.Handle).LinkSetUp) }

func (s *Space) setInterface(i int, set func(*netlink.Handle, netlink.Link) error) error {
	link, err := s.link.LinkByName(interfaceName(i))
	if err == nil {
		err = set(s.link, link)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", interfaceName(i), s.name, err)
	}
	return nil
}

func interfaceName(i int) string { return fmt.Sprintf("eth%d", i) }

// remove kills what runs in the namespace and removes it, with its interfaces.
func (s *Space) remove() error {
	if s.link != nil {
		s.link.Close()
	}
	return errors.Join(s.ns.Close(), discard(s.file))
}
