package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringway/client"
	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a test that passes does not use it up.
const patience = 30 * time.Second

// start serves on TCP and on a unix socket, and returns both addresses.
func start(t testing.TB, change func(*Config)) (node *loopNode, tcp, unix string) {
	t.Helper()
	node = &loopNode{members: map[string][]merge.Member{}, clients: map[membership.ClientID]string{}, held: map[membership.ClientID]chan struct{}{}}
	cfg := Config{
		NodeName: "d1", Node: 1, Boot: 99, Access: topology.Access{Methods: []string{"NULL"}, BlockTime: patience},
		Order:      func(a, b merge.Member) int { return strings.Compare(a.Name, b.Name) },
		NodeNameOf: func(membership.NodeID) string { return "d1" },
	}
	if change != nil {
		change(&cfg)
	}
	node.server = NewServer(cfg, node)
	ctx, cancel := context.WithCancel(context.Background())
	unix = filepath.Join(t.TempDir(), "s")
	var serving sync.WaitGroup
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": unix} {
		l, err := Listen(network, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if network == "tcp" {
			tcp = l.Addr().String()
		}
		serving.Go(func() {
			if err := node.server.Serve(ctx, l); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		stop, done := context.WithTimeout(context.Background(), patience)
		defer done()
		node.server.Close(stop)
		serving.Wait()
	})
	return node, tcp, unix
}

// raw is a connection with a deadline.
func raw(t testing.TB, network, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// expect reads exactly the wanted bytes.
func expect(t testing.TB, conn net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		m, err := conn.Read(got[n:])
		if n += m; err != nil {
			t.Fatalf("after %q: %v; want %q", got[:n], err, want)
		}
	}
	if string(got) != want {
		t.Fatalf("got %q, want %q", got, want)
	}
}

// expectEnd wants the connection closed, with nothing more to read.
func expectEnd(t testing.TB, conn net.Conn) {
	t.Helper()
	n, err := conn.Read(make([]byte, 100))
	if n > 0 || err == nil {
		t.Fatalf("%d more bytes, error %v; want the end", n, err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the connection was not closed")
	}
}

var choice = "NULL" + strings.Repeat("\x00", 86)

func TestHandshakes(t *testing.T) {
	node, tcp, unix := start(t, nil)
	const list = "\x05NULL "
	for _, c := range []struct {
		name, hello, answer, choice, verdict string
	}{
		{"5.0.1", "\x05\x00\x01\x01\x02p1", list, choice, "\x01\x05\x00\x01\x06#p1#d1"},
		{"4.4", "\x04\x04\x00\x01\x0210", list, choice, "\x01\x05\x00\x01\x0610"[:4] + "\x06#10#d1"},
		{"3.16 without membership", "\x03\x10\x00\x00\x01a", list, choice, "\x01\x05\x00\x01\x05#a#d1"},
		{"3.15.2: no choice", "\x03\x0f\x02\x01\x01b", "", "", "\x01\x05\x00\x01\x05#b#d1"},
		{"3.14: no patch byte", "\x03\x0e\x01\x01c", "", "", "\x01\x05\x00\x05#c#d1"},
		{"newer than anything", "\x06\x01\x02\x01\x01d", list, choice, "\x01\x05\x00\x01\x05#d#d1"},
		{"ten bytes of name", "\x05\x00\x01\x01\x0a0123456789", list, choice, "\x01\x05\x00\x01\x0e#0123456789#d1"},
		{"twice NULL", "\x05\x00\x01\x01\x01e", list, "NULL" + strings.Repeat("\x00", 26) + "NULL" + strings.Repeat("\x00", 56), "\x01\x05\x00\x01\x05#e#d1"},
		{"large messages", "\x05\x00\x01\x01\x01f", list, string(spread.AppendChoice(nil, "NULL", "RINGWAY")), "\x01\x05\x00\x01\x05#f#d1"},
		{"too old", "\x03\x00\x01\x01a", "\xf9", "", ""},
		{"negative version", "\x80\x00\x00\x01\x01a", "\xf9", "", ""},
		{"name too long", "\x05\x00\x01\x01\x0b01234567890", "\xfb", "", ""},
		{"negative length", "\x05\x00\x01\x01\xff", "\xfb", "", ""},
		{"illegal character", "\x05\x00\x01\x01\x01#", "\xfb", "", ""},
		{"method not offered", "\x05\x00\x01\x01\x01g", list, "IP" + strings.Repeat("\x00", 88), "\xf7"},
		{"no method", "\x05\x00\x01\x01\x01g", list, strings.Repeat("\x00", 90), "\xf7"},
		{"only the extension", "\x05\x00\x01\x01\x01g", list, string(spread.AppendChoice(nil, "RINGWAY")), "\xf7"},
	} {
		for _, address := range [][2]string{{"tcp", tcp}, {"unix", unix}} {
			t.Run(c.name+" "+address[0], func(t *testing.T) {
				conn := raw(t, address[0], address[1])
				fmt.Fprint(conn, c.hello)
				expect(t, conn, c.answer)
				fmt.Fprint(conn, c.choice)
				expect(t, conn, c.verdict)
				if !strings.HasPrefix(c.verdict, "\x01") {
					expectEnd(t, conn)
					return
				}
				// A disconnect, so that the name is free for the next address.
				private := c.verdict[strings.IndexByte(c.verdict, '#'):]
				conn.Write(spread.AppendGroup(spread.AppendHeader(nil, spread.TypeDisconnect, private, 1, [4]byte{}, 0), private))
				expectEnd(t, conn)
				wait(t, "the name to be free", node.empty)
			})
		}
	}
}

func TestHandshakeInAnyPieces(t *testing.T) {
	node, tcp, _ := start(t, nil)
	all := "\x05\x00\x01\x01\x02pp" + choice
	for cut := 0; cut <= len(all); cut++ {
		conn := raw(t, "tcp", tcp)
		fmt.Fprint(conn, all[:cut])
		if cut >= 7 {
			expect(t, conn, "\x05NULL ")
		}
		fmt.Fprint(conn, all[cut:])
		if cut < 7 {
			expect(t, conn, "\x05NULL ")
		}
		expect(t, conn, "\x01\x05\x00\x01\x06#pp#d1")
		conn.Write(spread.AppendGroup(spread.AppendHeader(nil, spread.TypeDisconnect, "#pp#d1", 1, [4]byte{}, 0), "x"))
		expectEnd(t, conn)
		wait(t, "the name to be free", node.empty)
	}
}

func TestSilentConnectionsDelayNobodyAndEnd(t *testing.T) {
	_, patient, _ := start(t, func(c *Config) { c.HandshakeTimeout = 2 * patience })
	raw(t, "tcp", patient)
	admitted(t, patient)
	_, brief, _ := start(t, func(c *Config) { c.HandshakeTimeout = 50 * time.Millisecond })
	expectEnd(t, raw(t, "tcp", brief))
}

func TestNames(t *testing.T) {
	_, tcp, _ := start(t, nil)
	ctx := context.Background()
	first, err := client.Dial(ctx, tcp, client.Options{Name: "twin"})
	if err != nil {
		t.Fatal(err)
	}
	var refused *client.RefusedError
	if _, err := client.Dial(ctx, tcp, client.Options{Name: "twin"}); !errors.As(err, &refused) || !refused.NameInUse() {
		t.Fatalf("second of the same name: %v", err)
	}
	first.Close()
	wait(t, "the name to be free", func() bool {
		again, err := client.Dial(ctx, tcp, client.Options{Name: "twin"})
		if err == nil {
			again.Close()
		}
		return err == nil
	})
	invented, err := client.Dial(ctx, tcp, client.Options{})
	if err != nil || !strings.HasPrefix(invented.Name(), "#r") || invented.Node() != "d1" {
		t.Fatalf("invented name %v, %v", invented, err)
	}
	invented.Close()
}

func wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// admitted connects and gets through the handshake as #a#d1.
func admitted(t testing.TB, address string) net.Conn {
	conn := raw(t, "tcp", address)
	fmt.Fprint(conn, "\x05\x00\x01\x01\x01a"+choice)
	expect(t, conn, "\x05NULL \x01\x05\x00\x01\x05#a#d1")
	return conn
}

func header(order spread.Order, kind uint32, from string, groups int, hint uint32, length int) []byte {
	mark := uint32(0)
	if order == spread.Order(binary.LittleEndian) {
		mark = 0x80000080
	}
	b := order.AppendUint32(nil, kind|mark)
	b = spread.AppendGroup(b, from)
	b = order.AppendUint32(b, uint32(groups))
	b = order.AppendUint32(b, hint|mark)
	return order.AppendUint32(b, uint32(length))
}

func TestIllegalHeadersEndTheSession(t *testing.T) {
	le := spread.Order(binary.LittleEndian)
	g := string(spread.AppendGroup(nil, "g"))
	for name, message := range map[string]string{
		"no type bit":             string(header(le, 0, "#a#d1", 1, 0, 0)) + g,
		"two type bits":           string(header(le, 0x11, "#a#d1", 1, 0, 0)) + g,
		"groups state":            string(header(le, 0x80000, "#a#d1", 1, 0, 0)) + g,
		"another's private group": string(header(le, 0x10, "#b#d1", 1, 0, 0)) + g,
		"another node's":          string(header(le, 0x10, "#a#d2", 1, 0, 0)) + g,
		"101 groups":              string(header(le, 0x10, "#a#d1", 101, 0, 0)),
		"negative groups":         string(header(le, 0x10, "#a#d1", -1, 0, 0)),
		"negative length":         string(header(le, 0x10, "#a#d1", 1, 0, -1)),
		"stray hint":              string(header(le, 0x10, "#a#d1", 1, 1, 0)) + g,
		"144001 bytes":            string(header(le, 0x10, "#a#d1", 1, 0, 144001)),
		"together too large":      string(header(le, 0x10, "#a#d1", 2, 0, 144000-48-63)),
		"empty group":             string(header(le, 0x10, "#a#d1", 1, 0, 0)) + strings.Repeat("\x00", 32),
		"group without NUL":       string(header(le, 0x10, "#a#d1", 1, 0, 0)) + strings.Repeat("x", 32),
		"join of nothing":         string(header(le, 0x10000, "#a#d1", 0, 0, 0)),
		"join of a private group": string(header(le, 0x10000, "#a#d1", 1, 0, 0)) + string(spread.AppendGroup(nil, "#b#d1")),
	} {
		t.Run(name, func(t *testing.T) {
			_, tcp, _ := start(t, nil)
			conn := admitted(t, tcp)
			if _, err := conn.Write([]byte(message)); err != nil {
				t.Fatal(err)
			}
			expectEnd(t, conn)
		})
	}
}

func TestLargestLegalMessagePasses(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := admitted(t, tcp)
	size := 144000 - 48 - 32
	message := string(header(binary.LittleEndian, 0x10, "#a#d1", 1, 0, size)) + string(spread.AppendGroup(nil, "#a#d1")) + strings.Repeat("x", size)
	conn.Write([]byte(message))
	expect(t, conn, message)
}

func TestMembershipBitsOfClientsAreCleared(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := admitted(t, tcp)
	body := string(spread.AppendGroup(nil, "#a#d1")) + "forged"
	conn.Write([]byte(string(header(binary.BigEndian, 0x10|0x1000|0x100|0x01000000, "#a#d1", 1, 0xfffe00, 6)) + body))
	want := header(binary.LittleEndian, 0x10, "#a#d1", 1, 0, 6)
	copy(want[40:44], []byte{0, 0xff, 0xfe, 0}) // the hint as it came, big endian
	expect(t, conn, string(want)+body)
}

func TestRedundantJoinAndLeaveAreIgnored(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := admitted(t, tcp)
	g := string(spread.AppendGroup(nil, "g"))
	join, leave := string(header(binary.BigEndian, 0x10000, "#a#d1", 1, 0, 0))+g, string(header(binary.BigEndian, 0x20000, "#a#d1", 1, 0, 0))+g
	fmt.Fprint(conn, leave+join+join+leave+leave)
	member := string(spread.AppendGroup(nil, "#a#d1"))
	view, _ := spread.AppendViewBody(nil, spread.ViewID{7, 8, 1}, [][]string{{"#a#d1"}}, 0)
	expect(t, conn, string(header(binary.LittleEndian, 0x1100, "g", 1, 0, 56))+member+string(view))
	expect(t, conn, string(header(binary.LittleEndian, 0x200, "g", 0, 0, 0)))
}

func TestSlowReaderIsDisconnectedAndDelaysNobody(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) { c.Access.Limits = topology.Limits{QueueMessages: 50, QueueBytes: 1 << 20} })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	slow, err := client.Dial(ctx, tcp, client.Options{Name: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fast, err := client.Dial(ctx, tcp, client.Options{Name: "fast", Membership: true})
	if err != nil {
		t.Fatal(err)
	}
	defer fast.Close()
	for _, c := range []*client.Conn{slow, fast} {
		if err := c.Join(ctx, "g"); err != nil {
			t.Fatal(err)
		}
	}
	for sent := 0; ; sent++ {
		if err := fast.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"g"}, Data: make([]byte, 100<<10)}); err != nil {
			t.Fatal(err)
		}
		for {
			event, err := fast.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if v, ok := event.(*client.View); ok && v.Cause == client.ByDisconnect {
				if got := node.server.Status(); got.TooSlow != 1 {
					t.Fatalf("status %+v", got)
				}
				return
			}
			if _, ok := event.(*client.Message); ok {
				break
			}
		}
	}
}

