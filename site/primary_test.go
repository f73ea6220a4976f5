package site

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/client"
	"ringway/internal/relay"
)

// siteView asks a node for its site view, as its clients may. It takes what comes for the
// client meanwhile.
func siteView(t *testing.T, c *client.Conn) client.SiteView {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	received := make(chan struct{})
	go func() {
		defer close(received)
		for {
			if _, err := c.Receive(ctx); err != nil {
				return
			}
		}
	}()
	v, err := c.SiteView(ctx)
	cancel()
	<-received
	if err != nil {
		t.Fatalf("%s asks for the site view: %v", c.Name(), err)
	}
	return v
}

// TestPrimaryViews: clients learn from their node whether their side of a partition is the
// primary one. Sites have the weights 1, 2 and 1.
func TestPrimaryViews(t *testing.T) {
	topo := newTopology(t, map[string]int{"lon": 1, "fra": 1, "nyc": 1}, "lon", "fra", "nyc")
	topo.Primary, topo.Sites[1].Weight = true, 2
	topo.Timing.Hello = cutHello
	links, dial := wanLinks(t, topo, relay.Profile{Delay: 5 * time.Millisecond})
	lonFra, lonNyc, fraNyc := links[0], links[1], links[2]
	f := run(t, topo, dial)
	f.ready()
	lon, fra, nyc := f.dial("lon-1", "c"), f.dial("fra-1", "c"), f.dial("nyc-1", "c")
	asked := map[string]*client.Conn{"lon": f.dial("lon-1", "asks"), "fra": f.dial("fra-1", "asks"), "nyc": f.dial("nyc-1", "asks")}
	join(t, "g", 3, lon, fra, nyc)

	epoch := uint64(0)
	see := func(site string, primary bool, sites ...string) {
		t.Helper()
		slices.Sort(sites)
		var v client.SiteView
		f.eventually(fmt.Sprintf("a view of %v at %s, primary: %v", sites, site, primary), func() bool {
			v = siteView(t, asked[site])
			return !v.Changing && slices.Equal(v.Sites, sites)
		})
		if v.Primary != primary || !v.Weighed || v.Total != 3 || v.Epoch < epoch {
			t.Errorf("%s after epoch %d: %+v, primary should be %v", site, epoch, v, primary)
		}
		if got, want := f.status(site+"-1").View.Primary, map[bool]string{true: "yes", false: "no"}[primary]; got != want {
			t.Errorf("status of %s-1 says %q, not %q", site, got, want)
		}
		epoch = v.Epoch
	}
	all := []string{"lon", "fra", "nyc"}
	for _, s := range all {
		see(s, true, all...)
	}

	lonNyc.setDown(true)
	fraNyc.setDown(true)
	awaitView(t, lon, "g", 2) // what a client has seen of its group, the node says of its view
	see("lon", true, "lon", "fra")
	see("fra", true, "lon", "fra")
	epoch = 0 // both sides count from what they know
	awaitView(t, nyc, "g", 1)
	see("nyc", false, "nyc")

	lonFra.setDown(true) // two thirds of what is left are with fra
	awaitView(t, fra, "g", 1)
	epoch = 0
	see("fra", true, "fra")
	epoch = 0
	awaitView(t, lon, "g", 1)
	see("lon", false, "lon")

	for _, l := range links {
		l.setDown(false)
	}
	for _, c := range []*client.Conn{lon, fra, nyc} {
		awaitView(t, c, "g", 3)
	}
	for _, s := range all {
		see(s, true, all...)
	}
}

// TestSiteViewWithoutWeights: where the topology does not ask for primary views, none is.
func TestSiteViewWithoutWeights(t *testing.T) {
	f := run(t, newTopology(t, map[string]int{"lan": 2}, "lan"), nil)
	f.ready()
	c := f.dial("lan-2", "c")
	join(t, "g", 1, c)
	v := siteView(t, c)
	if v.Weighed || v.Primary || v.Changing || v.Total != 1 || !slices.Equal(v.Sites, []string{"lan"}) {
		t.Errorf("%+v", v)
	}
}
