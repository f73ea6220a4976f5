package overlay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/routing"
)

// say sends bytes on a stream of a kind.
func say(l *lane, k streamKind, data []byte) error {
	s, err := l.openStream(k, 0)
	if err == nil {
		_, err = s.Write(data)
	}
	return err
}

// advert is an advertisement of a gateway, signed by whose connection it is: its text, or
// another one.
func advert(l *lane, of string, counter uint64, signs func(body []byte) []byte) *routing.Signed {
	n := l.g.self
	if of != n.Name {
		n = l.g.gateways[membership.NodeIDOf(of)]
	}
	adv := routing.Advertisement{Gateway: n.ID, Site: n.Site.ID, Incarnation: 1 << 61, Counter: counter}
	id := l.g.cfg.Identity
	body := adv.Append(nil)
	return &routing.Signed{Advertisement: adv, Body: body, Certificate: id.CertificateDER(), Signature: id.Sign(pki.Advertisement, signs(body))}
}

func itself(body []byte) []byte { return body }

// TestHostilePeer: a gateway of the federation, in the wrong hands, says what it may not.
// Its neighbour refuses it, counts it and names it in the log. The others go on: records
// come, no link falls, nobody blames anybody else.
func TestHostilePeer(t *testing.T) {
	other := func([]byte) []byte { return []byte("other") }
	for _, c := range []struct {
		name    string
		do      func(f *federation, l *lane) error
		breach  bool
		counter string
		says    string // in the log
	}{
		{"speaks for another", func(_ *federation, l *lane) error {
			return say(l, streamState, appendAdvert(nil, advert(l, "c-1", 1, itself)))
		}, true, "bad_signatures", "peer=a-1"},
		{"bad signature", func(_ *federation, l *lane) error {
			return say(l, streamState, appendAdvert(nil, advert(l, "a-1", 1, other)))
		}, true, "bad_signatures", "peer=a-1"},
		{"malformed advertisement", func(_ *federation, l *lane) error {
			s := advert(l, "a-1", 1, itself)
			s.Body = s.Body[:len(s.Body)-3]
			return say(l, streamState, appendAdvert(nil, s))
		}, true, "breaches", "peer=a-1"},
		{"replayed advertisement of another", func(f *federation, l *lane) error {
			first := make(chan *routing.Signed, 1)
			f.gate["b-1"].post(func(c *core) { s, _ := c.db.Get(f.node["c-1"].ID); first <- s })
			old := <-first
			state := State{Instance: instanceOf(f.node["c-1"].Site.ID), View: testView, Epoch: 2}
			f.gate["c-1"].Announce(state)
			epoch := func() uint64 {
				now := make(chan uint64, 1)
				f.gate["b-1"].post(func(c *core) { s, _ := c.db.Get(f.node["c-1"].ID); now <- s.Epoch })
				return <-now
			}
			eventually(f.t, "the new one is known", func() bool { return epoch() == 2 })
			got := f.counter("b-1", "adverts_received")
			if err := say(l, streamState, appendAdvert(nil, old)); err != nil {
				return err
			}
			eventually(f.t, "the old one has come", func() bool { return f.counter("b-1", "adverts_received") > got })
			if e := epoch(); e != 2 {
				return fmt.Errorf("an old advertisement counts: epoch %d", e)
			}
			return nil
		}, false, "adverts_received", ""},
		{"control of another site", func(f *federation, l *lane) error {
			m := controlMessage{To: of("b"), From: of("c"), Gateway: l.g.self.ID, Incarnation: 1, Number: 1, Data: []byte("x")}
			return say(l, streamControl, m.append(nil))
		}, true, "breaches", "peer=a-1"},
		{"promise of a stranger", func(_ *federation, l *lane) error {
			p := promise{Origin: 4711, Instance: 4712, Incarnation: 1, Number: 1}
			return l.conn.SendDatagram(p.append([]byte{byte(gramPromise)}))
		}, true, "breaches", "peer=a-1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFederation(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c", "a-c").start("b-1", "c-1")
			log := logOf("c")
			f.gate["b-1"].Pull([]Position{{Log: log}})
			f.gate["c-1"].Append(log, entries(0, 10, 100, "b"))
			eventually(t, "b has what c sent", func() bool { return f.rec["b-1"].count(log) == 10 })
			before, flaps := f.counter("b-1", c.counter), f.link("b-1", "c-1").Flaps
			l := f.intruder("a-1", "b-1")
			if err := c.do(f, l); err != nil {
				t.Fatal(err)
			}
			eventually(t, c.counter, func() bool { return f.counter("b-1", c.counter) > before })
			if c.breach {
				<-l.done()
				end, ok := errors.AsType[*quic.ApplicationError](context.Cause(l.conn.Context()))
				if !ok || end.ErrorCode != codeBreach {
					t.Errorf("the connection ended with %v", context.Cause(l.conn.Context()))
				}
				eventually(t, "the link is down", func() bool { return f.link("b-1", "a-1").State == LinkDown })
			}
			if !strings.Contains(f.logs.String(), c.says) {
				t.Errorf("the log does not say %q", c.says)
			}
			f.gate["c-1"].Append(log, entries(10, 10, 100, "b"))
			eventually(t, "b has what c sent then", func() bool { return f.rec["b-1"].count(log) == 20 })
			if got := f.rec["b-1"].got(log); !slices.Equal(got, upTo(20, 1)) {
				t.Errorf("b has %v", got)
			}
			if n := f.counter("c-1", "breaches"); n != 0 {
				t.Errorf("c blames somebody, %d times", n)
			}
			eventually(t, "the link to c is up", func() bool { return f.link("b-1", "c-1").State == LinkUp })
			if l := f.link("b-1", "c-1"); l.Flaps > flaps || l.Downs > 0 {
				t.Errorf("the link to c went down %d times, with %d flaps and %d before", l.Downs, l.Flaps, flaps)
			}
		})
	}
}

// TestWarningsAreFew: who breaks rules again and again does not fill the disk.
func TestWarningsAreFew(t *testing.T) {
	f := newFederation(t, []string{"a-1", "b-1"}, "a-b").start("b-1")
	for range 1000 {
		f.gate["b-1"].warn("peer broke the link protocol: disconnected", "peer", "a-1")
	}
	if n := strings.Count(f.logs.String(), "peer broke"); n < 10 || n > 30 {
		t.Errorf("%d lines for 1000 breaches", n)
	}
	if n := f.counter("b-1", "warnings_suppressed"); n < 970 {
		t.Errorf("%d were counted as suppressed", n)
	}
}
