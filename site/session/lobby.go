package session

import (
	"net"
	"net/netip"
	"slices"
)

// maxHandshakes bounds the connections that are in their handshake: each has a
// goroutine and a file descriptor.
const maxHandshakes = 1024

// A lobby has the connections that are in their handshake, oldest first for each
// address. When it is full, a newcomer takes the place of the oldest one of the address
// that has most. So silent connections keep nobody out, however many and whoever they
// are: who has something to say needs a moment only. It has no lock of its own.
type lobby struct {
	waiting map[netip.Addr][]net.Conn
	count   int
}

// enter lets a connection in, and returns the one that has to go for it, if any.
func (l *lobby) enter(conn net.Conn) (evicted net.Conn) {
	if l.waiting == nil {
		l.waiting = map[netip.Addr][]net.Conn{}
	}
	if l.count >= maxHandshakes {
		evicted = l.longest()[0]
		l.leave(evicted)
	}
	address := addressOf(conn)
	l.waiting[address] = append(l.waiting[address], conn)
	l.count++
	return evicted
}

// longest returns the connections of the address that has most.
func (l *lobby) longest() []net.Conn {
	var most []net.Conn
	for _, conns := range l.waiting {
		if len(conns) > len(most) {
			most = conns
		}
	}
	return most
}

// leave takes a connection out, if it is in.
func (l *lobby) leave(conn net.Conn) {
	address := addressOf(conn)
	conns := l.waiting[address]
	i := slices.Index(conns, conn)
	if i < 0 {
		return
	}
	l.count--
	if conns = slices.Delete(conns, i, i+1); len(conns) == 0 {
		delete(l.waiting, address)
		return
	}
	l.waiting[address] = conns
}

// each calls f for every connection.
func (l *lobby) each(f func(net.Conn)) {
	for _, conns := range l.waiting {
		for _, conn := range conns {
			f(conn)
		}
	}
}
