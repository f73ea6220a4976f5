//go:build linux

package scenario

import (
	"context"
	"testing"
	"time"

	"ringway/internal/netlab"
)

// How long a fault lasts once its effect is there.
const faultTime = time.Second

// TestRaces runs the nodes under the race detector too, if the tests are.
func TestRaces(t *testing.T) {
	if !slow {
		t.Log("the tests run without the race detector: TestKill does the same")
		return
	}
	binary, err := Build(t.Context(), t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	killTwo(startWith(t, binary))
}

// TestKill kills two nodes as a power failure does, one of them the ring's
// representative, and starts them again later.
func TestKill(t *testing.T) { killTwo(start(t)) }

func killTwo(r *run) {
	r.Helper()
	for _, i := range []int{2, 0} {
		n := r.site.Nodes[i]
		r.must(n.Kill())
		r.views("the view without "+n.Name, r.without(n.Name))
		r.carryOn(faultTime)
		r.must(n.Start())
		r.wait("the view with "+n.Name, r.chatter.All)
	}
	r.finish()
}

// TestRestartAtOnce starts a killed node again before the others can have noticed.
func TestRestartAtOnce(t *testing.T) {
	r := start(t)
	for _, i := range []int{4, 0, 2} {
		n := r.site.Nodes[i]
		killed := time.Now()
		r.must(n.Kill())
		r.must(n.Start())
		t.Logf("%s started %v after its death", n.Name, time.Since(killed))
		r.wait("the view with the new "+n.Name, r.chatter.All)
	}
	r.finish()
}

// TestPause stops a node for ten seconds, as a hanging disk or hypervisor does. It
// must not believe what it finds in its sockets when it wakes up.
func TestPause(t *testing.T) {
	r := start(t)
	n := r.site.Nodes[1]
	r.must(n.Pause())
	paused := time.Now()
	r.views("the view without the sleeper", r.without(n.Name))
	r.carryOn(10*time.Second - time.Since(paused))
	r.must(n.Continue())
	r.wait("the view with the sleeper", r.chatter.All)
	r.finish()
}

// TestCable pulls a cable, and takes an interface down, which is worse: sending fails.
func TestCable(t *testing.T) {
	r := start(t)
	first, last := r.site.Nodes[0], r.site.Nodes[4]
	r.must(first.Cable.Pull())
	r.views("views apart", r.without(first.Name), []string{first.Name})
	r.carryOn(faultTime)
	r.must(first.Cable.Replug())
	r.wait("the view with the cable in", r.chatter.All)

	r.must(last.Space.InterfaceDown(0))
	r.views("views apart", r.without(last.Name), []string{last.Name})
	r.carryOn(faultTime)
	r.must(last.Space.InterfaceUp(0))
	r.wait("the view with the interface up", r.chatter.All)
	r.finish()
}

// TestPartitions cuts the site in two, in three another way, in two again, and heals it.
func TestPartitions(t *testing.T) {
	r := start(t)
	for _, parts := range [][][]string{
		{{"n1", "n2", "n3"}, {"n4", "n5"}},
		{{"n1", "n4"}, {"n2", "n5"}, {"n3"}},
		{{"n1", "n2", "n3"}, {"n4", "n5"}},
	} {
		r.must(r.site.Switch.Filter(netlab.Partition(parts...)...))
		r.views("views apart", parts...)
		r.carryOn(faultTime)
	}
	r.must(r.site.Switch.Heal())
	r.wait("the view of all", r.chatter.All)
	r.finish()
}

// TestDeaf lets one node hear nobody while all hear it; the others must get rid of it.
func TestDeaf(t *testing.T) { oneSided(t, netlab.Deaf("n2")) }

// TestMute lets nobody hear one node while it hears all.
func TestMute(t *testing.T) { oneSided(t, netlab.Mute("n2")) }

func oneSided(t *testing.T, rule netlab.Rule) {
	r := start(t)
	r.must(r.site.Switch.Filter(rule))
	r.views("the view of the healthy", r.without("n2"))
	r.carryOn(2 * faultTime)
	r.must(r.site.Switch.Heal())
	r.wait("the view of all", r.chatter.All)
	r.finish()
}

// TestOneDirection cuts one direction between two nodes, neighbours and others. The
// three that hear everybody stay together, with one of the two or with none.
func TestOneDirection(t *testing.T) {
	r := start(t)
	for _, to := range []string{"n3", "n5"} {
		r.must(r.site.Switch.Filter(netlab.OneWay("n2", to)))
		r.wait("the healthy to go on", func(ctx context.Context) error {
			return r.chatter.Together(ctx, r.without("n2", to))
		})
		r.carryOn(2 * faultTime)
		r.must(r.site.Switch.Heal())
		r.wait("the view of all", r.chatter.All)
	}
	r.finish()
}

// TestLoss has one receiver lose a tenth of everything. The ring must live with that.
func TestLoss(t *testing.T) {
	r := start(t)
	r.must(r.site.Switch.Filter(netlab.Lossy("n3", 0.1)))
	r.wait("everything to arrive at everybody", r.chatter.Settled)
	r.carryOn(4 * faultTime)
	r.must(r.site.Switch.Heal())
	r.finish()
}
