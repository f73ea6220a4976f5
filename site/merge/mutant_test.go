package merge

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/membership"
)

// mutants are the rules that can be switched off, each with the lives in which that
// must be noticed, and by which question of their judge. A checker that does not notice proves
// nothing when it is silent. TestRules has those for which a machine fed by hand is enough;
// docs/rules.md has all.
var mutants = []struct {
	name string
	off  mutant
	most uint64 // seeds that may pass unnoticed, less one
	life func(seed uint64, off mutant) *world
	says question
}{
	{"noFloor", noFloor, 40, calmLife, promiseBroken},
	{"noHold", noHold, 5, calmLife, senderOrder},
	{"onePhase", onePhase, 5, calmLife, sameView},
	{"noIdxGate", noIdxGate, 5, calmLife, promiseBroken},
	{"unsafeRelease", unsafeRelease, 5, calmLife, leftTooSoon},
	{"unsafePromise", unsafePromise, 5, calmLife, leftTooSoon},
	{"unsafeTell", unsafeTell, 5, calmLife, leftTooSoon},
	{"noStable", noStable, 40, calmLife, notSafe},
	{"noFIFOWait", noFIFOWait, 5, calmLife, senderOrder},
	{"ackNoMaxT", ackNoMaxT, 1, crookedLife, sameView},
	{"noOnT", noOnT, 1, crookedLife, sameView},
	{"downEarly", downEarly, 1, suddenLife, afterDown},
	{"unsafeBody", unsafeBody, 3, bodiesLife, leftTooSoon},
	{"earlyReady", earlyReady, 3, meetingLife, leftTooSoon},
}

// A question is one that the judge of a life asks: a predicate of internal/evs, as a life asks
// for it, and what it says when the answer is no.
type question struct{ predicate, says string }

var (
	senderOrder   = question{"P10", "fifo: "}
	notSafe       = question{"P14", "safe: "}
	sameView      = question{"P15", "view "}
	afterDown     = question{"P16", " of a client that is out already"}
	promiseBroken = question{"P19", "deadline breaks a promise"}
	leftTooSoon   = question{"P21", " left site "}
)

func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= m.most; seed++ {
				if w := m.life(seed, m.off); len(w.faults) > 0 {
					t.Logf("seed %d: %s: %s", seed, m.says.predicate, w.faults[0])
					if !strings.Contains(w.faults[0], m.says.says) {
						t.Errorf("that is not what %s says", m.says.predicate)
					}
					return
				}
			}
			t.Errorf("%d seeds did not notice", m.most)
		})
	}
}

// ownTests are the mutants with a test of their own, and not only a script in a table.
var ownTests = map[string][]mutant{
	"TestJudge":                  {noCover, noMoved, noRelay},
	"TestASiteThatSleptGetsUp":   {lateRiser},
	"TestWhoIsAheadOfWhom":       {rash},
	"TestAJoinBesideAThinLink":   {openCredit},
	"TestFillsOverAThinLink":     {impatient},
	"TestPiecesOutOfOrder":       {inOrderOnly},
	"TestLongFillsOverThinLinks": {impatient, selfish},
	"TestFillsGoOnElsewhere":     {ghosts},
	"TestOneFillOverAThinLink":   {untold},
	"TestALostPieceOnAThinLink":  {hurried},
	"TestABriefLink":             {lightFall},
	"TestWhoIsPutOffWaits":       {deafToNo},
	"TestNobodyIsTakenApart":     {apart},
	"TestNewsComesOneByOne":      {oldNews},
	"TestTurnsToDecline":         {begrudge},
	"TestReadyAfterInstall":      {muteReady},
	"TestNoGap":                  {anyGap},
	"TestAGap":                   {trustful},
	"TestABodyThatWasDropped":    {noAsking},
	"TestAHalfFormedRing":        {earlyLineage, outsideHeir},
}

