package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// This file is a client of the protocol made of bytes. It shares no code with the server
// or with package client: what both might get wrong alike would not be noticed.

// Type bits.
const (
	serviceUnreliable = 0x01
	serviceReliable   = 0x02
	serviceFIFO       = 0x04
	serviceCausal     = 0x08
	serviceAgreed     = 0x10
	serviceSafe       = 0x20
	selfDiscard       = 0x40
	byJoin            = 0x100
	byLeave           = 0x200
	byDisconnect      = 0x400
	byNetwork         = 0x800
	regular           = 0x1000
	transitional      = 0x2000
	join              = 0x10000
	leave             = 0x20000
	disconnect        = 0x40000
	groupsState       = 0x80000
	reject            = 0x400000
	dropReceive       = 0x1000000
)

const markers = 0x80000080

// An order is a byte order in which a client writes.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var (
	little order = binary.LittleEndian
	big    order = binary.BigEndian
)

// marked puts the marker of an order into a number.
func marked(o order, v uint32) uint32 {
	if o == little {
		return v | markers
	}
	return v &^ markers
}

// Whether a client wants membership messages.
const (
	quiet   = 0
	curious = 1
)

var nullChoice = choiceOf("NULL")

func choiceOf(methods ...string) []byte {
	b := make([]byte, 90)
	for i, m := range methods {
		copy(b[30*i:30*i+30], m)
	}
	return b
}

// helloOf is what a client of version 5.0.1 says first.
func helloOf(name string, flags byte) []byte {
	return append([]byte{5, 0, 1, flags, byte(len(name))}, name...)
}

// A client is a session.
type client struct {
	conn    net.Conn
	order   order
	name    string
	private string
}

// connect gets a session; node is the name that the private group must have.
func connect(e endpoint, node, name string, o order, flags byte) (*client, error) {
	conn, err := e.dial()
	if err != nil {
		return nil, err
	}
	c, err := shake(conn, node, name, o, flags)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// A refusal is a code in place of a list or a verdict.
type refusal int8

func (r refusal) Error() string { return fmt.Sprintf("refused with %d", int8(r)) }

func shake(conn net.Conn, node, name string, o order, flags byte) (*client, error) {
	if _, err := conn.Write(helloOf(name, flags)); err != nil {
		return nil, err
	}
	length, err := readN(conn, 1)
	if err != nil {
		return nil, err
	}
	if length[0] > 127 {
		return nil, refusal(length[0])
	}
	if _, err := readN(conn, int(length[0])); err != nil {
		return nil, err
	}
	if _, err := conn.Write(nullChoice); err != nil {
		return nil, err
	}
	verdict, err := readN(conn, 1)
	if err != nil {
		return nil, err
	}
	if verdict[0] != 1 {
		return nil, refusal(verdict[0])
	}
	rest, err := readN(conn, 4)
	if err != nil {
		return nil, err
	}
	private, err := readN(conn, int(rest[3]))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, order: o, private: string(private)}
	parts := strings.Split(c.private, "#")
	if len(parts) != 3 || parts[0] != "" || name != "" && parts[1] != name || parts[2] != node {
		return nil, fmt.Errorf("private group %q of %q at %s", c.private, name, node)
	}
	c.name = parts[1]
	return c, nil
}

func readN(conn net.Conn, n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(conn, b)
	return b, err
}

// session is connect for tests: the session ends with the test.
func session(t *testing.T, at *target, e endpoint, name string, o order) *client {
	t.Helper()
	return sessionWith(t, at, e, name, o, curious)
}

