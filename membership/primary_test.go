package membership

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"ringway/internal/wire"
)

// A primaryWorld plays views over instances: each proposal gets its Readys in a random
// order, and is installed by some, all or none of those in it.
type primaryWorld struct {
	rng   *rand.Rand
	all   []Claim
	epoch uint64
	last  Quorum // the latest primary view that somebody installed
	views int    // primary ones
}

// mutants of the rules, for primaryWorld.
const (
	noAttempts   = iota + 1 // R3 forgotten
	noTie                   // R4: half is enough
	noMajority              // R2: one of the one before is enough
	anyoneBegins            // R1: any view may be the first
	readyBlind              // R5: who agrees learns nothing
	mutantsEnd
)

func (w *primaryWorld) decide(view ViewID, claims []Claim, mutant int) (Quorum, bool) {
	q, primary := Decide(view, len(w.all), claims)
	switch mutant {
	case noAttempts:
		bare := slices.Clone(claims)
		for i := range bare {
			bare[i].Attempts = nil
		}
		q, primary = Decide(view, len(w.all), bare)
	case noTie, noMajority:
		primary = len(before(claims)) > 0
		for _, b := range before(claims) {
			var have, all uint64
			for _, v := range b.Votes {
				all += uint64(v.Weight)
				if slices.ContainsFunc(claims, func(c Claim) bool { return c.Instance == v.Instance }) {
					have += uint64(v.Weight)
				}
			}
			primary = primary && have > 0 && (mutant == noMajority || 2*have >= all)
		}
		if len(before(claims)) == 0 {
			primary = allWhole(len(w.all), claims)
		}
	case anyoneBegins:
		if len(before(claims)) == 0 {
			primary = true
		}
	}
	return q, primary
}

// play is one random life. It returns what is wrong with the line of primary views.
func (w *primaryWorld) play(steps, mutant int) string {
	for range steps {
		var in []int
		for i := range w.all {
			if w.rng.IntN(100) < 60 {
				in = append(in, i)
			}
		}
		if w.rng.IntN(12) == 0 || w.epoch == 0 && mutant != anyoneBegins {
			in = in[:0]
			for i := range w.all {
				in = append(in, i)
			}
		}
		if len(in) == 0 {
			continue
		}
		w.epoch++
		view := ViewID{w.epoch, w.all[in[0]].Instance}
		var claims []Claim
		for _, i := range in {
			claims = append(claims, w.all[i])
		}
		q, primary := w.decide(view, claims, mutant)
		ready := len(in)
		if w.rng.IntN(3) == 0 {
			ready = w.rng.IntN(len(in) + 1)
		}
		for _, i := range w.rng.Perm(len(in))[:ready] {
			if primary {
				if mutant == readyBlind {
					w.all[in[i]].Ready(q, nil)
				} else {
					w.all[in[i]].Ready(q, claims)
				}
			}
		}
		if ready < len(in) {
			continue // it is never installed anywhere
		}
		installed := len(in)
		if w.rng.IntN(3) == 0 {
			installed = w.rng.IntN(len(in) + 1)
		}
		for _, i := range w.rng.Perm(len(in))[:installed] {
			w.all[in[i]].Install(q, primary, claims)
		}
		if primary && installed > 0 {
			if wrong := w.follows(q); wrong != "" {
				return wrong
			}
			w.last = q
			w.views++
		}
		if w.rng.IntN(20) == 0 { // a site dies, and comes back as somebody new
			i := w.rng.IntN(len(w.all))
			w.all[i].Primary, w.all[i].Instance = Primary{}, InstanceID(w.rng.Uint64()) // low or high
		}
	}
	return ""
}

// follows says what is wrong with a primary view behind the one before it: somebody of
// that lives, and is not in this one, which has nobody of it.
func (w *primaryWorld) follows(q Quorum) string {
	alive := false
	for _, v := range w.last.Votes {
		alive = alive || slices.ContainsFunc(w.all, func(c Claim) bool { return c.Instance == v.Instance })
		if slices.ContainsFunc(q.Votes, func(o Vote) bool { return o.Instance == v.Instance }) {
			return ""
		}
	}
	if !alive {
		return ""
	}
	return fmt.Sprintf("primary view %v has nobody of the one before it, %v", q, w.last)
}

