package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/internal/pki"
	"ringway/topology"
)

// startFile runs a node of a topology file, which it may read again.
func startFile(t *testing.T, path string, reload <-chan struct{}) (*topology.Node, func() map[string]uint64) {
	t.Helper()
	topo, err := topology.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return startWith(t, Config{Topology: topo, Node: topo.Sites[0].Nodes[0], Reload: reload, Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
}

// startWith runs a node, and returns what asks it for its counters.
func startWith(t *testing.T, cfg Config) (*topology.Node, func() map[string]uint64) {
	t.Helper()
	n := cfg.Node
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n, func() map[string]uint64 { return counters(n) }
}

// counters asks a node's admin port; nil if it does not answer.
func counters(n *topology.Node) map[string]uint64 {
	answer, err := http.Get("http://" + n.Admin.String() + "/status")
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	var status struct{ Counters map[string]uint64 }
	if json.NewDecoder(answer.Body).Decode(&status) != nil {
		return nil
	}
	return status.Counters
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// rawHello takes a connection through the handshake; it returns the first byte of the
// verdict, and all of it has been read if that is 1.
func rawHello(conn net.Conn, name, methods string, choice []byte) (byte, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	hello := append([]byte{5, 0, 1, 1, byte(len(name))}, name...)
	answer := make([]byte, 1+len(methods)+1)
	if _, err := conn.Write(append(hello, choice...)); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(conn, answer); err != nil {
		return 0, err
	}
	if got := string(answer[1 : 1+len(methods)]); got != methods {
		return 0, fmt.Errorf("methods %q, want %q", got, methods)
	}
	verdict := answer[1+len(methods)]
	if verdict != 1 {
		return verdict, nil
	}
	rest := make([]byte, 4)
	if _, err := io.ReadFull(conn, rest); err != nil {
		return 0, err
	}
	_, err := io.ReadFull(conn, make([]byte, rest[3]))
	return verdict, err
}

// rawChoice is three fields of 30 bytes.
func rawChoice(methods ...string) []byte {
	b := make([]byte, 90)
	for i, m := range methods {
		copy(b[30*i:], m)
	}
	return b
}

func tokenChoice(secret string) []byte {
	b := binary.BigEndian.AppendUint16(rawChoice("TOKEN"), uint16(len(secret)))
	return append(b, secret...)
}

func rawDial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestAccessIsReadAgain: a changed file of tokens or topology counts at once, a broken one
// does not, and SIGHUP is as good as a change that nobody noticed.
func TestAccessIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	file, tokens := filepath.Join(dir, "fed.toml"), filepath.Join(dir, "tokens")
	head := fmt.Sprintf("[federation]\nname = \"test\"\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \"%v\"\nadmin = \"%v\"\n[access]\nmethods = [\"TOKEN\"]\n", freeport.For(t), freeport.For(t))
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil { // as editors do it
			t.Fatal(err)
		}
	}
	one := topology.Token{Hash: topology.HashToken([]byte("one")), Client: "*"}.String() + "\n"
	two := topology.Token{Hash: topology.HashToken([]byte("two")), Client: "*"}.String() + "\n"
	write(file, head)
	write(tokens, one+two)
	reload := make(chan struct{})
	n, count := startFile(t, file, reload)
	eventually(t, "the node", func() bool { return count() != nil })

	connect := func(name, methods string, choice []byte) (net.Conn, byte) {
		t.Helper()
		conn := rawDial(t, n.Clients[0].Address)
		verdict, err := rawHello(conn, name, methods, choice)
		if err != nil {
			t.Fatal(err)
		}
		return conn, verdict
	}
	first, verdict := connect("a", "TOKEN ", tokenChoice("one"))
	second, other := connect("b", "TOKEN ", tokenChoice("two"))
	if verdict != 1 || other != 1 {
		t.Fatalf("verdicts %d and %d", verdict, other)
	}

	write(tokens, two) // the first token is taken back
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the session of a token that was taken back goes on: %v", err)
	}
	if _, verdict := connect("a", "TOKEN ", tokenChoice("one")); verdict != 0xf7 {
		t.Errorf("verdict %d for a token that was taken back", verdict)
	}

	write(file, head+"colour = \"red\"\n") // refused
	eventually(t, "the broken file to be refused", func() bool { return count()["topology_reloads_refused"] > 0 })
	if _, verdict := connect("c", "TOKEN ", tokenChoice("two")); verdict != 1 {
		t.Errorf("verdict %d after a broken file", verdict)
	}

	write(file, strings.Replace(head, `"TOKEN"`, `"NULL"`, 1)+"[access.limits]\nsessions = 2\n")
	reload <- struct{}{} // whether or not the change was noticed
	if err := second.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sessions by token to end", func() bool {
		_, err := second.Read(make([]byte, 1))
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	})
	eventually(t, "the new method to be enough", func() bool {
		verdict, err := rawHello(rawDial(t, n.Clients[0].Address), "d", "NULL ", rawChoice("NULL"))
		return err == nil && verdict == 1 // the two that ended count until they are forgotten
	})
}

