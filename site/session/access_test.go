package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/topology"
)

// hello is what a client of that name says first; it asks for membership.
func hello(name string) string { return "\x05\x00\x01\x01" + string(rune(len(name))) + name }

// shake says hello, reads the list of methods and sends the rest.
func shake(t *testing.T, address, name, rest string) net.Conn {
	t.Helper()
	conn := raw(t, "tcp", address)
	fmt.Fprint(conn, hello(name))
	readMethods(t, conn)
	fmt.Fprint(conn, rest)
	return conn
}

func readMethods(t *testing.T, conn net.Conn) string {
	t.Helper()
	var length [1]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil || length[0] > 127 {
		t.Fatalf("no list of methods: %v, %v", length, err)
	}
	list := make([]byte, length[0])
	if _, err := io.ReadFull(conn, list); err != nil {
		t.Fatal(err)
	}
	return string(list)
}

func verdictFor(name string) string {
	return "\x01\x05\x00\x01" + string(rune(len(name)+4)) + "#" + name + "#d1"
}

func methods(list ...string) string { return string(spread.AppendChoice(nil, list...)) }

// call is a message of one group and no data.
func call(kind uint32, from, group string) []byte {
	return spread.AppendGroup(header(le, kind, from, 1, 0, 0), group)
}

// disconnect ends a session politely and waits for its end.
func disconnect(t *testing.T, conn net.Conn, private string) {
	t.Helper()
	conn.Write(call(spread.TypeDisconnect, private, private))
	expectEnd(t, conn)
}

func TestTokens(t *testing.T) {
	good := topology.Token{Hash: topology.HashToken([]byte("secret")), Client: "w*"}
	node, tcp, _ := start(t, func(c *Config) {
		c.Access.Methods, c.Access.Tokens = []string{"TOKEN"}, []topology.Token{{Client: "*"}, good}
	})
	token := func(secret string) string {
		return methods("TOKEN") + string(spread.AppendToken(nil, []byte(secret)))
	}
	for _, c := range []struct{ name, rest, answer string }{
		{"web", token("secret"), verdictFor("web")},
		{"web", token("secrets"), "\xf7"},
		{"web", token("secre"), "\xf7"},
		{"db", token("secret"), "\xf7"}, // the token is not for it
		{"web", methods("TOKEN") + "\x00\x00", "\xf7"},
		{"web", methods("TOKEN") + "\xff\xff", "\xf7"},
		{"web", methods("NULL"), "\xf7"},
		{"web", methods("RINGWAY"), "\xf7"},
	} {
		conn := shake(t, tcp, c.name, c.rest)
		expect(t, conn, c.answer)
		if c.answer == "\xf7" {
			expectEnd(t, conn)
			continue
		}
		disconnect(t, conn, "#web#d1")
		wait(t, "the name to be free", node.empty)
	}
	// In pieces, and with the first request right behind.
	all := hello("web") + token("secret") + string(call(spread.TypeJoin, "#web#d1", "g"))
	conn := raw(t, "tcp", tcp)
	for i := range all {
		fmt.Fprint(conn, all[i:i+1])
	}
	expect(t, conn, "\x06TOKEN "+verdictFor("web"))
	got := make([]byte, spread.HeaderBytes)
	if _, err := io.ReadFull(conn, got); err != nil || binary.LittleEndian.Uint32(got)&^0x80000080 != spread.TypeRegular|spread.TypeByJoin {
		t.Fatalf("%x, %v", got, err)
	}
}

func TestTokensThatAreTakenBack(t *testing.T) {
	access := topology.Access{Methods: []string{"TOKEN", "NULL"}}
	for _, secret := range []string{"one", "two"} {
		access.Tokens = append(access.Tokens, topology.Token{Hash: topology.HashToken([]byte(secret)), Client: "*"})
	}
	node, tcp, _ := start(t, func(c *Config) { c.Access = access })
	conns := map[string]net.Conn{}
	for _, secret := range []string{"one", "two"} {
		conns[secret] = shake(t, tcp, secret, methods("TOKEN")+string(spread.AppendToken(nil, []byte(secret))))
		expect(t, conns[secret], verdictFor(secret))
	}
	free := shake(t, tcp, "free", methods("NULL"))
	expect(t, free, verdictFor("free"))
	access.Tokens = access.Tokens[1:]
	node.server.SetAccess(access)
	expectEnd(t, conns["one"])
	disconnect(t, conns["two"], "#two#d1")
	disconnect(t, free, "#free#d1")
	if got := node.server.Status().Withdrawn; got != 1 {
		t.Errorf("%d sessions had their access withdrawn", got)
	}
}

