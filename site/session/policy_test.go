package session

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
	"ringway/topology"
)

// payload is the size of the messages of these tests: large enough to fill the sockets'
// buffers soon.
const payload = 32 << 10

// numbered is a message to g with its number in it.
func numbered(kind uint32, from string, i int) []byte {
	b := spread.AppendGroup(header(le, kind, from, 1, 0, payload), "g")
	b = binary.LittleEndian.AppendUint32(b, uint32(i))
	return append(b, make([]byte, payload-4)...)
}

// flood sends numbered messages in a goroutine of its own and counts those that went
// out whole.
func flood(conn net.Conn, from string, many int) *atomic.Int64 {
	var sent atomic.Int64
	go func() {
		for i := range many {
			if _, err := conn.Write(numbered(spread.TypeAgreed, from, i)); err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	return &sent
}

// number reads one message and returns its number.
func number(conn net.Conn) (uint32, error) {
	b := make([]byte, spread.HeaderBytes+spread.GroupBytes+payload)
	_, err := io.ReadFull(conn, b)
	return binary.LittleEndian.Uint32(b[spread.HeaderBytes+spread.GroupBytes:]), err
}

// member connects with a policy and joins g, without wishing to hear of membership.
func member(t *testing.T, address, name, policy string) net.Conn {
	t.Helper()
	conn := raw(t, "tcp", address)
	fmt.Fprint(conn, "\x05\x00\x01\x00"+string(rune(len(name)))+name+methods("NULL", spread.RingwayField(spread.Extras{Policy: policy})))
	expect(t, conn, "\x05NULL "+verdictFor(name))
	conn.Write(call(spread.TypeJoin, "#"+name+"#d1", "g"))
	return conn
}

// inGroup waits until g has a member.
func inGroup(t *testing.T, node *loopNode) {
	t.Helper()
	wait(t, "the member", func() bool {
		members, _, _ := node.Members("g")
		return len(members) == 1
	})
}

// TestWhoHoldsSendersBackMissesNothing: nobody is disconnected, the sender waits, and
// when the reader reads again it gets every message.
func TestWhoHoldsSendersBackMissesNothing(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) { c.Access.Limits.QueueBytes = 4 << 20 })
	reader := member(t, tcp, "reader", spread.PolicyBlock)
	inGroup(t, node)
	sender := shake(t, tcp, "sender", methods("NULL"))
	expect(t, sender, verdictFor("sender"))
	const many = 2048 // more than queue, socket buffers and what is under way can take
	sent := flood(sender, "#sender#d1", many)
	wait(t, "the sender to be held back", func() bool { return node.server.Status().Held > 0 })
	if n := sent.Load(); n == many {
		t.Errorf("all %d messages went out, and nobody was held back", n)
	}
	for i := range many {
		if got, err := number(reader); err != nil || got != uint32(i) {
			t.Fatalf("message %d: %d, %v", i, got, err)
		}
	}
	if n := node.server.Status().TooSlow; n != 0 {
		t.Errorf("%d were too slow", n)
	}
	wait(t, "the senders to be let go", func() bool {
		node.heldMu.Lock()
		defer node.heldMu.Unlock()
		return len(node.held) == 0 && node.released > 0
	})
}

// deafSenders are a backend whose senders are told in vain.
type deafSenders struct{ Backend }

func (deafSenders) Hold(membership.ClientID, merge.Member) {}
func (deafSenders) LetGo(membership.ClientID)              {}

// TestWhatIsUnderWayIsNoReadersFault: what senders sent before they heard that they are
// held does not end the reader, up to a bound; senders that never stop do.
func TestWhatIsUnderWayIsNoReadersFault(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	const bound, size = 4 << 20, 1 << 20
	server := NewServer(Config{Access: topology.Access{Limits: topology.Limits{QueueBytes: bound}, BlockTime: time.Hour}}, deafSenders{})
	s := newSession(server, near, Identity{}, "#a#d1")
	s.admission.policy = topology.Block
	message := append(spread.AppendHeader(nil, spread.TypeAgreed, "#a#d1", 0, [4]byte{}, size), make([]byte, size)...)
	from := func(i int) *merge.Message {
		return &merge.Message{Sender: membership.ClientID{Node: 2, Session: uint64(i)}}
	}
	for sender := range 3 {
		for range overrunEach / size {
			s.queue(message, from(sender))
		}
	}
	if s.ended {
		t.Fatalf("%d bytes of three senders ended the reader: %s", s.bytes, s.why)
	}
	for range bound/size + 1 { // a sender that is not held has no room of its own
		s.queue(message, from(2))
	}
	if !s.ended {
		t.Errorf("%d bytes in the queue", s.bytes)
	}
	if most := bound + 3*overrunEach; s.bytes > most {
		t.Errorf("%d bytes were queued, more than %d", s.bytes, most)
	}
}

