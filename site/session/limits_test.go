package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

var le = spread.Order(binary.LittleEndian)

// dial connects with the client library.
func dial(t testing.TB, address string, opts client.Options) *client.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, address, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAFullNodeSaysSoBeforeTheHello(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) { c.Access.Limits.Sessions = 2 })
	first := dial(t, tcp, client.Options{})
	dial(t, tcp, client.Options{})
	conn := raw(t, "tcp", tcp)
	expect(t, conn, "\xfd")
	expectEnd(t, conn)
	first.Close()
	wait(t, "room", func() bool {
		node.mu.Lock()
		defer node.mu.Unlock()
		return len(node.clients) == 1
	})
	dial(t, tcp, client.Options{})
}

// TestARefusalArrives: also at a client that has sent ahead what the node never reads.
func TestARefusalArrives(t *testing.T) {
	_, tcp, _ := start(t, func(c *Config) { c.Access.Limits.Sessions = 1 })
	dial(t, tcp, client.Options{})
	for range 50 {
		conn := raw(t, "tcp", tcp)
		fmt.Fprint(conn, "\x05\x00\x01\x01\x01a"+choice)
		if answer, err := io.ReadAll(conn); err != nil || string(answer) != "\xfd" {
			t.Fatalf("answer %q, error %v", answer, err)
		}
		conn.Close()
	}
}

// TestALastPlaceGoesToWhoIsFirstThrough: a handshake takes no place and no name until it
// is through, so that who cannot show anything keeps nobody out.
func TestALastPlaceGoesToWhoIsFirstThrough(t *testing.T) {
	_, tcp, _ := start(t, func(c *Config) { c.Access.Limits.Sessions = 1 })
	var conns []net.Conn
	for range 2 {
		conn := raw(t, "tcp", tcp)
		fmt.Fprint(conn, "\x05\x00\x01\x01\x01a")
		expect(t, conn, "\x05NULL ")
		conns = append(conns, conn)
	}
	fmt.Fprint(conns[1], choice)
	expect(t, conns[1], "\x01\x05\x00\x01\x05#a#d1")
	fmt.Fprint(conns[0], choice)
	expect(t, conns[0], "\xfa")
	third := raw(t, "tcp", tcp)
	expect(t, third, "\xfd")
}

func TestMessagesInAnyPieces(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := admitted(t, tcp)
	self := string(spread.AppendGroup(nil, "#a#d1"))
	for i, order := range []spread.Order{binary.LittleEndian, binary.BigEndian} {
		message := string(header(order, 0x10, "#a#d1", 2, 0x1200, 3)) + self + self + "abc"
		want := []byte(string(header(le, 0x10, "#a#d1", 2, 0, 3)) + self + self + "abc")
		copy(want[40:44], message[40:44])
		for cut := range len(message) {
			if _, err := fmt.Fprint(conn, message[:cut]); err != nil {
				t.Fatal(err)
			}
			if cut%8 == i { // otherwise the kernel may join them, which is well too
				time.Sleep(time.Millisecond)
			}
			fmt.Fprint(conn, message[cut:])
			expect(t, conn, string(want))
		}
	}
}

func TestMembershipIsOnlyForThoseWhoAsked(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := raw(t, "tcp", tcp)
	fmt.Fprint(conn, "\x05\x00\x01\x00\x01a"+choice)
	expect(t, conn, "\x05NULL \x01\x05\x00\x01\x05#a#d1")
	g := string(spread.AppendGroup(nil, "g"))
	fmt.Fprint(conn, string(header(le, 0x10000, "#a#d1", 1, 0, 0))+g) // join: no view
	message := string(header(le, 0x20, "#a#d1", 1, 0, 1)) + g + "x"
	fmt.Fprint(conn, message)
	fmt.Fprint(conn, string(header(le, 0x20000, "#a#d1", 1, 0, 0))+g) // leave: no answer
	own := string(header(le, 0x01, "#a#d1", 1, 0, 0)) + string(spread.AppendGroup(nil, "#a#d1"))
	fmt.Fprint(conn, own)
	expect(t, conn, message+own)
}