// howNoticed is by what each mutant is noticed: by predicates, by scripts, or by a test of its own.
func howNoticed() map[string][]mutant {
	how := map[string][]mutant{}
	for _, m := range mutants {
		how[m.says.predicate] = append(how[m.says.predicate], m.off)
	}
	for _, r := range slices.Concat(orderRules, viewRules, datagramRules, bodyRules) {
		if r.off != 0 {
			how["TestRules"] = append(how["TestRules"], r.off)
		}
	}
	for _, r := range heirRules {
		how["TestHeirs"] = append(how["TestHeirs"], r.off)
	}
	for _, off := range successionMutants {
		how["TestDecide"] = append(how["TestDecide"], off)
	}
	maps.Copy(how, ownTests)
	return how
}

// TestEveryMutantHasATest: what can be switched off is, somewhere.
func TestEveryMutantHasATest(t *testing.T) {
	played := map[mutant]bool{}
	for _, of := range howNoticed() {
		for _, m := range of {
			played[m] = true
		}
	}
	for m := mutant(1); m < lastMutant; m++ {
		if !played[m] {
			t.Errorf("nothing plays mutant %d of invariant.go", m)
		}
	}
}

// TestDocsNameMutants: docs/rules.md says of each mutant, by its name in invariant.go, what
// notices it: the row of a predicate or test in its section names those mutants, and no others.
func TestDocsNameMutants(t *testing.T) {
	names := mutantNames(t)
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Which predicate notices which mutant\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			rows[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[3])
		} else if len(rows) > 0 {
			break // of the table behind it are the changes of traces
		}
	}
	for by, of := range howNoticed() {
		var want []string
		for _, m := range of {
			want = append(want, "`"+names[m]+"`")
		}
		slices.Sort(want)
		if want := strings.Join(slices.Compact(want), ", "); rows[by] != want {
			t.Errorf("docs/rules.md: the row of %s has\n%s\nwant\n%s", by, rows[by], want)
		}
	}
	for m := mutant(1); m < lastMutant; m++ {
		if !strings.Contains(string(page), "`"+names[m]+"`") {
			t.Errorf("docs/rules.md does not name %s", names[m])
		}
	}
}

