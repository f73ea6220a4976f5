package session

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"ringway/internal/spread"
	"ringway/site/merge"
	"ringway/topology"
)

// Calls of one session: each walks all groups, in the node's loop.
const (
	callsPerSecond = 20
	callsAtOnce    = 100
)

// call answers an extension call, behind what was delivered before.
func (r *reader) call(h *spread.Header, body []byte) error {
	if r.calls == nil {
		r.calls = rate.NewLimiter(callsPerSecond, callsAtOnce)
	}
	if err := r.throttle(r.calls); err != nil {
		return err
	}
	if err := r.submit(); err != nil {
		return err
	}
	switch kind := h.CallKind(); kind {
	case spread.CallGroups:
		call, err := spread.ParseGroupsCall(h, body)
		if err != nil {
			return err
		}
		return r.listGroups(call)
	case spread.CallMembers:
		call, err := spread.ParseMembersCall(h, body)
		if err != nil {
			return err
		}
		return r.listMembers(call)
	case spread.CallView:
		call, err := spread.ParseViewCall(h, body)
		if err != nil {
			return err
		}
		answer, ok := r.session.server.backend.View()
		if !ok {
			return errStops
		}
		answer.Tag = call.Tag
		r.session.queue(spread.AppendViewAnswer(nil, answer), nil)
		return nil
	default:
		return fmt.Errorf("extension call %d is not known", kind)
	}
}

// listGroups answers with the groups that the session may send to or join.
func (r *reader) listGroups(call spread.GroupsCall) error {
	pattern := cmp.Or(call.Pattern, "*")
	all, ok := r.session.server.backend.Groups()
	if !ok {
		return errStops
	}
	all = slices.DeleteFunc(all, func(g GroupInfo) bool {
		return g.Name <= call.After || !topology.Matches(pattern, g.Name) || !r.sees(g.Name)
	})
	slices.SortFunc(all, func(a, b GroupInfo) int { return strings.Compare(a.Name, b.Name) })
	more := len(all) > spread.MaxListed
	answer := spread.GroupsAnswer{Tag: call.Tag, More: more, Groups: all[:min(len(all), spread.MaxListed)]}
	r.session.queue(spread.AppendGroupsAnswer(nil, answer), nil)
	return nil
}

// listMembers answers with the members of a group; nobody, if the session may neither
// send to it nor join it.
func (r *reader) listMembers(call spread.MembersCall) error {
	var members []merge.Member
	answer := spread.MembersAnswer{Tag: call.Tag, Group: call.Group}
	if r.sees(call.Group) {
		var ok bool
		if members, answer.Complete, ok = r.session.server.backend.Members(call.Group); !ok {
			return errStops
		}
	}
	encoder := &r.session.server.encoder
	names := encoder.sorted(members)
	from := min(call.From, len(names))
	answer.Total, answer.Members = len(names), names[from:min(len(names), from+spread.MaxListed)]
	r.session.queue(spread.AppendMembersAnswer(nil, answer), nil)
	return nil
}

// sees says whether the session has to do with a group at all.
func (r *reader) sees(group string) bool {
	who := r.session.id.Name
	return r.rules.MaySend(who, group) || r.rules.MayJoin(who, group)
}
