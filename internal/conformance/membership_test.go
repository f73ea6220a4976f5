package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestJoinLeaveDisconnect: 5, 6.2, 6.4, 6.6. The whole life of a group, seen by one that
// stays: who changed is the one set, at offset 0, in a body of 56 bytes.
func TestJoinLeaveDisconnect(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		stays, goes, breaks := session(t, plain, e, "a-"+clientName(), o), session(t, plain, e, "b-"+clientName(), o), session(t, plain, e, "c-"+clientName(), o)
		var index uint32
		var origin, since uint32
		check := func(c *client, kind uint32, changed *client, members ...*client) {
			t.Helper()
			m := c.next(t, regular|kind)
			var names []string
			for _, member := range members {
				names = append(names, member.private)
			}
			if m.name != group || !slices.Equal(m.groups, names) {
				t.Fatalf("view of %q with %v, want %v", m.name, m.groups, names)
			}
			v := viewOf(t, m)
			if len(m.data) != 56 || v.offset != 0 || len(v.sets) != 1 || !slices.Equal(v.sets[0], []string{changed.private}) {
				t.Fatalf("body %+v of %d bytes, want the set [%s]", v, len(m.data), changed.private)
			}
			if hint := m.order.Uint32(m.hint[:]); hint != marked(m.order, 0) {
				t.Errorf("hint %#x", hint)
			}
			if index != 0 && (v.id[2] <= index || v.id[0] != origin || v.id[1] != since) {
				t.Errorf("id %v after %d.%d.%d: the index counts up", v.id, origin, since, index)
			}
			if c == stays {
				origin, since, index = v.id[0], v.id[1], v.id[2]
			}
		}
		stays.must(t, join, 0, "", group)
		check(stays, byJoin, stays, stays)
		goes.must(t, join, 0, "", group)
		check(stays, byJoin, goes, stays, goes)
		breaks.must(t, join, 0, "", group)
		check(stays, byJoin, breaks, stays, goes, breaks)

		goes.must(t, leave, 0, "", group)
		check(stays, byLeave, goes, stays, breaks)
		goes.next(t, regular|byJoin)
		goes.next(t, regular|byJoin)
		left := goes.next(t, byLeave) // 0x0200 alone: 48 bytes, and its place is that of the view
		if left.name != group || len(left.groups)+len(left.data) != 0 {
			t.Errorf("own leave: %q, %v, %d bytes", left.name, left.groups, len(left.data))
		}
		goes.nothing(t)

		breaks.conn.Close() // no disconnect: it is one all the same
		check(stays, byDisconnect, breaks, stays)
		goes.must(t, join, 0, "", group)
		check(stays, byJoin, goes, stays, goes)
		goes.must(t, disconnect, 0, "", goes.private)
		check(stays, byDisconnect, goes, stays)
		stays.must(t, leave, 0, "", group)
		if left = stays.next(t, byLeave); left.name != group || len(left.groups) != 0 || len(left.data) != 0 {
			t.Errorf("own leave: %q, %v, %d bytes", left.name, left.groups, len(left.data))
		}
		stays.nothing(t)
	})
}

// TestRedundantJoinAndLeave: 5, T6, B10. There is no answer.
func TestRedundantJoinAndLeave(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		c, other := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		c.must(t, leave, 0, "", group)
		c.nothing(t)
		c.joined(t, group)
		other.joined(t, group)
		c.next(t, regular|byJoin)
		c.must(t, join, 0, "", group)
		c.nothing(t)
		other.nothing(t)
		c.must(t, leave, 0, "", group)
		c.next(t, byLeave)
		other.next(t, regular|byLeave)
		c.must(t, leave, 0, "", group)
		c.nothing(t)
		other.nothing(t)
	})
}

// TestOnlyTheFirstGroupOfAJoin: 5.
func TestOnlyTheFirstGroupOfAJoin(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		g1, g2 := groupName(), groupName()
		c := session(t, plain, e, clientName(), o)
		c.must(t, join, 0, "", g1, g2)
		if m := c.next(t, regular|byJoin); m.name != g1 {
			t.Errorf("joined %q", m.name)
		}
		c.nothing(t)
		c.joined(t, g2)
		c.must(t, leave, 0, "", g2, g1)
		if m := c.next(t, byLeave); m.name != g2 {
			t.Errorf("left %q", m.name)
		}
		c.nothing(t)
	})
}

