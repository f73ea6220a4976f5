package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

const (
	list    = "\x05NULL "
	illegal = "\xfb"
	inUse   = "\xfa"
	tooOld  = "\xf9"
	refused = "\xf7"
)

// expect reads exactly these bytes.
func expect(t *testing.T, conn net.Conn, want string) {
	t.Helper()
	got, err := readN(conn, len(want))
	if err != nil || string(got) != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// eachEndpoint runs a test at every endpoint of the plain node: before the verdict there is
// no byte order.
func eachEndpoint(t *testing.T, at *target, test func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	for _, e := range at.endpoints {
		t.Run(e.String(), func(t *testing.T) {
			test(t, func() net.Conn {
				t.Helper()
				conn, err := e.dial()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				return conn
			})
		})
	}
}

// verdictOf is the acceptance that a version gets.
func verdictOf(name string, patch bool) string {
	private := "#" + name + "#d1"
	version := "\x05\x00"
	if patch {
		version += "\x01"
	}
	return "\x01" + version + string(rune(len(private))) + private
}

// TestHelloOfEveryVersion: 2.1, 2.2, 2.3, 2.4, 11. What depends on the version is the patch
// byte (from 3.15), the choice of a method (from 3.16) and the verdict's patch byte (from
// 3.15). There is no highest version, and numbers are signed.
func TestHelloOfEveryVersion(t *testing.T) {
	for _, c := range []struct {
		version []byte
		chooses bool
		patch   bool
		answer  string // instead of acceptance
	}{
		{version: []byte{3, 1}}, {version: []byte{3, 14}},
		{version: []byte{3, 15, 0}, patch: true}, {version: []byte{3, 15, 2}, patch: true},
		{version: []byte{3, 16, 0}, patch: true, chooses: true}, {version: []byte{3, 17, 3}, patch: true, chooses: true},
		{version: []byte{3, 17, 4}, patch: true, chooses: true}, {version: []byte{4, 0, 0}, patch: true, chooses: true},
		{version: []byte{4, 4, 1}, patch: true, chooses: true}, {version: []byte{5, 0, 0}, patch: true, chooses: true},
		{version: []byte{5, 0, 1}, patch: true, chooses: true}, {version: []byte{6, 1, 2}, patch: true, chooses: true},
		{version: []byte{127, 0, 0}, patch: true, chooses: true},
		{version: []byte{3, 0}, answer: tooOld}, {version: []byte{2, 99}, answer: tooOld}, {version: []byte{0, 0}, answer: tooOld},
		{version: []byte{128, 0, 0}, answer: tooOld}, {version: []byte{255, 255, 255}, answer: tooOld},
	} {
		eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
			conn, name := dial(), clientName()
			conn.Write(append(append(bytes.Clone(c.version), 1, byte(len(name))), name...))
			if c.answer != "" {
				expect(t, conn, c.answer)
				ended(t, conn)
				return
			}
			if c.chooses {
				expect(t, conn, list)
				conn.Write(nullChoice)
			}
			expect(t, conn, verdictOf(name, c.patch))
			s := &client{conn: conn, order: little, name: name, private: "#" + name + "#d1"}
			s.joined(t, groupName()) // 11: the membership body is that of 4.0, whoever asks
		})
	}
}

// TestEveryByteOfAName: 1, 2.1. The bytes of a private name are $ to ~.
func TestEveryByteOfAName(t *testing.T) {
	e := plain.endpoints[1]
	for b := range 256 {
		conn, err := e.dial()
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(helloOf("n"+string([]byte{byte(b)}), quiet))
		answer, err := readN(conn, 1)
		if want := b >= '$' && b <= '~'; err != nil || (answer[0] == 5) != want || !want && answer[0] != 0xfb {
			t.Errorf("byte %#x in a name: %x, %v", b, answer, err)
		}
		conn.Close()
	}
}

// TestNames: 1, 2.1, 2.4, 2.5.
func TestNames(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		for _, c := range []struct {
			what   string
			length byte
			name   string
			answer string
		}{
			{"ten bytes", 10, "0123456789", list},
			{"eleven", 11, "01234567890", illegal},
			{"a negative length", 0xff, "", illegal},
			{"-128", 0x80, "", illegal},
		} {
			conn := dial()
			conn.Write(append([]byte{5, 0, 1, 1, c.length}, c.name...))
			expect(t, conn, c.answer)
			if c.answer != list {
				ended(t, conn)
				continue
			}
			conn.Write(nullChoice)
			expect(t, conn, verdictOf(c.name, true))
			twin := dial()
			twin.Write(helloOf(c.name, quiet))
			expect(t, twin, inUse)
			ended(t, twin)
			(&client{conn: conn, order: little, private: "#" + c.name + "#d1"}).send(disconnect, 0, nil, "x")
			ended(t, conn)
		}
	})
}

