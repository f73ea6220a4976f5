package site

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"

	"ringway/client"
)

// TestGarbageOnEveryPortStopsNobody sends random bytes, truncated and lengthened real
// ones, and endless lines to every port of a node, and wants it to go on.
func TestGarbageOnEveryPortStopsNobody(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 1}, "lon", "fra")
	f := run(t, topo, nil)
	f.ready()
	a, b := f.dial("lon-1", "a"), f.dial("fra-1", "b")
	join(t, "g", 2, a, b)

	random := rand.New(rand.NewPCG(1, 2))
	node := f.nodes["lon-1"]
	for _, address := range []string{node.Address.String(), node.Site.Multicast.String(), node.Gateway.String()} {
		f.spray(random, "udp", address, 400)
	}
	for _, address := range []string{node.Clients[0].Address, node.Admin.String()} {
		f.spray(random, "tcp", address, 40)
	}

	send(t, a, client.Agreed, "still", "g")
	send(t, b, client.Safe, "alive", "g")
	for _, c := range []*client.Conn{a, b} {
		got := map[string]bool{}
		for _, m := range messages(t, c, 2) {
			got[m] = true
		}
		if !got[a.Name()+":still"] || !got[b.Name()+":alive"] {
			t.Fatalf("%s got %v", c.Name(), got)
		}
	}
	f.ready()
}

// spray sends n pieces of garbage to an address. Errors are the address's right.
func (f *federation) spray(random *rand.Rand, network, address string, n int) {
	f.t.Helper()
	for i := range n {
		conn, err := net.Dial(network, address)
		if err != nil {
			f.t.Fatal(err)
		}
		piece := make([]byte, random.IntN(2000))
		for j := range piece {
			piece[j] = byte(random.Uint32())
		}
		switch i % 4 {
		case 0: // the first bytes of a client's hello, an HTTP request or a QUIC packet
			copy(piece, [][]byte{{5, 0, 1, 1, 3}, []byte("GET / HTTP/1.1\r\n"), {0xc3, 0, 0, 0, 1}}[i/4%3])
		case 1: // begins like a packet of this very ring
			label := binary.LittleEndian.AppendUint32([]byte{'R', 1, byte(i / 4 % 9), 0}, ringLabel(f.topo.Name, "lon"))
			copy(piece, label)
		case 2:
			clear(piece)
		}
		conn.Write(piece) //nolint:errcheck // refusal is an answer too
		conn.Close()
	}
}