// Who was in its handshake when the rules changed comes in by the new ones or not at all.
func TestATokenTakenBackDuringAHandshake(t *testing.T) {
	access := topology.Access{Methods: []string{"TOKEN"}, Tokens: []topology.Token{{Hash: topology.HashToken([]byte("old")), Client: "*"}}}
	node, tcp, _ := start(t, func(c *Config) { c.Access = access })
	conn := raw(t, "tcp", tcp)
	fmt.Fprint(conn, hello("web"))
	readMethods(t, conn) // the server has its rules at hand by now
	access.Tokens = []topology.Token{{Hash: topology.HashToken([]byte("new")), Client: "*"}}
	node.server.SetAccess(access)
	fmt.Fprint(conn, methods("TOKEN")+string(spread.AppendToken(nil, []byte("old"))))
	expect(t, conn, "\xf7")
	expectEnd(t, conn)
	// It left nothing behind: neither its name nor a place is taken.
	next := shake(t, tcp, "web", methods("TOKEN")+string(spread.AppendToken(nil, []byte("new"))))
	expect(t, next, verdictFor("web"))
}

func TestAddresses(t *testing.T) {
	elsewhere, here := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.0/8")
	node, tcp, unix := start(t, func(c *Config) {
		c.Access.Methods, c.Access.Addresses = []string{"IP", "NULL"}, &topology.Addresses{Prefixes: []netip.Prefix{elsewhere}, Unix: true}
	})
	for _, method := range []string{"IP", "NULL"} { // the list is for everybody
		conn := shake(t, tcp, "a", methods(method))
		expect(t, conn, "\xf7")
		expectEnd(t, conn)
	}
	local := raw(t, "unix", unix)
	fmt.Fprint(local, hello("u")+methods("IP"))
	expect(t, local, "\x08IP NULL "+verdictFor("u"))

	access := node.server.rules.Load().Access
	access.Addresses = &topology.Addresses{Prefixes: []netip.Prefix{here}}
	node.server.SetAccess(access)
	expectEnd(t, local) // no more
	conn := shake(t, tcp, "a", methods("IP"))
	expect(t, conn, verdictFor("a"))
	old := raw(t, "tcp", tcp) // cannot choose: its address is what counts
	fmt.Fprint(old, "\x03\x0e\x01\x01b")
	expect(t, old, "\x01\x05\x00\x05#b#d1")
	access.Methods = []string{"TOKEN"}
	node.server.SetAccess(access)
	expectEnd(t, old)
	third := raw(t, "tcp", tcp)
	fmt.Fprint(third, "\x03\x0e\x01\x01c")
	expect(t, third, "\xf7")
}

// TestRejects: what the rules do not allow comes back, and nobody gets it.
func TestRejects(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) {
		c.Access.Allow = []topology.Rule{{Client: "log*", Send: []string{"logs.*"}}, {Client: "*", Join: []string{"logs.*"}, Send: []string{"*"}}}
	})
	reader := shake(t, tcp, "reader", methods("NULL"))
	expect(t, reader, verdictFor("reader"))
	reader.Write(call(spread.TypeJoin, "#reader#d1", "logs.a"))
	skipMessage(t, reader)

	logger := shake(t, tcp, "logger", methods("NULL"))
	expect(t, logger, verdictFor("logger"))
	for _, c := range []struct {
		kind   uint32
		old    uint32
		groups []string
		data   string
	}{
		{spread.TypeJoin, spread.TypeByJoin, []string{"logs.a"}, ""},
		{spread.TypeAgreed, spread.TypeAgreed, []string{"other"}, "x"},
		{spread.TypeAgreed | spread.TypeSelfDiscard, spread.TypeAgreed | spread.TypeSelfDiscard, []string{"logs.a", "other"}, "xy"},
		{spread.TypeSafe | spread.TypeRegular | spread.TypeByNetwork, spread.TypeSafe, []string{"#reader#d1"}, "forged"},
	} {
		for _, order := range []spread.Order{binary.LittleEndian, binary.BigEndian} {
			b := header(order, c.kind, "#logger#d1", len(c.groups), 7<<8, len(c.data))
			want := spread.AppendType(nil, spread.TypeReject|c.kind&spread.TypeSelfDiscard)
			want = binary.LittleEndian.AppendUint32(spread.AppendGroup(want, "#logger#d1"), uint32(len(c.groups)+1))
			want = binary.LittleEndian.AppendUint32(append(want, b[40:44]...), uint32(len(c.data)))
			want = spread.AppendType(want, c.old)
			for _, g := range c.groups {
				b, want = spread.AppendGroup(b, g), spread.AppendGroup(want, g)
			}
			logger.Write(append(b, c.data...))
			expect(t, logger, string(append(spread.AppendGroup(want, "#logger#d1"), c.data...)))
		}
	}
	if got := node.server.Status().Rejected; got != 8 {
		t.Errorf("%d were rejected", got)
	}
	// The session goes on, and may do what it may; other rules count from the next request.
	logger.Write(call(spread.TypeAgreed, "#logger#d1", "logs.a"))
	skipMessage(t, reader)
	access := node.server.rules.Load().Access
	access.Allow = nil
	node.server.SetAccess(access)
	logger.Write(call(spread.TypeJoin, "#logger#d1", "logs.a"))
	skipMessage(t, logger)
}

