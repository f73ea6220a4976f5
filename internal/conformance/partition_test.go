package conformance

import (
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestPartitionAndMerge: 6.2, 6.3, 9, and B7 to B9. Three nodes, a client each. The third node
// is cut off: the others have a transitional signal with the id of the view that they leave,
// then a view of the network's with the two of them in one set. It is back: one view, no
// signal, two sets, each client's offset at its own. Then it is killed with its client
// attached, and starts again on the same ports.
//
// Clients cannot tell whether that was in one LAN, where the node stands still, or whether
// the third node is a site of its own and the WAN is cut: byte for byte the same is asked.
func TestPartitionAndMerge(t *testing.T) {
	t.Run("LAN", func(t *testing.T) {
		nodes := startSite(t, 3)
		partitionAndMerge(t, nodes, false, func() { nodes[2].signal(syscall.SIGSTOP) }, func() { nodes[2].signal(syscall.SIGCONT) })
	})
	t.Run("WAN", func(t *testing.T) {
		nodes, setDown := startTwoSites(t)
		partitionAndMerge(t, nodes, true, func() { setDown(true) }, func() { setDown(false) })
	})
}

// partitionAndMerge cuts the third of three nodes off, heals that, kills the node and starts
// it again. It runs on by itself while it is cut off, or it does not.
func partitionAndMerge(t *testing.T, nodes []*process, runsOn bool, cutOff, heal func()) {
	t.Helper()
	const group = "mt"
	var clients []*client
	var last *message
	for i, node := range nodes {
		c := session(t, node.target, node.endpoints[0], "m", []order{little, big, little}[i])
		c.must(t, join, 0, "", group)
		clients = append(clients, c)
		for _, member := range clients { // the joiner's own comes at its node's pace
			for last = member.next(t, regular|byJoin); len(last.groups) < len(clients); last = member.next(t, regular|byJoin) {
			}
		}
	}
	all := []string{"#m#d1", "#m#d2", "#m#d3"} // in the order of the configuration
	if !slices.Equal(last.groups, all) {
		t.Fatalf("members %v", last.groups)
	}
	left := viewOf(t, last).id
	rest := clients[:2]

	cut := time.Now()
	cutOff()
	parted := func(c *client, side []string) {
		t.Helper()
		m := c.next(t, transitional)
		if m.name != group || len(m.groups) != 0 || len(m.data) != 12 || [3]uint32{m.order.Uint32(m.data), m.order.Uint32(m.data[4:]), m.order.Uint32(m.data[8:])} != left {
			t.Errorf("signal: %q, %v, %x; want the id %v", m.name, m.groups, m.data, left)
		}
		m = c.next(t, regular|byNetwork)
		v := viewOf(t, m)
		if !slices.Equal(m.groups, side) || len(m.data) != 20+4+32*len(side) || v.offset != 0 || len(v.sets) != 1 || !slices.Equal(v.sets[0], side) || v.id == left {
			t.Errorf("view of %v: %+v", m.groups, v)
		}
	}
	for _, c := range rest {
		parted(c, all[:2])
	}
	if runsOn {
		parted(clients[2], all[2:])
	}
	t.Logf("the view without the one that is cut off came %v later", time.Since(cut).Round(time.Millisecond))

	healed := time.Now()
	heal()
	var ids [][3]uint32
	var sets [][]string // in one order everywhere
	for _, c := range rest {
		m := c.next(t, regular|byNetwork) // and no signal before it: nobody was lost
		v := viewOf(t, m)
		if !slices.Equal(m.groups, all) || len(m.data) != 20+4+32+4+64 || len(v.sets) != 2 || !slices.Equal(v.own(t), all[:2]) {
			t.Errorf("view of %v: %+v", m.groups, v)
		}
		for _, set := range v.sets {
			if len(set) == 1 && set[0] != all[2] {
				t.Errorf("sets %v", v.sets)
			}
		}
		if sets == nil {
			sets = v.sets
		}
		if !slices.EqualFunc(sets, v.sets, slices.Equal) {
			t.Errorf("sets %v here and %v there", v.sets, sets)
		}
		ids = append(ids, v.id)
	}
	t.Logf("the merged view came %v later", time.Since(healed).Round(time.Millisecond))
	for alone := false; ; { // the one that stood still may first find itself alone
		m, err := clients[2].receive()
		if err != nil {
			t.Fatal(err)
		}
		if !runsOn && (m.kind == transitional || m.kind == regular|byNetwork && len(m.groups) == 1 && !alone) {
			alone = m.kind != transitional
			continue
		}
		v := viewOf(t, m)
		if m.kind != regular|byNetwork || !slices.Equal(m.groups, all) || !slices.Equal(v.own(t), all[2:]) || !slices.EqualFunc(sets, v.sets, slices.Equal) {
			t.Errorf("view of %v at the one that was cut off: %+v", m.groups, v)
		}
		ids = append(ids, v.id)
		break
	}
	if ids[0] != ids[1] || ids[0] != ids[2] {
		t.Errorf("ids of one view: %v", ids)
	}

	// Uniqueness of names is a node's matter: all three are called m. A message in the new
	// view reaches all of them.
	clients[2].must(t, serviceSafe, 0, "again", group)
	for _, c := range clients {
		c.next(t, serviceSafe)
	}

	nodes[2].kill()
	killed := time.Now()
	for _, c := range rest {
		c.next(t, transitional)
		if m := c.next(t, regular|byNetwork); !slices.Equal(m.groups, all[:2]) {
			t.Errorf("members %v", m.groups)
		}
	}
	t.Logf("the view after the crash came %v later", time.Since(killed).Round(time.Millisecond))
	nodes[2].start(t) // B7: at once, on the ports of the dead one
	if err := nodes[2].ready(); err != nil {
		t.Fatal(err)
	}
	together(t, nodes) // it is alone in a ring at first
	again := session(t, nodes[2].target, nodes[2].endpoints[0], "m", big)
	again.must(t, join, 0, "", group)
	for _, c := range append(slices.Clone(rest), again) {
		if m := c.next(t, regular|byJoin); !slices.Equal(m.groups, all) {
			t.Errorf("members %v", m.groups)
		}
	}
}
