package evs

import (
	"fmt"
	"slices"
)

// waits counts, at one node, what rules made wait, stay or come by another way: events that
// show a rule at work only together with those before them.
type waits struct {
	cover    Coverage
	services map[Message]string
	came     map[string]int64 // of this view: when a record was taken in, or a message accepted
	filled   []string         // sources of the records that Fills have brought
	cut      *Event           // of this view, if there is one
	newest   ViewID           // that the clients of the node have seen
	behind   bool             // the node came to an instance whose view is older
}

// pass takes the node's next event; signal is that of its view, if it was given.
func (w *waits) pass(e, signal *Event) {
	switch e.Kind {
	case Import:
		w.took(e)
	case Send:
		if e.Mode == "fed" {
			w.came[e.Msg.String()] = e.At
		}
	case Dlv:
		w.delivered(e)
	case Cut:
		w.cut = e
		for _, src := range w.filled {
			if !slices.Contains(e.C, src) {
				w.cover["records of lost sites that others brought (X3)"]++
			}
		}
		w.filled = nil
	case Sig:
		w.newest = newer(w.newest, e.View)
		if len(e.TS) == 0 && w.cut != nil {
			w.cover["views closed alone that had a cut (N6)"]++
		}
	case View:
		if w.cut != nil && signal != nil && w.cut.PI != e.View {
			w.cover["cuts that stayed while another proposal came (X7)"]++
		}
		w.begin()
	case Lineage:
		if e.Role != "heir" {
			w.begin()
			w.behind = e.View.Less(w.newest)
		}
	case Attach:
		if w.behind {
			w.cover["returns that waited for a view newer than the instance had (N8, Bump)"]++
		}
		w.behind, w.newest = false, newer(w.newest, e.View)
	}
}

// begin is the begin of a view.
func (w *waits) begin() {
	clear(w.came)
	w.filled, w.cut = nil, nil
}

func newer(v, than ViewID) ViewID {
	if v.Less(than) {
		return than
	}
	return v
}

// took is a record of another site.
func (w *waits) took(e *Event) {
	w.came[place(e)] = e.At
	if e.Phase == Transitional {
		w.cover["records that Fills brought (X3)"]++
		w.filled = append(w.filled, e.Src)
	}
}

// delivered counts fifo messages that were here before they were delivered.
func (w *waits) delivered(e *Event) {
	if w.services[e.Msg] != FIFO {
		return
	}
	at, ok := w.came[place(e)]
	if e.Src == e.Inst {
		at, ok = w.came[e.Msg.String()]
	}
	if ok && at < e.At {
		w.cover["fifo messages that waited for earlier ones of their sender (D4)"]++
	}
}

func place(e *Event) string { return fmt.Sprintf("%s/%d", e.Src, e.N) }
