package overlay

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
)

func visitor(address string) *quic.ClientInfo {
	return &quic.ClientInfo{RemoteAddr: &net.UDPAddr{IP: net.ParseIP(address), Port: 1000}}
}

func TestDoorway(t *testing.T) {
	refused := 0
	d := newDoorway(func() { refused++ })
	var ends []context.CancelFunc
	come := func(address string) error {
		ctx, cancel := context.WithCancel(context.Background())
		ends = append(ends, cancel)
		_, err := d.enter(ctx, visitor(address))
		return err
	}
	for range maxHandshakesFrom {
		if err := come("10.0.0.1"); err != nil {
			t.Fatal(err)
		}
	}
	if come("10.0.0.1") == nil {
		t.Error("one address takes more than its share")
	}
	if err := come("10.0.0.2"); err != nil {
		t.Errorf("another address has no room: %v", err)
	}
	if !d.doubtful(nil) {
		t.Error("addresses are not verified with so many inside")
	}
	for i := 3; d.inside < maxHandshakes; i++ {
		if err := come(net.IPv4(10, 0, 1, byte(i)).String()); err != nil && d.inside < maxHandshakes {
			t.Fatal(err)
		}
	}
	if come("10.0.0.99") == nil || refused != 2 {
		t.Errorf("no bound for all together; %d refused", refused)
	}
	for _, end := range ends {
		end()
	}
	eventually(t, "all places are free", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.inside == 0 && len(d.from) == 0
	})
	ctx, err := d.enter(context.Background(), visitor("10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	v := ctx.Value(visitKey{}).(*visit)
	v.leave()
	v.leave() // once is enough
	if d.inside != 0 {
		t.Errorf("%d inside", d.inside)
	}
}

// A muteConn lets so many packets out, and then none. It hears nothing: who was asked to
// show that he gets answers must not be able to, even if the question comes while he is
// still sending.
type muteConn struct {
	net.PacketConn
	left atomic.Int64
}

func (c *muteConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		if n, from, err := c.PacketConn.ReadFrom(b); err != nil {
			return n, from, err
		}
	}
}

func (c *muteConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.left.Add(-1) < 0 {
		return len(b), nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// TestSilentStrangersDoNotShutOut: somebody begins as many handshakes as he can and
// answers nothing. He gets no more places than there are before addresses are verified,
// and a gateway that belongs here connects meanwhile.
func TestSilentStrangersDoNotShutOut(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").start("b-1")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for range maxHandshakesFrom + 16 {
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9)})
		if err != nil {
			t.Skip(err)
		}
		conn := &muteConn{PacketConn: udp}
		conn.left.Store(2) // the first flight takes two packets
		transport := &quic.Transport{Conn: conn}
		wg.Go(func() {
			transport.Dial(ctx, f.wire["b-1"].LocalAddr(), f.strange(), quicConfig()) //nolint:errcheck // it never completes
			transport.Close()                                                         //nolint:errcheck // nothing depends on it
			udp.Close()
		})
	}
	door := f.gate["b-1"].door
	eventually(t, "the stranger has all that he gets", func() bool {
		door.mu.Lock()
		defer door.mu.Unlock()
		return door.from["127.0.0.9"] >= maxTrusting
	})
	f.start("a-1").converged()
	door.mu.Lock()
	defer door.mu.Unlock()
	if n := door.from["127.0.0.9"]; n > maxTrusting {
		t.Errorf("%d places are taken from an address that never answered", n)
	}
}

// strange returns a TLS configuration of somebody who is in no topology.
func (f *federation) strange() *tls.Config {
	id, err := pki.Throwaway(f.top.Name, "z", "z-1")
	if err != nil {
		f.t.Fatal(err)
	}
	return id.ClientTLS("b", "b-1")
}
