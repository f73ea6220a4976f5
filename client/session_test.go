package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/spread"
)

// A fakeNode accepts clients until the test ends, one connection after the other.
type fakeNode struct {
	listener net.Listener
	accepted chan net.Conn
	choices  chan []string // the methods that each client named
}

// newFakeNode starts a node that gives every client the private group.
func newFakeNode(t *testing.T, private string) *fakeNode {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{l, make(chan net.Conn, 10), make(chan []string, 10)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			hello, choice := make([]byte, 7), make([]byte, spread.ChoiceBytes)
			io.ReadFull(conn, hello) //nolint:errcheck // the client notices
			fmt.Fprint(conn, "\x05NULL ")
			io.ReadFull(conn, choice) //nolint:errcheck // the client notices
			methods := spread.ParseChoice(choice)
			if slices.Contains(methods, spread.MethodResume) {
				io.ReadFull(conn, make([]byte, spread.ResumeKeyBytes)) //nolint:errcheck // the client notices
			}
			n.choices <- methods
			fmt.Fprintf(conn, "\x01\x05\x00\x01%c%s", len(private), private)
			n.accepted <- conn
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
		for len(n.accepted) > 0 {
			(<-n.accepted).Close()
		}
	})
	return n
}

func (n *fakeNode) address() string { return n.listener.Addr().String() }

// next returns the next connection that a client made.
func (n *fakeNode) next(t *testing.T) net.Conn {
	t.Helper()
	select {
	case conn := <-n.accepted:
		t.Cleanup(func() { conn.Close() })
		return conn
	case <-time.After(patience):
		t.Fatal("no client came")
		return nil
	}
}

func open(t *testing.T, options SessionOptions, addresses ...string) *Session {
	t.Helper()
	options.Name, options.Membership = "me", true
	options.MinWait = time.Millisecond
	s, err := Open(testContext(t), addresses, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// request reads a message of a client and returns it in words.
func request(t *testing.T, conn net.Conn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // a dead connection fails by itself
	raw := make([]byte, spread.HeaderBytes)
	if _, err := io.ReadFull(conn, raw); err != nil {
		t.Fatal(err)
	}
	h, err := spread.ParseHeader(raw)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, spread.GroupBytes*h.Groups+h.DataLen)
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	group, _ := spread.GroupName(body[:spread.GroupBytes])
	data := body[spread.GroupBytes*h.Groups:]
	switch {
	case h.Type&spread.TypeJoin != 0:
		return "join " + string(group)
	case h.Type&spread.TypeLeave != 0:
		return "leave " + string(group)
	}
	return fmt.Sprintf("%s: %s", group, data[:min(len(data), 10)])
}

func expect(t *testing.T, conn net.Conn, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := request(t, conn); got != w {
			t.Fatalf("the node got %q, want %q", got, w)
		}
	}
}