func sessionWith(t *testing.T, at *target, e endpoint, name string, o order, flags byte) *client {
	t.Helper()
	c, err := connect(e, at.name, name, o, flags)
	if err != nil {
		t.Fatalf("%s at %s: %v", name, e, err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

// field is a name in its 32 bytes.
func field(name string) []byte { return append([]byte(name), make([]byte, 32-len(name))...) }

// header is the 48 bytes before the groups.
func (c *client) header(kind uint32, from string, groups int32, hint uint32, length int32) []byte {
	b := c.order.AppendUint32(nil, marked(c.order, kind))
	b = append(b, field(from)...)
	b = c.order.AppendUint32(b, uint32(groups))
	b = c.order.AppendUint32(b, marked(c.order, hint))
	return c.order.AppendUint32(b, uint32(length))
}

// message is a whole message.
func (c *client) message(kind uint32, messType int16, data []byte, groups ...string) []byte {
	b := c.header(kind, c.private, int32(len(groups)), uint32(uint16(messType))<<8, int32(len(data)))
	for _, g := range groups {
		b = append(b, field(g)...)
	}
	return append(b, data...)
}

func (c *client) send(kind uint32, messType int16, data []byte, groups ...string) error {
	_, err := c.conn.Write(c.message(kind, messType, data, groups...))
	return err
}

// must sends, in a test.
func (c *client) must(t *testing.T, kind uint32, messType int16, data string, groups ...string) {
	t.Helper()
	if err := c.send(kind, messType, []byte(data), groups...); err != nil {
		t.Fatalf("%s: %v", c.private, err)
	}
}

// A message is what a client receives.
type message struct {
	order  order
	kind   uint32 // without markers
	head   []byte
	name   string // sender, or group
	groups []string
	raw    [][]byte // groups, as they came
	hint   [4]byte
	old    uint32 // of a reject: the old type
	data   []byte
}

func (c *client) receive() (*message, error) {
	head, err := readN(c.conn, 48)
	if err != nil {
		return nil, err
	}
	m := &message{order: big, head: head, name: text(head[4:36]), hint: [4]byte(head[40:44])}
	if head[0]&0x80 != 0 {
		m.order = little
	}
	m.kind = m.order.Uint32(head)
	if m.kind&markers != 0 && m.kind&markers != markers {
		return nil, fmt.Errorf("half a marker in type %#x", m.kind)
	}
	m.kind &^= markers
	groups, length := m.order.Uint32(head[36:]), m.order.Uint32(head[44:])
	if groups > 1<<16 || length > 1<<27 {
		return nil, fmt.Errorf("%d groups, %d bytes", groups, length)
	}
	if m.kind&reject != 0 {
		old, err := readN(c.conn, 4)
		if err != nil {
			return nil, err
		}
		m.old = m.order.Uint32(old) &^ markers
	}
	for range groups {
		name, err := readN(c.conn, 32)
		if err != nil {
			return nil, err
		}
		m.groups, m.raw = append(m.groups, text(name)), append(m.raw, name)
	}
	m.data, err = readN(c.conn, int(length))
	return m, err
}

// text is a name up to its NUL.
func text(field []byte) string {
	name, _, _ := bytes.Cut(field, []byte{0})
	return string(name)
}

// next receives, in a test, and wants a type.
func (c *client) next(t *testing.T, kind uint32) *message {
	t.Helper()
	m, err := c.receive()
	if err != nil {
		t.Fatalf("%s: %v, want type %#x", c.private, err, kind)
	}
	if m.kind != kind {
		t.Fatalf("%s: type %#x from %q to %v, %d bytes; want type %#x", c.private, m.kind, m.name, m.groups, len(m.data), kind)
	}
	return m
}

// nothing shows that the node has said nothing: a message of the client's to itself,
// sent behind all it asked for, is the next that comes.
func (c *client) nothing(t *testing.T) {
	t.Helper()
	stamp := fmt.Sprint("nothing before ", time.Now().UnixNano())
	c.must(t, serviceAgreed, 0, stamp, c.private)
	if m := c.next(t, serviceAgreed); string(m.data) != stamp {
		t.Fatalf("%s: %q from %s came, where nothing should", c.private, m.data, m.name)
	}
}

// ended wants the connection's end, and not a byte before it.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	b := make([]byte, 100)
	n, err := conn.Read(b)
	if n > 0 {
		t.Fatalf("%q came, want the end", b[:n])
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%v, want the end", err)
	}
}

// A view is the body of a regular membership message.
type view struct {
	id     [3]uint32
	offset int
	sets   [][]string
}

// viewOf takes a body apart; every byte of it must be accounted for.
func viewOf(t *testing.T, m *message) view {
	t.Helper()
	if len(m.data) < 20 {
		t.Fatalf("membership body of %d bytes", len(m.data))
	}
	v := view{offset: int(m.order.Uint32(m.data[16:]))}
	for i := range v.id {
		v.id[i] = m.order.Uint32(m.data[4*i:])
	}
	rest := m.data[20:]
	for range m.order.Uint32(m.data[12:]) {
		var set []string
		for range m.order.Uint32(rest) {
			set = append(set, text(rest[4+32*len(set):][:32]))
		}
		v.sets = append(v.sets, set)
		rest = rest[4+32*len(set):]
	}
	if len(rest) != 0 {
		t.Fatalf("%d bytes behind the sets", len(rest))
	}
	return v
}

// own returns the set at the view's offset, which counts from byte 20.
func (v view) own(t *testing.T) []string {
	t.Helper()
	at := 0
	for _, set := range v.sets {
		if at == v.offset {
			return set
		}
		at += 4 + 32*len(set)
	}
	t.Fatalf("offset %d is that of no set in %v", v.offset, v.sets)
	return nil
}

// joined joins a group and reads the view with oneself in it.
func (c *client) joined(t *testing.T, group string) *message {
	t.Helper()
	c.must(t, join, 0, "", group)
	m := c.next(t, regular|byJoin)
	if m.name != group || !slices.Contains(m.groups, c.private) {
		t.Fatalf("view of %q with %v after %s joined %q", m.name, m.groups, c.private, group)
	}
	return m
}

var unique int

// groupName makes a name that no other test uses.
func groupName() string {
	unique++
	return fmt.Sprint("group-", unique)
}

// clientName likewise; at most 10 bytes.
func clientName() string {
	unique++
	return fmt.Sprint("c", unique)
}
