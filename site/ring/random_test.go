package ring

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var (
	simSeed   = flag.Uint64("ring.seed", 0, "run only this seed")
	simSeeds  = flag.Int("ring.seeds", 250, "how many seeds to run of each shape")
	simFrom   = flag.Uint64("ring.from", 1, "first seed")
	simShape  = flag.String("ring.shape", "", "run only this shape: long, short, or graphs (of one-way loss)")
	simKeepOn = flag.Bool("ring.keepon", false, "go on after a failure")
	simReplay = flag.String("ring.replay", "", "play this schedule file and show every packet")
)

var shapes = map[string]shape{"long": longShape, "short": shortShape}

// TestRandom runs random sites through random faults.
func TestRandom(t *testing.T) {
	for _, name := range []string{"short", "long"} {
		if *simShape != "" && *simShape != name {
			continue
		}
		t.Run(name, func(t *testing.T) { randomRuns(t, name) })
	}
}

// TestRandomLeaves: the same with nodes that leave in order where others crash.
func TestRandomLeaves(t *testing.T) {
	for seed := uint64(1); seed <= uint64(100/raceShare); seed++ {
		plan := leaving(randomSchedule(seed, shortShape))
		if _, err := plan.play(0); err != nil {
			short := plan.shrink(0, 150)
			_, why := short.play(0)
			t.Fatalf("seed %d: %v\nshorter: %v\n%s", seed, err, why, short)
		}
	}
}

// leaving lets nodes leave where they crash, and some more.
func leaving(plan *schedule) *schedule {
	for i, step := range plan.steps {
		switch {
		case step.verb == "crash":
			plan.steps[i].verb = "leave"
		case step.verb == "pause" && step.args[0]%2 == 0:
			plan.steps[i].verb = "leave"
		case step.verb == "resume":
			plan.steps[i].verb = "start"
		}
	}
	return plan
}

func randomRuns(t *testing.T, name string) {
	from, n := *simFrom, *simSeeds/raceShare
	switch {
	case *simSeed != 0:
		from, n = *simSeed, 1
	case name == "long" && *simSeeds == 250:
		n = 100 / raceShare
	}
	began, virtual := time.Now(), time.Duration(0)
	for seed := from; seed < from+uint64(n); seed++ {
		plan := randomSchedule(seed, shapes[name])
		s, err := plan.play(0)
		virtual += s.now
		if (seed-from)%1000 == 999 {
			t.Logf("%d schedules after %v", seed-from+1, time.Since(began).Round(time.Second))
		}
		if err == nil {
			continue
		}
		short := plan.shrink(0, 150)
		_, why := short.play(0)
		file := filepath.Join(os.TempDir(), fmt.Sprintf("ring-%s-%d.txt", name, seed))
		if err := os.WriteFile(file, []byte(short.String()), 0o644); err != nil {
			t.Error(err)
		}
		t.Errorf("%s seed %d: %v\nagain: go test ./site/ring -run TestRandom -ring.shape=%s -ring.seed=%d\n%s\nshorter, in %s: %v\n%s",
			name, seed, err, name, seed, s.describe(), file, why, short)
		if !*simKeepOn {
			return
		}
	}
	t.Logf("%d schedules, %.0f virtual seconds, %.1f schedules a second", n, virtual.Seconds(), float64(n)/time.Since(began).Seconds())
}

// TestKeptSchedules plays every schedule that once found a bug.
func TestKeptSchedules(t *testing.T) {
	files, err := filepath.Glob("testdata/schedules/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if s, err := playFile(t, file, false); err != nil {
				t.Errorf("%v\n%s", err, s.describe())
			}
		})
	}
}

func playFile(t *testing.T, file string, show bool) (*sim, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := parseSchedule(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := parseSchedule(plan.String()); err != nil || again.String() != plan.String() {
		t.Fatalf("the schedule does not come back from its text: %v", err)
	}
	showSim = show
	defer func() { showSim = false }()
	return plan.play(0)
}

// TestReplay shows a schedule packet by packet, for whoever hunts a bug.
func TestReplay(t *testing.T) {
	if *simReplay == "" {
		t.Log("give a file by -ring.replay")
		return
	}
	if _, err := playFile(t, *simReplay, true); err != nil {
		t.Error(err)
	}
}

// describe shows where a run stands.
func (s *sim) describe() string {
	text := fmt.Sprintf("now %v\n", s.now)
	for _, n := range s.nodes {
		if !n.up() {
			text += fmt.Sprintf("%v down\n", n.id)
			continue
		}
		st := n.m.Status()
		text += fmt.Sprintf("%v/%d %v %v %s seq %d aru %d stable %d queue %d; gathers %d installed %d tokens lost %d neighbours lost %d expelled %d naps %d\n",
			uint32(n.id), n.life.incarnation, st.State, st.Ring.short(), ids(st.Members), st.Seq, st.Aru, st.Stable, len(n.source.queue),
			st.Gathers, st.Installed, st.TokensLost, st.NeighboursLost, st.Expelled, st.Naps)
	}
	return text
}
