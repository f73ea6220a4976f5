package trace

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ringway/internal/evs"
	"ringway/membership"
	"ringway/site/core"
	"ringway/site/merge"
)

func event(node string, boot uint64, kind evs.Kind) evs.Event {
	return evs.Event{Node: node, Boot: boot, Kind: kind}
}

func write(t *testing.T, folder, node string, boot uint64, events ...evs.Event) {
	t.Helper()
	w, err := Create(folder, node, boot, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		e.Node, e.Boot = node, boot
		w.Put(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestFilesComeBack: messages have their senders' numbers, wherever they were seen.
func TestFilesComeBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "new")
	msg := func(seq uint64) evs.Message { return evs.Message{Client: "c", Seq: seq} }
	write(t, folder, "a", 1,
		evs.Event{Kind: evs.Start, T: 1000, At: 10},
		evs.Event{Kind: evs.Submit, Msg: msg(1), Groups: []string{"g"}, Service: evs.Agreed},
		evs.Event{Kind: evs.Named, Msg: msg(7), N: 1},
		evs.Event{Kind: evs.Stop})
	write(t, folder, "b", 2,
		evs.Event{Kind: evs.Start, T: 2000},
		evs.Event{Kind: evs.Dlv, Client: "d", Msg: msg(7)},
		evs.Event{Kind: evs.Dlv, Client: "d", Msg: msg(8)})
	traces, err := Load([]string{folder})
	if err != nil {
		t.Fatal(err)
	}
	if len(traces) != 2 || traces[0].Node != "a" || traces[0].Start != 990 || traces[1].Start != 2000 {
		t.Fatalf("traces %+v", traces)
	}
	if slices.ContainsFunc(traces[0].Events, func(e evs.Event) bool { return e.Kind == evs.Named }) {
		t.Error("a Named event is left")
	}
	if got := traces[1].Events; got[1].Msg.Seq != 1 || got[2].Msg.Seq != 8|Unnamed {
		t.Errorf("messages are %v and %v", got[1].Msg, got[2].Msg)
	}
}

// TestTornEnd: what a killed node did not finish writing is left out.
func TestTornEnd(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a", 1, event("a", 1, evs.Start))
	name := filepath.Join(folder, "a-1.jsonl")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, tail := range []string{"", `{"t":5,"no`, strings.Repeat("x", 10_000)} {
		if err := os.WriteFile(name, append(slices.Clone(data), tail...), 0o600); err != nil {
			t.Fatal(err)
		}
		traces, err := Load([]string{name})
		if err != nil || len(traces) != 1 || len(traces[0].Events) != 1 {
			t.Errorf("with %d bytes torn: %v, %v", len(tail), traces, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	empty, twice, mixed, broken := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	write(t, twice, "a", 1, event("a", 1, evs.Start))
	write(t, mixed, "a", 1, event("a", 1, evs.Start))
	more, err := os.ReadFile(filepath.Join(mixed, "a-1.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(more), `"boot":1`, `"boot":2`)
	if err := os.WriteFile(filepath.Join(mixed, "a-1.jsonl"), append(more, other...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "x.jsonl"), []byte("{\"ev\":\"nothing\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"nothing there", []string{filepath.Join(empty, "no")}, "does not exist"},
		{"an empty folder", []string{empty}, "start nodes with --trace"},
		{"one file twice", []string{twice, filepath.Join(twice, "a-1.jsonl")}, "name each file once"},
		{"two lives in a file", []string{mixed}, "one file a life"},
		{"no such event", []string{broken}, "does not exist"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Load(test.paths); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want something with %q", err, test.want)
			}
		})
	}
}

// TestDiskFull: a trace that cannot be written ends, the node goes on.
func TestDiskFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(full, slog.New(slog.DiscardHandler))
	const events = 100 * batchEvents
	for range events {
		w.Put(event("a", 1, evs.Start))
	}
	if err := w.Close(); err == nil || !errors.Is(err, w.err) {
		t.Errorf("closing a trace on a full disk: %v", err)
	}
	if w.Lost() != events {
		t.Errorf("%d of %d events are lost", w.Lost(), events)
	}
}

// TestGroupsOfASite: of a name that never leaves its site there is one group at each, and
// traces tell them apart. Private names stay what they are.
func TestGroupsOfASite(t *testing.T) {
	var groups []string
	note := func(e evs.Event) { groups = append(append(groups, e.Groups...), e.Group) }
	r := New(Config{Name: "n", Emit: note, Site: "fra", Scoped: func(g string) bool { return g != "wide" }})
	c := membership.ClientID{Node: 1, Session: 1}
	r.Connect(0, c, "u")
	r.Submit(0, c, &merge.Request{Kind: merge.Join, Groups: []string{"near"}})
	r.Submit(0, c, &merge.Request{Kind: merge.Send, Groups: []string{"wide", "near", "#u#n"}})
	if want := []string{"#u#n", "near#fra", "wide", "near#fra", "#u#n", ""}; !slices.Equal(groups, want) {
		t.Errorf("got %q, want %q", groups, want)
	}
}

// TestPlaceOfALocalJoin: a join that only its site sees stands behind what is delivered there.
func TestPlaceOfALocalJoin(t *testing.T) {
	c := membership.ClientID{Node: 1, Session: 1}
	for _, x := range []struct {
		behind merge.Place
		src    string
		t      int64
		n      uint64
	}{
		{merge.Place{T: 50, Src: 7, N: 3}, membership.InstanceID(7).String(), 50, 3},
		{merge.Place{T: 50}, lastSource, 50, math.MaxUint64},
		{merge.Place{T: -1}, lastSource, 0, math.MaxUint64},
	} {
		var join evs.Event
		r := New(Config{Name: "n", Emit: func(e evs.Event) {
			if e.Kind == evs.Join {
				join = e
			}
		}})
		r.Connect(0, c, "u")
		r.Note(&merge.TraceEvent{Kind: merge.TraceDeliver, Request: merge.Join, Client: c, Behind: x.behind})
		member := merge.Member{Client: c, Name: "u"}
		r.Step(0, &core.Effects{Merge: merge.Effects{Outputs: []merge.Output{{Kind: merge.OutView, To: []membership.ClientID{c},
			View: &merge.GroupView{ID: merge.GroupViewID{}, Cause: merge.CauseJoin, Changed: member, Group: "g", Members: []merge.Member{member}}}}}})
		if join.Src != x.src || join.T != x.t || join.N != x.n || join.Mode != "local" {
			t.Errorf("behind %v: %s, at %d of %s, number %d", x.behind, join.Mode, join.T, join.Src, join.N)
		}
	}
}