// TestAFileThatChangedBeforeItWasWatched: between a node's reading of the topology and its
// watching of the file lies whatever else it begins with.
func TestAFileThatChangedBeforeItWasWatched(t *testing.T) {
	file := filepath.Join(t.TempDir(), "fed.toml")
	text := fmt.Sprintf("[federation]\nname = \"test\"\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \"%v\"\nadmin = \"%v\"\n", freeport.For(t), freeport.For(t))
	write := func(text string) *topology.Topology {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		topo, err := topology.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	before := write(text)
	write(text + "[access.limits]\nsessions = 2\n")
	_, count := startWith(t, Config{Topology: before, Node: before.Sites[0].Nodes[0], Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	eventually(t, "the change to be noticed", func() bool { return count()["topology_reloads"] == 1 })
}

// TestClientsOverTLS: the certificate is the node's, no client's is asked for, and the
// protocol is the same.
func TestClientsOverTLS(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(pki.Init(dir, "test", time.Hour), pki.Issue(dir, "test", "lan", "n1", time.Hour)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "fed.toml")
	text := fmt.Sprintf("[federation]\nname = \"test\"\ncerts = %q\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \"%v\"\nadmin = \"%v\"\nclients = [\"tls://%v\"]\n", dir, freeport.For(t), freeport.For(t), freeport.For(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n, count := startFile(t, file, nil)
	eventually(t, "the node", func() bool { return count() != nil })
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	conn := tls.Client(rawDial(t, n.Clients[0].Address), &tls.Config{
		InsecureSkipVerify: true, // the name is not a host's: VerifyConnection looks
		VerifyConnection: func(state tls.ConnectionState) error {
			leaf := state.PeerCertificates[0]
			if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "ringway://test/site/lan/node/n1" {
				return fmt.Errorf("certificate of %v", leaf.URIs)
			}
			_, err := leaf.Verify(x509.VerifyOptions{Roots: roots})
			return err
		},
	})
	if verdict, err := rawHello(conn, "a", "NULL ", rawChoice("NULL")); err != nil || verdict != 1 {
		t.Fatalf("verdict %d, %v", verdict, err)
	}
	c := &rawClient{t: t, conn: conn, group: "#a#n1", order: binary.BigEndian}
	c.send(rawJoin, 0, nil, "g")
	if v := c.receive(); v.kind != rawRegular|rawByJoin {
		t.Fatalf("view %v", v)
	}
	const many = 1000 // several records
	go func() {
		for i := range many {
			c.send(rawAgreed, int16(i), make([]byte, 100), "g")
		}
		c.send(rawAgreed, 0, make([]byte, 100_000), "g")
	}()
	for i := range many {
		if m := c.receive(); m.kind != rawAgreed || binary.BigEndian.Uint32(m.hint[:])>>8 != uint32(i) {
			t.Fatalf("message %d: %v", i, m)
		}
	}
	if m := c.receive(); len(m.data) != 100_000 {
		t.Fatalf("%v", m)
	}
	// Plain bytes at that port come to nothing.
	plain := rawDial(t, n.Clients[0].Address)
	if verdict, err := rawHello(plain, "p", "NULL ", rawChoice("NULL")); err == nil {
		t.Errorf("verdict %d without TLS", verdict)
	}
}

// TestSendersWaitForAReaderAnywhere: a reader that may hold senders back does so at its
// own node, at another of its site and at another site; nobody loses anything.
func TestSendersWaitForAReaderAnywhere(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 1}, "lon", "fra")
	topo.Access.Limits.QueueBytes = 8 << 20 // less than what three senders may have under way when they are told
	topo.Timing.Hello = time.Second         // a busy machine is no broken link
	socket := filepath.Join(t.TempDir(), "s")
	lon := topo.Sites[0].Nodes[0]
	lon.Clients = append(lon.Clients, topology.ClientListener{Network: "unix", Address: socket})
	f := run(t, topo, nil)
	f.ready()
	reader, err := net.Dial("unix", socket) // whose buffers are small
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if verdict, err := rawHello(reader, "reader", "NULL ", rawChoice("NULL", "RINGWAY block")); err != nil || verdict != 1 {
		t.Fatalf("verdict %d, %v", verdict, err)
	}
	r := &rawClient{t: t, conn: reader, group: "#reader#lon-1", order: binary.LittleEndian}
	r.send(rawJoin, 0, nil, "g")
	r.receive()

	senders := []string{"lon-1", "lon-2", "fra-1"}
	const each, size = 100, 48 << 10 // more than the socket takes and the mark, from each of them
	for _, name := range senders {
		conn := rawDial(t, f.nodes[name].Clients[0].Address)
		if verdict, err := rawHello(conn, "sender", "NULL ", rawChoice("NULL")); err != nil || verdict != 1 {
			t.Fatalf("verdict %d, %v", verdict, err)
		}
		s := &rawClient{t: t, conn: conn, group: "#sender#" + name, order: binary.LittleEndian}
		go func() {
			for i := range each {
				s.send(rawAgreed, int16(i), make([]byte, size), "g")
			}
		}()
	}
	for _, name := range senders {
		f.eventually("the sender at "+name+" to be held back", func() bool {
			return counters(f.nodes[name].Node)["sessions_waiting_for_readers"] == 1
		})
	}
	// A held sender's client that comes back with another connection takes its name over.
	for range 2 {
		back := rawDial(t, f.nodes["lon-2"].Clients[0].Address)
		choice := append(rawChoice("NULL", "RESUME"), "sixteen bytes ok"...)
		if verdict, err := rawHello(back, "comes", "NULL ", choice); err != nil || verdict != 1 {
			t.Fatalf("verdict %d, %v", verdict, err)
		}
		b := &rawClient{t: t, conn: back, group: "#comes#lon-2", order: binary.LittleEndian}
		for range 3 {
			b.send(rawAgreed, 0, nil, "g")
		}
		f.eventually("it to be held back", func() bool {
			return counters(f.nodes["lon-2"].Node)["sessions_waiting_for_readers"] == 2
		})
	}
	next := map[string]int{}
	for left := len(senders) * each; left > 0; left-- {
		m := r.receive()
		if m.sender == "#comes#lon-2" {
			left++
			continue
		}
		if got := int(binary.LittleEndian.Uint32(m.hint[:]) >> 8 & 0x7fff); got != next[m.sender] {
			t.Fatalf("%s: message %d, want %d", m.sender, got, next[m.sender])
		}
		next[m.sender]++
	}
	for name, n := range f.nodes {
		f.eventually("the sender at "+name+" to go on", func() bool {
			return counters(n.Node)["sessions_waiting_for_readers"] == 0
		})
	}
}