func TestHundredGroupsAndDuplicatesComeBackAsSent(t *testing.T) {
	_, tcp, _ := start(t, nil)
	conn := admitted(t, tcp)
	var groups strings.Builder
	for i := range 99 {
		groups.Write(spread.AppendGroup(nil, fmt.Sprint("g", i%50)))
	}
	groups.Write(spread.AppendGroup(nil, "#a#d1"))
	message := string(header(le, 0x08, "#a#d1", 100, 0, 2)) + groups.String() + "hi"
	fmt.Fprint(conn, message)
	expect(t, conn, message)
}

func TestLargeMessagesByNegotiation(t *testing.T) {
	_, tcp, _ := start(t, nil)
	c := dial(t, tcp, client.Options{Name: "a"})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	data := make([]byte, membership.MaxMessageBytes)
	for i := 0; i < len(data); i += 4096 {
		data[i] = byte(i >> 12)
	}
	sent := make(chan error, 1)
	go func() {
		sent <- c.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{c.Name()}, Data: data})
	}()
	event, err := c.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if m, ok := event.(*client.Message); !ok || string(m.Data) != string(data) {
		t.Fatal("another message came back")
	}
	conn := raw(t, "tcp", tcp)
	fmt.Fprint(conn, "\x05\x00\x01\x01\x01b"+string(spread.AppendChoice(nil, "NULL", "RINGWAY")))
	expect(t, conn, "\x05NULL \x01\x05\x00\x01\x05#b#d1")
	conn.Write(header(le, 0x10, "#b#d1", 1, 0, membership.MaxMessageBytes+1))
	expectEnd(t, conn)
}

func TestMemoryForALargeMessageGrowsAsItComes(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	r := newTestReader(near)
	r.session.admission.extended = true
	go func() {
		defer far.Close()
		far.Write(header(le, 0x10, "#a#d1", 1, 0, membership.MaxMessageBytes))
		far.Write(make([]byte, 300<<10))
	}()
	arrived := 0
	for {
		need, err := r.parse()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.fill(need); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
		if arrived = len(r.buffer); cap(r.buffer) > max(lastChunk, 2*arrived) {
			t.Fatalf("%d bytes for %d that came", cap(r.buffer), arrived)
		}
	}
	if arrived != 48+300<<10 {
		t.Fatalf("%d bytes arrived", arrived)
	}
}

func TestQueueBounds(t *testing.T) {
	for _, c := range []struct {
		name     string
		sizes    []int
		messages int
		ended    bool
	}{
		{"one of any size", []int{5000}, 10, false},
		{"bytes", []int{600, 600}, 10, true},
		{"bytes, just", []int{500, 500}, 10, false},
		{"messages", []int{48, 48, 48}, 2, true},
		{"messages, just", []int{48, 48}, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			session := newTestSession(near, topology.Limits{QueueMessages: c.messages, QueueBytes: 1000})
			for _, size := range c.sizes {
				session.queue(make([]byte, size), nil)
			}
			if session.ended != c.ended {
				t.Errorf("ended %v (%s)", session.ended, session.why)
			}
		})
	}
}

// TestViewsCountByTheirBytes: a change of the network makes a view for each group that
// a session is in, all at once.
func TestViewsCountByTheirBytes(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	session := newTestSession(near, topology.Limits{QueueMessages: 2, QueueBytes: 10_000})
	e := encoder{nodeName: func(membership.NodeID) string { return "d1" }, order: func(a, b merge.Member) int { return 0 }}
	for range 10 {
		session.queue(e.transition("g", merge.GroupViewID{}), nil)
		session.queue(e.prepare(&merge.GroupView{Group: "g", Cause: merge.CauseNetwork, Members: []merge.Member{{Name: "a"}}}).encoded, nil)
		session.queue(e.left("g"), nil)
	}
	if session.ended || session.queued != 0 {
		t.Errorf("ended %v (%s), %d count as messages", session.ended, session.why, session.queued)
	}
	for range 1000 {
		session.queue(e.transition("g", merge.GroupViewID{}), nil)
	}
	if !session.ended {
		t.Error("their bytes are not bounded")
	}
}

