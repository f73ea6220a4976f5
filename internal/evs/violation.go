package evs

import (
	"fmt"
	"strings"
)

// A Violation is a predicate that does not hold, and the shortest proof of it.
type Violation struct {
	Predicate string
	Client    string  // if it concerns one
	Message   Message // if it concerns one
	View      ViewID  // if it concerns one
	Explain   string
	Evidence  []Event
}

func (v Violation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", v.Predicate, v.Explain)
	for _, e := range v.Evidence {
		fmt.Fprintf(&b, "\n    %s", e.brief())
	}
	return b.String()
}

// brief renders what matters of an event in one line.
func (e *Event) brief() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%.6fs %s %s", float64(e.At)/1e9, e.Node, e.Kind)
	put := func(name string, value any, set bool) {
		if set {
			fmt.Fprintf(&b, " %s=%v", name, value)
		}
	}
	put("ring", fmt.Sprintf("%s/%d", e.Ring, e.RSeq), e.Ring != "")
	put("inst", e.Inst, e.Inst != "")
	put("view", e.View, e.View != ViewID{})
	put("client", e.Client, e.Client != "")
	put("msg", e.Msg, e.Msg.Client != "")
	put("svc", e.Service, e.Service != "")
	put("group", e.Group, e.Group != "")
	put("groups", e.Groups, len(e.Groups) > 0)
	put("mode", e.Mode, e.Mode != "")
	put("src", e.Src, e.Src != "")
	put("T", e.T, e.T != 0)
	put("n", e.N, e.T != 0 || e.N != 0)
	put("D", e.D, len(e.D) > 0)
	put("idx", e.Idx, e.Kind == Import || e.Kind == Promise)
	put("to", e.To, e.To != "")
	put("P", e.P, e.P != 0)
	put("dir", e.Dir, e.Dir != "")
	put("why", e.Why, e.Why != "")
	put("id", e.ID, e.ID != "")
	put("members", e.Members, len(e.Members) > 0)
	put("ts", e.TS, len(e.TS) > 0)
	put("tsn", e.TSN, len(e.TSN) > 0)
	put("without", e.Without, len(e.Without) > 0)
	return b.String()
}
