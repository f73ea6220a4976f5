package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"ringway/client"
	"ringway/internal/testnode"
)

func TestMain(m *testing.M) { testnode.Main(m) }

// A result is what an operation answered. An unknown one may have been executed at any
// time after it was asked for, or never.
type result struct {
	outcome
	unknown bool
}

// A cell is the value of one key.
type cell struct {
	value string
	there bool
}

// model is one key of the map as a single process would have it.
var model = porcupine.Model{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		keys := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(record).Key
			keys[key] = append(keys[key], op)
		}
		for _, part := range keys {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return cell{} },
	Step: func(state, input, output any) (bool, any) {
		before, op, got := state.(cell), input.(record), output.(result)
		after, found := before, before.there
		switch op.Op {
		case "set":
			after = cell{string(op.Value), true}
		case "del":
			after = cell{}
		case "cas":
			if found = before.there && before.value == string(op.Old); found {
				after = cell{string(op.Value), true}
			}
		}
		return got.unknown || got.found == found && got.value == before.value, after
	},
}

// A history collects what happened.
type history struct {
	mu    sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

// perform does a random operation and notes it, unless it certainly was not executed.
func (h *history) perform(ctx context.Context, r *replica, random *rand.Rand) {
	const keys, values = 3, 5
	op := record{
		Op: []string{"set", "get", "get", "cas", "del"}[random.IntN(5)], Key: fmt.Sprint("k", random.IntN(keys)),
		Value: fmt.Append(nil, random.IntN(values)), Old: fmt.Append(nil, random.IntN(values)),
	}
	call := time.Since(h.start).Nanoseconds()
	o, err := r.do(ctx, op)
	end := time.Since(h.start).Nanoseconds()
	if errors.Is(err, errNoMajority) {
		return
	}
	if err != nil {
		end = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{Input: op, Call: call, Output: result{o, err != nil}, Return: end})
}

// known returns how many operations have an outcome.
func (h *history) known() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, op := range h.ops {
		if !op.Output.(result).unknown {
			n++
		}
	}
	return n
}

// startReplica runs a replica at a node until the test ends.
func startReplica(t *testing.T, f *testnode.Federation, name, node string, replicas []string) *replica {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	session, err := client.Open(ctx, []string{f.Address(node)}, client.SessionOptions{
		Options: client.Options{Name: name, Membership: true}, MaxWait: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := newReplica(session, "map", replicas)
	done := make(chan error, 1)
	go func() { done <- r.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		session.Close()
		if err := <-done; !errors.Is(err, context.Canceled) && !errors.Is(err, client.ErrConnection) {
			t.Errorf("replica %s ended with %v", name, err)
		}
	})
	return r
}

func ready(t *testing.T, r *replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := r.waitReady(ctx); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		t.Fatalf("%s is not ready: %v in view %v, ready %v", r.machine.self, err, r.machine.view, r.machine.ready)
	}
}

// TestLinearizable works on the map from three replicas while the node of one of them is
// killed and started again, and holds what was answered against a single process.
func TestLinearizable(t *testing.T) {
	f := testnode.Start(t, testnode.Site{Name: "lon", Nodes: 3})
	replicas := []string{"#a#lon-1", "#b#lon-2", "#c#lon-3"}
	all := []*replica{}
	for i, name := range []string{"a", "b", "c"} {
		all = append(all, startReplica(t, f, name, fmt.Sprint("lon-", i+1), replicas))
	}
	for _, r := range all {
		ready(t, r)
	}

	h := &history{start: time.Now()}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stop := make(chan struct{})
	var working sync.WaitGroup
	for i, r := range all {
		for j := range 2 {
			random := rand.New(rand.NewPCG(uint64(i), uint64(j)))
			working.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if r.waitReady(ctx) != nil {
						return
					}
					h.perform(ctx, r, random)
				}
			})
		}
	}
	more := func(n int) {
		t.Helper()
		from := h.known()
		f.Eventually("operations to go on", func() bool { return h.known() >= from+n })
	}
	more(300)
	f.Kill("lon-2")
	more(300)
	f.Start("lon-2")
	f.Eventually("replica b to come back", func() bool {
		all[1].mu.Lock()
		defer all[1].mu.Unlock()
		return all[1].machine.isReady() && all[1].session.Name() == "#b#lon-2"
	})
	more(300)
	close(stop)
	working.Wait()

	switch porcupine.CheckOperationsTimeout(model, h.ops, time.Minute) {
	case porcupine.Illegal:
		t.Errorf("%d operations, %d with an outcome: no single process could have answered so", len(h.ops), h.known())
	case porcupine.Unknown:
		t.Logf("%d operations: the checker came to no end", len(h.ops))
	}
	var copies []string
	for _, r := range all {
		o, err := r.do(ctx, record{Op: "get", Key: "k0"})
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, o.value)
	}
	if len(slices.Compact(copies)) != 1 {
		t.Errorf("copies differ: %q", copies)
	}
	t.Logf("%d operations, %d of unknown outcome", len(h.ops), len(h.ops)-h.known())
}

// TestTheCheckerNotices makes sure that a map which answers from an old copy is found out.
func TestTheCheckerNotices(t *testing.T) {
	op := func(call, end int64, in record, out outcome) porcupine.Operation {
		in.Key = "k"
		return porcupine.Operation{Input: in, Call: call, Output: result{outcome: out}, Return: end}
	}
	set := op(1, 2, record{Op: "set", Value: []byte("x")}, outcome{})
	stale := op(3, 4, record{Op: "get"}, outcome{})
	right := op(3, 4, record{Op: "get"}, outcome{value: "x", found: true})
	if porcupine.CheckOperations(model, []porcupine.Operation{set, stale}) || !porcupine.CheckOperations(model, []porcupine.Operation{set, right}) {
		t.Error("it does not")
	}
}
