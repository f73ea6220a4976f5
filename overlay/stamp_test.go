package overlay

import (
	"fmt"
	"slices"
	"testing"

	"ringway/internal/pki"
	"ringway/membership"
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
			eventually(t, "the true promise", func() bool { return f.promised("c-1", "true", "a-1") })
		})
	}
}

// TestRelayedPromisesAreProved: what comes by way of another site is its origin's.
func TestRelayedPromisesAreProved(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c")
	f.all()
	f.converged()
	eventually(t, "the promise", func() bool { return f.promised("c-1", "true", "a-1") })
	if n := f.counter("c-1", "bad_signatures") + f.counter("b-1", "bad_signatures"); n != 0 {
		t.Errorf("%d signatures were bad", n)
	}
}

// TestForgedControls: the same for control messages. What a really said is taken once,
// however often somebody repeats it.
func TestForgedControls(t *testing.T) {
	for name, forge := range map[string]func(g *Gateway, m *controlMessage){
		"not signed":          func(*Gateway, *controlMessage) {},
		"signed by the relay": func(g *Gateway, m *controlMessage) { m.Stamp.Signature = g.sign(pki.Control, m.text()).Signature },
		"of the relay, in another site's name": func(g *Gateway, m *controlMessage) {
			m.Gateway = g.self.ID
			m.Stamp = g.sign(pki.Control, m.text())
		},
		"signed for another purpose": func(_ *Gateway, m *controlMessage) {},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-c", "b-c").start("a-1", "c-1").converged()
			l := f.intruder("b-1", "c-1")
			a, c := f.gate["a-1"], f.gate["c-1"]
			m := controlMessage{From: sourceOf(a), To: sourceOf(c), Hops: 3, Gateway: a.self.ID, Incarnation: 1 << 62, Number: 1, Data: []byte("forged")}
			m.Stamp.Key = a.cfg.Identity.Signer().KeyID()
			if name == "signed for another purpose" {
				m.Stamp = a.sign(pki.Promise, m.text())
			}
			forge(l.g, &m)
			s, err := l.openStream(streamControl, 0)
			if err == nil {
				_, err = s.Write(m.append(nil))
			}
			if err != nil {
				t.Fatal(err)
			}
			<-l.done()
			if f.counter("c-1", "breaches") != 1 {
				t.Error("not counted")
			}
			a.Control(sourceOf(c), []byte("true"))
			eventually(t, "the true message", func() bool { return len(f.controls("c-1")) > 0 })
			if got := f.controls("c-1"); !slices.Equal(got, []string{fmt.Sprintf("%v:true", sourceOf(a).Instance)}) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestRepeatedControlsAreTakenOnce(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-c", "b-c").start("a-1", "c-1").converged()
	l := f.intruder("b-1", "c-1")
	a, c := f.gate["a-1"], f.gate["c-1"]
	said := func(number uint64, data string) []byte {
		m := controlMessage{From: sourceOf(a), To: sourceOf(c), Hops: 3, Gateway: a.self.ID, Incarnation: 5, Number: number, Data: []byte(data)}
		m.Stamp = a.sign(pki.Control, m.text())
		return m.append(nil)
	}
	s, err := l.openStream(streamControl, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, frame := range [][]byte{said(1, "one"), said(1, "one"), said(2, "two"), said(1, "one"), said(2, "two"), said(3, "end")} {
		all = append(all, frame...)
	}
	if _, err := s.Write(all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last one", func() bool { return slices.Contains(f.controls("c-1"), fmt.Sprintf("%v:end", sourceOf(a).Instance)) })
	if got := f.controls("c-1"); len(got) != 3 {
		t.Errorf("got %q", got)
	}
}

// promised says whether a promise has come. It is made again each time: promises may be
// lost.
func (f *federation) promised(at, what, by string) bool {
	f.gate[by].Broadcast([]byte(what))
	return f.rec[at].has(&f.rec[at].promises, what)
}

func sourceOf(g *Gateway) membership.SiteInstance {
	return membership.SiteInstance{Site: g.self.Site.ID, Instance: instanceOf(g.self.Site.ID)}
}

func (f *federation) controls(name string) []string {
	r := f.rec[name]
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.controls)
}
