package trace

import (
	"math"
	"slices"
	"strings"
	"time"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
	"ringway/site/ring"
)

// Config is what a Recorder knows from the start.
type Config struct {
	Self     membership.NodeID
	Name     string
	Boot     uint64
	NodeName func(membership.NodeID) string
	// Site, if it is set, is the name of the node's site, and Scoped says which groups never
	// leave it. Each site has its own of a name, so that in traces they are called GROUP#SITE.
	Site   string
	Scoped func(group string) bool
	// Emit takes the events, in their order. It may keep them.
	Emit func(evs.Event)
	// Message, if it is set, is told the machine's number of what is delivered.
	Message func(m *merge.Message, seq uint64)
}

// A Recorder turns what a node does into events. It is not safe for concurrent use.
type Recorder struct {
	cfg      Config
	core     *core.Core
	now      time.Duration
	sessions map[membership.ClientID]*session
	notes    []note           // since the last Step
	last     merge.TraceEvent // the latest ordered federated delivery of the view
	cause    merge.TraceEvent // the delivery that makes the present output
	pledges  []pledge         // promises that are kept back
	names    map[membership.InstanceID]string
}

// A session is a client of this node.
type session struct {
	name   string // in traces
	seq    uint64 // of its last message
	ended  bool
	member map[string]bool // groups of which it has seen itself a member
}

// A note is something that the machine did within a step, and what came before it.
type note struct {
	event          merge.TraceEvent
	outputs, rings int
}

// New returns the Recorder of a node that has not started.
func New(cfg Config) *Recorder {
	return &Recorder{cfg: cfg, sessions: map[membership.ClientID]*session{}, names: map[membership.InstanceID]string{}}
}

// Start begins the trace of a node with that core.
func (r *Recorder) Start(m Moment, c *core.Core) {
	r.now, r.core = m.Now, c
	r.record(evs.Event{Kind: evs.Start, T: m.Wall, Up: m.Up, Machine: m.Machine})
}

// Stop ends the trace in order.
func (r *Recorder) Stop(now time.Duration) {
	r.Crash(now)
	r.record(evs.Event{Kind: evs.Stop})
}

// Crash records what was kept back, and nothing else: the node is no more.
func (r *Recorder) Crash(now time.Duration) {
	r.now = now
	r.releaseAll()
}

// Connect notes a new client. name is its private name, without '#' and node.
func (r *Recorder) Connect(now time.Duration, c membership.ClientID, name string) {
	r.now = now
	r.sessions[c] = &session{name: c.String(), member: map[string]bool{}}
	r.record(evs.Event{Kind: evs.Connect, Client: c.String(), Group: "#" + name + "#" + r.cfg.Name})
}

// Submit notes what a client asks for, and gives a message its Tag.
func (r *Recorder) Submit(now time.Duration, c membership.ClientID, q *merge.Request) {
	r.now = now
	s := r.sessions[c]
	if s == nil || s.ended {
		return
	}
	switch q.Kind {
	case merge.Join:
		r.record(evs.Event{Kind: evs.Ask, Client: s.name, Group: q.Groups[0], Why: "join"})
	case merge.Leave:
		r.record(evs.Event{Kind: evs.Ask, Client: s.name, Group: q.Groups[0], Why: "leave"})
	default:
		s.seq++
		q.Tag = s.seq
		r.record(evs.Event{Kind: evs.Submit, Msg: evs.Message{Client: s.name, Seq: s.seq}, Groups: q.Groups, Service: q.Service.String(), Discard: q.SelfDiscard, Free: q.Independent})
	}
}

// Gone notes the end of a client's session.
func (r *Recorder) Gone(now time.Duration, c membership.ClientID) {
	r.now = now
	if s := r.sessions[c]; s != nil && !s.ended {
		s.ended = true
		r.record(evs.Event{Kind: evs.Gone, Client: s.name})
	}
}

// Note is merge.Config.Trace.
func (r *Recorder) Note(e *merge.TraceEvent) {
	outputs, rings := 0, 0
	if r.core != nil {
		outputs, rings = r.core.Outputs(), r.core.RingsInstalled()
	}
	r.notes = append(r.notes, note{*e, outputs, rings})
}

