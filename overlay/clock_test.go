package overlay

import (
	"crypto/x509"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"ringway/internal/pki"
)

// TestClocksBehind: three gateways in a row whose certificates were just made. The clock of
// the one between is an hour behind, that of one at an end leaps back by an hour while they
// talk, and further than any certificate reaches. Links come up, stay, and what is relayed is
// believed.
func TestClocksBehind(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c")
	wrong := map[string]*atomic.Int64{}
	for name := range f.ids {
		off := new(atomic.Int64)
		id, err := pki.LoadIdentityAt(f.dirs[name], f.top.Name, f.node[name].Site.Name, name, func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
		f.must(err)
		f.ids[name], wrong[name] = id, off
	}
	wrong["b-1"].Store(int64(-time.Hour))
	f.all()
	f.converged()
	log, n := logOf("a"), uint64(0)
	f.gate["c-1"].Pull([]Position{{Log: log}})
	talk := func(what string) {
		t.Helper()
		for name, g := range f.gate { // as when lists change, and each second of who has expired
			looked := make(chan struct{})
			g.post(func(c *core) {
				c.expel(func(*lane) bool { return true })
				close(looked)
			})
			<-looked
			if k := f.counter(name, "peers_expelled"); k != 0 {
				t.Errorf("%s: %s closed %d links", what, name, k)
			}
		}
		f.gate["a-1"].Append(log, entries(n, 10, 100, "c"))
		n += 10
		f.gate["a-1"].Control(sourceOf(f.gate["c-1"]), []byte(what))
		eventually(t, what+": records", func() bool { return f.rec["c-1"].count(log) == int(n) })
		eventually(t, what+": a promise", func() bool { return f.promised("c-1", what, "a-1") })
		eventually(t, what+": a control message", func() bool { return len(f.controls("c-1")) == int(n/10) })
	}
	talk("an hour behind")
	for _, leap := range []time.Duration{-time.Hour, -10000 * time.Hour, 0} {
		wrong["c-1"].Store(int64(leap))
		talk("a leap by " + leap.String())
	}
	if got := f.rec["c-1"].got(log); !slices.Equal(got, upTo(n, 1)) {
		t.Errorf("%d records in a wrong order", len(got))
	}
	for name := range f.gate {
		for _, counter := range []string{"untrusted_origins", "bad_signatures", "breaches", "peers_refused", "tampered"} {
			if k := f.counter(name, counter); k != 0 {
				t.Errorf("%s: %s %d", name, counter, k)
			}
		}
	}
}

// TestRefreshLooksAtTheClock: when a lane has to be made anew is asked again while it is not
// due, since the clock may leap; by an hour when it just is not, and then time must be left.
func TestRefreshLooksAtTheClock(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(pki.Init(dir, "fed", 10000*time.Hour), pki.Issue(dir, "fed", "a", "a-1", 10000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	id, err := pki.LoadIdentity(dir, "fed", "a", "a-1")
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{cfg: Config{Identity: id}}
	for _, c := range []struct {
		left, valid, wait time.Duration
		due               bool
	}{
		{100 * time.Hour, 1000 * time.Hour, refreshLook, false},
		{refreshAhead + time.Hour, 1000 * time.Hour, refreshLook, false},
		{refreshAhead - time.Second, 1000 * time.Hour, refreshAhead / 4, true},
		{2 * time.Hour, 10 * time.Hour, refreshLook, false},
		{time.Hour - time.Second, 10 * time.Hour, time.Hour / 4, true},
		{0, 10 * time.Hour, refreshRetry, true},
	} {
		ends := time.Now().Add(c.left)
		cert := &x509.Certificate{NotAfter: ends, NotBefore: ends.Add(-c.valid - pki.ClockSkew)}
		wait, due := g.refreshIn(&lane{cert: cert, shown: id.CertificateDER()}, 0)
		if due != c.due || wait < c.wait-time.Minute || wait > c.wait {
			t.Errorf("%v of %v left: %v, %v; want %v, %v", c.left, c.valid, wait, due, c.wait, c.due)
		}
	}
}
