//go:build linux

package scenario

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/lostpeer"
	"ringway/internal/netlab"
)

// lostTime is what a test waits for a lost host to be noticed: three times what a machine
// with time to spare needs.
const lostTime = 3 * lostpeer.Bound

// TestALostHostIsNoticed: a client's host loses its cable while its client sends and is
// sent to. The node ends the session, and the client learns that its node is gone, both
// within lostpeer.Bound. A client of another host, which reads nothing for as long,
// stays: its host answers.
func TestALostHostIsNoticed(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*lostTime)
	defer cancel()
	h := newHosts(t)
	watcher := h.join(ctx, "node", "watcher", client.Disconnect)
	stuck := h.join(ctx, "alive", "stuck", client.DropOldest)
	lost := h.join(ctx, "lost", "lost", client.DropOldest)
	h.view(ctx, watcher, 3)

	// Everybody is sent a stream, more than the stuck one's sockets take; the lost one
	// sends, too.
	unread := make(chan struct{})
	go func() {
		defer close(unread)
		for ctx.Err() == nil {
			for range 16 {
				if watcher.Send(ctx, client.Message{Service: client.Unreliable, SelfDiscard: true, Groups: []string{"g"}, Data: make([]byte, 32<<10)}) != nil {
					return
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	end := make(chan error, 1)
	go func() {
		for {
			if err := lost.Send(ctx, client.Message{Service: client.FIFO, Groups: []string{"nobody"}, Data: make([]byte, 1<<10)}); err != nil {
				end <- err
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := h.cable.Pull(); err != nil {
		t.Fatal(err)
	}
	pulled := time.Now()
	view := h.view(ctx, watcher, 2)
	t.Logf("the node has noticed after %v (bound %v)", time.Since(pulled).Round(time.Millisecond), lostpeer.Bound)
	if view.Cause != client.ByDisconnect || !slices.Contains(view.Members, stuck.Name()) || slices.Contains(view.Members, lost.Name()) {
		t.Errorf("the view after the loss: %s of %v", view.Cause, view.Members)
	}
	if err := <-end; !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("the client that lost its node: %v", err)
	}
	t.Logf("the client has noticed after %v", time.Since(pulled).Round(time.Millisecond))
	cancel()
	<-unread
}

// hosts are a node and two hosts of clients on a switch.
type hosts struct {
	*testing.T
	spaces  map[string]*netlab.Space
	cable   *netlab.Cable // of the host that is lost
	address string
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	lab, err := netlab.New(fmt.Sprintf("lost%d", sites.Add(1)))
	must(err)
	t.Cleanup(func() { must(lab.Close()) })
	lan, err := lab.Switch("lan")
	must(err)
	h := &hosts{T: t, spaces: map[string]*netlab.Space{}, address: "10.9.8.1:4803"}
	for i, name := range []string{"node", "alive", "lost"} {
		h.spaces[name], err = lab.Space(name)
		must(err)
		h.cable, err = lan.Plug(h.spaces[name], netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, 8, byte(i + 1)}), 24))
		must(err)
	}
	file := filepath.Join(t.TempDir(), "one.toml")
	must(os.WriteFile(file, []byte("[federation]\nname = \"lost\"\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \""+h.address+"\"\n"), 0o600))
	node := exec.Command(ringway, "node", "--topology", file, "--name", "n1", "--insecure") //nolint:gosec // our program
	var log strings.Builder
	node.Stderr = &log
	must(h.spaces["node"].Start(node))
	t.Cleanup(func() {
		must(node.Process.Signal(syscall.SIGTERM))
		if err := node.Wait(); err != nil || t.Failed() {
			t.Errorf("the node: %v\n%s", err, log.String())
		}
	})
	return h
}

// join connects from a host, again until the node is there, and joins the group.
func (h *hosts) join(ctx context.Context, host, name string, policy client.SlowReader) *client.Conn {
	h.Helper()
	options := client.Options{Name: name, Membership: true, SlowReader: policy, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return h.spaces[host].Dial(ctx, network, address)
	}}
	for {
		conn, err := client.Dial(ctx, h.address, options)
		if err == nil {
			err = conn.Join(ctx, "g")
		}
		if err == nil {
			h.Cleanup(func() { conn.Close() })
			return conn
		}
		if ctx.Err() != nil {
			h.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// view receives until the group has so many members.
func (h *hosts) view(ctx context.Context, c *client.Conn, members int) *client.View {
	h.Helper()
	for {
		event, err := c.Receive(ctx)
		if err != nil {
			h.Fatalf("%s waits for %d members: %v", c.Name(), members, err)
		}
		if view, ok := event.(*client.View); ok && len(view.Members) == members {
			return view
		}
	}
}
