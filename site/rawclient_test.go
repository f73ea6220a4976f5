package site

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A rawClient speaks Spread's client protocol from bytes, without package client and
// without our codec: what an independent implementation would do.
type rawClient struct {
	t     *testing.T
	conn  net.Conn
	group string // private group
	order rawOrder
}

// The type bits that the tests use.
const (
	rawAgreed     = 0x10
	rawJoin       = 0x10000
	rawLeave      = 0x20000
	rawDisconnect = 0x40000
	rawRegular    = 0x1000
	rawByJoin     = 0x100
	rawByLeave    = 0x200
)

// rawMessage is a message as it lies on the wire.
type rawMessage struct {
	kind   uint32
	sender string
	groups []string
	hint   [4]byte
	data   []byte
	order  binary.ByteOrder
}

func dialRaw(t *testing.T, network, address, name string, order rawOrder) *rawClient {
	t.Helper()
	conn, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &rawClient{t: t, conn: conn, order: order}
	c.write(append([]byte{5, 0, 1, 1, byte(len(name))}, name...))
	methods := c.read(int(c.read(1)[0]))
	if string(methods) != "NULL " {
		t.Fatalf("methods %q", methods)
	}
	c.write(append([]byte("NULL"), make([]byte, 86)...))
	verdict := c.read(5)
	if verdict[0] != 1 || verdict[1] < 3 {
		t.Fatalf("verdict %v", verdict)
	}
	c.group = string(c.read(int(verdict[4])))
	return c
}

func (c *rawClient) write(b []byte) {
	c.t.Helper()
	if err := c.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) read(n int) []byte {
	c.t.Helper()
	b := make([]byte, n)
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := io.ReadFull(c.conn, b); err != nil {
		c.t.Fatalf("%s: %v", c.group, err)
	}
	return b
}

// marked puts the byte-order marker into v.
func (c *rawClient) marked(v uint32) uint32 {
	if c.order == rawOrder(binary.LittleEndian) {
		return v | 0x80000080
	}
	return v &^ 0x80000080
}

func field(name string) []byte { return append([]byte(name), make([]byte, 32-len(name))...) }

// send writes one message of the given type bits.
func (c *rawClient) send(kind uint32, messType int16, data []byte, groups ...string) {
	c.t.Helper()
	b := c.order.AppendUint32(nil, c.marked(kind))
	b = append(b, field(c.group)...)
	b = c.order.AppendUint32(b, uint32(len(groups)))
	b = c.order.AppendUint32(b, c.marked(uint32(uint16(messType))<<8))
	b = c.order.AppendUint32(b, uint32(len(data)))
	for _, g := range groups {
		b = append(b, field(g)...)
	}
	c.write(append(b, data...))
}

// receive reads one message.
func (c *rawClient) receive() rawMessage {
	c.t.Helper()
	head := c.read(48)
	m := rawMessage{order: binary.BigEndian}
	if head[0]&0x80 != 0 {
		m.order = binary.LittleEndian
	}
	m.kind = m.order.Uint32(head) &^ 0x80000080
	m.sender = cstring(head[4:36])
	copy(m.hint[:], head[40:44])
	for range m.order.Uint32(head[36:]) {
		m.groups = append(m.groups, cstring(c.read(32)))
	}
	m.data = c.read(int(m.order.Uint32(head[44:])))
	return m
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

func (m rawMessage) String() string {
	return fmt.Sprintf("%#x from %s to %v: %.40q", m.kind, m.sender, m.groups, m.data)
}

// A rawOrder is a byte order that can also append.
type rawOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}
