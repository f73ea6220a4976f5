package main

import (
	"encoding/json"
	"errors"
	"slices"

	"ringway/client"
)

// Outcomes of operations that are not executed, or of which nobody knows.
var (
	errNoMajority = errors.New("not executed: fewer than half of the replicas are in reach")
	errUnknown    = errors.New("it is not known whether it was executed: the connection or the majority was lost meanwhile")
	errFull       = errors.New("the map is full")
)

// A machine is one replica as a pure machine: events go in, messages and outcomes come
// out. It holds:
//
//	M1  A view is primary if more than half of all replicas are in it. Two primary views
//	    at a time are impossible: a replica has one name at one node.
//	M2  A member is ready if it has the map as the operations so far, in their order,
//	    make it. All members that move together agree who is ready.
//	M3  Who comes into a view that is not primary is not ready any more. So there is one
//	    line of maps, from primary view to primary view.
//	M4  An operation is executed at its place in the order, in a primary view, by all who
//	    are ready. Its outcome is told when it cannot be undone: messages are safe, and
//	    between a Transition and the next view outcomes wait for that view.
type machine struct {
	group    string
	replicas []string // private groups of all, those out of reach too
	self     string

	view    *client.View // nil: not in the group
	primary bool
	unsure  bool            // after a Transition
	ready   map[string]bool // members that have the map
	fresh   map[string]bool // members that said in this view that they never had it
	hadMap  bool            // this process has been ready

	state  map[string]string
	synced bool     // state is right, and everybody is about to hear it
	waits  []record // operations of this view, until the copy comes
	copied map[string]string
	held   []outcome // until the next view
}

// An outcome is the end of an operation of this replica's.
type outcome struct {
	id    string
	value string
	found bool // the key was there; for cas: it had the old value
	err   error
}

// Effects are what a step wants done.
type effects struct {
	send []client.Message
	done []outcome
	lost bool // all operations under way have an unknown outcome
}

func newMachine(group, self string, replicas []string) *machine {
	return &machine{group: group, self: self, replicas: replicas, ready: map[string]bool{}, fresh: map[string]bool{}}
}

// isReady says whether operations of this replica are executed.
func (m *machine) isReady() bool { return m.primary && m.ready[m.self] }

// step takes the next event.
func (m *machine) step(event client.Event) (fx effects) {
	switch e := event.(type) {
	case *client.View:
		m.install(e, &fx)
	case *client.Transition:
		m.unsure = true
	case *client.Gap:
		m.forget()
		fx.lost = true
	case *client.Message:
		var r record
		if json.Unmarshal(e.Data, &r) == nil && m.view != nil {
			m.take(e.Sender, r, &fx)
		}
	}
	return fx
}

// forget is for a replica that has missed something.
func (m *machine) forget() {
	m.view, m.primary, m.unsure, m.synced = nil, false, false, false
	m.state, m.copied, m.waits, m.held = nil, nil, nil, nil
	clear(m.ready)
	clear(m.fresh)
}

// install begins a view.
func (m *machine) install(v *client.View, fx *effects) {
	together := v.Members
	if v.Cause == client.ByNetwork {
		together = v.MovedTogether
	}
	if m.view == nil {
		together = nil // this replica has just come
	}
	for member := range m.ready {
		if !slices.Contains(together, member) || !slices.Contains(v.Members, member) {
			delete(m.ready, member)
		}
	}
	m.view, m.unsure, m.primary = v, false, m.majority(v.Members)
	if !m.primary {
		clear(m.ready)
	}
	for _, o := range m.held {
		if !m.primary {
			o = outcome{id: o.id, err: errUnknown}
		}
		fx.done = append(fx.done, o)
	}
	m.held = nil
	clear(m.fresh)
	m.begin(fx)
}

func (m *machine) majority(members []string) bool {
	n := 0
	for _, r := range m.replicas {
		if slices.Contains(members, r) {
			n++
		}
	}
	return 2*n > len(m.replicas)
}

