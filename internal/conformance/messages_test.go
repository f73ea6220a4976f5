package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestServices: 4, 5, 6.1. Each service arrives as it was sent, at a reader of either byte
// order, with the sender's private group and all groups; the header is the node's own,
// little endian, with its marker.
func TestServices(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		sender, reader := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), big)
		reader.joined(t, group)
		for _, service := range []uint32{serviceUnreliable, serviceReliable, serviceFIFO, serviceCausal, serviceAgreed, serviceSafe} {
			sender.must(t, service, 11, "payload", group)
			m := reader.next(t, service)
			if m.name != sender.private || !slices.Equal(m.groups, []string{group}) || string(m.data) != "payload" {
				t.Errorf("service %#x: %q to %v: %q", service, m.name, m.groups, m.data)
			}
			if m.order != little || !bytes.Equal(m.head[36:40], []byte{1, 0, 0, 0}) || !bytes.Equal(m.head[44:48], []byte{7, 0, 0, 0}) {
				t.Errorf("service %#x: header %x", service, m.head)
			}
		}
	})
}

// TestTheHintIsUntouched: 3, 4, T5. Its four bytes stay as its sender wrote them, marker
// included, in either order and for every sort of number.
func TestTheHintIsUntouched(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		c := session(t, plain, e, clientName(), o)
		for _, messType := range []int16{0, 1, -1, 0x1234, -32768, 32767, 0x80, 0x7f00} {
			sent := c.message(serviceAgreed, messType, nil, c.private)
			if _, err := c.conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			if m := c.next(t, serviceAgreed); !bytes.Equal(m.hint[:], sent[40:44]) {
				t.Errorf("type %d: hint %x became %x", messType, sent[40:44], m.hint)
			}
		}
	})
}

// TestSelfDiscard: 4, 5, 6.1. The sender does not get it, the others do, with the bit.
func TestSelfDiscard(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		a, b := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		a.joined(t, group)
		b.joined(t, group)
		a.next(t, regular|byJoin)
		a.must(t, serviceAgreed|selfDiscard, 0, "others", group)
		b.next(t, serviceAgreed|selfDiscard)
		a.nothing(t)
		a.must(t, serviceAgreed, 0, "all", group)
		b.next(t, serviceAgreed)
		a.next(t, serviceAgreed)
	})
}

// TestIllegalHeaders: 4. Each ends the session, without a byte.
func TestIllegalHeaders(t *testing.T) {
	for what, change := range map[string]func(c *client) []byte{
		"no type bit":             func(c *client) []byte { return c.message(0, 0, nil, c.private) },
		"two services":            func(c *client) []byte { return c.message(serviceAgreed|serviceSafe, 0, nil, c.private) },
		"service and join":        func(c *client) []byte { return c.message(serviceAgreed|join, 0, nil, c.private) },
		"join and leave":          func(c *client) []byte { return c.message(join|leave, 0, nil, "g") },
		"self discard alone":      func(c *client) []byte { return c.message(selfDiscard, 0, nil, c.private) },
		"groups state":            func(c *client) []byte { return c.message(groupsState, 0, nil, c.private) },
		"membership alone":        func(c *client) []byte { return c.message(regular|byJoin, 0, nil, c.private) },
		"another's private group": func(c *client) []byte { return c.header(serviceAgreed, "#other#d1", 0, 0, 0) },
		"of another node":         func(c *client) []byte { return c.header(serviceAgreed, "#"+c.name+"#d9", 0, 0, 0) },
		"no private group":        func(c *client) []byte { return c.header(serviceAgreed, c.name, 0, 0, 0) },
		"an empty one":            func(c *client) []byte { return c.header(serviceAgreed, "", 0, 0, 0) },
		"32 bytes without a NUL": func(c *client) []byte {
			b := c.header(serviceAgreed, c.private, 0, 0, 0)
			for i := range 32 {
				if b[4+i] == 0 {
					b[4+i] = 'x'
				}
			}
			return b
		},
		"negative groups":     func(c *client) []byte { return c.header(serviceAgreed, c.private, -1, 0, 0) },
		"101 groups":          func(c *client) []byte { return c.header(serviceAgreed, c.private, 101, 0, 0) },
		"2^31-1 groups":       func(c *client) []byte { return c.header(serviceAgreed, c.private, 1<<31-1, 0, 0) },
		"stray low hint bits": func(c *client) []byte { return c.header(serviceAgreed, c.private, 0, 0x01, 0) },
		"stray high ones":     func(c *client) []byte { return c.header(serviceAgreed, c.private, 0, 0x01000000, 0) },
		"negative data":       func(c *client) []byte { return c.header(serviceAgreed, c.private, 0, 0, -1) },
		"too much data":       func(c *client) []byte { return c.header(serviceAgreed, c.private, 0, 0, 144000-48+1) },
		"too much with names": func(c *client) []byte { return c.header(serviceAgreed, c.private, 2, 0, 144000-48-64+1) },
		"2^31-1 bytes":        func(c *client) []byte { return c.header(serviceAgreed, c.private, 0, 0, 1<<31-1) },
	} {
		t.Run(what, func(t *testing.T) {
			each(t, plain, func(t *testing.T, e endpoint, o order) {
				c := session(t, plain, e, clientName(), o)
				c.conn.Write(change(c))
				ended(t, c.conn)
			})
		})
	}
}