// TestInventedNames: 2.1. Who gives no name gets one, of at most ten bytes, that no other
// has.
func TestInventedNames(t *testing.T) {
	seen := map[string]bool{}
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		for range 3 {
			c := session(t, plain, e, "", o)
			if seen[c.name] || len(c.name) > 10 || !strings.HasPrefix(c.name, "r") {
				t.Errorf("name %q", c.name)
			}
			seen[c.name] = true
			c.joined(t, groupName())
		}
	})
}

// TestFlags: 2.1, 6.5. The lowest bit asks for membership; the rest of the byte changes
// nothing.
func TestFlags(t *testing.T) {
	for flags, wants := range map[byte]bool{0: false, 1: true, 2: false, 3: true, 0x10: false, 0x11: true, 0xf0: false, 0xff: true} {
		c := sessionWith(t, plain, plain.endpoints[0], clientName(), big, flags)
		group := groupName()
		if wants {
			c.joined(t, group)
			continue
		}
		c.must(t, join, 0, "", group)
		c.nothing(t)
	}
}

// TestChoices: 2.3. Three fields of 30 bytes, read up to the first empty one.
func TestChoices(t *testing.T) {
	late := make([]byte, 90)
	copy(late[30:], "NULL")
	behind := choiceOf("NULL", "", "PWORD")
	for what, c := range map[string]struct {
		choice   []byte
		accepted bool
	}{
		"NULL":                    {nullChoice, true},
		"twice NULL":              {choiceOf("NULL", "NULL"), true},
		"three times":             {choiceOf("NULL", "NULL", "NULL"), true},
		"behind the empty field":  {behind, true},
		"nothing":                 {make([]byte, 90), false},
		"an empty field first":    {late, false},
		"a method not offered":    {choiceOf("IP"), false},
		"one more, not offered":   {choiceOf("NULL", "PWORD"), false},
		"a prefix of a method":    {choiceOf("NUL"), false},
		"lower case":              {choiceOf("null"), false},
		"a field without a NUL":   {choiceOf(strings.Repeat("N", 30)), false},
		"a method with its blank": {choiceOf("NULL "), false},
	} {
		t.Run(what, func(t *testing.T) {
			eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
				conn, name := dial(), clientName()
				conn.Write(helloOf(name, quiet))
				expect(t, conn, list)
				conn.Write(c.choice)
				if c.accepted {
					expect(t, conn, verdictOf(name, true))
					return
				}
				expect(t, conn, refused) // T4: one byte, in the verdict's place
				ended(t, conn)
			})
		})
	}
}

// TestMethodIP: 2.2, 2.3. The list has each method with a blank behind it; IP exchanges
// no bytes. Clients that cannot choose are let in by their address.
func TestMethodIP(t *testing.T) {
	eachEndpoint(t, guarded, func(t *testing.T, dial func() net.Conn) {
		for _, choice := range [][]byte{choiceOf("IP"), choiceOf("IP", "NULL"), choiceOf("NULL", "IP")} {
			conn, name := dial(), clientName()
			conn.Write(helloOf(name, quiet))
			expect(t, conn, "\x08NULL IP ")
			conn.Write(choice)
			expect(t, conn, strings.Replace(verdictOf(name, true), "#d1", "#d2", 1))
			conn.Close()
		}
		conn, name := dial(), clientName()
		conn.Write(append([]byte{3, 14, 0, byte(len(name))}, name...))
		expect(t, conn, strings.Replace(verdictOf(name, false), "#d1", "#d2", 1))
		conn.Close()
	})
}

// TestTooManySessions: 2.5. Right after accept, before the hello is read.
func TestTooManySessions(t *testing.T) {
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	e := small.endpoints[0]
	for deadline := time.Now().Add(patience); len(conns) < smallLimit; {
		c, err := connect(e, small.name, "", little, quiet)
		var code refusal
		if errors.As(err, &code) && code == -3 && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond) // who looked whether the node is ready is still about to go
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c.conn)
	}
	conn, err := e.dial()
	if err != nil {
		t.Fatal(err)
	}
	conns = append(conns, conn)
	expect(t, conn, "\xfd") // not a byte was sent
	ended(t, conn)
}