// TestWhoDidNotAsk: 6.5. A session without membership is a member like others, and hears
// only messages.
func TestWhoDidNotAsk(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		silent, other := sessionWith(t, plain, e, clientName(), o, quiet), session(t, plain, e, clientName(), o)
		silent.must(t, join, 0, "", group)
		silent.nothing(t)
		other.must(t, join, 0, "", group)
		if m := other.next(t, regular|byJoin); len(m.groups) != 2 || !slices.Contains(m.groups, silent.private) {
			t.Errorf("members %v", m.groups)
		}
		other.must(t, serviceAgreed, 0, "x", group)
		silent.next(t, serviceAgreed)
		silent.must(t, leave, 0, "", group)
		silent.nothing(t)
		other.next(t, serviceAgreed)
		other.next(t, regular|byLeave)
	})
}

// TestMembershipBeforeMessages: 6.6. A member has the view that lets it in before any
// message, and none behind the one that lets it out.
func TestMembershipBeforeMessages(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		sender, member := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		const many = 300
		go func() {
			for i := range many {
				if sender.send(serviceAgreed, int16(i), nil, group) != nil {
					return
				}
			}
		}()
		for range 20 {
			member.must(t, join, 0, "", group)
			member.must(t, leave, 0, "", group)
			member.next(t, regular|byJoin)
			for {
				m, err := member.receive()
				if err != nil {
					t.Fatal(err)
				}
				if m.kind == byLeave {
					break
				}
				if m.kind != serviceAgreed {
					t.Fatalf("type %#x while a member", m.kind)
				}
			}
		}
		member.nothing(t)
	})
}

// TestGroupNames: 1, 5, T15, B5. What the original does not check: a name is 1 to 31 bytes
// and a NUL; blanks are in order; nobody joins a session's private group.
func TestGroupNames(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		c := session(t, plain, e, clientName(), o)
		for _, name := range []string{"a b", "g", fmt.Sprintf("%031d", unique), "\x7f\xff", "Grüße"} {
			c.joined(t, name)
			c.must(t, serviceAgreed, 0, "x", name)
			c.next(t, serviceAgreed)
			c.must(t, leave, 0, "", name)
			c.next(t, byLeave)
		}
		victim := session(t, plain, e, clientName(), o)
		full := bytes.Repeat([]byte("x"), 32)
		for what, bad := range map[string]func(c *client) []byte{
			"no name":           func(c *client) []byte { return c.message(join, 0, nil) },
			"an empty name":     func(c *client) []byte { return c.message(join, 0, nil, "") },
			"32 bytes":          func(c *client) []byte { return append(c.header(join, c.private, 1, 0, 0), full...) },
			"another's private": func(c *client) []byte { return c.message(join, 0, nil, victim.private) },
			"to an empty name":  func(c *client) []byte { return c.message(serviceAgreed, 0, nil, "") },
			"to 32 bytes":       func(c *client) []byte { return append(c.header(serviceAgreed, c.private, 1, 0, 0), full...) },
		} {
			c := session(t, plain, e, clientName(), o)
			c.conn.Write(bad(c))
			if _, err := c.receive(); err == nil {
				t.Errorf("%s: was answered", what)
			}
		}
		c.must(t, serviceAgreed, 0, "for the victim alone", victim.private)
		victim.next(t, serviceAgreed)
		c.nothing(t)
	})
}

// TestManyMembers: 6.2, T12. A view has more than 100 members if there are more, in the
// order of their names.
func TestManyMembers(t *testing.T) {
	group := groupName()
	e := plain.endpoints[0]
	first := session(t, plain, e, "z"+clientName(), big) // who comes first does not stand first
	first.joined(t, group)
	const many = 120
	for i := range many {
		c := sessionWith(t, plain, e, fmt.Sprintf("m%03d", many-i), little, quiet)
		c.must(t, join, 0, "", group)
	}
	for range many - 1 {
		first.next(t, regular|byJoin)
	}
	m := first.next(t, regular|byJoin)
	if len(m.groups) != many+1 || !slices.IsSorted(m.groups) {
		t.Errorf("%d members: %v", len(m.groups), m.groups)
	}
}
