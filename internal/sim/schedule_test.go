package sim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTranscript plays one file: what the command of a shrunk failure calls.
func TestTranscript(t *testing.T) {
	if *flagTranscript == "" {
		return // TestTranscripts plays those that are kept
	}
	playFile(t, *flagTranscript)
}

// TestTranscripts plays the schedules that failed once.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		playFile(t, file)
	}
}

func playFile(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseSchedule(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	r := Play(s)
	if len(r.Violations) > 0 {
		t.Errorf("%s: %v", file, r)
		if *flagShrink > 0 {
			shrink(t, r)
		}
	}
	if *flagTraces != "" {
		if err := r.WriteTraces(filepath.Join(*flagTraces, strings.TrimSuffix(filepath.Base(file), ".txt"))); err != nil {
			t.Error(err)
		}
	}
}

// TestScheduleText: what is written is what is read.
func TestScheduleText(t *testing.T) {
	for _, p := range Profiles() {
		for seed := range uint64(30) {
			s := Draw(seed, p)
			again, err := ParseSchedule("# a comment\n\n" + s.String())
			if err != nil {
				t.Fatal(err)
			}
			if again.String() != s.String() {
				t.Fatalf("profile %s, seed %d: the text changes when it is read", p.Name, seed)
			}
		}
	}
}

// TestDrawnFaultsEnd: clients have time to find out that all is well again.
func TestDrawnFaultsEnd(t *testing.T) {
	for _, p := range Profiles() {
		for seed := range uint64(200) {
			s := Draw(seed, p)
			faults := 0
			for i := range s.Steps {
				step := &s.Steps[i]
				if step.fault() {
					faults++
					if end := step.end(); end > s.Length-calmBefore {
						t.Errorf("profile %s, seed %d: %v ends at %v of %v", p.Name, seed, step, end, s.Length)
					}
				}
			}
			if faults < p.Shape.Faults[0] || s.Length < p.Shape.Length[0] {
				t.Errorf("profile %s, seed %d: %d faults in %v", p.Name, seed, faults, s.Length)
			}
		}
	}
}

func TestScheduleErrors(t *testing.T) {
	const head = "schedule 2 profile site seed 1 answers 0 length 3s\nsite s0 nodes 3 gateways 1 ahead 0s\nlan delay 1µs 2µs jitter 0s loss 0 double 0 late 0 0s\n"
	for _, c := range []struct{ text, want string }{
		{"", "begins with"},
		{strings.Replace(head, "schedule 2", "schedule 7", 1), "version 7"},
		{strings.Replace(head, "nodes 3", "nodes 3000", 1), "3000 nodes"},
		{strings.Replace(head, "length 3s", "length 3000h", 1), "not between"},
		{head + "1s", "time and a verb"},
		{head + "1s dance n1", "unknown verb"},
		{head + "1s start n3", "only 3 nodes"},
		{head + "1s start n-1", "want 0"},
		{head + "1s crash n1", "unknown verb, or not"},
		{head + "1s lose s0 200% 1s", "100%"},
		{head + "1s lose s0 NaN% 1s", "100%"},
		{head + "1s lose s1 2% 1s", "only 1 sites"},
		{head + "site s1 nodes 1 gateways 1 ahead 0s", "line \"wan"},
		{head + "site s2 nodes 1 gateways 1 ahead 0s", "want site s1"},
		{head + "site s1 nodes 1 gateways 2 ahead 0s", "no more gateways"},
		{head + "link s0 s1 delay 1s 1s jitter 0s loss 0", "only 1 sites"},
		{head + "link s0 s0 delay 1s 1s jitter 0s loss 0", "two sites"},
		{head + "-1s start n1", "not between"},
		{head + "1s say n1.0 agreed g0 10B x999999999 1ms", "want 0"},
		{head + "1s say n1.0 loud g0 10B x1 1ms", "loud"},
		{head + "1s say n1.99999 agreed g0 10B x1 1ms", "want 0"},
	} {
		if _, err := ParseSchedule(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, p := range Profiles() {
		f.Add(Draw(1, p).String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSchedule(text)
		if err != nil {
			return
		}
		again, err := ParseSchedule(s.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, s)
		}
		if again.String() != s.String() {
			t.Errorf("%s\nbecame\n%s", s, again)
		}
	})
}

// TestShrink finds the two steps that matter.
func TestShrink(t *testing.T) {
	p, err := Lookup("site")
	if err != nil {
		t.Fatal(err)
	}
	s := Draw(5, p)
	s.Steps = append(s.Steps, Step{At: s.Length - time.Second, Verb: Pause, Node: 1, For: time.Second})
	fails := func(s *Schedule) bool {
		pause, start := false, false
		for i := range s.Steps {
			pause = pause || s.Steps[i].Verb == Pause && s.Steps[i].Node == 1
			start = start || s.Steps[i].Verb == Start && s.Steps[i].Node == 2
		}
		return pause && start
	}
	runs := 0
	k := &Shrinker{Fails: fails, More: func() bool { runs++; return runs < 5000 }}
	if small := k.Shrink(s); len(small.Steps) != 2 || !fails(small) {
		t.Errorf("after %d runs:\n%v", k.Runs, small)
	}
}