// TestSizes: 8, B1. Up to 144000 bytes of header, names and data pass, also those that
// abort the original; one more ends the session.
func TestSizes(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		c := session(t, plain, e, clientName(), o)
		for _, size := range []int{0, 1, 1431, 1432, 1433, 65536, 100000, 102400, 143120, 143121, 144000 - 48 - 32} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(i * 7)
			}
			c.must(t, serviceAgreed, 0, string(data), c.private)
			if m := c.next(t, serviceAgreed); !bytes.Equal(m.data, data) {
				t.Errorf("%d bytes came back as %d, or changed", size, len(m.data))
			}
		}
		groups := slices.Repeat([]string{c.private}, 100)
		c.must(t, serviceAgreed, 0, string(make([]byte, 144000-48-3200)), groups...)
		if m := c.next(t, serviceAgreed); len(m.groups) != 100 || len(m.data) != 144000-48-3200 {
			t.Errorf("%d groups, %d bytes", len(m.groups), len(m.data))
		}
		c.conn.Write(c.header(serviceAgreed, c.private, 1, 0, 144000-48-32+1))
		ended(t, c.conn)
	})
}

// TestHundredGroups: 1, 5, T9, B2. From 1 to 100 groups, the member of the last one alone
// gets the message, with all names in their order.
func TestHundredGroups(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		last := groupName()
		sender, member := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		member.joined(t, last)
		for _, n := range []int{1, 2, 43, 44, 45, 99, 100} {
			var groups []string
			for i := range n - 1 {
				groups = append(groups, fmt.Sprint("nobody-", i))
			}
			groups = append(groups, last)
			sender.must(t, serviceAgreed, 0, "x", groups...)
			if m := member.next(t, serviceAgreed); !slices.Equal(m.groups, groups) {
				t.Errorf("%d groups: got %v", n, m.groups)
			}
		}
	})
}

// TestOnceForManyGroups: 5. A session that several of the groups reach gets it once, with
// the list as it was sent, duplicates included.
func TestOnceForManyGroups(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		g1, g2 := groupName(), groupName()
		c := session(t, plain, e, clientName(), o)
		c.joined(t, g1)
		c.joined(t, g2)
		groups := []string{g2, g1, c.private, "nobody", g2, g2}
		c.must(t, serviceFIFO, 0, "once", groups...)
		if m := c.next(t, serviceFIFO); !slices.Equal(m.groups, groups) {
			t.Errorf("groups %v", m.groups)
		}
		c.nothing(t)
	})
}

// TestOpenGroups: 5. Who is no member may send; a private group reaches its session; what
// reaches nobody is dropped without a word; no groups at all are no fault.
func TestOpenGroups(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		outside, member := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		member.joined(t, group)
		outside.must(t, serviceAgreed, 0, "open", group)
		member.next(t, serviceAgreed)
		outside.must(t, serviceAgreed, 0, "private", member.private)
		if m := member.next(t, serviceAgreed); string(m.data) != "private" || !slices.Equal(m.groups, []string{member.private}) {
			t.Errorf("%q to %v", m.data, m.groups)
		}
		for _, nobody := range []string{"nobody", "#nobody#d1", "#" + member.name + "#d7", "#", "##", "#a", "a b", "\x01"} {
			outside.must(t, serviceAgreed, 0, "lost", nobody)
		}
		outside.must(t, serviceAgreed, 0, "nowhere")
		outside.nothing(t)
		member.nothing(t)
	})
}

// TestNamesEndAtTheirNUL: 5. What lies behind it does not make another group of it. (The
// original hands on what lies there. We do not: it is a piece of the sender's memory.)
func TestNamesEndAtTheirNUL(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		group := groupName()
		c := session(t, plain, e, clientName(), o)
		c.joined(t, group)
		b := c.message(serviceAgreed, 0, nil, group)
		copy(b[48+len(group)+1:], "leftover")
		if _, err := c.conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if m := c.next(t, serviceAgreed); !bytes.Equal(m.raw[0], field(group)) {
			t.Errorf("name %q", m.raw[0])
		}
	})
}

// TestForgedMembership: 4, B6. Bits that are not the client's to set do not arrive.
func TestForgedMembership(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		c := session(t, plain, e, clientName(), o)
		for _, forged := range []uint32{regular, transitional, regular | byNetwork, byLeave, reject, dropReceive, 0x10000000, 0x70c0ff00 &^ markers} {
			c.must(t, serviceAgreed|forged, 0, "forged", c.private)
			c.next(t, serviceAgreed)
		}
	})
}

// TestManyPiecesAndManyAtOnce: a stream has no borders. One message comes byte by byte,
// and a thousand come in one write.
func TestManyPiecesAndManyAtOnce(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		c := session(t, plain, e, clientName(), o)
		b := c.message(serviceAgreed, 1, []byte("pieces"), c.private)
		for i := range b {
			c.conn.Write(b[i : i+1])
		}
		if m := c.next(t, serviceAgreed); string(m.data) != "pieces" {
			t.Errorf("%q", m.data)
		}
		var all []byte
		for i := range 1000 {
			all = append(all, c.message(serviceAgreed, int16(i), nil, c.private)...)
		}
		if _, err := c.conn.Write(all); err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			if m := c.next(t, serviceAgreed); int16(o.Uint32(m.hint[:])>>8) != int16(i) {
				t.Fatalf("message %d: hint %x", i, m.hint)
			}
		}
	})
}

// TestASlowReader: T8. Five times what the original queues for a reader waits for one
// that reads nothing meanwhile, and it gets all of it.
func TestASlowReader(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		sender, reader := session(t, plain, e, clientName(), o), session(t, plain, e, clientName(), o)
		const many = 5000
		for i := range many {
			sender.must(t, serviceAgreed, int16(i), "", reader.private)
		}
		sender.nothing(t) // which is behind all of it in the order
		for i := range many {
			if m := reader.next(t, serviceAgreed); int16(o.Uint32(m.hint[:])>>8) != int16(i) {
				t.Fatalf("message %d: hint %x", i, m.hint)
			}
		}
	})
}
