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
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringway/internal/spread"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a test that passes does not use it up.
const patience = 30 * time.Second

// answering listens until the test ends, and lets answer have each connection in turn. It
// returns the address.
func answering(t testing.TB, answer func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
		}
	}()
	return l.Addr().String()
}

// daemon is the other end of a connection: it accepts one client as #me#d1, refusing
// large messages if it is an old one.
func daemon(t testing.TB, old bool) (c *Conn, server net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	address := answering(t, func(conn net.Conn) {
		if admit(conn, old) {
			accepted <- conn
		} else {
			conn.Close()
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	if c, err = Dial(ctx, address, Options{Name: "me", Membership: true}); err != nil {
		t.Fatal(err)
	}
	server = <-accepted
	t.Cleanup(func() { c.Close(); server.Close() })
	return c, server
}

// admit answers a handshake byte by byte, as slow daemons do.
func admit(conn net.Conn, old bool) bool {
	hello, choice := make([]byte, 7), make([]byte, spread.ChoiceBytes)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return false
	}
	dribble(conn, "\x05NULL ")
	if _, err := io.ReadFull(conn, choice); err != nil {
		return false
	}
	if old && slices.Contains(spread.ParseChoice(choice), spread.MethodRingway) {
		dribble(conn, "\xf7")
		return false
	}
	dribble(conn, "\x01\x05\x00\x01\x06#me#d1")
	return true
}

func dribble(w io.Writer, s string) {
	for i := range len(s) {
		fmt.Fprint(w, s[i:i+1])
	}
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"4803": "unix /tmp/4803", "4803@lon": "tcp lon:4803", "lon:4803": "tcp lon:4803", "[::1]:4803": "tcp [::1]:4803",
		"unix:/run/x": "unix /run/x", "4803@::1": "tcp [::1]:4803", "4803@[::1]": "tcp [::1]:4803",
		"tls://lon:4806": "tls lon:4806", "tls://[::1]:4806": "tls [::1]:4806", "tls://lon": "", "tls:lon:4806": "", "unix:": "",
		"": "", "lon": "", "@lon": "", "x@lon": "", ":4803": "", "lon:http": "", "4803@": "",
	} {
		network, address, err := ParseAddress(in)
		if got := network + " " + address; err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestMessagesOnTheWire(t *testing.T) {
	c, server := daemon(t, false)
	ctx := context.Background()
	if c.Name() != "#me#d1" || c.Node() != "d1" || c.MaxMessage() != MaxMessageBytes {
		t.Fatalf("%s at %s, %d bytes", c.Name(), c.Node(), c.MaxMessage())
	}
	if err := c.SendBatch(ctx, []Message{
		{Service: Agreed, Groups: []string{"g", "#x#d2"}, Data: []byte("one"), Type: -3},
		{Service: Safe, Groups: []string{"g"}, Data: make([]byte, 40<<10), SelfDiscard: true},
		{Service: FIFO, Groups: []string{"g"}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := c.Leave(ctx, "g"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	all, err := io.ReadAll(server)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(all) > 0 {
		h, err := spread.ParseHeader(all)
		if err != nil || h.CheckFromClient("#me#d1", false) != nil {
			t.Fatalf("illegal header %+v", h)
		}
		kind, _ := spread.HintType(h.Hint)
		got = append(got, fmt.Sprintf("%#x %d %d %d", h.Type, h.Groups, kind, h.DataLen))
		all = all[spread.HeaderBytes+32*h.Groups+h.DataLen:]
	}
	want := []string{"0x10 2 -3 3", "0x60 1 0 40960", "0x4 1 0 0", "0x20000 1 0 0", "0x40000 1 0 0"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func TestIllegalMessagesAreRefusedBeforeSending(t *testing.T) {
	c, _ := daemon(t, false)
	for name, test := range map[string]struct {
		m    Message
		want error
	}{
		"no service":    {Message{Groups: []string{"g"}}, ErrService},
		"no group":      {Message{Service: Agreed}, ErrGroups},
		"101 groups":    {Message{Service: Agreed, Groups: slices.Repeat([]string{"g"}, 101)}, ErrGroups},
		"empty group":   {Message{Service: Agreed, Groups: []string{""}}, ErrGroups},
		"long group":    {Message{Service: Agreed, Groups: []string{strings.Repeat("x", 32)}}, ErrGroups},
		"blank":         {Message{Service: Agreed, Groups: []string{"a b"}}, ErrGroups},
		"one byte more": {Message{Service: Agreed, Groups: []string{"g"}, Data: make([]byte, MaxMessageBytes+1)}, ErrTooLarge},
	} {
		if err := c.Send(context.Background(), test.m); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Send(context.Background(), Message{Service: Agreed, Groups: []string{"g"}}); err != nil {
		t.Errorf("the connection does not go on: %v", err)
	}
}

func TestOldDaemonsGetThePlainChoice(t *testing.T) {
	c, _ := daemon(t, true)
	if c.MaxMessage() != 144000-48-32 {
		t.Fatalf("max message %d", c.MaxMessage())
	}
	err := c.Send(context.Background(), Message{Service: Agreed, Groups: []string{"g"}, Data: make([]byte, c.MaxMessage()+1)})
	if !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// incoming is one of each kind of message, in the given order of bytes.
func incoming(order spread.Order) []byte {
	mark := func(v uint32) uint32 {
		if order == spread.Order(binary.LittleEndian) {
			v |= 0x80000080
		}
		return v
	}
	head := func(kind uint32, group string, groups, length int) []byte {
		b := order.AppendUint32(nil, mark(kind))
		b = spread.AppendGroup(b, group)
		b = order.AppendUint32(b, uint32(groups))
		b = order.AppendUint32(b, mark(7<<8))
		return order.AppendUint32(b, uint32(length))
	}
	names := func(list ...string) (b []byte) {
		for _, n := range list {
			b = spread.AppendGroup(b, n)
		}
		return b
	}
	var view []byte
	for _, v := range []uint32{1, 2, 3, 2, 36, 1} {
		view = order.AppendUint32(view, v)
	}
	view = append(view, names("#c#d3")...)
	view = order.AppendUint32(view, 1)
	view = append(view, names("#me#d1")...)
	return bytes.Join([][]byte{
		head(0x1800, "g", 2, len(view)), names("#me#d1", "#c#d3"), view,
		head(0x10, "#c#d3", 1, 5), names("g"), []byte("hello"),
		head(0x2000, "g", 0, 12), view[:12],
		head(0x200, "g", 0, 0),
		head(0x400000, "#me#d1", 1, 2), order.AppendUint32(nil, mark(0x10)), names("g"), []byte("no"),
	}, nil)
}

func TestEventsInBothByteOrdersAndAnyPieces(t *testing.T) {
	for _, order := range []spread.Order{binary.LittleEndian, binary.BigEndian} {
		c, server := daemon(t, false)
		go dribble(server, string(incoming(order)))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var got []string
		for range 5 {
			event, err := c.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			switch e := event.(type) {
			case *View:
				got = append(got, fmt.Sprintf("view %s %v %s %v %v", e.Group, e.ID, e.Cause, e.Members, e.MovedTogether))
			case *Message:
				got = append(got, fmt.Sprintf("message %s %v %v %d %s %v", e.Sender, e.Groups, e.Service, e.Type, e.Data, e.EndianMismatch))
			case *Transition:
				got = append(got, fmt.Sprintf("transition %s %v", e.Group, e.ID))
			case *Left:
				got = append(got, "left "+e.Group)
			case *Rejected:
				got = append(got, fmt.Sprintf("rejected %v %s", e.Groups, e.Data))
			}
		}
		cancel()
		want := []string{
			"view g 00000001.2.3 network [#me#d1 #c#d3] [#me#d1]",
			fmt.Sprintf("message #c#d3 [g] agreed 7 hello %v", order == spread.Order(binary.BigEndian)),
			"transition g 00000001.2.3", "left g", "rejected [g] no",
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v:\n%q\n%q", order, got, want)
		}
	}
}

func TestAnEndedContextLosesNothing(t *testing.T) {
	c, server := daemon(t, false)
	all := incoming(binary.LittleEndian)
	if _, err := server.Write(all[:200]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	var err error
	for err == nil {
		_, err = c.Receive(ctx)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if _, err := server.Write(all[200:]); err != nil {
		t.Fatal(err)
	}
	later, done := context.WithTimeout(context.Background(), patience)
	defer done()
	for {
		event, err := c.Receive(later)
		if err != nil {
			t.Fatal(err)
		}
		if _, last := event.(*Rejected); last {
			return
		}
	}
}

func TestTheEndOfTheConnectionIsAnError(t *testing.T) {
	c, server := daemon(t, false)
	server.Close()
	for range 2 {
		if _, err := c.Receive(context.Background()); !errors.Is(err, ErrConnection) {
			t.Fatal(err)
		}
	}
	c.Close()
	if err := c.Join(context.Background(), "g"); !errors.Is(err, ErrConnection) {
		t.Fatal(err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(incoming(binary.LittleEndian))
	f.Add(incoming(binary.BigEndian))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newReceiver("#me#d1")
		in.buffer = b
		for {
			event, need, err := in.parse()
			if err != nil {
				return
			}
			if event == nil {
				if need <= len(b)-in.start {
					t.Fatalf("wants %d and has %d", need, len(b)-in.start)
				}
				return
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	c, server := daemon(b, false)
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(io.Discard, server) }) //nolint:errcheck // ends with the connection
	m := Message{Service: Agreed, Groups: []string{"g"}, Data: make([]byte, 1000)}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Send(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	reading.Wait()
}

func BenchmarkReceive(b *testing.B) {
	var message []byte
	message = spread.AppendHeader(message, spread.TypeAgreed, "#x#d1", 1, [4]byte{}, 1000)
	message = append(spread.AppendGroup(message, "g"), make([]byte, 1000)...)
	many := bytes.Repeat(message, 50)
	in := newReceiver("#me#d1")
	b.ReportAllocs()
	for n := 0; n < b.N; {
		in.buffer, in.start = many, 0
		for event, _, _ := in.parse(); event != nil; event, _, _ = in.parse() {
			n++
		}
	}
}