// TestHoldingIsTakenBack: where new rules have no block_time, who held senders back lets
// them go with the next write and is no slow reader for it; the bound of messages is for
// it, too.
func TestHoldingIsTakenBack(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	access := topology.Access{Limits: topology.Limits{QueueMessages: 100}, BlockTime: time.Hour}
	server := NewServer(Config{Access: access}, deafSenders{})
	s := newSession(server, near, Identity{}, "#a#d1")
	s.admission.policy = topology.Block
	message := append(spread.AppendHeader(nil, spread.TypeAgreed, "#a#d1", 0, [4]byte{}, 8), make([]byte, 8)...)
	from := &merge.Message{Sender: membership.ClientID{Node: 2}}
	for range 150 {
		s.queue(message, from)
	}
	if s.holding == nil || s.ended {
		t.Fatalf("holding %v, ended %v", s.holding != nil, s.ended)
	}
	access.BlockTime = 0
	server.SetAccess(access)
	s.written(1, len(message))
	if s.holding != nil || s.ended {
		t.Errorf("holding %v, ended %v (%s)", s.holding != nil, s.ended, s.why)
	}
	s.queue(message, from)
	if !s.ended {
		t.Errorf("%d messages are queued, and 100 may be", s.queued)
	}
}

// TestWhoHoldsSendersBackAndReadsNothingEnds: there is a bound.
func TestWhoHoldsSendersBackAndReadsNothingEnds(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) {
		c.Access.Limits.QueueBytes, c.Access.BlockTime = 4<<20, 50*time.Millisecond
	})
	member(t, tcp, "reader", spread.PolicyBlock)
	inGroup(t, node)
	sender := shake(t, tcp, "sender", methods("NULL"))
	expect(t, sender, verdictFor("sender"))
	sent := flood(sender, "#sender#d1", 2048) // it is held until the reader has been ended
	wait(t, "the reader's end", func() bool { return node.server.Status().TooSlow == 1 })
	wait(t, "the sender to go on", func() bool { return sent.Load() == 2048 })
}

func TestDropOldest(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	s := newTestSession(near, topology.Limits{QueueMessages: 8, QueueBytes: 1 << 20})
	s.admission.policy = topology.DropOldest
	message := func(kind uint32, i int) []byte {
		return append(spread.AppendHeader(nil, kind, "#a#d1", 0, [4]byte{}, 1), byte(i))
	}
	s.queue(message(spread.TypeReliable, 100), nil)
	for i := range 50 {
		s.queue(message(spread.TypeUnreliable, i), nil)
	}
	s.queue(message(spread.TypeAgreed, 101), nil)
	if s.ended {
		t.Fatal(s.why)
	}
	var left []byte
	for _, m := range s.out {
		left = append(left, m[len(m)-1])
	}
	if len(left) < 3 || left[0] != 100 || left[len(left)-1] != 101 || left[len(left)-2] != 49 {
		t.Errorf("left are %v: want the reliable ones and the newest", left)
	}
	if dropped := s.server.stats.dropped.Load(); dropped != uint64(52-len(left)) {
		t.Errorf("%d were counted as dropped, %d are left of 52", dropped, len(left))
	}
	// What must not be lost fills the queue for good, and then it is the session's end;
	// another unreliable message is not.
	for s.queued < 8 {
		s.queue(message(spread.TypeAgreed, 102), nil)
	}
	s.makeRoom(&rules{Access: topology.Access{Limits: topology.Limits{QueueMessages: 0}}})
	for s.queued < 8 {
		s.queue(message(spread.TypeAgreed, 103), nil)
	}
	s.queue(message(spread.TypeUnreliable, 104), nil)
	if s.ended {
		t.Fatal("an unreliable message ended the session")
	}
	s.queue(message(spread.TypeAgreed, 105), nil)
	if !s.ended {
		t.Error("the queue has no bound")
	}
}

func TestPoliciesThatMayNotBe(t *testing.T) {
	_, tcp, _ := start(t, func(c *Config) { c.Access.BlockTime = 0 })
	for _, field := range []string{"RINGWAY block", "RINGWAY wait", "RINGWAYS"} {
		conn := shake(t, tcp, "a", methods("NULL", field))
		expect(t, conn, "\xf7")
		expectEnd(t, conn)
	}
	conn := shake(t, tcp, "a", methods("RINGWAY drop-oldest", "NULL"))
	expect(t, conn, verdictFor("a"))
}