// TestHandshakeSplitEverywhere: T1. Hello and choice in two pieces, cut at every place.
func TestHandshakeSplitEverywhere(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		for cut := range len(helloOf(clientName(), quiet)) + 90 + 1 {
			name := clientName()
			hello := helloOf(name, quiet)
			all := append(bytes.Clone(hello), nullChoice...)
			cut := min(cut, len(all))
			conn := dial()
			conn.Write(all[:cut])
			if cut >= len(hello) {
				expect(t, conn, list) // so that the pieces do not meet on the way
			} else {
				time.Sleep(100 * time.Microsecond) // likewise; if they do, nothing is wrong
			}
			conn.Write(all[cut:])
			if cut < len(hello) {
				expect(t, conn, list)
			}
			expect(t, conn, verdictOf(name, true))
			conn.Close()
		}
	})
}

// TestHandshakeByteByByte: T1, at its worst, with the first request behind it.
func TestHandshakeByteByByte(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		name, group := clientName(), groupName()
		c := &client{conn: dial(), order: big, name: name, private: "#" + name + "#d1"}
		all := append(append(helloOf(name, curious), nullChoice...), c.message(join, 0, nil, group)...)
		for i := range all {
			c.conn.Write(all[i : i+1])
		}
		expect(t, c.conn, list+verdictOf(name, true))
		if m := c.next(t, regular|byJoin); m.name != group {
			t.Errorf("view of %q", m.name)
		}
	})
}

// TestHandshakeMerged: T2. Hello, choice and the first requests in one write, for names of
// every length.
func TestHandshakeMerged(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		for length := 1; length <= 10; length++ {
			unique++
			name := fmt.Sprintf("%0*d", length, unique)
			name = name[len(name)-length:]
			c := &client{conn: dial(), order: little, name: name, private: "#" + name + "#d1"}
			c.conn.Write(append(append(helloOf(name, curious), nullChoice...), c.message(serviceAgreed, 7, []byte("self"), c.private)...))
			expect(t, c.conn, list+verdictOf(name, true))
			if m := c.next(t, serviceAgreed); string(m.data) != "self" {
				t.Errorf("%q", m.data)
			}
			c.must(t, disconnect, 0, "", c.private)
			ended(t, c.conn)
		}
	})
}

// TestSilentConnectionsDelayNobody: T3. A hundred connections say nothing, or half a
// hello; everybody else gets in.
func TestSilentConnectionsDelayNobody(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		for i := range 100 {
			dial().Write(helloOf("silent", quiet)[:i%8])
		}
		conn, name := dial(), clientName()
		conn.Write(append(helloOf(name, quiet), nullChoice...))
		expect(t, conn, list+verdictOf(name, true))
	})
}

// TestRepliesComeWhole: 2.2, 2.4, T13. Some clients take each answer with one read.
func TestRepliesComeWhole(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		conn, name := dial(), clientName()
		buffer := make([]byte, 1000)
		once := func(want string) {
			t.Helper()
			n, err := conn.Read(buffer)
			if err != nil || string(buffer[:n]) != want {
				t.Fatalf("one read brings %q, %v; want %q", buffer[:n], err, want)
			}
		}
		conn.Write(helloOf(name, quiet))
		once(list)
		conn.Write(nullChoice)
		once(verdictOf(name, true))
		c := &client{conn: conn, order: little, private: "#" + name + "#d1"}
		c.must(t, serviceAgreed, 0, "data", c.private)
		n, err := conn.Read(buffer)
		if want := 48 + 32 + len("data"); err != nil || n != want {
			t.Errorf("one read brings %d bytes of a message, %v; want %d", n, err, want)
		}
	})
}

// TestANameIsFreeAgain: T7. A client that comes back under its name at once gets it.
func TestANameIsFreeAgain(t *testing.T) {
	each(t, plain, func(t *testing.T, e endpoint, o order) {
		name := clientName()
		for range 20 {
			c := session(t, plain, e, name, o)
			c.must(t, disconnect, 0, "", c.private)
			ended(t, c.conn)
		}
	})
}

// TestTheAnnouncedVersion: T11.
func TestTheAnnouncedVersion(t *testing.T) {
	eachEndpoint(t, plain, func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		conn.Write(append(helloOf(clientName(), quiet), nullChoice...))
		answer, err := readN(conn, len(list)+4)
		if err != nil || !bytes.Equal(answer[len(list):], []byte{1, 5, 0, 1}) {
			t.Errorf("%x, %v", answer, err)
		}
	})
}
