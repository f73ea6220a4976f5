package overlay

import (
	"testing"

	"ringway/internal/pki"
)

// TestForgedPromises: a gateway with a good certificate of its own passes on promises of
// another site that the site never made. None is taken, and the link is closed.
func TestForgedPromises(t *testing.T) {
	for name, forge := range map[string]func(g *Gateway, p *promise){
		"not signed":          func(*Gateway, *promise) {},
		"signed by the relay": func(g *Gateway, p *promise) { p.Stamp.Signature = g.sign(pki.Promise, p.text()).Signature },
		"another signature":   func(_ *Gateway, p *promise) { p.Stamp.Signature[9] = 9 },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-c", "b-c").start("a-1", "c-1").converged()
			l := f.intruder("b-1", "c-1")
			p := promise{Hops: 3, Origin: f.node["a-1"].ID, Instance: instanceOf(f.node["a-1"].Site.ID), Incarnation: 1 << 62, Number: 1, Data: []byte("forged")}
			p.Stamp.Key = f.gate["a-1"].cfg.Identity.Signer().KeyID()
			forge(l.g, &p)
			if err := l.conn.SendDatagram(p.append([]byte{byte(gramPromise)})); err != nil {
				t.Fatal(err)
			}
			<-l.done()
			if f.counter("c-1", "bad_signatures") != 1 || f.counter("c-1", "breaches") != 1 {
				t.Error("not counted")
			}
			if f.rec["c-1"].has(&f.rec["c-1"].promises, "forged") {
				t.Error("a forged promise was delivered")
			}
			// It did not shut out what a really promises.
			f.gate["a-1"].Broadcast([]byte("true"))
			eventually(t, "the true promise", func() bool { return f.rec["c-1"].has(&f.rec["c-1"].promises, "true") })
		})
	}
}

// TestRelayedPromisesAreProved: what comes by way of another site is its origin's.
func TestRelayedPromisesAreProved(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c")
	f.all()
	f.converged()
	f.gate["a-1"].Broadcast([]byte("true"))
	eventually(t, "the promise", func() bool { return f.rec["c-1"].has(&f.rec["c-1"].promises, "true") })
	if n := f.counter("c-1", "bad_signatures") + f.counter("b-1", "bad_signatures"); n != 0 {
		t.Errorf("%d signatures were bad", n)
	}
}