// TestIndependentScopes: the word is with every message of the session that said it, and of
// no other.
func TestIndependentScopes(t *testing.T) {
	node, tcp, _ := start(t, nil)
	for name, field := range map[string]string{"strict": "RINGWAY", "free": "RINGWAY scopes", "both": "RINGWAY drop-oldest scopes"} {
		conn := shake(t, tcp, name, methods("NULL", field))
		expect(t, conn, verdictFor(name))
		conn.Write(call(spread.TypeAgreed, "#"+name+"#d1", name))
	}
	asked := func() map[string]bool {
		node.mu.Lock()
		defer node.mu.Unlock()
		got := map[string]bool{}
		for _, q := range node.asked {
			got[q.Groups[0]] = q.Independent
		}
		return got
	}
	wait(t, "the messages", func() bool { return len(asked()) == 3 })
	if got := asked(); got["strict"] || !got["free"] || !got["both"] {
		t.Errorf("with independent scopes: %v", got)
	}
	conn := shake(t, tcp, "a", methods("NULL", "RINGWAY scopes block"))
	expect(t, conn, "\xf7")
	expectEnd(t, conn)
}

// TestCalls: groups and members, in pages, as far as the rules let the session see.
func TestCalls(t *testing.T) {
	node, tcp, _ := start(t, func(c *Config) {
		c.Access.Allow = []topology.Rule{{Client: "asks", Join: []string{"open*"}}, {Client: "*", Join: []string{"*"}}}
	})
	other := shake(t, tcp, "other", methods("NULL"))
	expect(t, other, verdictFor("other"))
	const many = spread.MaxListed + 10
	for i := range many {
		other.Write(call(spread.TypeJoin, "#other#d1", fmt.Sprintf("open%04d", i)))
	}
	other.Write(call(spread.TypeJoin, "#other#d1", "secret"))
	wait(t, "the joins", func() bool { return len(mustGroups(node)) == many+1 })

	conn := shake(t, tcp, "asks", methods("NULL", "RINGWAY"))
	expect(t, conn, verdictFor("asks"))
	conn.Write(spread.AppendGroupsCall(nil, "#asks#d1", spread.GroupsCall{Tag: 1}))
	h, body := extension(t, conn)
	first, err := spread.ParseGroupsAnswer(h, body)
	if err != nil || first.Tag != 1 || !first.More || len(first.Groups) != spread.MaxListed {
		t.Fatalf("%d groups, %v, %v", len(first.Groups), first.More, err)
	}
	last := first.Groups[spread.MaxListed-1]
	if last != (spread.GroupInfo{Name: fmt.Sprintf("open%04d", spread.MaxListed-1), Members: 1, Sites: 1, Complete: true}) {
		t.Errorf("last is %+v", last)
	}
	conn.Write(spread.AppendGroupsCall(nil, "#asks#d1", spread.GroupsCall{Tag: 2, After: last.Name, Pattern: "o*"}))
	h, body = extension(t, conn)
	rest, err := spread.ParseGroupsAnswer(h, body)
	if err != nil || rest.Tag != 2 || rest.More || len(rest.Groups) != 10 {
		t.Errorf("the rest: %d groups, %v, %v", len(rest.Groups), rest.More, err)
	}
	for _, c := range []struct {
		group string
		from  int
		total int
		names int
	}{{"open0001", 0, 1, 1}, {"open0001", 1, 1, 0}, {"secret", 0, 0, 0}, {"nobody", 0, 0, 0}} {
		conn.Write(spread.AppendMembersCall(nil, "#asks#d1", spread.MembersCall{Tag: 3, Group: c.group, From: c.from}))
		h, body = extension(t, conn)
		answer, err := spread.ParseMembersAnswer(h, body)
		if err != nil || answer.Total != c.total || len(answer.Members) != c.names || c.names == 1 && answer.Members[0] != "#other#d1" {
			t.Errorf("%+v: %+v, %v", c, answer, err)
		}
	}
	conn.Write(spread.AppendViewCall(nil, "#asks#d1", spread.ViewCall{Tag: 4}))
	h, body = extension(t, conn)
	if v, err := spread.ParseViewAnswer(h, body); err != nil || v.Tag != 4 || !v.Primary || v.Epoch != 3 || fmt.Sprint(v.Sites) != "[lon]" {
		t.Errorf("view: %+v, %v", v, err)
	}
	// Who did not negotiate it may not ask, and an unknown call is an error.
	other.Write(spread.AppendGroupsCall(nil, "#other#d1", spread.GroupsCall{}))
	unknown := spread.AppendGroupsCall(nil, "#asks#d1", spread.GroupsCall{})
	unknown[41] = 99
	conn.Write(unknown)
	expectEnd(t, conn)
	wait(t, "the end of both", node.empty)
}

func mustGroups(node *loopNode) []GroupInfo {
	groups, _ := node.Groups()
	return groups
}

// extension reads the answer to a call, past all that is no answer.
func extension(t *testing.T, conn net.Conn) (*spread.Header, []byte) {
	t.Helper()
	b := make([]byte, spread.HeaderBytes)
	if _, err := io.ReadFull(conn, b); err != nil {
		t.Fatal(err)
	}
	h, err := spread.ParseHeader(b)
	if err != nil || h.Type != spread.TypeExtension {
		t.Fatalf("%+v, %v", h, err)
	}
	body := make([]byte, h.Groups*spread.GroupBytes+h.DataLen)
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	return &h, body
}
