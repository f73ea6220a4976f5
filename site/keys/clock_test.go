package keys

import (
	"sync/atomic"
	"testing"
	"time"

	"ringway/internal/pki"
)

// TestAClockThatLeapsBack: three nodes with certificates that were just made. The clock of
// one, or of all, leaps back, by an hour or to when no certificate was valid: nobody is
// forgotten. A node that starts with its clock an hour behind is met.
func TestAClockThatLeapsBack(t *testing.T) {
	const valid = 24 * time.Hour
	site, dir := newSite(t, newAuthority(t), 3), t.TempDir()
	var wrong [3]atomic.Int64 // what each clock is off by
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(pki.Init(dir, "fed", valid))
	for i, m := range site {
		must(pki.Issue(dir, "fed", "lon", m.name, valid))
		var err error
		m.real, err = pki.LoadIdentityAt(dir, "fed", "lon", m.name, func() time.Time { return time.Now().Add(time.Duration(wrong[i].Load())) })
		must(err)
		m.start(site)
	}
	eventually(t, "met", allMet(site))
	keep := func(what string) {
		t.Helper()
		for _, m := range site {
			m.e.check() // as each second
			if n := m.e.Stats().Forgotten; n != 0 {
				t.Errorf("%s: %s has forgotten others %d times", what, m.name, n)
			}
		}
		if !allMet(site)() {
			t.Errorf("%s: not all know each other", what)
		}
	}
	for _, leap := range []time.Duration{-10 * time.Minute, -time.Hour, -10000 * time.Hour} {
		wrong[0].Store(int64(leap))
		keep("one clock leaps by " + leap.String())
		for i := range wrong {
			wrong[i].Store(int64(leap))
		}
		keep("all clocks leap by " + leap.String())
		for i := range wrong {
			wrong[i].Store(0)
		}
		keep("and again to what they were")
	}
	wrong[0].Store(int64(-time.Hour))
	site[0].stop()
	site[0].start(site)
	eventually(t, "a node with its clock an hour behind to be met", allMet(site))

	// Who expires is forgotten still.
	wrong[0].Store(int64(valid + time.Minute))
	site[0].e.check()
	if n := site[0].e.Stats().Forgotten; n != 2 {
		t.Errorf("%d of 2 expired were forgotten", n)
	}
}