// Step takes the effects of the steps since the last one, and puts rings, what the
// machine did and the outputs into the order in which they happened.
func (r *Recorder) Step(now time.Duration, fx *core.Effects) {
	r.now = now
	outputs, rings := 0, 0
	until := func(o, n int) {
		for outputs < o || rings < n {
			if rings < len(fx.Rings) && fx.Rings[rings].Outputs <= outputs {
				r.ring(fx.Rings[rings].View)
				rings++
			} else {
				r.output(&fx.Merge.Outputs[outputs])
				outputs++
			}
		}
	}
	for i := range r.notes {
		n := &r.notes[i]
		until(n.outputs, n.rings)
		r.note(&n.event)
	}
	until(len(fx.Merge.Outputs), len(fx.Rings))
	clear(r.notes)
	r.notes = r.notes[:0]
	if r.cause.Kind != 0 {
		r.cause = merge.TraceEvent{}
	}
}

// record completes an event.
func (r *Recorder) record(e evs.Event) {
	e.At, e.Node, e.Boot = int64(r.now), r.cfg.Name, r.cfg.Boot
	if r.cfg.Scoped != nil {
		e.Group, e.Groups = r.group(e.Group), r.groups(e.Groups)
	}
	r.cfg.Emit(e)
}

// group is the name of a group in traces.
func (r *Recorder) group(name string) string {
	if r.scoped(name) {
		return name + "#" + r.cfg.Site
	}
	return name
}

func (r *Recorder) scoped(name string) bool {
	return name != "" && !strings.HasPrefix(name, "#") && r.cfg.Scoped(name)
}

func (r *Recorder) groups(names []string) []string {
	if !slices.ContainsFunc(names, r.scoped) {
		return names
	}
	renamed := make([]string, len(names))
	for i, name := range names {
		renamed[i] = r.group(name)
	}
	return renamed
}

// ring notes that the node installed a ring.
func (r *Recorder) ring(v *ring.View) {
	r.record(evs.Event{Kind: evs.Ring, Ring: v.ID.String(), Members: r.nodeNames(v.Members), Together: r.nodeNames(v.Together)})
}

// note records what the machine did.
func (r *Recorder) note(e *merge.TraceEvent) {
	if e.Kind == merge.TracePromise {
		r.promise(e)
		return
	}
	out := evs.Event{Inst: r.instance(e.Instance), View: r.viewID(e.View), T: e.T, N: e.N}
	switch e.Kind {
	case merge.TraceSend, merge.TraceReject:
		if e.Request != merge.Send {
			return
		}
		out.Msg = evs.Message{Client: e.Client.String(), Seq: e.Seq}
		if out.Kind = evs.Reject; e.Kind == merge.TraceReject {
			out.Why = e.Why
			break
		}
		out.Kind, out.Groups, out.Service, out.Free = evs.Send, e.Groups, e.Service.String(), e.Free
		if out.Torn = e.Torn; e.Closing {
			out.Phase = evs.Transitional
		}
		if out.Mode = "local"; e.Federated {
			r.releaseFor(0, e.Dests)
			out.Mode, out.D = "fed", r.instances(e.Dests)
		} else if e.Far {
			out.Mode, out.D = evs.Far, r.instances(e.Dests)
		}
	case merge.TraceNamed:
		out.Msg = evs.Message{Client: e.Client.String(), Seq: e.Seq}
		r.record(evs.Event{Kind: evs.Named, Msg: out.Msg, N: e.Tag})
		if out.Kind = evs.Cast; !e.Cast {
			return
		}
	case merge.TraceDeliver:
		r.cause = *e
		if e.Federated && (e.Request != merge.Send || e.Service.Ordered()) {
			r.last = *e
		}
		if e.Request != 0 || e.Client == (membership.ClientID{}) || !e.Federated {
			return
		}
		out.Kind, out.Client, out.Src = evs.Down, e.Client.String(), r.instance(e.Src)
	case merge.TraceImport:
		r.releaseFor(e.Src, nil)
		out.Kind, out.Src, out.Idx = evs.Import, r.instance(e.Src), e.Idx
		if e.Closing {
			out.Phase = evs.Transitional
		}
	default:
		r.configuration(e, out)
		return
	}
	r.record(out)
}