// mutantNames are those that invariant.go gives the mutants.
func mutantNames(t *testing.T) map[mutant]string {
	source, err := os.ReadFile("invariant.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[mutant]string{}
	for _, found := range regexp.MustCompile(`(?m)^\t(\w+) +(?:mutant = iota \+ 1 )?//`).FindAllStringSubmatch(string(source), -1) {
		names[mutant(len(names)+1)] = found[1]
	}
	if len(names) != int(lastMutant)-1 || names[noFloor] != "noFloor" || names[risingWish] != "risingWish" || names[noHold] != "noHold" {
		t.Fatalf("invariant.go is read as %v", names)
	}
	return names
}

// TestScriptsAreClean runs the lives that were made for one mutant with all rules on.
func TestScriptsAreClean(t *testing.T) {
	for name, life := range map[string]func(uint64, mutant) *world{"meeting": meetingLife, "crooked": crookedLife, "sudden": suddenLife, "bodies": bodiesLife} {
		t.Run(name, func(t *testing.T) {
			for seed := uint64(1); seed <= 5; seed++ {
				report(t, seed, life(seed, 0))
			}
		})
	}
}

func calmLife(seed uint64, off mutant) *world { return aRun(seed, off, false) }

// meetingLife lets two sites meet that both have members in a group.
func meetingLife(seed uint64, off mutant) *world {
	w := newWorld(seed, plainOptions(2, 2), &hooks{off: off})
	a, b := w.sites[0].nodes[0].connect("a"), w.sites[1].nodes[0].connect("b")
	a.join("g")
	b.join("g")
	w.runUntil(20*time.Second, "both are in", func() bool { return a.in["g"] && b.in["g"] })
	if w.federated() {
		w.fail("the sites met before their clients were in")
	}
	w.runUntil(20*time.Second, "sites meet", w.federated)
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	for _, c := range []*simClient{a, b} {
		if got := w.check.views["g "+c.view["g"]]; got != "a b" {
			w.fail("%s sees %q in the group", c.name, got)
		}
	}
	w.check.final()
	return w
}

// crookedLife has a site that is near one member of a group and a member that is far
// from another: joins of the near one must not get before what the far one accepted.
func crookedLife(seed uint64, off mutant) *world {
	opt := plainOptions(3, 2)
	opt.jitter = time.Millisecond
	opt.delay = func(a, b int) time.Duration {
		if a+b == 3 {
			return 100 * time.Millisecond // between 1 and 2
		}
		return 5 * time.Millisecond
	}
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	near, one, two := w.sites[0].nodes[1], w.sites[1].nodes[0], w.sites[2].nodes[0]
	for i, n := range []*simNode{one, two} {
		n.connect(fmt.Sprint("old", i)).join("g")
	}
	w.runUntil(20*time.Second, "old members", w.quiet)
	w.run(w.now + time.Second)
	one.connect("far").join("g")
	w.run(w.now + 2*time.Millisecond)
	near.connect("near0").join("g")
	late := near.connect("near1")
	g := func() *group { return near.replica.m.groups["g"] }
	w.runUntil(20*time.Second, "prepared", func() bool { return g() != nil && g().prep == nil && g().acceptedOwn > 0 })
	late.join("g")
	w.runUntil(20*time.Second, "nothing under way", w.quiet)
	w.check.final()
	return w
}

// suddenLife lets a node die right after its client's message was accepted: the
// message is delivered, and only then is the client out.
func suddenLife(seed uint64, off mutant) *world { return sudden(seed, off, (*simClient).stay) }

// TestNoNodeEndsBeforeItsEndedClients is the sudden life of a node whose client has ended
// just before: nobody knows that client's last message any more but what is under way.
func TestNoNodeEndsBeforeItsEndedClients(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		if w := sudden(seed, 0, (*simClient).disconnect); len(w.faults) > 0 {
			t.Fatalf("seed %d: %v", seed, w.faults)
		}
	}
}

func (c *simClient) stay() {}

func sudden(seed uint64, off mutant, then func(*simClient)) *world {
	opt := plainOptions(2, 3)
	opt.delay = func(a, b int) time.Duration { return 50 * time.Millisecond }
	w := newWorld(seed, opt, &hooks{off: off})
	w.runUntil(20*time.Second, "sites meet", w.federated)
	dying := w.sites[0].nodes[2]
	c, witness := dying.connect("dying"), w.sites[1].nodes[0].connect("witness")
	c.join("g")
	witness.join("g")
	w.runUntil(20*time.Second, "joins", w.quiet)
	w.run(w.now + 2*time.Second)
	for range 20 {
		c.send(membership.Agreed, "g")
	}
	then(c)
	before := dying.replica.m.outN
	for accepted := false; !accepted && w.now < 20*time.Second; {
		w.run(w.now + 20*time.Microsecond)
		accepted = w.sites[0].nodes[0].replica.m.outN > before && w.sites[0].nodes[1].replica.m.outN > before
	}
	dying.up, dying.ring, c.dead = false, nil, true
	w.sites[0].reform(w.sites[0].alive())
	w.run(w.now + 2*time.Second)
	out := false
	for _, x := range witness.log {
		if x[0] == 'v' {
			out = w.check.views[x[1:]] == "witness" && w.check.sawBoth(witness, x)
		} else if out {
			w.fail("%s of a client that is out already", x)
		}
	}
	if !out {
		w.fail("the witness does not see the client go: %v", witness.log)
	}
	return w
}

// sawBoth says whether a view came after one with two members.
func (k *checker) sawBoth(c *simClient, view string) bool {
	for _, x := range c.log {
		if x == view {
			return false
		}
		if x[0] == 'v' && k.views[x[1:]] == "dying witness" {
			return true
		}
	}
	return false
}
