package evs

import (
	"fmt"
	"slices"
)

// primaryLine is P29: primary views are a line. A view is primary at all who install it or
// at none, and each has an instance of the one before it, unless all those are gone: so
// there are never two that do not know of each other.
func primaryLine(h *history, r *report) {
	type installed struct {
		first *Event
		at    int64 // when the first node installed it
	}
	views := map[ViewID]*installed{}
	last := map[string]int64{} // of each instance: its latest event, by the common clock
	h.eachNodeEvent(func(n *node, e *Event) {
		if e.Inst != "" {
			last[e.Inst] = max(last[e.Inst], n.now(e))
		}
		if e.Kind != View {
			return
		}
		v := views[e.View]
		switch {
		case v == nil:
			views[e.View] = &installed{e, n.now(e)}
		case v.first.Primary != e.Primary:
			r.add(Violation{View: e.View, Explain: fmt.Sprintf("view %v is primary at one of %s and %s only", e.View, v.first.Node, e.Node)}, v.first, e)
		default:
			v.at = min(v.at, n.now(e))
		}
	})
	var line []*installed
	for _, v := range views {
		if v.first.Primary {
			line = append(line, v)
		}
	}
	slices.SortFunc(line, func(a, b *installed) int {
		if a.first.View.Less(b.first.View) {
			return -1
		}
		return 1
	})
	for i := 1; i < len(line); i++ {
		before, v := line[i-1], line[i]
		if slices.ContainsFunc(v.first.Members, func(x string) bool { return slices.Contains(before.first.Members, x) }) {
			continue
		}
		// Where everything crashed, views are numbered anew.
		older, newer := before, v
		if newer.at < older.at {
			older, newer = newer, older
		}
		if slices.ContainsFunc(older.first.Members, func(x string) bool { return last[x] > newer.at }) {
			r.add(Violation{View: v.first.View, Explain: fmt.Sprintf("primary view %v of %v has nobody of %v, the primary view before it, of %v",
				v.first.View, v.first.Members, before.first.View, before.first.Members)}, before.first, v.first)
		}
	}
}

// lacksClock: P29 asks who lived when.
func lacksClock(h *history) string {
	if h.opts.OneClock {
		return ""
	}
	return "the nodes' clocks cannot be compared"
}