func TestWhatIsQueuedGoesOutBeforeAStop(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) { c.FlushTime = 2 * patience }) // the machine may be busy
	c := dial(t, tcp, client.Options{Name: "a"})
	const messages, size = 3000, 10000 // more than the kernel takes
	var to []membership.ClientID
	node.mu.Lock()
	for id := range node.clients {
		to = append(to, id)
	}
	output := merge.Output{Kind: merge.OutMessage, To: to, Message: merge.Message{SenderName: "x", Service: membership.Agreed, Groups: []string{"g"}, Data: make([]byte, size)}}
	for range messages {
		node.server.Deliver([]merge.Output{output})
	}
	node.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		node.server.Close(ctx)
		close(closed)
	}()
	for n := range messages {
		if _, err := c.Receive(ctx); err != nil {
			t.Fatalf("after %d: %v", n, err)
		}
	}
	if _, err := c.Receive(ctx); !errors.Is(err, client.ErrConnection) {
		t.Fatal(err)
	}
	<-closed
}

func TestAStopWaitsForNoClientThatDoesNotRead(t *testing.T) {
	node, tcp, _ := start(t, nil)
	dial(t, tcp, client.Options{Name: "a"})
	var to []membership.ClientID
	node.mu.Lock()
	for id := range node.clients {
		to = append(to, id)
	}
	for range 3000 {
		node.server.Deliver([]merge.Output{{Kind: merge.OutMessage, To: to, Message: merge.Message{Service: membership.Agreed, Groups: []string{"g"}, Data: make([]byte, 10000)}}})
	}
	node.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	node.server.Close(ctx)
	if took := time.Since(begin); took > patience/2 || !node.empty() {
		t.Fatalf("took %v, everybody gone: %v", took, node.empty())
	}
}

// TestACrowdOfSilentConnectionsKeepsNobodyOut: when there is no place for another
// handshake, the oldest of the address that has most goes.
func TestACrowdOfSilentConnectionsKeepsNobodyOut(t *testing.T) {
	var l lobby
	one, many := &elsewhere{ip: "192.0.2.1"}, make([]*elsewhere, maxHandshakes)
	l.enter(one)
	for i := range many[:maxHandshakes-1] {
		many[i] = &elsewhere{ip: "192.0.2.2"}
		if gone := l.enter(many[i]); gone != nil {
			t.Fatalf("%v had to go for number %d", gone, i)
		}
	}
	for i := range 10 {
		if gone := l.enter(&elsewhere{ip: "192.0.2.3"}); gone != many[i] {
			t.Fatalf("newcomer %d: %v had to go", i, gone)
		}
	}
	l.leave(many[0]) // is gone already
	l.leave(one)
	if l.count != maxHandshakes-1 {
		t.Errorf("%d are in", l.count)
	}
	seen := 0
	l.each(func(net.Conn) { seen++ })
	if seen != l.count {
		t.Errorf("%d of %d", seen, l.count)
	}
}

// elsewhere is a connection from an address.
type elsewhere struct {
	net.Conn
	ip string
}

func (e *elsewhere) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(e.ip), Port: 1} }

// newTestSession returns a session of a server that does nothing.
func newTestSession(conn net.Conn, limits topology.Limits) *Session {
	s := NewServer(Config{Access: topology.Access{Limits: limits}}, nil)
	return newSession(s, conn, Identity{}, "#a#d1")
}

func newTestReader(conn net.Conn) *reader {
	return &reader{session: newTestSession(conn, topology.Limits{}), chunk: firstChunk}
}
