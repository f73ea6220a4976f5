package relay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringway/internal/freeport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait.
const patience = 30 * time.Second

func listen(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	enlarge(conn)
	t.Cleanup(func() { conn.Close() })
	return conn, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func start(t *testing.T, target netip.AddrPort, profile Profile) *Relay {
	t.Helper()
	r, err := New("127.0.0.1:0", target, profile, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func dial(t *testing.T, r *Relay) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(r.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// receive reads one packet, or returns nil after the wait.
func receive(t *testing.T, conn *net.UDPConn, wait time.Duration) ([]byte, netip.AddrPort) {
	t.Helper()
	buffer := make([]byte, 2048)
	conn.SetReadDeadline(time.Now().Add(wait))
	n, from, err := conn.ReadFromUDPAddrPort(buffer)
	if err != nil {
		return nil, from
	}
	return buffer[:n], from
}

func TestCarriesBothWaysAndTellsClientsApart(t *testing.T) {
	target, address := listen(t)
	r := start(t, address, Profile{Delay: ms})
	a, b := dial(t, r), dial(t, r)
	for _, c := range []*net.UDPConn{a, b} {
		name := c.LocalAddr().String()
		c.Write([]byte(name))
		request, from := receive(t, target, patience)
		if string(request) != name {
			t.Fatalf("target got %q, want %q", request, name)
		}
		target.WriteToUDPAddrPort([]byte("re "+name), from)
		if answer, _ := receive(t, c, patience); string(answer) != "re "+name {
			t.Fatalf("client got %q, want the answer to %q", answer, name)
		}
	}
	waitFor(t, func() bool { return r.Stats() == Stats{Carried: 4} })
}

// TestLateness sends stamped packets and looks at the distribution of their delays:
// never early, in order, all there, and close to the delay in the middle. A machine that
// is busy just now may do better later; lateness that adds up from packet to packet, or
// from round to round, never does.
func TestLateness(t *testing.T) {
	target, address := listen(t)
	r := start(t, address, Profile{Delay: lateDelay})
	c := dial(t, r)
	for deadline := time.Now().Add(patience); ; {
		median := lateness(t, c, target)
		// A quiet machine shows 0.1 ms.
		if median <= 5*ms {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("half of the packets were %v late or more, again and again", median)
		}
	}
}

const lateDelay = 20 * ms

// lateness sends packets at a steady rate and returns by how much half of them were late.
func lateness(t *testing.T, c, target *net.UDPConn) time.Duration {
	t.Helper()
	const packets = 1000
	began := time.Now()
	go func() {
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for i := range packets {
			stamp := binary.LittleEndian.AppendUint64(nil, uint64(i))
			c.Write(binary.LittleEndian.AppendUint64(stamp, uint64(time.Since(began))))
			<-tick.C
		}
	}()
	var late []time.Duration
	for i := range packets {
		data, _ := receive(t, target, patience)
		arrived := time.Since(began)
		if data == nil {
			t.Fatalf("%d of %d packets arrived", i, packets)
		}
		if n := binary.LittleEndian.Uint64(data); n != uint64(i) {
			t.Fatalf("packet %d came in place %d", n, i)
		}
		late = append(late, arrived-time.Duration(binary.LittleEndian.Uint64(data[8:]))-lateDelay)
	}
	slices.Sort(late)
	t.Logf("lateness: p50 %v, p90 %v, p99 %v, max %v", late[packets/2], late[packets*9/10], late[packets*99/100], late[packets-1])
	if late[0] < 0 {
		t.Errorf("a packet came %v early", -late[0])
	}
	return late[packets/2]
}

func TestCutDropsWhatIsOnItsWayAndHeals(t *testing.T) {
	target, address := listen(t)
	r := start(t, address, Profile{Delay: 30 * ms})
	c := dial(t, r)

	c.Write([]byte("before"))
	if got, _ := receive(t, target, patience); string(got) != "before" {
		t.Fatalf("got %q", got)
	}
	r.Set(Profile{Delay: 3 * time.Second}) // long enough to be cut on its way, also by a busy machine
	c.Write([]byte("on its way"))
	waitFor(t, func() bool { _, queued := r.forward.next(); return queued })
	r.SetDown(true)
	c.Write([]byte("while cut"))
	waitFor(t, func() bool { return r.Stats().Dropped == 2 })

	r.Set(Profile{Delay: 30 * ms})
	r.SetDown(false)
	c.Write([]byte("after"))
	if got, _ := receive(t, target, patience); string(got) != "after" {
		t.Fatalf("first packet after the cut: %q", got)
	}
}

func TestChangesWhileRunning(t *testing.T) {
	target, address := listen(t)
	r := start(t, address, Profile{Loss: 1})
	c := dial(t, r)
	c.Write([]byte("lost"))
	waitFor(t, func() bool { return r.Stats().Dropped == 1 })
	r.Set(Profile{Delay: 25 * ms})
	sent := time.Now()
	c.Write([]byte("kept"))
	got, _ := receive(t, target, patience)
	if string(got) != "kept" || time.Since(sent) < 25*ms {
		t.Fatalf("got %q after %v", got, time.Since(sent))
	}
}

func TestSocketsAreBounded(t *testing.T) {
	target, address := listen(t)
	r := start(t, address, Profile{})
	for i := range maxClients + 5 {
		c := dial(t, r)
		c.Write([]byte{byte(i)})
		if got, _ := receive(t, target, patience); got == nil {
			t.Fatalf("nothing from client %d", i)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.clients) != maxClients {
		t.Errorf("%d sockets, want %d", len(r.clients), maxClients)
	}
}

func TestAbsentTargetAndBadAddress(t *testing.T) {
	address, err := freeport.Next()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, address, Profile{})
	c := dial(t, r)
	for range 3 {
		c.Write([]byte("nobody"))
	}
	// The relay lives on: the target comes back on the same port.
	back, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(address))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	deadline := time.Now().Add(patience)
	for {
		c.Write([]byte("somebody"))
		if got, _ := receive(t, back, 50*ms); got != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing reaches a target that came back")
		}
	}
	if _, err := New("127.0.0.1:no", address, Profile{}, 1); err == nil {
		t.Error("a bad address was taken")
	}
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
		time.Sleep(ms)
	}
}
