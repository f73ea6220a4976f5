//go:build linux

package scenario

import (
	"fmt"
	"slices"

	"ringway/client"
)

// A transcript is what one session did and saw.
type transcript struct {
	Site    string
	Name    string
	Tag     uint32
	Log     []Record
	Sent    []Sent
	Crashed bool // it ended before the run did: its node was killed
}

// maxVerdicts bounds what is reported: one fault tends to show in many places.
const maxVerdicts = 20

// A judge compares transcripts with what is promised to clients.
type judge struct {
	transcripts []*transcript
	byTag       map[uint32]*transcript
	byName      map[string][]*transcript
	seen        []*seen // of each transcript
	verdicts    []string
}

// seen is a transcript's log, arranged.
type seen struct {
	*transcript
	has    map[MessageID]bool
	views  map[string][]*epoch // of each group, in order
	before map[viewKey]*epoch  // the one before each view, or nil
}

// An epoch is what a session got of a group from one view to the next, or to its
// leaving.
type epoch struct {
	view     *client.View
	place    int  // of the view in the log
	signal   bool // seen
	interim  bool // it was seen at once: the view is one in the middle of a change
	next     *epoch
	messages []placed
}

// placed is a message of an epoch.
type placed struct {
	id      MessageID
	service client.Service
	late    bool // after the signal
}

type viewKey struct{ group, id string }

func keyOf(v *client.View) viewKey { return viewKey{v.Group, v.ID.String()} }

// Judge says in what the sessions' records contradict each other or the guarantees of
// docs/services.md, at most maxVerdicts times. The sessions must have been closed.
func Judge(sessions []*Session) []string {
	var all []*transcript
	var verdicts []string
	for _, s := range sessions {
		s.mu.Lock()
		t := &transcript{Site: s.Site, Name: s.Name, Tag: s.Tag, Log: s.log, Sent: s.sent, Crashed: s.crashed}
		for _, err := range s.broken {
			verdicts = append(verdicts, fmt.Sprintf("%s: %v", s.Name, err))
		}
		s.mu.Unlock()
		all = append(all, t)
	}
	return append(verdicts, judgeAll(all)...)
}

func judgeAll(all []*transcript) []string {
	j := &judge{transcripts: all, byTag: map[uint32]*transcript{}, byName: map[string][]*transcript{}}
	for _, t := range all {
		j.byTag[t.Tag] = t
		j.byName[t.Name] = append(j.byName[t.Name], t)
	}
	for _, t := range all {
		j.seen = append(j.seen, j.arrange(t))
	}
	j.ownMessages()
	j.viewsAgree()
	j.synchrony()
	j.safe()
	j.order()
	return j.verdicts
}

func (j *judge) accuse(format string, args ...any) {
	if len(j.verdicts) < maxVerdicts {
		j.verdicts = append(j.verdicts, fmt.Sprintf(format, args...))
	}
}

// arrange goes through a log and checks what one log alone can tell: integrity, no
// duplicates, the senders' order, views that have this session and do not repeat.
func (j *judge) arrange(t *transcript) *seen {
	s := &seen{transcript: t, has: map[MessageID]bool{}, views: map[string][]*epoch{}, before: map[viewKey]*epoch{}}
	open := map[string]*epoch{} // of the groups that it is a member of
	last := map[uint32]uint64{}
	for i := range t.Log {
		r := &t.Log[i]
		switch {
		case r.View != nil:
			j.enter(s, open, i, r.View)
		case r.Signal != "":
			if e := open[r.Signal]; e == nil {
				j.accuse("%s: a signal of %s, of which it is no member", t.Name, r.Signal)
			} else {
				e.signal = true
				e.interim = e.interim || i == e.place+1
			}
		case r.Left != "":
			if open[r.Left] == nil {
				j.accuse("%s: left %s, of which it is no member", t.Name, r.Left)
			}
			delete(open, r.Left)
		default:
			j.deliver(s, open, last, r)
		}
	}
	return s
}

func (j *judge) enter(s *seen, open map[string]*epoch, place int, v *client.View) {
	if !slices.Contains(v.Members, s.Name) {
		j.accuse("%s: view %s of %s is not its own: %v", s.Name, v.ID, v.Group, v.Members)
	}
	if v.Cause == client.ByNetwork {
		j.sets(s, v)
	}
	if _, again := s.before[keyOf(v)]; again {
		j.accuse("%s: view %s of %s came twice", s.Name, v.ID, v.Group)
	}
	previous := open[v.Group]
	s.before[keyOf(v)] = previous
	e := &epoch{view: v, place: place}
	if previous != nil {
		previous.next = e
	}
	open[v.Group] = e
	s.views[v.Group] = append(s.views[v.Group], e)
}

// sets checks that those of a view by the network divide its members, and that the
// own one has the session.
func (j *judge) sets(s *seen, v *client.View) {
	var union []string
	own := false
	for _, set := range v.Sets {
		union = append(union, set...)
		own = own || slices.Equal(set, v.MovedTogether)
	}
	if !sameSet(union, v.Members) || !own || !slices.Contains(v.MovedTogether, s.Name) {
		j.accuse("%s: view %s of %s has members %v, sets %v, own set %v", s.Name, v.ID, v.Group, v.Members, v.Sets, v.MovedTogether)
	}
}

func (j *judge) deliver(s *seen, open map[string]*epoch, last map[uint32]uint64, r *Record) {
	m := r.Message
	from := j.byTag[m.Tag]
	if from == nil || m.Seq == 0 || m.Seq > uint64(len(from.Sent)) {
		j.accuse("%s: message %v, which nobody sent", s.Name, m)
		return
	}
	sent := &from.Sent[m.Seq-1]
	if sent.Service != r.Service || !slices.Equal(sent.Groups, r.Groups) {
		j.accuse("%s: message %d of %s came as %v to %v, was sent as %v to %v", s.Name, m.Seq, from.Name, r.Service, r.Groups, sent.Service, sent.Groups)
	}
	if s.has[m] {
		j.accuse("%s: message %d of %s came twice", s.Name, m.Seq, from.Name)
	}
	s.has[m] = true
	if r.Service >= client.FIFO {
		if last[m.Tag] > m.Seq {
			j.accuse("%s: message %d of %s came after %d", s.Name, m.Seq, from.Name, last[m.Tag])
		}
		last[m.Tag] = m.Seq
	}
	member := false
	for _, g := range r.Groups {
		if e := open[g]; e != nil {
			member = true
			e.messages = append(e.messages, placed{m, r.Service, e.signal})
		}
	}
	if !member {
		j.accuse("%s: message %d of %s to %v, of which it is no member", s.Name, m.Seq, from.Name, r.Groups)
	}
}

// ownMessages checks that what a session sent to a group that it never leaves came
// back to it, if it lived to the end. Between sites a FIFO message does not wait for the
// join before it, which has a place in the order of all sites.
func (j *judge) ownMessages() {
	for _, s := range j.seen {
		if s.Crashed {
			continue
		}
		weakest := client.FIFO
		if s.Site != "" {
			weakest = client.Causal
		}
		for _, m := range s.Sent {
			if m.Service >= weakest && slices.Contains(m.Groups, GroupAll) && !s.has[MessageID{s.Tag, m.Seq}] {
				j.accuse("%s: its own %v message %d to %v did not come back", s.Name, m.Service, m.Seq, m.Groups)
			}
		}
	}
}