func TestBackPressureReachesTheClient(t *testing.T) {
	node, tcp, _ := start(t, nil)
	node.hold = make(chan struct{})
	c, err := client.Dial(context.Background(), tcp, client.Options{Name: "c"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// A loopback connection buffers some megabytes; then Send has to wait.
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	sent := 0
	for ; sent < 1000; sent++ {
		if err = c.Send(ctx, client.Message{Service: client.FIFO, Groups: []string{"g"}, Data: make([]byte, 100<<10)}); err != nil {
			break
		}
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("after %d messages: %v", sent, err)
	}
	node.mu.Lock()
	close(node.hold)
	node.hold = nil
	node.mu.Unlock()
}

func TestNetworkViewsDifferInTheOwnSetOnly(t *testing.T) {
	e := newEncoder(&Config{
		Order:      func(a, b merge.Member) int { return strings.Compare(a.Name, b.Name) },
		NodeNameOf: func(n membership.NodeID) string { return fmt.Sprintf("d%d", n) },
	})
	who := func(name string, node membership.NodeID) merge.Member {
		return merge.Member{Client: membership.ClientID{Node: node}, Name: name}
	}
	a, b, c := who("a", 1), who("b", 2), who("c", 3)
	p := e.prepare(&merge.GroupView{Group: "g", Cause: merge.CauseNetwork, Members: []merge.Member{c, b, a}, Sets: [][]merge.Member{{b, a}, {c}}})
	own := func(private string) int {
		h, err := spread.ParseHeader(p.forMember(private))
		if err != nil || h.Type != 0x1800 || h.Groups != 3 || h.DataLen != 124 {
			t.Fatalf("header %+v, %v", h, err)
		}
		return int(binary.LittleEndian.Uint32(p.forMember(private)[48+96+16:]))
	}
	if own("#a#d1") != 0 || own("#b#d2") != 0 || own("#c#d3") != 4+64 {
		t.Fatalf("offsets %d %d %d", own("#a#d1"), own("#b#d2"), own("#c#d3"))
	}
	body, err := spread.ParseViewBody(p.forMember("#c#d3")[48+96:], binary.LittleEndian)
	if err != nil || body.Own != 1 || !slices.Equal(body.Sets[0], []string{"#a#d1", "#b#d2"}) {
		t.Fatalf("body %+v, %v", body, err)
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if l, err := Listen("unix", path, nil); err == nil {
		l.Close()
		t.Fatal("took a socket on which somebody listens")
	}
	first.SetUnlinkOnClose(false)
	first.Close()
	l, err := Listen("unix", path, nil)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func FuzzSessionInput(f *testing.F) {
	g := string(spread.AppendGroup(nil, "g"))
	f.Add([]byte(string(header(binary.LittleEndian, 0x10, "#a#d1", 1, 0, 3)) + g + "abc"))
	f.Add([]byte(string(header(binary.BigEndian, 0x10000, "#a#d1", 1, 0, 0)) + g))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newTestReader(nil)
		r.buffer = in
		need, err := r.parse()
		if err == nil && need <= len(r.buffer)-r.start {
			t.Fatalf("wants %d bytes and has %d", need, len(r.buffer)-r.start)
		}
		for _, q := range r.requests {
			if len(q.Groups) > membership.MaxGroups || len(q.Data) > len(in) {
				t.Fatalf("request %+v", q)
			}
		}
	})
}

func BenchmarkDeliverToMany(b *testing.B) {
	node, tcp, _ := start(b, func(c *Config) { c.Access.Limits.QueueMessages = 1 << 20 })
	ctx := context.Background()
	var receivers sync.WaitGroup
	for i := range 100 {
		c, err := client.Dial(ctx, tcp, client.Options{Name: fmt.Sprint(i)})
		if err != nil {
			b.Fatal(err)
		}
		receivers.Go(func() {
			events := make([]client.Event, 256)
			for {
				if _, err := c.ReceiveBatch(ctx, events); err != nil {
					return
				}
			}
		})
		b.Cleanup(func() { c.Close() })
	}
	var to []membership.ClientID
	for id := range node.clients {
		to = append(to, id)
	}
	output := []merge.Output{{Kind: merge.OutMessage, To: to, Message: merge.Message{SenderName: "x", Service: membership.Agreed, Groups: []string{"g"}, Data: make([]byte, 1000)}}}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		node.server.Deliver(output)
	}
	b.StopTimer()
}
