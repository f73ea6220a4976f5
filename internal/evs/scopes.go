package evs

import "slices"

// A session with independent scopes gives up that its local messages come behind what it
// sent to other sites before, and nothing else: the order of what it sends to one group, of
// its federated messages, of its local ones, and of a local one before a federated one stay
// (P10). So the past of its local message has no federated message of its own to other
// groups, unless it came back to it before, or is in the past of something that did (P11).
// What is not known to be local or federated may be either.

// mayBeLocal says whether a message may have gone ahead of federated ones of its sender.
func (m *message) mayBeLocal() bool { return m.free && (m.near || m.accepted == nil) }

// mayBeFederated says whether a local one may have gone ahead of it.
func (m *message) mayBeFederated() bool { return !m.near || m.federated() != nil }

// meets says whether two messages have a group in common.
func (m *message) meets(o *message) bool {
	return slices.ContainsFunc(m.groups, func(g string) bool { return slices.Contains(o.groups, g) })
}

// Lanes of a sender's messages. Those of strict sessions have the first alone.
const (
	laneAll       = ""
	laneFederated = "federated"
	laneGroup     = "group " // and its name
)

// lanes returns where a message stands in its sender's order.
func (m *message) lanes() []string {
	if !m.free {
		return []string{laneAll}
	}
	lanes := append(m.groupLanes(), laneAll)
	if !m.mayBeLocal() {
		lanes = append(lanes, laneFederated)
	}
	return lanes
}

// behind returns in which lanes nothing that was sent later may come before a message.
func (m *message) behind() []string {
	if !m.free || !m.mayBeFederated() {
		return []string{laneAll}
	}
	return append(m.groupLanes(), laneFederated)
}

func (m *message) groupLanes() []string {
	lanes := make([]string, 0, len(m.groups)+2)
	for _, g := range m.groups {
		lanes = append(lanes, laneGroup+g)
	}
	return lanes
}
