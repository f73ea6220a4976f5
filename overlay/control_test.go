package overlay

import (
	"fmt"
	"testing"
	"time"

	"ringway/membership"
)

// controlRepeat is how often the senders of control messages say them again (package
// merge's repeatInterval).
const controlRepeat = 200 * time.Millisecond

// An asker sends control messages the way a flush does: again and again until answered.
type asker struct {
	m        *mesh
	from, to string
	seen     int // of what to was given
	answers  int // of what from was given
	answered map[string]bool
	asked    map[string]time.Time // last
	first    map[string]time.Time
	worst    time.Duration
}

func (a *asker) address(name string) membership.SiteInstance { return sourceOf(a.m.gate[name]) }

// ask begins a question.
func (a *asker) ask(what string) {
	a.first[what] = time.Now()
	a.say(what)
}

func (a *asker) say(what string) {
	a.asked[what] = time.Now()
	a.m.gate[a.from].Control(a.address(a.to), []byte(what))
}

// look answers what was asked, takes answers and asks again.
func (a *asker) look() {
	sender, receiver := a.m.rec[a.from], a.m.rec[a.to]
	receiver.mu.Lock()
	asked := receiver.controls[a.seen:]
	receiver.mu.Unlock()
	a.seen += len(asked)
	for _, q := range asked {
		a.m.gate[a.to].Control(a.address(a.from), []byte(q[len(q)-len("question 000"):]))
	}
	sender.mu.Lock()
	answers := sender.controls[a.answers:]
	sender.mu.Unlock()
	a.answers += len(answers)
	for _, x := range answers {
		what := x[len(x)-len("question 000"):]
		if !a.answered[what] {
			a.answered[what] = true
			a.worst = max(a.worst, time.Since(a.first[what]))
		}
	}
	for what, at := range a.asked {
		if !a.answered[what] && time.Since(at) >= controlRepeat {
			a.say(what)
		}
	}
}

// TestControlsOutliveTheMiddle kills the gateway in the middle at each step of a question
// and its answer: before it is asked, under way to the middle and at it, beyond it, and
// the same of the answer. Whoever repeats until answered is answered within the time that
// takes to notice, one repetition and a round trip.
func TestControlsOutliveTheMiddle(t *testing.T) {
	for _, step := range []struct {
		name  string
		after time.Duration // from the question to the death; one hop takes 10 ms
	}{
		{"before the question", -20 * time.Millisecond},
		{"question on its way to the middle", 5 * time.Millisecond},
		{"question at the middle", 10 * time.Millisecond},
		{"question beyond the middle", 15 * time.Millisecond},
		{"question arrived", 20 * time.Millisecond},
		{"answer on its way to the middle", 25 * time.Millisecond},
		{"answer at the middle", 31 * time.Millisecond},
		{"answer beyond the middle", 36 * time.Millisecond},
	} {
		t.Run(step.name, func(t *testing.T) {
			links := map[string]time.Duration{"a-b": 10 * time.Millisecond, "b-d": 10 * time.Millisecond, "a-c": 30 * time.Millisecond, "c-d": 30 * time.Millisecond}
			inMesh(t, "abcd", 1, links, func(m *mesh) {
				m.all().converged()
				a := &asker{m: m, from: "a-1", to: "d-1", answered: map[string]bool{}, asked: map[string]time.Time{}, first: map[string]time.Time{}}
				n, killed := 0, false
				began := time.Now()
				last := began.Add(900 * time.Millisecond)
				// One question each 30 ms: the tenth is the one of the table.
				for {
					at := time.Since(began)
					if due := began.Add(time.Duration(n) * 30 * time.Millisecond); time.Now().Before(last) && !time.Now().Before(due) {
						a.ask(fmt.Sprintf("question %03d", n))
						n++
					}
					if !killed && at >= 300*time.Millisecond+step.after {
						m.kill("b-1")
						killed = true
					}
					a.look()
					if time.Now().After(last) && len(a.answered) == n {
						break
					}
					if at > 5*time.Second {
						t.Fatalf("%d of %d questions were answered", len(a.answered), n)
					}
					time.Sleep(time.Millisecond)
				}
				t.Logf("%d questions; asked and answered %d and %d times; the longest took %v", n, a.seen, a.answers, a.worst)
				// The way is doubted after 2¼ hellos and up to one more for its jitter; then a
				// repetition and the long way there and back.
				if limit := 4*meshHello + controlRepeat + 120*time.Millisecond; a.worst > limit {
					t.Errorf("a question took %v, more than %v", a.worst, limit)
				}
			})
		})
	}
}
