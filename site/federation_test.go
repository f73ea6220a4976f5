package site

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"ringway/client"
)

// dial connects a client of the library.
func (f *federation) dial(node, name string) *client.Conn {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := client.Dial(ctx, f.nodes[node].Clients[0].Address, client.Options{Name: name, Membership: true})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	return c
}

// join joins and waits until the group has so many members.
func join(t *testing.T, group string, members int, conns ...*client.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, c := range conns {
		if err := c.Join(ctx, group); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range conns {
		awaitView(t, c, group, members)
	}
}

// awaitView receives until a view of the group with so many members comes.
func awaitView(t *testing.T, c *client.Conn, group string, members int) *client.View {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		event, err := c.Receive(ctx)
		if err != nil {
			t.Fatalf("%s waits for a view of %s with %d members: %v", c.Name(), group, members, err)
		}
		if view, ok := event.(*client.View); ok && view.Group == group && len(view.Members) == members {
			return view
		}
	}
}

// messages receives n messages and returns them as "sender:data".
func messages(t *testing.T, c *client.Conn, n int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []string
	for len(got) < n {
		event, err := c.Receive(ctx)
		if err != nil {
			t.Fatalf("%s has %d of %d messages: %v", c.Name(), len(got), n, err)
		}
		if m, ok := event.(*client.Message); ok {
			got = append(got, m.Sender+":"+string(m.Data))
		}
	}
	return got
}

func send(t *testing.T, c *client.Conn, service client.Service, data string, groups ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := c.Send(ctx, client.Message{Service: service, Groups: groups, Data: []byte(data)}); err != nil {
		t.Fatal(err)
	}
}

func TestThreeSitesSeeOneOrder(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 2, "nyc": 2}, "lon", "fra", "nyc")
	f := run(t, topo, nil)
	f.ready()

	var members []*client.Conn
	for _, s := range topo.Sites {
		for _, n := range s.Nodes {
			members = append(members, f.dial(n.Name, "m"))
		}
	}
	join(t, "feed", len(members), members...)

	const each = 200
	services := []client.Service{client.Agreed, client.Safe, client.Causal}
	for _, c := range members {
		go func() {
			for i := range each {
				send(t, c, services[i%len(services)], fmt.Sprint(i), "feed")
			}
		}()
	}
	want := messages(t, members[0], each*len(members))
	for _, c := range members[1:] {
		if got := messages(t, c, each*len(members)); !slices.Equal(got, want) {
			t.Fatalf("%s and %s saw different orders", c.Name(), members[0].Name())
		}
	}
	for _, c := range members {
		next := 0
		for _, m := range want {
			if m == fmt.Sprintf("%s:%d", c.Name(), next) {
				next++
			}
		}
		if next != each {
			t.Errorf("messages of %s: %d in order, want %d", c.Name(), next, each)
		}
	}
}

func TestRawSessionInBothByteOrders(t *testing.T) {
	topo := newTopology(t, map[string]int{"lan": 2}, "lan")
	f := run(t, topo, nil)
	f.ready()
	for _, order := range []rawOrder{binary.LittleEndian, binary.BigEndian} {
		t.Run(order.String(), func(t *testing.T) {
			name := "le"
			if order == rawOrder(binary.BigEndian) {
				name = "be"
			}
			a := dialRaw(t, "tcp", f.nodes["lan-1"].Clients[0].Address, name, order)
			b := dialRaw(t, "tcp", f.nodes["lan-2"].Clients[0].Address, name, order)
			group := "g" + name

			a.send(rawJoin, 0, nil, group)
			if v := a.receive(); v.kind != rawRegular|rawByJoin || v.sender != group || !slices.Equal(v.groups, []string{a.group}) || len(v.data) != 56 {
				t.Fatalf("first view: %v", v)
			}
			b.send(rawJoin, 0, nil, group)
			both := []string{a.group, b.group}
			for _, c := range []*rawClient{a, b} {
				if v := c.receive(); v.kind != rawRegular|rawByJoin || !slices.Equal(v.groups, both) {
					t.Fatalf("second view at %s: %v", c.group, v)
				}
			}

			b.send(rawAgreed, -7, []byte("payload"), group, a.group)
			m := a.receive()
			if m.kind != rawAgreed || m.sender != b.group || string(m.data) != "payload" || !slices.Equal(m.groups, []string{group, a.group}) {
				t.Fatalf("message at a: %v", m)
			}
			want := uint32(uint16(0xfff9)) << 8
			if got := order.Uint32(m.hint[:]) &^ 0x80000080; got != want {
				t.Fatalf("hint %#x, want %#x in the sender's order", got, want)
			}
			if m := b.receive(); string(m.data) != "payload" {
				t.Fatalf("own message: %v", m)
			}

			b.send(rawLeave, 0, nil, group)
			if left := b.receive(); left.kind != rawByLeave || left.sender != group || len(left.data) != 0 {
				t.Fatalf("own leave: %v", left)
			}
			if v := a.receive(); v.kind != rawRegular|rawByLeave || !slices.Equal(v.groups, []string{a.group}) {
				t.Fatalf("view after leave: %v", v)
			}
			a.send(rawDisconnect, 0, nil, a.group)
		})
	}
}

func TestNodeGoesAndComesBack(t *testing.T) {
	topo := newTopology(t, map[string]int{"lan": 3}, "lan")
	f := run(t, topo, nil)
	f.ready()
	a, b, c := f.dial("lan-1", "a"), f.dial("lan-2", "b"), f.dial("lan-3", "c")
	join(t, "g", 3, a, b, c)

	f.stop("lan-3")
	awaitView(t, a, "g", 2)
	awaitView(t, b, "g", 2)
	send(t, a, client.Agreed, "two", "g")
	if got := messages(t, b, 1); got[0] != a.Name()+":two" {
		t.Fatalf("got %v", got)
	}

	f.start("lan-3", nil)
	f.ready()
	again := f.dial("lan-3", "c")
	join(t, "g", 3, again)
	send(t, again, client.Safe, "three", "g")
	for _, m := range []*client.Conn{a, b, again} {
		if got := messages(t, m, 1); got[len(got)-1] != again.Name()+":three" && got[len(got)-1] != a.Name()+":two" {
			t.Fatalf("%s got %v", m.Name(), got)
		}
	}
}

func TestMessageOf64MiB(t *testing.T) {
	topo := newTopology(t, map[string]int{"lan": 2}, "lan")
	f := run(t, topo, nil)
	f.ready()
	a, b := f.dial("lan-1", "a"), f.dial("lan-2", "b")
	join(t, "g", 2, a, b)
	data := make([]byte, client.MaxMessageBytes)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	if err := a.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"g"}, Data: append(data, 0)}); err == nil {
		t.Fatal("one byte over the limit was accepted")
	}
	done := make(chan error, 1)
	go func() { done <- a.Send(ctx, client.Message{Service: client.Agreed, Groups: []string{"g"}, Data: data}) }()
	for {
		event, err := b.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := event.(*client.Message); ok {
			if !slices.Equal(m.Data, data) {
				t.Fatal("the message was changed on its way")
			}
			break
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The session goes on after the refusal and the large message.
	send(t, b, client.Agreed, "small", "g")
	if got := messages(t, a, 2); got[1] != b.Name()+":small" {
		t.Fatal("no small message after the large one")
	}
}
