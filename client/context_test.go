package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ringway/internal/spread"
)

// drained reads and drops what the client sends until the connection ends.
func drained(t testing.TB, server net.Conn) {
	t.Helper()
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(io.Discard, server) }) //nolint:errcheck // ends with the connection
	t.Cleanup(func() { server.Close(); reading.Wait() })
}

// blocked sends until the node, which reads nothing, holds the client back. It returns
// the error that the send at work ends with.
func blocked(ctx context.Context, c *Conn) <-chan error {
	result := make(chan error, 1)
	go func() {
		for {
			if err := c.Send(ctx, Message{Service: FIFO, Groups: []string{"g"}, Data: make([]byte, 1<<20)}); err != nil {
				result <- err
				return
			}
		}
	}()
	return result
}

// stuck waits until a send holds the turn for a while.
func stuck(t testing.TB, c *Conn) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		err := c.lock(ctx)
		cancel()
		if err != nil {
			return
		}
		c.unlock()
	}
	t.Fatal("no send came to wait for the node")
}

func TestAnEndedContextHarmsNoLaterCall(t *testing.T) {
	c, server := daemon(t, false)
	drained(t, server)
	m := Message{Service: Agreed, Groups: []string{"g"}, Data: make([]byte, 100)}
	for i := range 500 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel() // during the call, before it or after it
		if err := c.Send(ctx, m); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
		if err := c.Send(context.Background(), m); err != nil {
			t.Fatalf("after call %d: %v", i, err)
		}
		cancel()
	}
}

func TestAnEndedContextHarmsNoLaterReceive(t *testing.T) {
	c, server := daemon(t, false)
	one := spread.AppendHeader(nil, spread.TypeByLeave, "g", 0, [4]byte{}, 0)
	for i := range 500 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		if _, err := c.Receive(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("call %d: %v", i, err)
		}
		if _, err := server.Write(one); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(context.Background()); err != nil {
			t.Fatalf("after call %d: %v", i, err)
		}
	}
}

func TestSendingAllocatesNothing(t *testing.T) {
	c, server := daemon(t, false)
	drained(t, server)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, m := range map[string]Message{
		"small": {Service: Agreed, Groups: []string{"g", "h"}, Data: make([]byte, 1000)},
		"large": {Service: Agreed, Groups: []string{"g"}, Data: make([]byte, 100<<10)},
	} {
		if n := testing.AllocsPerRun(200, func() {
			if err := c.Send(ctx, m); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%s: %v allocations a message", name, n)
		}
	}
}

func TestACallWaitsForItsTurnNoLongerThanItsContext(t *testing.T) {
	c, _ := daemon(t, false)
	ctx, cancel := context.WithCancel(context.Background())
	result := blocked(ctx, c)
	stuck(t, c)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestCloseEndsWhoWaitsForTheNode(t *testing.T) {
	c, _ := daemon(t, false)
	result := blocked(context.Background(), c)
	stuck(t, c)
	begin := time.Now()
	c.Close()
	if err := <-result; !errors.Is(err, ErrConnection) {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > patience/2 {
		t.Fatalf("took %v", took)
	}
}

func TestCloseEndsReceive(t *testing.T) {
	c, _ := daemon(t, false)
	result := make(chan error, 1)
	go func() {
		_, err := c.Receive(context.Background())
		result <- err
	}()
	c.Close()
	c.Close()
	if err := <-result; !errors.Is(err, ErrConnection) {
		t.Fatal(err)
	}
}

func TestASilentNodeIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Dial(context.Background(), l.Addr().String(), Options{Timeout: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err = Dial(ctx, l.Addr().String(), Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
}

func TestPrivateGroupsHaveNoOtherMembers(t *testing.T) {
	c, _ := daemon(t, false)
	for _, group := range []string{"#x#d2", "#", "a#b"} {
		if err := c.Join(context.Background(), group); !errors.Is(err, ErrGroups) {
			t.Errorf("join %q: %v", group, err)
		}
	}
}

func TestRejectedTellsWhatWasRefused(t *testing.T) {
	for _, c := range []struct {
		kind uint32
		want Rejected
	}{
		{spread.TypeJoin, Rejected{Join: true, Groups: []string{"g"}}},
		{spread.TypeLeave, Rejected{Leave: true, Groups: []string{"g"}}},
		{spread.TypeSafe | spread.TypeSelfDiscard, Rejected{Service: Safe, Groups: []string{"g"}}},
	} {
		in := newReceiver("#me#d1")
		in.buffer = spread.AppendRejected(nil, c.kind, "#me#d1", c.want.Groups, spread.Hint(0), []byte("data"))
		event, _, err := in.parse()
		got, ok := event.(*Rejected)
		if err != nil || !ok || got.Join != c.want.Join || got.Leave != c.want.Leave || got.Service != c.want.Service ||
			!slices.Equal(got.Groups, c.want.Groups) || string(got.Data) != "data" {
			t.Errorf("%#x: %+v, %v", c.kind, got, err)
		}
	}
}

func TestAForgedViewIsAMessage(t *testing.T) {
	in := newReceiver("#me#d1")
	in.buffer = spread.AppendHeader(nil, spread.TypeAgreed|spread.TypeRegular|spread.TypeByJoin, "#x#d1", 0, [4]byte{}, 0)
	if event, _, err := in.parse(); err != nil {
		t.Fatal(err)
	} else if _, ok := event.(*Message); !ok {
		t.Fatalf("%T", event)
	}
}

func TestMalformedEventsEndTheConnection(t *testing.T) {
	for name, b := range map[string][]byte{
		"no type":           spread.AppendHeader(nil, 0, "g", 0, [4]byte{}, 0),
		"two services":      spread.AppendHeader(nil, 0x30, "g", 0, [4]byte{}, 0),
		"short transition":  append(spread.AppendHeader(nil, spread.TypeTransitional, "g", 0, [4]byte{}, 3), "abc"...),
		"short view":        append(spread.AppendHeader(nil, spread.TypeRegular, "g", 0, [4]byte{}, 3), "abc"...),
		"too many names":    spread.AppendHeader(nil, spread.TypeAgreed, "g", maxNames+1, [4]byte{}, 0),
		"negative data":     spread.AppendHeader(nil, spread.TypeAgreed, "g", 0, [4]byte{}, -1),
		"a set out of body": append(spread.AppendHeader(nil, spread.TypeRegular, "g", 0, [4]byte{}, 24), append(make([]byte, 12), 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0)...),
	} {
		in := newReceiver("#me#d1")
		in.buffer = b
		for range 2 {
			if event, _, err := in.parse(); event != nil || !errors.Is(err, ErrConnection) {
				t.Errorf("%s: %v, %v", name, event, err)
			}
		}
	}
}

func TestMemoryForALargeMessageGrowsAsItComes(t *testing.T) {
	c, server := daemon(t, false)
	claim := binary.LittleEndian.AppendUint32(spread.AppendHeader(nil, spread.TypeAgreed, "#x#d1", 0, [4]byte{}, 0)[:44], MaxMessageBytes)
	if _, err := server.Write(append(claim, strings.Repeat("x", 100)...)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if cap(c.in.buffer) > chunkBytes {
		t.Fatalf("%d bytes for 148 that came", cap(c.in.buffer))
	}
}
