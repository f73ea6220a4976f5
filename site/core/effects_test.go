package core

import (
	"slices"
	"testing"

	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

func record(n uint64) merge.Record { return merge.Record{N: n} }

func state(instance membership.InstanceID, epoch uint64) *merge.State {
	return &merge.State{Instance: instance, View: membership.ViewID{Epoch: epoch, Proposer: 1}}
}

func numbers(records []merge.Record) []uint64 {
	var ns []uint64
	for _, r := range records {
		ns = append(ns, r.N)
	}
	return ns
}

// TestEffectsAddUp: steps append in order, the last state and the highest trim
// stand, and records never change their log (R2, R3).
func TestEffectsAddUp(t *testing.T) {
	out := func(group string) merge.Output { return merge.Output{Kind: merge.OutLeft, Group: group} }
	for _, test := range []struct {
		name                   string
		steps                  []merge.Effects
		outputs                string
		ended, records         []uint64
		trim                   uint64
		epoch                  uint64
		promises, control, bad int
	}{
		{name: "nothing"},
		{name: "order is kept", steps: []merge.Effects{
			{Outputs: []merge.Output{out("a"), out("b")}, Records: []merge.Record{record(1)}, Promises: [][]byte{{1}}},
			{Outputs: []merge.Output{out("c")}, Records: []merge.Record{record(2)}, Trim: 1, Controls: []merge.Control{{}}},
			{Trim: 0, Faults: []merge.Fault{{}}},
		}, outputs: "abc", records: []uint64{1, 2}, trim: 1, promises: 1, control: 1, bad: 1},
		{name: "a state of the same log changes nothing else", steps: []merge.Effects{
			{State: state(1, 1)},
			{Records: []merge.Record{record(1)}, Trim: 1},
			{State: state(1, 1), Records: []merge.Record{record(2)}},
		}, epoch: 1, records: []uint64{1, 2}, trim: 1},
		{name: "records before a new log end the old one", steps: []merge.Effects{
			{Records: []merge.Record{record(7)}, Trim: 5},
			{State: state(1, 2), Records: []merge.Record{record(0)}},
			{Records: []merge.Record{record(1)}, Trim: 1},
		}, epoch: 2, ended: []uint64{7}, records: []uint64{0, 1}, trim: 1},
		{name: "a log that begins and ends within the step has no place", steps: []merge.Effects{
			{Records: []merge.Record{record(7)}},
			{State: state(1, 2), Records: []merge.Record{record(0)}, Trim: 9},
			{State: state(1, 3), Records: []merge.Record{record(0), record(1)}},
		}, epoch: 3, ended: []uint64{7}, records: []uint64{0, 1}},
		{name: "controls go out in a new view", steps: []merge.Effects{
			{State: state(1, 1), Controls: []merge.Control{{}}},
			{State: state(1, 2), Controls: []merge.Control{{}}},
		}, epoch: 2, control: 2},
		{name: "controls of another instance do not", steps: []merge.Effects{
			{State: state(1, 1), Controls: []merge.Control{{}, {}}},
			{State: state(2, 2), Controls: []merge.Control{{}}},
		}, epoch: 2, control: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Core
			var fx Effects
			for range 2 { // the second time with memory that was used before
				c.log = logKey{}
				fx.Reset()
				if !fx.Empty() {
					t.Fatal("not empty after Reset")
				}
				for _, step := range test.steps {
					step.Outputs, step.Records = slices.Clone(step.Outputs), slices.Clone(step.Records) // take empties them
					step.Promises, step.Controls, step.Faults = slices.Clone(step.Promises), slices.Clone(step.Controls), slices.Clone(step.Faults)
					c.mergeFx = step
					c.take(&fx)
				}
			}
			outputs := ""
			for _, o := range fx.Merge.Outputs {
				outputs += o.Group
			}
			if outputs != test.outputs {
				t.Errorf("outputs %q, want %q", outputs, test.outputs)
			}
			if got := numbers(fx.Ended); !slices.Equal(got, test.ended) {
				t.Errorf("ended %v, want %v", got, test.ended)
			}
			if got := numbers(fx.Merge.Records); !slices.Equal(got, test.records) {
				t.Errorf("records %v, want %v", got, test.records)
			}
			if fx.Merge.Trim != test.trim {
				t.Errorf("trim %d, want %d", fx.Merge.Trim, test.trim)
			}
			epoch := uint64(0)
			if fx.Merge.State != nil {
				epoch = fx.Merge.State.View.Epoch
			}
			if epoch != test.epoch || len(fx.Merge.Promises) != test.promises || len(fx.Merge.Controls) != test.control || len(fx.Merge.Faults) != test.bad {
				t.Errorf("epoch %d, %d promises, %d controls, %d faults", epoch, len(fx.Merge.Promises), len(fx.Merge.Controls), len(fx.Merge.Faults))
			}
			if fx.Empty() != (len(test.steps) == 0) {
				t.Errorf("Empty() = %v", fx.Empty())
			}
		})
	}
}

func TestResetKeepsNothing(t *testing.T) {
	fx := Effects{Send: []ring.Packet{{Data: []byte{1}}}, Rings: []Ring{{View: &ring.View{}}}, Ended: []merge.Record{record(1)}, switched: true}
	fx.Merge.Outputs = []merge.Output{{Group: "g"}}
	fx.Reset()
	if !fx.Empty() || fx.switched || fx.Send[:1][0].Data != nil || fx.Rings[:1][0].View != nil {
		t.Errorf("left over: %+v", fx)
	}
}
