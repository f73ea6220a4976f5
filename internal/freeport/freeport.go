package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// Ports are taken from below 32768, where the range of Linux's outgoing connections begins
// by default, and above those of well-known services. An even one is handed out, and the
// next one belongs to it.
const (
	low  = 10_000
	high = 30_000
)

// tries bounds the search; more than so many nodes never run on one machine.
const tries = 2000

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// source is this process's: what it has reserved stays so.
var source struct {
	sync.Mutex
	next int // 0: nothing was asked for yet
	held []reservation
}

// Next returns an address of 127.0.0.1 with a port on which UDP and TCP are free, and UDP on
// the one above, too. It never returns a port twice, and no other process on this machine
// that asks gets it before this one ends.
func Next() (netip.AddrPort, error) {
	source.Lock()
	defer source.Unlock()
	if source.next == 0 {
		source.next = low + 2*rand.IntN((high-low)/2)
	}
	for range tries {
		port := source.next
		if source.next += 2; source.next >= high {
			source.next = low
		}
		kept, ok := reserve(port)
		if !ok {
			continue
		}
		if usable(port) {
			source.held = append(source.held, kept)
			return netip.AddrPortFrom(loopback, uint16(port)), nil
		}
		kept.release()
	}
	return netip.AddrPort{}, fmt.Errorf("no free ports on %s between %d and %d", loopback, low, high)
}

// usable says whether a node can have the port and the one above.
func usable(port int) bool { return free("udp4", port) && free("tcp4", port) && free("udp4", port+1) }

// free says whether nobody listens there.
func free(network string, port int) bool {
	address := net.JoinHostPort(loopback.String(), strconv.Itoa(port))
	if network == "udp4" {
		conn, err := net.ListenPacket(network, address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	listener, err := net.Listen(network, address)
	if err == nil {
		listener.Close()
	}
	return err == nil
}