// configuration records a change of view, lineage or attachment.
func (r *Recorder) configuration(e *merge.TraceEvent, out evs.Event) {
	r.releaseAll()
	switch e.Kind {
	case merge.TraceView:
		r.last = merge.TraceEvent{}
		out.Kind = evs.View
		out.Members, out.Primary = r.members(e.Members), e.Primary
	case merge.TraceSig:
		out.Kind, out.TSN = evs.Sig, r.nodeNames(e.Nodes)
		out.TS = r.members(e.Members)
	case merge.TraceCut:
		out.Kind, out.C, out.CutTS = evs.Cut, r.members(e.Members), r.members(e.Together)
		out.PI, out.K, out.B, out.F, out.T = r.viewID(e.Next), e.P, e.W, e.T, 0
	case merge.TraceLineage:
		out.Number, out.Electorate = evs.Number{e.Number.Counter, uint64(e.Number.Seq)}, r.nodeNames(e.Nodes)
		if e.Role != "" {
			lineage := out
			lineage.Kind, lineage.Role = evs.Lineage, e.Role
			r.record(lineage)
		}
		if out.Kind, out.Members = evs.Formed, r.nodeNames(e.Voters); !e.Formed {
			return
		}
	case merge.TraceAttach:
		r.cause = *e
		if e.Nodes[0] != r.cfg.Self {
			return
		}
		out.Kind, out.MinT, out.T = evs.Attach, e.T, 0
		for _, s := range r.sessions {
			clear(s.member)
		}
	default:
		return
	}
	r.record(out)
}

// members are the names of instances, sorted.
func (r *Recorder) members(list []merge.SiteInstance) []string {
	names := make([]string, 0, len(list))
	for _, m := range list {
		names = append(names, r.instance(m.Instance))
	}
	slices.Sort(names)
	return names
}

func (r *Recorder) nodeNames(ids []membership.NodeID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, r.cfg.NodeName(id))
	}
	slices.Sort(names)
	return names
}

// lastSource stands behind every instance in the order of keys.
const lastSource = "~"

// keyed gives an event of a client the place of the delivery that made it. A join or
// leave that only this site sees lies between the latest federated delivery here and
// what is delivered next. A leave stands right behind the former, a join behind everything
// that is known to be delivered: as each makes the client a member of less.
func (r *Recorder) keyed(e evs.Event) evs.Event {
	c := &r.cause
	e.View, e.Inst = r.viewID(c.View), r.instance(c.Instance)
	if e.Kind == evs.Dlv {
		if e.Phase = evs.Local; c.Federated {
			e.Phase = evs.Regular
		}
		e.Without = runs(c.Gone)
	}
	switch {
	case c.Federated || e.Kind == evs.Dlv:
	case e.Kind == evs.Join:
		if e.Src, e.T, e.N = lastSource, max(0, c.Behind.T), math.MaxUint64; c.Behind.Src != 0 {
			e.Src, e.N = r.instance(c.Behind.Src), c.Behind.N
		}
		e.Mode = "local" // its number is that of what lies before it
	default:
		c = &r.last
	}
	if c.Federated {
		e.Src, e.T, e.N = r.instance(c.Src), c.T, c.N
	}
	return e
}

func (r *Recorder) viewID(v membership.ViewID) evs.ViewID {
	return evs.ViewID{Epoch: v.Epoch, Proposer: r.instance(v.Proposer)}
}

func (r *Recorder) instances(ids []membership.InstanceID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = r.instance(id)
	}
	slices.Sort(names)
	return names
}

// maxNames bounds the names that a Recorder remembers.
const maxNames = 4096

// instance is the name of an instance; most events have some of a few.
func (r *Recorder) instance(id membership.InstanceID) string {
	name, known := r.names[id]
	if !known {
		if len(r.names) >= maxNames {
			clear(r.names)
		}
		name = id.String()
		r.names[id] = name
	}
	return name
}
