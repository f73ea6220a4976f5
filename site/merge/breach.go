package merge

import (
	"errors"
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/site/ring"
)

// Who breaks the protocol is refused, named in the log, counted, and taken out of the view;
// it comes back as a site does that was lost, later each time (decision 0037). What the order
// shows, every node of the site sees by itself (machine.breach). What one gateway alone sees
// it tells the others through the ring: the node that leads proposes the view. That goes by
// a safe frame, so that it counts when every member of the ring has it: a gateway that its
// site has left behind sees gaps that are none, and is in no ring any more that could.

// A breachKind says what a gateway saw.
type breachKind uint8

const (
	// breachGap: a record does not follow the one before it, although the log has none
	// between them. Its source may have trimmed some that this site says it holds, so the
	// claim counts only if the site lacks them when it is ordered.
	breachGap breachKind = iota + 1
	breachForm
	breachPlace
	breachClock
	breachDeadline
	breachPromise
	breachControl
	breachSender
	breachEnd // not a kind
)

var breachNames = [breachEnd]string{
	breachGap:      "record: a gap in the stream",
	breachForm:     "record: it does not decode",
	breachPlace:    "record: it does not belong into its log",
	breachClock:    "promise: its clock is far ahead",
	breachDeadline: "record: deadline is too far ahead",
	breachPromise:  "promise: it goes farther than its own clock allows",
	breachControl:  "control message: it does not decode",
	breachSender:   "control message: it is about a view without its sender",
}

// A breach is what a member of the view did.
type breach struct {
	kind      breachKind
	src       uint8  // place in the view
	want, got uint64 // of a breachGap, indices in the stream: what was missing, and what came
}

const breachBytes = 1 + 8 + 1 + 1 + 8 + 8

func (b *breach) append(to []byte, tag uint64) []byte {
	to = wire.AppendUint64(append(to, byte(frameBreach)), tag)
	return wire.AppendUint64(wire.AppendUint64(append(to, byte(b.kind), b.src), b.want), b.got)
}

func (b *breach) read(r *wire.Reader) (tag uint64, err error) {
	tag = r.Uint64()
	*b = breach{breachKind(r.Uint8()), r.Uint8(), r.Uint64(), r.Uint64()}
	if r.Err() == nil && (b.kind == 0 || b.kind >= breachEnd) {
		r.Fail(errKind)
	}
	if r.Err() != nil {
		return tag, r.Err()
	}
	return tag, r.Done()
}

// A witness has what this node has seen members of the view do, each once.
type witness struct {
	breaches []breach
	said     int // of them, in this ring
}

// maxBreaches bounds what one node says of the members of a view: each kind of each.
const maxBreaches = int(breachEnd) * membership.MaxSites

// accuse tells the site what a member did.
func (r *Replica) accuse(b breach) {
	same := func(o breach) bool { return o.kind == b.kind && o.src == b.src }
	if w := &r.witness; len(w.breaches) < maxBreaches && !slices.ContainsFunc(w.breaches, same) {
		w.breaches = append(w.breaches, b)
		r.fx.Kick = true
	}
}

// accuseSender does so for who has sent a control message, which need not be in the view.
func (r *Replica) accuseSender(from SiteInstance, kind breachKind) {
	if r.m != nil {
		if i, ok := r.m.view.Index(from.Instance); ok && i != r.m.self {
			r.accuse(breach{kind: kind, src: uint8(i)})
			return
		}
	}
	r.fx.Faults = append(r.fx.Faults, Fault{from.Site, breachNames[kind]})
}

// nextBreach is the frame of what has not been said in this ring yet.
func (r *Replica) nextBreach() (ring.Frame, bool) {
	w := &r.witness
	if w.said == len(w.breaches) {
		return ring.Frame{}, false
	}
	b := &w.breaches[w.said]
	w.said++
	return ring.Frame{Stream: controlStream, Service: membership.Safe, Bound: true, Data: b.append(make([]byte, 0, breachBytes), r.m.tag)}, true
}

// breachIn is what a gateway of this site has seen, known to every member of the ring.
func (r *Replica) breachIn(in *wire.Reader) error {
	var b breach
	tag, err := b.read(in)
	m := r.m
	if err != nil || tag != m.tag || m.closing || int(b.src) >= len(m.view.Members) || int(b.src) == m.self {
		return err
	}
	if b.kind == breachGap && !m.lacksFor(&b) {
		return nil
	}
	m.breach(int(b.src), breachNames[b.kind])
	return nil
}

// lacksFor says whether what a gap leaves out is not here: nobody can have trimmed it.
func (m *machine) lacksFor(b *breach) bool {
	return m.off(anyGap) || b.got > b.want && m.inNext[b.src] <= b.want && m.cut == nil
}

// breach notes what a member of the view did.
func (m *machine) breach(place int, what string) {
	m.fault(place, what)
	m.broke = append(m.broke, m.view.Members[place])
}

// distrust puts off those who broke the protocol in this step.
func (r *Replica) distrust() {
	broke := r.m.broke
	if len(broke) == 0 {
		return
	}
	if r.m.broke = nil; r.m.off(trustful) {
		return
	}
	for _, x := range broke {
		r.views.peers.distrust(r.now, x, &r.cfg.Timing)
	}
	r.consider()
}

// judgeImport says what a record that cannot be taken in tells of its source.
func (r *Replica) judgeImport(src int, err error, want, got uint64) {
	b := breach{kind: breachForm, src: uint8(src)}
	switch {
	case errors.Is(err, errGap):
		b.kind, b.want, b.got = breachGap, want, got
	case errors.Is(err, errMisplaced):
		b.kind = breachPlace
	}
	r.accuse(b)
}

// contradicts says whether a promise cannot be true: P is at most maxLead ahead of the clock
// that it was given at, and W is not ahead of it.
func (p *promise) contradicts() bool {
	return p.w > p.reading || slices.ContainsFunc(p.to, func(to promised) bool { return to.p-p.reading > maxLead })
}

// distrust makes an instance wait that broke the protocol, as one that was lost. It may do
// so again when it is back, so for long it counts as flapping.
func (p *peers) distrust(now time.Duration, x SiteInstance, t *Timing) {
	p.putOff(now, x, t)
	if known := p.known[x.Instance]; known != nil {
		known.firm = true
	}
	h := p.history(x.Site)
	h.window = max(h.window, t.MaxRejoin)
}
