package main

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
)

// TestCommandsComeBack: a subscriber whose node ends and starts again joins again, and
// says that something may be missing; a publisher tries the next address.
func TestCommandsComeBack(t *testing.T) {
	address := freeport.For(t).String()
	file := write(t, "one.toml", fmt.Sprintf("[federation]\nname = \"back\"\n[[site]]\nname = \"lan\"\n  [[site.node]]\n  name = \"n1\"\n  address = %q\n", address))
	var log, received, said lockedbuf.Buffer
	start := func() *exec.Cmd {
		t.Helper()
		node := command(t, "node", "--topology", file, "--name", "n1")
		node.Stderr = &log
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the node", &log, func() bool {
			code, _, _ := ringway(t, "", nil, "groups", "--connect", address)
			return code == 0
		})
		return node
	}
	stop := func(node *exec.Cmd) {
		_ = node.Process.Signal(syscall.SIGTERM)
		_ = node.Wait()
	}
	node := start()
	both := "127.0.0.1:1," + address // nobody is at the first
	sub := command(t, "sub", "--connect", both, "--json", "--membership", "--slow-reader", "block", "--give-up", "0", "--count", "1", "news")
	sub.Stdout, sub.Stderr = &received, &said
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	views := func(n int) func() bool {
		return func() bool { return strings.Count(received.String(), `"type":"view"`) >= n }
	}
	eventually(t, "the join", &received, views(1))
	stop(node)
	node = start()
	defer stop(node)
	eventually(t, "the second join", &received, views(2))
	if code, _, errs := ringway(t, "hello\n", nil, "pub", "--connect", both, "news"); code != 0 {
		t.Errorf("pub: %d %s", code, errs)
	}
	if err := sub.Wait(); err != nil {
		t.Fatalf("sub: %v\n%s", err, received.String())
	}
	for _, want := range []string{`{"type":"gap","down_s":`, `"data":"hello"`} {
		if !strings.Contains(received.String(), want) {
			t.Errorf("sub did not print %s:\n%s", want, received.String())
		}
	}
	if !strings.Contains(said.String(), "ringway: sub: the connection was lost for ") {
		t.Errorf("sub did not say that something may be missing: %q", said.String())
	}
}

// TestConnectionFlags: what is wrong is said, with the flag.
func TestConnectionFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"sub", "--connect", "127.0.0.1:1", "--slow-reader", "hurry", "g"}, 2, "want disconnect, drop-oldest or block"},
		{[]string{"pub", "--connect", "127.0.0.1:1", "--give-up", "-1s", "g"}, 2, "--give-up -1s: want a time, or 0 for ever"},
		{[]string{"pub", "--connect", "127.0.0.1:1,nowhere", "g"}, 2, "nowhere"},
		{[]string{"pub", "--connect", "127.0.0.1:1", "--token-file", "/no/such/file", "g"}, 2, "--token-file: "},
		{[]string{"bench", "--connect", "tls://127.0.0.1:1", "--ca", "/no/such/file"}, 2, "--ca: "},
	} {
		if code, _, errs := ringway(t, "", nil, c.args...); code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%q: %d %s", c.args, code, errs)
		}
	}
}