func newPrimaryWorld(seed uint64) *primaryWorld {
	w := &primaryWorld{rng: rand.New(rand.NewPCG(seed, 3))}
	for i := range 2 + seed%5 {
		w.all = append(w.all, Claim{SiteInstance: SiteInstance{Instance: 1<<63 + InstanceID(i), Site: SiteID(i + 1)},
			Weight: uint32(1 + w.rng.IntN(3)), Whole: true})
	}
	return w
}

// TestPrimaryLine plays random views: consecutive primary ones always have somebody in
// common, and a federation that is together again has one, unless most of the last died.
func TestPrimaryLine(t *testing.T) {
	primaries := 0
	for seed := range uint64(3000) {
		w := newPrimaryWorld(seed)
		if wrong := w.play(60, 0); wrong != "" {
			t.Fatalf("seed %d: %s", seed, wrong)
		}
		primaries += w.views
	}
	t.Logf("%d primary views", primaries)
	if primaries < 3000 {
		t.Errorf("only %d primary views in 3000 lives", primaries)
	}
}

// TestPrimaryMutants sees that each rule is needed.
func TestPrimaryMutants(t *testing.T) {
	for mutant := noAttempts; mutant < mutantsEnd; mutant++ {
		caught := ""
		for seed := uint64(0); seed < 3000 && caught == ""; seed++ {
			caught = newPrimaryWorld(seed).play(60, mutant)
		}
		if t.Logf("mutant %d: %s", mutant, caught); caught == "" {
			t.Errorf("mutant %d is not noticed", mutant)
		}
	}
}

// TestDecide has the cases that operators ask about.
func TestDecide(t *testing.T) {
	claim := func(i int, weight uint32, formed ...Vote) Claim {
		c := Claim{SiteInstance: SiteInstance{InstanceID(i), SiteID(i)}, Weight: weight, Whole: true}
		if len(formed) > 0 {
			c.Formed = Quorum{ViewID{5, 1}, formed}
		}
		return c
	}
	one, heavy := []Vote{{1, 1}, {2, 1}, {3, 1}}, []Vote{{1, 1}, {2, 1}, {3, 3}}
	pair := []Vote{{1, 1}, {2, 1}}
	for name, test := range map[string]struct {
		claims []Claim
		want   bool
	}{
		"all for the first time":         {[]Claim{claim(1, 1), claim(2, 1), claim(3, 1)}, true},
		"two of three at first":          {[]Claim{claim(1, 1), claim(2, 1)}, false},
		"two of three":                   {[]Claim{claim(1, 1, one...), claim(2, 1, one...)}, true},
		"one of three":                   {[]Claim{claim(3, 1, one...)}, false},
		"the heavy one":                  {[]Claim{claim(3, 3, heavy...)}, true},
		"the light ones":                 {[]Claim{claim(1, 1, heavy...), claim(2, 1, heavy...)}, false},
		"half with the lowest":           {[]Claim{claim(1, 1, pair...), claim(9, 1)}, true},
		"half without the lowest":        {[]Claim{claim(2, 1, pair...), claim(9, 1)}, false},
		"one of a pair and one that new": {[]Claim{claim(3, 1, one...), claim(8, 1), claim(9, 1)}, false},
	} {
		if _, got := Decide(ViewID{9, 1}, 3, test.claims); got != test.want {
			t.Errorf("%s: primary %v, want %v", name, got, test.want)
		}
	}
	split := []Claim{claim(1, 1), claim(2, 1), claim(3, 1), claim(4, 1)}
	split[0].Whole, split[3].Site = false, 1
	q, _ := Decide(ViewID{9, 1}, 3, split)
	if want := []Vote{{2, 1}, {3, 1}, {4, 1}}; !reflect.DeepEqual(q.Votes, want) {
		t.Errorf("a site in two parts: votes %v, want %v", q.Votes, want)
	}
}

func FuzzPrimary(f *testing.F) {
	p := Primary{Formed: Quorum{ViewID{3, 4}, []Vote{{1, 2}}}}
	p.Ready(Quorum{ViewID{5, 4}, []Vote{{1, 2}, {7, 1}}}, nil)
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := wire.NewReader(data)
		p := ReadPrimary(&r)
		if r.Done() != nil {
			return
		}
		again := wire.NewReader(p.Append(nil))
		if q := ReadPrimary(&again); again.Done() != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v comes back as %+v, %v", p, q, again.Done())
		}
	})
}
