package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"

	"ringway/client"
)

// A replica is a copy of the map and the way to change all copies.
type replica struct {
	session *client.Session
	group   string
	boot    string // tells the operations of this process from those of one before it

	mu      sync.Mutex
	machine *machine
	next    uint64
	pending map[string]chan outcome
	ready   chan struct{} // closed when operations are executed; another one when not
	was     bool
}

func newReplica(session *client.Session, group string, replicas []string) *replica {
	return &replica{
		session: session, group: group, boot: rand.Text(), machine: newMachine(group, session.Name(), replicas),
		pending: map[string]chan outcome{}, ready: make(chan struct{}),
	}
}

// run takes part until the context or the session ends.
func (r *replica) run(ctx context.Context) error {
	if err := r.session.Join(ctx, r.group); err != nil {
		return err
	}
	for {
		event, err := r.session.Receive(ctx)
		if err != nil {
			return err
		}
		r.mu.Lock()
		fx := r.machine.step(event)
		r.settle(fx)
		r.mu.Unlock()
		// Between a view and what it sends, nothing else of this replica's is sent that
		// depends on it: operations may come in any order.
		if len(fx.send) > 0 {
			if err := r.session.SendBatch(ctx, fx.send); err != nil {
				return err
			}
		}
	}
}

// settle tells those who wait.
func (r *replica) settle(fx effects) {
	for _, o := range fx.done {
		if waiter, ok := r.pending[o.id]; ok {
			delete(r.pending, o.id)
			waiter <- o
		}
	}
	if fx.lost {
		for id, waiter := range r.pending {
			delete(r.pending, id)
			waiter <- outcome{id: id, err: errUnknown}
		}
	}
	switch is := r.machine.isReady(); {
	case is && !r.was:
		close(r.ready)
		r.was = true
	case !is && r.was:
		r.ready, r.was = make(chan struct{}), false
	}
}

// waitReady waits until operations are executed.
func (r *replica) waitReady(ctx context.Context) error {
	r.mu.Lock()
	ready := r.ready
	r.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// do performs an operation on all copies and returns its outcome.
func (r *replica) do(ctx context.Context, op record) (outcome, error) {
	if len(op.Key) > maxKey || len(op.Value) > maxValue || len(op.Old) > maxValue {
		return outcome{}, fmt.Errorf("a key has at most %d bytes and a value %d", maxKey, maxValue)
	}
	waiter := make(chan outcome, 1)
	r.mu.Lock()
	r.next++
	op.Kind, op.ID = kindOp, r.boot+"-"+strconv.FormatUint(r.next, 10)
	r.pending[op.ID] = waiter
	r.mu.Unlock()
	err := r.session.Send(ctx, client.Message{Service: client.Safe, Groups: []string{r.group}, Data: op.encode()})
	if err == nil {
		select {
		case o := <-waiter:
			return o, o.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	r.mu.Lock()
	delete(r.pending, op.ID)
	r.mu.Unlock()
	return outcome{}, fmt.Errorf("%w (%w)", errUnknown, err)
}
