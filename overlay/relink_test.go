package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"ringway/membership"
	"ringway/topology"
)

// linked puts links in force at gateways: pairs of sites such as "a-b", and their fixed
// costs (zero: measured).
func (m *mesh) linked(at []string, links map[string]time.Duration) {
	var list []*topology.Link
	for pair, cost := range links {
		list = append(list, &topology.Link{Between: [2]*topology.Site{m.node[pair[:1]+"-1"].Site, m.node[pair[2:]+"-1"].Site}, Cost: cost})
	}
	for _, name := range at {
		m.gate[name].SetLinks(list)
	}
}

// linkOf returns the link of a gateway to another one, and whether it has one.
func (m *mesh) linkOf(at, peer string) (LinkStatus, bool) {
	all := m.gate[at].Status().Links
	if i := slices.IndexFunc(all, func(l LinkStatus) bool { return l.Peer == peer }); i >= 0 {
		return all[i], true
	}
	return LinkStatus{}, false
}

// pathOf is what path returns for a way over these gateways.
func (m *mesh) pathOf(names ...string) string {
	var ids []membership.NodeID
	for _, name := range names {
		ids = append(ids, m.node[name].ID)
	}
	return fmt.Sprint(ids)
}

// TestLinksChangeWhileRecordsFlow: a link is added, another one's cost changes, one is
// taken out and comes back. Routes follow each time, and no record is lost, doubled or out
// of its order.
func TestLinksChangeWhileRecordsFlow(t *testing.T) {
	const ms = time.Millisecond
	links := map[string]time.Duration{"a-b": 20 * ms, "b-c": 20 * ms}
	inMesh(t, "abc", 1, links, func(m *mesh) {
		m.link("a-c", func(w *memWay) { w.delay = 10 * ms })
		m.all().converged()
		m.pull("a")
		all := []string{"a-1", "b-1", "c-1"}
		n := uint64(0)
		way := func(what string, path ...string) {
			t.Helper()
			m.until(what, 30*time.Second, func() bool {
				m.gate["a-1"].Append(logOf("a"), entries(n, 1, 100, "b", "c"))
				n++
				return m.path("a-1", "c-1") == m.pathOf(path...)
			})
		}
		way("before", "a-1", "b-1", "c-1")

		// One end alone knows of it: it is refused, and all goes on.
		m.linked([]string{"a-1"}, map[string]time.Duration{"a-b": 0, "b-c": 0, "a-c": 0})
		m.until("a is refused", 10*time.Second, func() bool { return m.gate["c-1"].count.refused.Load() > 0 })
		way("with one end", "a-1", "b-1", "c-1")
		m.linked(all, map[string]time.Duration{"a-b": 0, "b-c": 0, "a-c": 0})
		way("with the new link", "a-1", "c-1")

		m.linked(all, map[string]time.Duration{"a-b": 0, "b-c": 0, "a-c": 200 * ms})
		way("with another cost", "a-1", "b-1", "c-1")

		m.linked(all, map[string]time.Duration{"b-c": 0, "a-c": 200 * ms})
		way("without a-b", "a-1", "c-1")
		for _, pair := range [][2]string{{"a-1", "b-1"}, {"b-1", "a-1"}} {
			if l, ok := m.linkOf(pair[0], pair[1]); ok {
				t.Errorf("%s still shows %+v", pair[0], l)
			}
		}
		m.linked(all, map[string]time.Duration{"a-b": 0, "b-c": 0, "a-c": 200 * ms})
		way("with a-b again", "a-1", "b-1", "c-1")
		if l, ok := m.linkOf("a-1", "b-1"); !ok || l.State != LinkUp || l.Flaps != 0 {
			t.Errorf("the link that came back: %+v", l)
		}

		for _, site := range []string{"b", "c"} {
			m.until("all at "+site, 10*time.Second, func() bool { return m.have(site, "a") >= int(n) })
			if got := m.rec[site+"-1"].got(logOf("a")); !slices.Equal(got, upTo(n, 1)) {
				t.Errorf("%s has %d records, not %d in their order", site, len(got), n)
			}
		}
		for _, name := range all {
			if got := m.gate[name].count.breaches.Load(); got != 0 {
				t.Errorf("%s blames somebody", name)
			}
		}
	})
}

// TestALinkWhereThereWasNone: a gateway without links has nobody until it is given one.
func TestALinkWhereThereWasNone(t *testing.T) {
	inMesh(t, "ab", 1, nil, func(m *mesh) {
		m.start("a-1", "b-1")
		m.linked([]string{"a-1", "b-1"}, map[string]time.Duration{"a-b": 0})
		m.until("the link", 10*time.Second, func() bool {
			l, ok := m.linkOf("a-1", "b-1")
			return ok && l.State == LinkUp
		})
	})
}
