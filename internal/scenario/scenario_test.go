//go:build linux

package scenario

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ringway/internal/netlab"
)

// ringway is the node's program: another one can be given, as that of another version.
var ringway string

func init() { flag.StringVar(&ringway, "ringway", "", "test this program instead of building it") }

var keep = flag.String("keep", "", "folder for logs and traces of tests that fail")

func TestMain(m *testing.M) {
	if code, done := netlab.Elevate(); done {
		os.Exit(code)
	}
	os.Exit(withRingway(m.Run))
}

func withRingway(run func() int) int {
	if flag.Parse(); ringway != "" {
		return run()
	}
	folder, err := os.MkdirTemp("", "rw")
	if err == nil {
		defer os.RemoveAll(folder)
		ringway, err = Build(context.Background(), folder, false)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// A run is a site with a chatter, in a test.
type run struct {
	*testing.T
	site    *Site
	chatter *Chatter
	before  []Resources // of each node
	begun   time.Time
}

// start lets five nodes and their clients come together. Two sites at a time are
// enough for two cores; where the clients are slow, one is.
func start(t *testing.T) *run {
	t.Helper()
	if !slow {
		t.Parallel()
	}
	return startWith(t, ringway)
}

func startWith(t *testing.T, binary string) *run {
	t.Helper()
	site, err := NewSite(Config{Nodes: 5, Binary: binary, Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	r := &run{T: t, site: site, begun: time.Now()}
	t.Cleanup(r.clean)
	r.wait("the ring", site.Ready)
	every := ChatEvery
	if slow {
		every *= 4
	}
	r.chatter = NewChatter(site.Nodes, every)
	r.wait("the clients", r.chatter.Settled)
	for _, n := range site.Nodes {
		r.before = append(r.before, r.resources(n))
	}
	return r
}

// clean prints what helps, if the test has failed, and removes everything.
func (r *run) clean() {
	if r.chatter != nil {
		r.chatter.Close()
	}
	if r.Failed() && *keep != "" {
		if err := r.site.Keep(filepath.Join(*keep, r.Name())); err != nil {
			r.Log(err)
		}
	}
	if r.Failed() && r.chatter != nil {
		for _, n := range r.site.Nodes {
			r.Logf("-- %s: %s\n%s", n.Name, describe(n), n.Log())
		}
		for _, s := range r.chatter.Sessions() {
			r.Logf("-- %s, session %d\n%s", s.Name, s.Tag, s.history(r.begun))
		}
	}
	if err := r.site.Close(); err != nil {
		r.Error(err)
	}
}

// describe says how the node is, for somebody who wonders why a test failed.
func describe(n *Node) string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	status, err := n.Status(ctx)
	if err != nil {
		return err.Error()
	}
	var counters []string
	for name, v := range status.Counters {
		if v > 0 && strings.HasPrefix(name, "ring_") {
			counters = append(counters, fmt.Sprintf("%s=%d", name, v))
		}
	}
	slices.Sort(counters)
	return fmt.Sprintf("%+v %+v\n%s", status.Ring, status.View, strings.Join(counters, " "))
}

func (r *run) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// wait waits for what the function waits for.
func (r *run) wait(what string, until func(context.Context) error) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	if err := until(ctx); err != nil {
		r.Fatalf("%s: %v", what, err)
	}
	r.Logf("%6.0f ms until %s", float64(time.Since(begin).Microseconds())/1e3, what)
}

// views waits until each part of the nodes has a view of its own.
func (r *run) views(what string, parts ...[]string) {
	r.Helper()
	r.wait(what, func(ctx context.Context) error { return r.chatter.Views(ctx, parts...) })
}

// carryOn lets the clients chat while nothing changes but what they do.
func (r *run) carryOn(d time.Duration) {
	if err := sleep(r.Context(), d); err != nil {
		r.Fatal(err)
	}
}

// without returns the names of all nodes but these.
func (r *run) without(names ...string) []string {
	return slices.DeleteFunc(r.site.Names(), func(n string) bool { return slices.Contains(names, n) })
}

func (r *run) resources(n *Node) (found Resources) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	found, err := n.Resources(ctx)
	r.must(err)
	return found
}

// finish waits until everything is well again and judges what everybody saw.
func (r *run) finish() {
	r.Helper()
	r.wait("everything is well", r.chatter.Finish)
	r.bounded()
	r.chatter.Close()
	sessions := r.chatter.Sessions()
	for _, verdict := range Judge(sessions) {
		r.Error(verdict)
	}
	messages := 0
	for _, s := range sessions {
		messages += len(s.Log())
	}
	r.Logf("%d sessions with %d events", len(sessions), messages)
	r.wait("the end in order", r.site.Stop)
	if err := r.site.Faults(); err != nil {
		r.Error(err)
	}
	if err := r.chatter.Faults(); err != nil {
		r.Error(err)
	}
	r.wait("the judge of the traces", r.site.CheckTraces)
}

// What a node may use more of than before the fault, when all is well again.
const (
	moreGoroutines = 10
	mostResident   = 512 << 20
)

// bounded waits until no node uses more than it should.
func (r *run) bounded() {
	r.Helper()
	for i, n := range r.site.Nodes {
		var last Resources
		r.wait(n.Name+" to need no more than before", func(ctx context.Context) error {
			return poll(ctx, "a bound", func() error {
				now, err := n.Resources(ctx)
				if err != nil {
					return err
				}
				last = now
				if now.Goroutines > r.before[i].Goroutines+moreGoroutines || now.Resident > mostResident {
					return fmt.Errorf("%+v, before %+v", now, r.before[i])
				}
				return nil
			})
		})
		r.Logf("%s: %d goroutines, %d MiB; before %d, %d MiB", n.Name, last.Goroutines, last.Resident>>20, r.before[i].Goroutines, r.before[i].Resident>>20)
	}
}