// skipMessage reads one message and returns its header.
func skipMessage(t *testing.T, conn net.Conn) spread.Header {
	t.Helper()
	b := make([]byte, spread.HeaderBytes)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	h, err := spread.ParseHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, h.Groups*spread.GroupBytes+h.DataLen)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSessionsOfOneAddress(t *testing.T) {
	node, tcp, unix := start(t, func(c *Config) { c.Access.Limits.SessionsPerAddress = 2 })
	first := admitted(t, tcp)
	second := shake(t, tcp, "b", methods("NULL"))
	expect(t, second, verdictFor("b"))
	third := raw(t, "tcp", tcp)
	expect(t, third, "\xfd")
	expectEnd(t, third)
	local := raw(t, "unix", unix) // another place
	fmt.Fprint(local, hello("u")+methods("NULL"))
	expect(t, local, "\x05NULL "+verdictFor("u"))
	disconnect(t, first, "#a#d1")
	wait(t, "its end", func() bool { return node.server.Status().Ended == 1 })
	again := shake(t, tcp, "c", methods("NULL"))
	expect(t, again, verdictFor("c"))
}

// TestJoinsWaitForTheirRate: they are late, not lost, and what was sent before them is
// not late with them.
func TestJoinsWaitForTheirRate(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) { c.Access.Limits.JoinsPerSecond = 40 })
	conn := admitted(t, tcp)
	var all []byte
	const joins = 60
	for i := range joins {
		all = append(all, call(spread.TypeJoin, "#a#d1", fmt.Sprint("g", i))...)
	}
	conn.Write(all)
	for i := range joins {
		if h := skipMessage(t, conn); h.Type != spread.TypeRegular|spread.TypeByJoin || !strings.HasPrefix(string(h.Group[:]), fmt.Sprint("g", i, "\x00")) {
			t.Fatalf("message %d: %+v", i, h)
		}
	}
	if got := node.server.Status().Throttled; got == 0 {
		t.Error("none had to wait")
	}
}

// TestANameIsWaitedFor: a client that comes back under its name is not told that the
// name is in use while its departure is on its way.
func TestANameIsWaitedFor(t *testing.T) {
	node, tcp, _ := start(t, nil)
	node.slow = true
	first := admitted(t, tcp)
	id := onlyClient(t, node)
	disconnect(t, first, "#a#d1")
	wait(t, "its end", node.empty)
	again := shake(t, tcp, "a", methods("NULL"))
	if err := again.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := again.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Fatal("it was answered before the name was free")
	}
	if err := again.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	node.server.Release(id)
	expect(t, again, verdictFor("a"))
}

func onlyClient(t *testing.T, node *loopNode) (only membership.ClientID) {
	t.Helper()
	node.mu.Lock()
	defer node.mu.Unlock()
	for id := range node.clients {
		only = id
	}
	return only
}

// TestResume: the key of the session that has the name takes it over; no other does.
func TestResume(t *testing.T) {
	_, tcp, _ := start(t, nil)
	key, other := strings.Repeat("k", spread.ResumeKeyBytes), strings.Repeat("o", spread.ResumeKeyBytes)
	choice := methods("NULL", "RINGWAY", "RESUME")
	first := shake(t, tcp, "a", choice+key)
	expect(t, first, verdictFor("a"))
	for _, rest := range []string{choice + other, methods("NULL"), methods("NULL", "RINGWAY")} {
		conn := shake(t, tcp, "a", rest)
		expect(t, conn, "\xfa")
		expectEnd(t, conn)
	}
	second := shake(t, tcp, "a", choice+key)
	expectEnd(t, first)
	expect(t, second, verdictFor("a"))
	// A session without a key keeps its name, whatever is shown.
	plain := shake(t, tcp, "p", methods("NULL"))
	expect(t, plain, verdictFor("p"))
	thief := raw(t, "tcp", tcp)
	fmt.Fprint(thief, hello("p")+choice+key)
	expect(t, thief, "\xfa")
}

// TestADrippingHandshakeEnds: one deadline is for all stages, so that a byte now and then
// gains nothing, in whichever stage.
func TestADrippingHandshakeEnds(t *testing.T) {
	_, tcp, _ := start(t, func(c *Config) {
		c.HandshakeTimeout, c.Access.Methods = 100*time.Millisecond, []string{"TOKEN"}
	})
	all := hello("drip") + methods("TOKEN") + string(spread.AppendToken(nil, make([]byte, 4000)))
	for _, begin := range []int{0, len(hello("drip")), len(hello("drip")) + 90} {
		conn := raw(t, "tcp", tcp)
		fmt.Fprint(conn, all[:begin])
		for i := begin; ; i++ {
			if i == len(all) {
				t.Fatal("the whole handshake was taken, a byte at a time")
			}
			if _, err := conn.Write([]byte(all[i : i+1])); err != nil {
				break // it has ended
			}
			time.Sleep(time.Millisecond) // the drip
		}
	}
}
