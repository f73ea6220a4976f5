package lan

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"ringway/membership"
	"ringway/site/ring"
	"ringway/site/seal"
)

// sealedSite is a site whose ports have seals that know each other.
func sealedSite(t *testing.T, n int, multicast bool, mode Mode) []*Port {
	t.Helper()
	ports := site(t, n, multicast, mode)
	var ids []membership.NodeID
	for i := range ports {
		ids = append(ids, membership.NodeID(i+1))
	}
	for i, p := range ports {
		s, err := NewSeal(ids[i], ids, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.cfg.Seal = s
	}
	for i, a := range ports {
		for j, b := range ports {
			if share, ok := a.cfg.Seal.ShareFor(ids[j]); ok {
				b.cfg.Seal.Learn(ids[i], &share)
			}
		}
	}
	return ports
}

// probes are packets of the ring that need no view, of different sizes.
func probes(n int, sender membership.NodeID, size int) []ring.Packet {
	packets := make([]ring.Packet, n)
	for i := range packets {
		b := []byte{'R', 1, 7, 0, 1, 2, 3, 4}
		b = binary.LittleEndian.AppendUint32(b, uint32(sender))
		b = binary.LittleEndian.AppendUint64(b, 1e18)
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		if i%10 < 8 { // runs of equal ones, and some that are not
			b = append(b, make([]byte, size-len(b))...)
		} else {
			b = append(b, make([]byte, 100+i)...)
		}
		packets[i] = ring.Packet{Data: b}
	}
	return packets
}

func TestSealedPacketsInEveryMode(t *testing.T) {
	for _, multicast := range []bool{true, false} {
		for _, mode := range []Mode{Segment, Sendmmsg, Plain} {
			ports := sealedSite(t, 3, multicast, mode)
			arrived := []<-chan []byte{collect(t, ports[1]), collect(t, ports[2])}
			size := ports[0].MaxPacket()
			if size+seal.Overhead != ports[0].maxPacket {
				t.Fatalf("%d bytes for the ring of %d on the wire", size, ports[0].maxPacket)
			}
			sent := probes(150, 1, size)
			for i := 0; i < len(sent); i += 50 {
				if err := ports[0].Send(sent[i : i+50]); err != nil {
					t.Fatal(err)
				}
				for _, packets := range arrived {
					for _, want := range sent[i : i+50] {
						if got := next(t, packets); !bytes.Equal(got, want.Data) {
							t.Fatalf("multicast %v, %s: %d bytes arrived as %d", multicast, mode, len(want.Data), len(got))
						}
					}
				}
			}
			// One for a single node is for nobody else.
			direct := ring.Packet{To: 2, Data: sent[0].Data}
			if err := ports[0].Send([]ring.Packet{direct, sent[1]}); err != nil {
				t.Fatal(err)
			}
			if got := next(t, arrived[1]); !bytes.Equal(got, sent[1].Data) {
				t.Errorf("multicast %v, %s: a packet for another node arrived", multicast, mode)
			}
		}
	}
}

// TestNoWayDown sends packets in the clear to a port with a seal, and sealed ones to a
// port without.
func TestNoWayDown(t *testing.T) {
	ports := sealedSite(t, 2, false, Auto)
	sealed := collect(t, ports[0])
	open := site(t, 1, false, Auto)[0]
	plain := collect(t, open)
	stranger, err := net.Dial("udp4", ports[0].Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	good := probes(2, 2, 200)
	if _, err := stranger.Write(good[0].Data); err != nil {
		t.Fatal(err)
	}
	wait(t, "count of the packet in the clear", func() bool { return ports[0].cfg.Seal.Stats().Unsealed == 1 })

	ports[1].SetPeers(map[membership.NodeID]netip.AddrPort{1: ports[0].Address(), 3: open.Address()})
	if err := ports[1].Send([]ring.Packet{{To: 3, Data: good[0].Data}, {To: 1, Data: good[1].Data}}); err != nil {
		t.Fatal(err)
	}
	wait(t, "count of the sealed packet", func() bool { return open.Stats().Sealed == 1 })
	if got := next(t, sealed); !bytes.Equal(got, good[1].Data) {
		t.Error("something else arrived")
	}
	select {
	case got := <-plain:
		t.Errorf("%d bytes arrived at the port without a seal", len(got))
	default:
	}
}