func receive(t *testing.T, s *Session) Event {
	t.Helper()
	event, err := s.Receive(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func toMe(data string) []byte {
	b := spread.AppendHeader(nil, spread.TypeAgreed, "#x#d1", 1, [4]byte{}, len(data))
	return append(spread.AppendGroup(b, "g"), data...)
}

func TestASessionComesBackWithItsGroups(t *testing.T) {
	ctx := testContext(t)
	one, two := newFakeNode(t, "#me#d1"), newFakeNode(t, "#me#d2")
	s := open(t, SessionOptions{}, one.address(), two.address())
	first := one.next(t)
	if methods := <-one.choices; !slices.Equal(methods, []string{"NULL", "RINGWAY", "RESUME"}) {
		t.Errorf("the client names %q", methods)
	}
	for _, g := range []string{"b", "a", "c", "d"} {
		if err := s.Join(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Leave(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	expect(t, first, "join b", "join a", "join c", "join d", "leave c")

	// What has arrived before the end is not lost; half a message is.
	first.Write(append(toMe("last words"), toMe("half")[:60]...))
	one.listener.Close()
	first.Close()
	if m, ok := receive(t, s).(*Message); !ok || string(m.Data) != "last words" {
		t.Fatalf("got %+v", m)
	}
	if left, ok := receive(t, s).(*Left); !ok || left.Group != "c" {
		t.Fatalf("got %+v", left)
	}
	gap, ok := receive(t, s).(*Gap)
	if !ok || gap.Former != "#me#d1" || gap.Name != "#me#d2" || !slices.Equal(gap.Groups, []string{"b", "a", "d"}) || !errors.Is(gap.Cause, ErrConnection) {
		t.Fatalf("got %+v", gap)
	}
	second := two.next(t)
	expect(t, second, "join b", "join a", "join d")
	second.Write(toMe("hello"))
	if m, ok := receive(t, s).(*Message); !ok || string(m.Data) != "hello" || s.Name() != "#me#d2" || s.Node() != "d2" {
		t.Fatalf("got %+v as %s", m, s.Name())
	}
	if err := s.Send(ctx, Message{Service: Agreed, Groups: []string{"g"}, Data: []byte("back")}); err != nil {
		t.Fatal(err)
	}
	expect(t, second, "g: back")
}

func TestJoinsDuringAnOutageTakeEffectAfterIt(t *testing.T) {
	ctx := testContext(t)
	n := newFakeNode(t, "#me#d1")
	s := open(t, SessionOptions{}, n.address())
	first := n.next(t)
	first.Close()
	for s.Join(ctx, "early") == nil {
		if conn, _ := s.established(); conn == nil {
			break // the write found the end
		}
	}
	if err := s.Join(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	if err := s.Send(ctx, Message{Service: Agreed, Groups: []string{"g"}, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	expect(t, n.next(t), "join early", "join g", "g: x")
}

// A shortConn breaks after so many bytes.
type shortConn struct {
	net.Conn
	left int
}

func (c *shortConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b[:min(len(b), c.left)])
	if c.left -= n; err == nil && n < len(b) {
		c.Conn.Close()
		err = io.ErrClosedPipe
	}
	return n, err
}

// TestNoMessageIsLostOrDoubledWhereAConnectionBreaks cuts a batch at every position: the
// whole messages before the cut and those on the next connection are the batch.
func TestNoMessageIsLostOrDoubledWhereAConnectionBreaks(t *testing.T) {
	large := strings.Repeat("L", copyBytes+1)
	var batch []Message
	for _, data := range []string{"one", "two", large, "", "five", large} {
		batch = append(batch, Message{Service: Agreed, Groups: []string{"g"}, Data: []byte(data)})
	}
	const handshake = 7 + spread.ChoiceBytes + spread.ResumeKeyBytes
	size := 0
	for i := range batch {
		size += spread.HeaderBytes + spread.GroupBytes + len(batch[i].Data)
	}
	cuts := []int{0, 1, 47, 82, 83, 84, 165, 166, 167, 247, 1000, size - 1}
	for _, cut := range cuts {
		n := newFakeNode(t, "#me#d1")
		dials := 0
		s := open(t, SessionOptions{Options: Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if dials++; dials == 1 && err == nil {
				conn = &shortConn{conn, handshake + cut}
			}
			return conn, err
		}}}, n.address())
		first := n.next(t)
		var before bytes.Buffer
		done := make(chan struct{})
		go func() { defer close(done); io.Copy(&before, first) }() //nolint:errcheck // ends with the connection
		if err := s.SendBatch(testContext(t), batch); err != nil {
			t.Fatal(err)
		}
		<-done
		whole := wholeOf(batch, int64(before.Len()))
		second := n.next(t)
		for i := range batch[whole:] {
			want := fmt.Sprintf("g: %.10s", batch[whole+i].Data)
			expect(t, second, want)
		}
		s.Close()
		if rest, _ := io.ReadAll(second); len(rest) != spread.HeaderBytes+spread.GroupBytes { // the farewell
			t.Errorf("cut at %d: %d bytes too many", cut, len(rest))
		}
	}
}

func TestASessionEndsWhenNoNodeWillHaveIt(t *testing.T) {
	n := newFakeNode(t, "#me#d1")
	var retries int
	s := open(t, SessionOptions{GiveUp: time.Millisecond, Retry: func(string, error) { retries++ }}, n.address())
	n.listener.Close()
	n.next(t).Close()
	for range 2 {
		if _, err := s.Receive(testContext(t)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
	}
	if err := s.Join(testContext(t), "g"); err == nil {
		t.Error("a join of no use is accepted")
	}
	if retries == 0 {
		t.Error("nobody was told")
	}
}

func TestARefusalForGoodEndsASession(t *testing.T) {
	refusing := answering(t, func(conn net.Conn) {
		io.ReadFull(conn, make([]byte, 7)) //nolint:errcheck // the client notices
		fmt.Fprint(conn, "\xfb")           // illegal name
		conn.Close()
	})
	n := newFakeNode(t, "#me#d1")
	s := open(t, SessionOptions{}, n.address(), refusing)
	n.listener.Close()
	n.next(t).Close()
	// The first address refuses the connection, which may change: so it goes on.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	s.addresses = s.addresses[1:]
	var refused *RefusedError
	if _, err := s.Receive(testContext(t)); !errors.As(err, &refused) || !refused.Permanent() {
		t.Fatalf("got %v", err)
	}
}

func TestCloseEndsASessionThatWaits(t *testing.T) {
	n := newFakeNode(t, "#me#d1")
	s := open(t, SessionOptions{Retry: func(string, error) {}}, n.address())
	n.listener.Close()
	n.next(t).Close()
	result := make(chan error, 1)
	go func() {
		_, err := s.Receive(context.Background())
		result <- err
	}()
	s.Close()
	select {
	case err := <-result:
		if !errors.Is(err, ErrConnection) {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Error("it waits still")
	}
}

func TestBackoffGrowsAndStartsAnew(t *testing.T) {
	b := newBackoff(0, 0)
	now := time.Unix(1000, 0)
	b.connected(now)
	for i, most := range []time.Duration{0: 50, 1: 100, 2: 200, 3: 400, 4: 800, 5: 1600, 6: 3200, 7: 5000, 8: 5000} {
		if i == 0 {
			b.lost(now)
		} else {
			b.failed(now)
		}
		if wait, most := b.next.Sub(now), most*time.Millisecond; wait > most || i > 0 && wait < most/2 {
			t.Errorf("attempt %d after %v, want at most %v", i, wait, most)
		}
	}
	b.connected(now)
	if b.lost(now.Add(steady / 2)); b.next.Sub(now) < steady/2+defaultMaxWait/2 {
		t.Error("a connection that lasted for a moment counts as good")
	}
	b.connected(now)
	if b.lost(now.Add(steady)); b.next.Sub(now) > steady+defaultMinWait {
		t.Error("a good connection does not start anew")
	}
}

// TestListings asks for groups over two answers while events go by.
func TestListings(t *testing.T) {
	n := newFakeNode(t, "#me#d1")
	s := open(t, SessionOptions{}, n.address())
	server := n.next(t)
	go func() {
		for i := 0; ; i++ {
			raw := make([]byte, spread.HeaderBytes)
			if _, err := io.ReadFull(server, raw); err != nil {
				return
			}
			h, _ := spread.ParseHeader(raw)
			body := make([]byte, spread.GroupBytes*h.Groups+h.DataLen)
			if _, err := io.ReadFull(server, body); err != nil {
				return
			}
			answer := toMe("between")
			if h.CallKind() == spread.CallGroups {
				call, _ := spread.ParseGroupsCall(&h, body)
				name := map[string]string{"": "a", "a": "b"}[call.After]
				answer = spread.AppendGroupsAnswer(answer, spread.GroupsAnswer{Tag: call.Tag, More: name == "a", Groups: []spread.GroupInfo{{Name: name, Members: 2, Sites: 1, Complete: true}}})
			} else {
				call, _ := spread.ParseMembersCall(&h, body)
				answer = spread.AppendMembersAnswer(answer, spread.MembersAnswer{Tag: call.Tag, Total: 2, Members: []string{[]string{"#x#d1", "#y#d1"}[call.From]}})
			}
			server.Write(answer)
		}
	}()
	messages := make(chan int)
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		count := 0
		for {
			event, err := s.Receive(ctx)
			if err != nil {
				messages <- count
				return
			}
			if m, ok := event.(*Message); ok && string(m.Data) == "between" {
				count++
			}
		}
	}()
	groups, err := s.Groups(ctx, "*")
	if want := []GroupInfo{{"a", 2, 1, true}, {"b", 2, 1, true}}; err != nil || !slices.Equal(groups, want) {
		t.Errorf("got %v, %v", groups, err)
	}
	members, complete, err := s.Members(ctx, "a")
	if err != nil || complete || !slices.Equal(members, []string{"#x#d1", "#y#d1"}) {
		t.Errorf("got %q, %v, %v", members, complete, err)
	}
	cancel()
	if n := <-messages; n != 4 {
		t.Errorf("%d messages came, want 4", n)
	}
	conn := s.conn
	server.Close()
	if _, err := conn.Receive(testContext(t)); err == nil {
		t.Fatal("the connection goes on")
	}
	if _, err := conn.Groups(testContext(t), ""); !errors.Is(err, ErrConnection) {
		t.Errorf("a call on a dead connection: %v", err)
	}
}

func TestListingsNeedExtensions(t *testing.T) {
	c, _ := daemon(t, true)
	if _, err := c.Groups(testContext(t), ""); !errors.Is(err, ErrExtension) {
		t.Errorf("got %v", err)
	}
}

// choiceOf returns what a client with these options sends after the node's offer.
func choiceOf(t *testing.T, offer string, options Options) (choice []byte, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	got := make(chan []byte, 1)
	go func() {
		defer theirs.Close()
		io.ReadFull(theirs, make([]byte, 7)) //nolint:errcheck // the client notices
		fmt.Fprint(theirs, offer)
		b := make([]byte, 1000)
		n, _ := theirs.Read(b)
		got <- b[:n]
	}()
	options.Name = "me"
	_, err = negotiate(ours, &options, true)
	ours.Close()
	return <-got, err
}

func TestMethodsAreChosenFromWhatTheNodeOffers(t *testing.T) {
	token := Options{Token: "secret", SlowReader: Block}
	for _, test := range []struct {
		offer   string
		options Options
		want    string // methods, then what follows; or the error
	}{
		{"\x05NULL ", Options{}, "NULL,RINGWAY "},
		{"\x08NULL IP ", Options{}, "NULL,RINGWAY "},
		{"\x03IP ", Options{}, "IP,RINGWAY "},
		{"\x00", Options{}, "NULL,RINGWAY "},
		{"\x06TOKEN ", token, "TOKEN,RINGWAY block \x00\x06secret"},
		{"\x0bNULL TOKEN ", token, "TOKEN,RINGWAY block \x00\x06secret"},
		{"\x05NULL ", Options{IndependentScopes: true}, "NULL,RINGWAY scopes "},
		{"\x05NULL ", Options{SlowReader: DropOldest, IndependentScopes: true}, "NULL,RINGWAY drop-oldest scopes "},
		{"\x05NULL ", token, "the node offers"},
		{"\x06TOKEN ", Options{}, "set Options.Token"},
	} {
		choice, err := choiceOf(t, test.offer, test.options)
		got := ""
		if errors.Is(err, ErrMethod) {
			if got = err.Error(); strings.Contains(got, test.want) {
				continue
			}
		} else if len(choice) >= spread.ChoiceBytes {
			got = strings.Join(spread.ParseChoice(choice), ",") + " " + string(choice[spread.ChoiceBytes:])
		}
		if got != test.want {
			t.Errorf("offer %q: %q, want %q", test.offer, got, test.want)
		}
	}
	for _, o := range []Options{{SlowReader: "ignore"}, {Token: strings.Repeat("x", 5000)}, {Name: "a b"}} {
		if _, err := Dial(testContext(t), "127.0.0.1:1", o); err == nil || strings.Contains(err.Error(), "refused") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func BenchmarkReceiveOverTCP(b *testing.B) {
	c, server := daemon(b, false)
	many := bytes.Repeat(toMe(strings.Repeat("x", 1000)), 50)
	go func() {
		for {
			if _, err := server.Write(many); err != nil {
				return
			}
		}
	}()
	events := make([]Event, 256)
	b.ReportAllocs()
	b.SetBytes(int64(binary.Size(many) / 50))
	for n := 0; n < b.N; {
		got, err := c.ReceiveBatch(b.Context(), events)
		if err != nil {
			b.Fatal(err)
		}
		n += got
	}
}

func BenchmarkSendBatch(b *testing.B) {
	c, server := daemon(b, false)
	go io.Copy(io.Discard, server) //nolint:errcheck // ends with the connection
	batch := make([]Message, 50)
	for i := range batch {
		batch[i] = Message{Service: Agreed, Groups: []string{"g"}, Data: make([]byte, 1000)}
	}
	b.ReportAllocs()
	b.SetBytes(1000)
	for n := 0; n < b.N; n += len(batch) {
		if err := c.SendBatch(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
