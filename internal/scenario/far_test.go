//go:build linux

package scenario

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/client"
)

// farWay is one way between the sites of the tests here.
const farWay = 20 * time.Millisecond

const farTopology = `
[federation]
name  = "far"
certs = "certs"

[[site]]
name = "lon"
multicast = "239.192.7.1:4803"
node = [
  { name = "lon-1", address = "10.1.0.1:4803", gateway = "198.51.100.10:4804", admin = "127.0.0.1:4805" },
  { name = "lon-2", address = "10.1.0.2:4803", admin = "127.0.0.1:4805" },
]

[[site]]
name = "fra"
multicast = "239.192.7.2:4803"
node = [
  { name = "fra-1", address = "10.2.0.1:4803", gateway = "198.51.100.20:4804", admin = "127.0.0.1:4805" },
  { name = "fra-2", address = "10.2.0.2:4803", admin = "127.0.0.1:4805" },
]

[[link]]
between = ["lon", "fra"]
wan = { delay = "20ms", rate = "100mbit" }
`

// far is a federation of two sites with a sender in one and a receiver in the other.
type far struct {
	*testing.T
	ctx      context.Context
	f        *Federation
	from, to *client.Conn
	other    *client.Conn // at the sender's site
	phase    byte         // of the test: what an earlier one has left does not count
	began    time.Time    // messages have the time since then
}

func newFar(t *testing.T) *far {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	x := &far{T: t, ctx: ctx, began: time.Now()}
	file := filepath.Join(t.TempDir(), "far.toml")
	x.must(os.WriteFile(file, []byte(farTopology), 0o600))
	var err error
	x.f, err = NewFederation(file, ringway, nil, false)
	x.must(err)
	t.Cleanup(func() { x.must(x.f.Close()) })
	x.must(x.f.Lab.Run(nil))
	x.must(x.f.Ready(ctx))
	x.from, x.to, x.other = x.join("lon-2", "from"), x.join("fra-2", "to"), x.join("lon-1", "other")
	for _, c := range []*client.Conn{x.from, x.to, x.other} {
		x.until(c, func(event client.Event) bool {
			v, ok := event.(*client.View)
			return ok && len(v.Members) == 3
		})
	}
	return x
}

func (x *far) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *far) join(node, name string) *client.Conn {
	x.Helper()
	o := x.f.member(node).options(name)
	o.SlowReader = client.DropOldest
	c, err := client.Dial(x.ctx, x.f.member(node).Address(), o)
	x.must(err)
	x.Cleanup(func() { c.Close() })
	x.must(c.Join(x.ctx, "g"))
	return c
}

func (x *far) until(c *client.Conn, done func(client.Event) bool) {
	x.Helper()
	for {
		event, err := c.Receive(x.ctx)
		x.must(err)
		if done(event) {
			return
		}
	}
}

// stream sends so many of a service, one each interval, until the last one is sent.
func (x *far) stream(from *client.Conn, service client.Service, count, size int, interval time.Duration) {
	began := time.Now()
	for i := range count {
		data := append(binary.LittleEndian.AppendUint64(make([]byte, 0, size), uint64(time.Since(x.began))), x.phase)
		if from.Send(x.ctx, client.Message{Service: service, SelfDiscard: true, Groups: []string{"g"}, Data: data[:size]}) != nil {
			return
		}
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * interval)))
	}
}

// delays are how long messages took, by service.
type delays map[client.Service][]time.Duration

func (d delays) at(service client.Service, percent int) time.Duration {
	list := d[service]
	if len(list) == 0 {
		return 0
	}
	return list[(len(list)-1)*percent/100].Round(100 * time.Microsecond)
}

// receive takes what comes while something is sent, until a safe message of each sender behind it.
func (x *far) receive(sending func()) delays {
	x.Helper()
	x.phase++
	senders := []*client.Conn{x.from, x.other}
	go func() {
		sending()
		for _, from := range senders { // what each has sent is through when this comes, or lost
			x.stream(from, client.Safe, 1, 9, 0)
		}
	}()
	d := delays{}
	x.until(x.to, func(event client.Event) bool {
		m, ok := event.(*client.Message)
		if !ok || m.Data[8] != x.phase {
			return false
		}
		sent := time.Duration(binary.LittleEndian.Uint64(m.Data))
		d[m.Service] = append(d[m.Service], time.Since(x.began)-sent)
		return len(d[client.Safe]) == len(senders)
	})
	for _, list := range d {
		slices.Sort(list)
	}
	return d
}

// TestUnreliableBetweenSites: real processes. Over a link that loses nothing, unreliable
// messages arrive. Over one that loses packets some get lost, and the others do not wait for
// those. A flood of them delays agreed ones little: that is printed.
func TestUnreliableBetweenSites(t *testing.T) {
	t.Parallel()
	x := newFar(t)
	const count = 2000
	send := func() { x.stream(x.from, client.Unreliable, count, 100, time.Millisecond) }
	d := x.receive(send)
	u := client.Unreliable
	t.Logf("no loss: %d of %d, half after %v, 99 %% after %v, the last after %v", len(d[u]), count, d.at(u, 50), d.at(u, 99), d.at(u, 100))
	if len(d[u]) < count/2 || d.at(u, 50) < farWay {
		t.Errorf("%d of %d came", len(d[u]), count)
	}
	agreed := func() { x.stream(x.other, client.Agreed, 200, 100, 10*time.Millisecond) }
	alone := x.receive(agreed)
	beside := x.receive(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			x.stream(x.from, client.Unreliable, 20_000, 900, 200*time.Microsecond)
		}()
		agreed()
		<-done
	})
	a := client.Agreed
	t.Logf("agreed alone: half after %v, 90 %% after %v, the last after %v", alone.at(a, 50), alone.at(a, 90), alone.at(a, 100))
	t.Logf("beside 5,000/s of 900 bytes over 100 Mbit/s, of which %d of 20000 came, half after %v: half after %v, 90 %% after %v, the last after %v",
		len(beside[u]), beside.at(u, 50), beside.at(a, 50), beside.at(a, 90), beside.at(a, 100))
	if len(beside[a]) != 200 {
		t.Errorf("%d of 200 agreed messages came", len(beside[a]))
	}
	x.must(x.f.Lab.Set("lon-fra", []string{"loss=5%"}))
	d = x.receive(send)
	t.Logf("5 %% lost: %d of %d, half after %v, 99 %% after %v, the last after %v", len(d[u]), count, d.at(u, 50), d.at(u, 99), d.at(u, 100))
	// None is sent again, so some are lost. None waits for a link longer than a tenth of a
	// second; the rest is for a busy machine.
	if n := len(d[u]); n < count/3 || n > count*97/100 || d.at(u, 50) > 8*farWay {
		t.Errorf("%d of %d came, half after %v", n, count, d.at(u, 50))
	}
	x.counters()
	x.must(x.f.Lab.Stop(x.f.Names("")))
	x.must(x.f.CheckTraces(x.ctx))
}

// counters logs what the nodes counted of datagrams.
func (x *far) counters() {
	x.Helper()
	for _, m := range x.f.Nodes {
		s, err := m.Status(x.ctx)
		x.must(err)
		found := map[string]uint64{}
		for name, n := range s.Counters {
			if strings.Contains(name, "datagrams") && n > 0 {
				found[name] = n
			}
		}
		x.Logf("%s: %v", m, found)
	}
}
