//go:build linux

package netem

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultMTU is the MTU of links that do not say; the others are those that IPv6 and
// TUN devices allow.
const (
	DefaultMTU = 1500
	minMTU     = 1280
	maxMTU     = 65535
)

// waitingForUs is how many packets an interface holds until the engine takes them: those
// of 25 ms at 200 000 packets a second. The kernel's own 500 are lost to a short nap.
const waitingForUs = 5000

// A device is a TUN device: an interface whose other end is the engine. It vanishes when
// its file is closed, at the latest with the process.
type device struct {
	name  string
	fd    int
	link  *netlink.Handle // in the device's namespace
	index int
}

// openDevice makes the device in the namespace of an end and sets it up.
func openDevice(end End, mtu int) (*device, error) {
	d := &device{name: end.Interface, fd: -1}
	if err := checkInterface(end.Interface); err != nil {
		return nil, err
	}
	if err := within(end.Space, func() error { return d.make(mtu) }); err != nil {
		d.close()
		return nil, fmt.Errorf("interface %s of site %s: %w", end.Interface, end.Site, err)
	}
	return d, nil
}

func checkInterface(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' || r == '%' }
	if name == "" || name == "." || name == ".." || len(name) >= unix.IFNAMSIZ || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("interface %s: want 1 to %d printable characters without '/', ':' and '%%'", quoted(name), unix.IFNAMSIZ-1)
	}
	return nil
}

// within calls f on a thread in a network namespace: that of a file, or of the process.
func within(space string, f func() error) error {
	if space == "" {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := enter(space)
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		err = f()
		// A thread that cannot come home stays locked, and ends with the goroutine.
		if unix.Setns(home, unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		unix.Close(home)
		result <- err
	}()
	return <-result
}

func enter(space string) (home int, err error) {
	home, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("the own network namespace: %w", err)
	}
	there, err := unix.Open(space, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Setns(there, unix.CLONE_NEWNET)
		unix.Close(there)
	}
	if err != nil {
		unix.Close(home)
		return -1, fmt.Errorf("enter network namespace %s: %w", space, err)
	}
	return home, nil
}

func (d *device) make(mtu int) (err error) {
	if d.fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		d.fd = -1
		return fmt.Errorf("open /dev/net/tun: %w: load the module tun, or give the container that device", err)
	}
	request, err := unix.NewIfreq(d.name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
	switch err := unix.IoctlIfreq(d.fd, unix.TUNSETIFF, request); {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("there is one of that name already: remove it, or choose another name: %w", err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("make a TUN device: %w: it needs CAP_NET_ADMIN; run it as root, a container with --privileged", err)
	case err != nil:
		return fmt.Errorf("make a TUN device: %w", err)
	}
	return d.setUp(mtu)
}

func (d *device) setUp(mtu int) (err error) {
	if d.link, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	link, err := d.link.LinkByName(d.name)
	if err != nil {
		return err
	}
	d.index = link.Attrs().Index
	if err := d.link.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("MTU %d: %w", mtu, err)
	}
	if err := d.link.LinkSetTxQLen(link, waitingForUs); err != nil {
		return fmt.Errorf("queue of %d packets: %w", waitingForUs, err)
	}
	if err := d.link.LinkSetUp(link); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

// unread returns how many packets the kernel has dropped because nobody took them; 0 if
// it does not say.
func (d *device) unread() uint64 {
	link, err := d.link.LinkByIndex(d.index)
	if err != nil || link.Attrs().Statistics == nil {
		return 0
	}
	return link.Attrs().Statistics.TxDropped
}

func (d *device) close() {
	if d.link != nil {
		d.link.Close()
	}
	if d.fd >= 0 {
		unix.Close(d.fd)
	}
}
