//go:build linux

package scenario

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"ringway/internal/netlab"
)

var (
	stormTime = flag.Duration("storm", 8*time.Second, "how long TestStorm goes on")
	stormSeed = flag.Uint64("storm.seed", 0, "which faults TestStorm injects; 0: others each time")
	stormOnly = flag.String("storm.only", "", "the one fault that TestStorm injects, by name")
)

// A storm injects one fault after another, without waiting for anything to get well
// between them.
type storm struct {
	*run
	random *rand.Rand
	paused *Node
	pulled *Node
}

// TestStorm injects random faults at random times. The faults are the seed's; what
// becomes of them is not, as real processes run in no fixed order.
func TestStorm(t *testing.T) {
	seed := *stormSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-storm.seed=%d", seed)
	s := &storm{run: start(t), random: rand.New(rand.NewPCG(seed, 0))}
	faults := []struct {
		name   string
		inject func()
	}{
		{"partition", s.partition}, {"oneway", s.oneWay}, {"deaf", s.deaf}, {"mute", s.mute}, {"loss", s.loss},
		{"restart", s.restart}, {"pause", s.pause}, {"cable", s.cable}, {"heal", s.heal}, {"heal", s.heal},
	}
	for end := time.Now().Add(*stormTime); time.Now().Before(end); {
		fault := faults[s.random.IntN(len(faults))]
		if *stormOnly != "" && fault.name != *stormOnly && fault.name != "heal" {
			continue
		}
		t.Logf("%9v %s", time.Since(s.begun).Round(time.Millisecond), fault.name)
		fault.inject()
		s.carryOn(50*time.Millisecond + time.Duration(s.random.Int64N(int64(time.Second))))
	}
	s.heal()
	s.wait("the view of all", s.chatter.All)
	s.finish()
}

func (s *storm) node() *Node { return s.site.Nodes[s.random.IntN(len(s.site.Nodes))] }

func (s *storm) partition() {
	parts := make([][]string, 2+s.random.IntN(2))
	for _, name := range s.site.Names() {
		i := s.random.IntN(len(parts))
		parts[i] = append(parts[i], name)
	}
	s.must(s.site.Switch.Filter(netlab.Partition(parts...)...))
}

func (s *storm) oneWay() {
	s.must(s.site.Switch.Filter(netlab.OneWay(s.node().Name, s.node().Name)))
}

func (s *storm) deaf() { s.must(s.site.Switch.Filter(netlab.Deaf(s.node().Name))) }

func (s *storm) mute() { s.must(s.site.Switch.Filter(netlab.Mute(s.node().Name))) }

func (s *storm) loss() {
	s.must(s.site.Switch.Filter(netlab.Lossy(s.node().Name, 0.3*s.random.Float64())))
}

func (s *storm) restart() {
	if n := s.node(); n != s.paused {
		s.must(n.Restart())
	}
}

func (s *storm) pause() {
	if s.paused == nil {
		s.paused = s.node()
		s.must(s.paused.Pause())
	}
}

func (s *storm) cable() {
	if s.pulled == nil {
		s.pulled = s.node()
		s.must(s.pulled.Cable.Pull())
	}
}

// heal undoes everything.
func (s *storm) heal() {
	s.must(s.site.Switch.Heal())
	if s.paused != nil {
		s.must(s.paused.Continue())
		s.paused = nil
	}
	if s.pulled != nil {
		s.must(s.pulled.Cable.Replug())
		s.pulled = nil
	}
}
