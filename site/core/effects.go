package core

import (
	"ringway/membership"
	"ringway/site/merge"
	"ringway/site/ring"
)

// Effects is what a step wants done, in the order of the fields: Send goes to the
// LAN; Knock has nodes at whose hosts to knock, see ring.Effects; Rings to the log; Ended to the end of this site's present log, if anybody still pulls it;
// then Merge, in the order of its own fields. Merge.Kick is never set.
//
// Steps append; several may share one Effects before the shell carries it out.
type Effects struct {
	Send  []ring.Packet
	Knock []membership.NodeID
	Rings []Ring // that were installed, oldest first
	// Ended has records of the log that was in force when the Effects were
	// empty, if Merge.State names another log. A log that both began and ended
	// in between has no place: nobody can have pulled from it.
	Ended []merge.Record
	Merge merge.Effects

	switched bool // Merge.State names another log than the one before
}

// A Ring is a ring that was installed and its place among the outputs.
type Ring struct {
	View    *ring.View
	Outputs int // how many of Merge.Outputs came before it
}

// Reset empties fx and keeps its memory.
func (fx *Effects) Reset() {
	clear(fx.Send)
	clear(fx.Rings)
	clear(fx.Ended)
	fx.Knock = fx.Knock[:0]
	fx.Send, fx.Rings, fx.Ended, fx.switched = fx.Send[:0], fx.Rings[:0], fx.Ended[:0], false
	fx.Merge.Reset()
}

// Empty says that there is nothing to do.
func (fx *Effects) Empty() bool {
	m := &fx.Merge
	return len(fx.Send)+len(fx.Knock)+len(fx.Rings)+len(fx.Ended)+len(m.Outputs)+len(m.Records)+len(m.Promises)+len(m.Controls)+len(m.Datagrams)+len(m.Faults)+len(m.Evicted) == 0 &&
		m.State == nil && m.Trim == 0
}

// endLog puts aside what was collected for the log that ends now.
func (fx *Effects) endLog() {
	if !fx.switched {
		fx.Ended = append(fx.Ended, fx.Merge.Records...)
		fx.switched = true
	}
	clear(fx.Merge.Records)
	fx.Merge.Records, fx.Merge.Trim = fx.Merge.Records[:0], 0
}

// forgetControls drops what the node had to say as part of another instance, unreliable
// messages too: it would go out in the name of the present one, and an honest gateway would be called false. Controls
// may be lost; whoever still needs an answer repeats them.
func (fx *Effects) forgetControls() {
	clear(fx.Merge.Controls)
	clear(fx.Merge.Datagrams)
	fx.Merge.Controls, fx.Merge.Datagrams = fx.Merge.Controls[:0], fx.Merge.Datagrams[:0]
}

// add appends what one step of the Replica wants done.
func (fx *Effects) add(step *merge.Effects) {
	sum := &fx.Merge
	if step.State != nil {
		sum.State = step.State
	}
	sum.Trim = max(sum.Trim, step.Trim)
	extend(&sum.Outputs, step.Outputs)
	extend(&sum.Records, step.Records)
	extend(&sum.Promises, step.Promises)
	extend(&sum.Controls, step.Controls)
	extend(&sum.Datagrams, step.Datagrams)
	extend(&sum.Faults, step.Faults)
	extend(&sum.Evicted, step.Evicted)
}

// extend appends more, which is nothing for most.
func extend[T any](list *[]T, more []T) {
	if len(more) > 0 {
		*list = append(*list, more...)
	}
}
