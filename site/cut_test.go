package site

import (
	"slices"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/relay"
	"ringway/topology"
)

// A wanLink is the emulated link between two gateways: a relay for each who dials.
type wanLink []*relay.Relay

// wanLinks puts a relay between every two gateways and returns them with the dial
// overrides that lead through them.
func wanLinks(t *testing.T, topo *topology.Topology, profile relay.Profile) (links []wanLink, dial map[string]map[string]string) {
	t.Helper()
	dial = map[string]map[string]string{}
	through := func(from, to *topology.Node) *relay.Relay {
		r, err := relay.New("127.0.0.1:0", to.Gateway, profile, uint64(len(links)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		if dial[from.Name] == nil {
			dial[from.Name] = map[string]string{}
		}
		dial[from.Name][to.Name] = r.Addr().String()
		return r
	}
	for i, a := range topo.Sites {
		for _, b := range topo.Sites[:i] {
			for _, x := range a.Gateways() {
				for _, y := range b.Gateways() {
					links = append(links, wanLink{through(x, y), through(y, x)})
				}
			}
		}
	}
	return links, dial
}

func (l wanLink) setDown(down bool) {
	for _, r := range l {
		r.SetDown(down)
	}
}

// cutHello is shorter than that of the tests that cut nothing: they wait for cuts to be noticed.
const cutHello = 200 * time.Millisecond

func TestLocalTrafficFlowsWhileEveryLinkIsCut(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 2, "fra": 2}, "lon", "fra")
	topo.Timing.Hello = cutHello
	links, dial := wanLinks(t, topo, relay.Profile{Delay: 10 * time.Millisecond})
	f := run(t, topo, dial)
	f.ready()
	a, b, far := f.dial("lon-1", "a"), f.dial("lon-2", "b"), f.dial("fra-2", "far")
	join(t, "wide", 3, a, b, far)
	join(t, "local", 2, a, b)

	for _, l := range links {
		l.setDown(true)
	}
	const n = 100
	for range n {
		send(t, a, client.Agreed, "here", "local")
	}
	for _, c := range []*client.Conn{a, b} {
		want := slices.Repeat([]string{a.Name() + ":here"}, n)
		if got := messages(t, c, n); !slices.Equal(got, want) {
			t.Fatalf("%s got %v", c.Name(), got)
		}
	}
	for _, c := range []*client.Conn{a, b} {
		awaitView(t, c, "wide", 2)
	}
	awaitView(t, far, "wide", 1)
	// What is sent to all reaches those of the own side, in a view without the others.
	send(t, b, client.Agreed, "everywhere", "wide")
	for _, c := range []*client.Conn{a, b} {
		if got := messages(t, c, 1); got[0] != b.Name()+":everywhere" {
			t.Fatalf("%s got %v", c.Name(), got)
		}
	}
	for _, l := range links {
		l.setDown(false)
	}
	for _, c := range []*client.Conn{a, b, far} {
		awaitView(t, c, "wide", 3)
	}
	send(t, far, client.Agreed, "together", "wide")
	for _, c := range []*client.Conn{a, b, far} {
		if got := messages(t, c, 1); got[0] != far.Name()+":together" {
			t.Fatalf("%s got %v", c.Name(), got)
		}
	}
}
