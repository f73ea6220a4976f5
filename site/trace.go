package site

import (
	"slices"
	"time"

	"ringway/internal/trace"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
	"ringway/topology"
)

// A tracer records what the node does, for `ringway trace check`. A nil one does
// nothing. It is the loop's alone.
type tracer struct {
	recorder *trace.Recorder
	writer   *trace.Writer
}

// openTrace starts a trace if the node is to write one.
func (n *node) openTrace() (*tracer, error) {
	if n.cfg.Trace == "" {
		return nil, nil
	}
	w, err := trace.Create(n.cfg.Trace, n.cfg.Node.Name, n.boot, n.log)
	if err != nil {
		return nil, err
	}
	cfg := trace.Config{Self: n.cfg.Node.ID, Name: n.cfg.Node.Name, Boot: n.boot, NodeName: nodeNames(n.cfg.Topology), Emit: w.Put}
	if t := n.cfg.Topology; slices.ContainsFunc(t.Groups, func(g topology.Group) bool { return g.SiteScope }) {
		cfg.Site, cfg.Scoped = n.cfg.Node.Site.Name, siteScoped(t)
	}
	return &tracer{writer: w, recorder: trace.New(cfg)}, nil
}

// note returns what merge.Config.Trace should be.
func (t *tracer) note() func(*merge.TraceEvent) {
	if t == nil {
		return nil
	}
	return t.recorder.Note
}

func (t *tracer) start(now func() time.Duration, c *core.Core) {
	if t != nil {
		t.recorder.Start(trace.MomentOf(now), c)
	}
}

// step records what the core did since the last time.
func (t *tracer) step(now time.Duration, fx *core.Effects) {
	if t != nil {
		t.recorder.Step(now, fx)
		t.writer.Flush()
	}
}

func (t *tracer) connect(now time.Duration, c membership.ClientID, name string) {
	if t != nil {
		t.recorder.Connect(now, c, name)
	}
}

func (t *tracer) submit(now time.Duration, c membership.ClientID, q *merge.Request) {
	if t != nil {
		t.recorder.Submit(now, c, q)
	}
}

func (t *tracer) gone(now time.Duration, c membership.ClientID) {
	if t != nil {
		t.recorder.Gone(now, c)
	}
}

// lost returns how many events could not be written.
func (t *tracer) lost() uint64 {
	if t == nil {
		return 0
	}
	return t.writer.Lost()
}

// stop ends the trace. It is called when the loop has ended.
func (t *tracer) stop(now time.Duration) error {
	if t == nil {
		return nil
	}
	t.recorder.Stop(now)
	return t.writer.Close()
}