// begin gives the map to those who lack it, or asks for it.
func (m *machine) begin(fx *effects) {
	if m.ready[m.self] {
		if donor := m.view.Members[slices.IndexFunc(m.view.Members, m.isMemberReady)]; donor == m.self {
			for _, member := range m.view.Members {
				if !m.ready[member] {
					fx.send = append(fx.send, pieces(m.state, m.view.ID.String(), member)...)
				}
			}
		}
		return
	}
	// What was done with these, only the others know.
	m.fail(m.waits, errUnknown, fx)
	m.state, m.synced, m.waits, m.copied = nil, false, nil, map[string]string{}
	fx.send = append(fx.send, m.announce(record{Kind: kindHello, Fresh: !m.hadMap}))
}

func (m *machine) isMemberReady(member string) bool { return m.ready[member] }

// announce makes a message to all of this view.
func (m *machine) announce(r record) client.Message {
	r.View = m.view.ID.String()
	return client.Message{Service: client.Safe, Groups: []string{m.group}, Data: r.encode()}
}

// take acts on a record in its place in the order.
func (m *machine) take(sender string, r record, fx *effects) {
	now := r.View == m.view.ID.String()
	switch {
	case r.Kind == kindOp:
		m.operation(sender, r, fx)
	case r.Kind == kindHello && now:
		m.fresh[sender] = r.Fresh
		m.found(fx)
	case r.Kind == kindPiece && now && !m.synced && !m.ready[m.self]:
		for k, v := range r.Part {
			m.copied[k] = string(v)
		}
		if r.Last {
			m.sync(fx)
		}
	case r.Kind == kindReady && now && m.primary:
		m.ready[sender] = true
		m.hadMap = m.hadMap || sender == m.self
	}
}

// found begins with an empty map, when all replicas are here and none ever had one.
func (m *machine) found(fx *effects) {
	for _, r := range m.replicas {
		if !m.fresh[r] {
			return
		}
	}
	if len(m.ready) > 0 {
		return
	}
	for _, member := range m.view.Members {
		if !m.fresh[member] {
			return
		}
	}
	for _, member := range m.view.Members {
		m.ready[member] = true
	}
	m.fail(m.waits, errNoMajority, fx) // before the beginning
	m.state, m.synced, m.waits, m.hadMap = map[string]string{}, true, nil, true
}

// sync takes the copy as the map at the beginning of the view, and does what came since.
func (m *machine) sync(fx *effects) {
	m.state, m.copied, m.synced = m.copied, nil, true
	for _, r := range m.waits {
		m.execute(m.self, r, fx)
	}
	m.waits = nil
	fx.send = append(fx.send, m.announce(record{Kind: kindReady}))
}

// fail ends operations of this replica's among the records.
func (m *machine) fail(records []record, err error, fx *effects) {
	for _, r := range records {
		fx.done = append(fx.done, outcome{id: r.ID, err: err})
	}
}

// maxWaits bounds the operations that wait for a copy of the map; a replica that is so
// far behind asks again in the next view.
const maxWaits = 100_000

func (m *machine) operation(sender string, r record, fx *effects) {
	switch {
	case !m.primary:
		if sender == m.self {
			m.fail([]record{r}, errNoMajority, fx)
		}
	case m.ready[m.self] || m.synced:
		m.execute(sender, r, fx)
	case len(m.waits) < maxWaits:
		if sender != m.self {
			r.ID = "" // somebody else waits for the outcome
		}
		m.waits = append(m.waits, r)
	default:
		m.copied = map[string]string{}
		m.view = nil // deaf until the next view
	}
}

// execute changes the map, and tells the outcome if it is this replica's operation.
func (m *machine) execute(sender string, r record, fx *effects) {
	value, found := m.state[r.Key]
	o := outcome{id: r.ID, value: value, found: found}
	switch r.Op {
	case "set":
		if !found && len(m.state) >= maxKeys {
			o.err = errFull
			break
		}
		m.state[r.Key] = string(r.Value)
	case "cas":
		if o.found = found && value == string(r.Old); o.found {
			m.state[r.Key] = string(r.Value)
		}
	case "del":
		delete(m.state, r.Key)
	}
	if sender != m.self || r.ID == "" {
		return
	}
	if m.unsure {
		m.held = append(m.held, o)
		return
	}
	fx.done = append(fx.done, o)
}
