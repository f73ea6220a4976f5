package session

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/time/rate"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// Sizes of a session's read memory: it starts small, so that idle sessions are cheap,
// and grows while reads fill it.
const (
	firstChunk = 4 << 10
	lastChunk  = 128 << 10
)

// maxInterned bounds the group names that a session remembers.
const maxInterned = 1024

// errDisconnect is the polite end of a session.
var errDisconnect = errors.New("disconnect")

// A reader turns a session's bytes into requests. Memory that requests refer to is
// never reused: a chunk that is full is left to them.
type reader struct {
	session  *Session
	buffer   []byte // len: arrived; cap: the chunk
	start    int    // of what is not parsed
	chunk    int
	requests []merge.Request

	rules *rules                 // by which known was filled in
	known map[string]*knownGroup // by name
	joins *rate.Limiter          // and leaves; nil: no limit
	calls *rate.Limiter          // of extension calls; nil before the first
}

// A knownGroup is a group name that the session has used.
type knownGroup struct {
	list       []string // with it alone
	send, join bool     // what the rules allow
}

// read takes requests until the client ends the session or breaks a rule.
func (s *Session) read() error {
	r := &reader{session: s, buffer: s.in, chunk: firstChunk}
	s.in = nil
	for {
		need, err := r.parse()
		if stopped := r.submit(); stopped != nil {
			return stopped
		}
		if errors.Is(err, errStops) {
			return err
		}
		if errors.Is(err, errDisconnect) {
			return nil
		}
		if err != nil {
			s.server.stats.badHeader.Add(1)
			return err
		}
		if err := r.fill(need); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// submit hands over the requests that are complete.
func (r *reader) submit() error {
	if len(r.requests) == 0 {
		return nil
	}
	s := r.session
	s.received.Add(uint64(len(r.requests)))
	s.server.stats.received.Add(uint64(len(r.requests)))
	if !s.server.backend.Submit(s, r.requests) {
		return errStops
	}
	clear(r.requests)
	r.requests = r.requests[:0]
	return nil
}

// parse takes all complete messages. It returns how many bytes the next one has in
// all, as far as is known.
func (r *reader) parse() (need int, err error) {
	for {
		rest := r.buffer[r.start:]
		if len(rest) < spread.HeaderBytes {
			return spread.HeaderBytes, nil
		}
		header, err := spread.ParseHeader(rest)
		if err != nil {
			return 0, err
		}
		if err := header.CheckFromClient(r.session.private, r.session.admission.extended); err != nil {
			return 0, err
		}
		size := spread.HeaderBytes + header.Groups*spread.GroupBytes + header.DataLen
		if len(rest) < size {
			return size, nil
		}
		r.start += size
		if err := r.request(&header, rest[spread.HeaderBytes:size:size]); err != nil {
			return 0, err
		}
	}
}

// fill reads at least once, into a chunk that has room for need bytes from start on,
// as far as they have arrived: a large message's memory doubles with what is there.
func (r *reader) fill(need int) error {
	if free := cap(r.buffer) - len(r.buffer); free < r.chunk/8 || r.start+min(need, firstChunk) > cap(r.buffer) {
		arrived := r.buffer[r.start:]
		size := max(r.chunk, min(need, 2*len(arrived)))
		next := make([]byte, len(arrived), size)
		copy(next, arrived)
		r.buffer, r.start = next, 0
	}
	free := r.buffer[len(r.buffer):cap(r.buffer)]
	n, err := r.session.conn.Read(free)
	r.buffer = r.buffer[:len(r.buffer)+n]
	if n == len(free) {
		r.chunk = min(2*r.chunk, lastChunk)
	}
	if n > 0 {
		return nil
	}
	return err
}

// request appends the request that a message stands for. body has its groups and data.
func (r *reader) request(h *spread.Header, body []byte) error {
	r.renew()
	names, data := body[:h.Groups*spread.GroupBytes], body[h.Groups*spread.GroupBytes:]
	switch {
	case h.Type&spread.TypeDisconnect != 0:
		return errDisconnect
	case h.Type&spread.TypeExtension != 0:
		return r.call(h, body)
	case h.Type&(spread.TypeJoin|spread.TypeLeave) != 0:
		return r.membership(h, names, data)
	}
	groups, allowed, err := r.groups(names)
	if err != nil {
		return err
	}
	service, ok := spread.ServiceOf(h.Type)
	if !ok {
		return fmt.Errorf("%w: type %#x", spread.ErrType, h.Type)
	}
	if !allowed {
		r.reject(h, groups, data)
		return nil
	}
	// Only the service and self discard go on: what else a client sets, membership
	// bits among it, is not its to say.
	r.requests = append(r.requests, merge.Request{
		Kind: merge.Send, Service: service, SelfDiscard: h.Type&spread.TypeSelfDiscard != 0,
		Independent: r.session.admission.independent, Hint: h.Hint, Groups: groups, Data: data,
	})
	return nil
}

// membership is a join or a leave.
func (r *reader) membership(h *spread.Header, names, data []byte) error {
	if h.Groups == 0 {
		return errors.New("join or leave of no group")
	}
	group, err := r.group(names[:spread.GroupBytes]) // only the first one counts
	if err != nil {
		return err
	}
	if group.list[0][0] == '#' {
		return fmt.Errorf("join or leave of the private group %q", group.list[0])
	}
	if err := r.throttle(r.joins); err != nil {
		return err
	}
	kind := merge.Join
	if h.Type&spread.TypeLeave != 0 {
		kind = merge.Leave
	}
	if kind == merge.Join && !group.join {
		r.reject(h, group.list, data)
		return nil
	}
	r.requests = append(r.requests, merge.Request{Kind: kind, Groups: group.list})
	return nil
}

// throttle waits until the session may do again what the limiter is for. What it asked
// for before does not wait with it.
func (r *reader) throttle(limiter *rate.Limiter) error {
	if limiter == nil {
		return nil
	}
	wait := limiter.Reserve().Delay()
	if wait == 0 {
		return nil
	}
	r.session.server.stats.throttled.Add(1)
	if err := r.submit(); err != nil {
		return err
	}
	r.session.pause(wait)
	return nil
}

// reject sends a message back that the rules of access do not allow.
func (r *reader) reject(h *spread.Header, groups []string, data []byte) {
	kind := h.Type & (spread.Calls | spread.TypeSelfDiscard)
	r.session.server.stats.rejected.Add(1)
	r.session.queue(spread.AppendRejected(nil, kind, r.session.private, groups, h.Hint, data), nil)
}

// renew forgets what the rules allowed, once there are others.
func (r *reader) renew() {
	if rules := r.session.server.rules.Load(); rules != r.rules {
		r.rules, r.known, r.joins = rules, map[string]*knownGroup{}, rules.limiter()
	}
}

// group returns what is known of the group in a field.
func (r *reader) group(field []byte) (*knownGroup, error) {
	name, err := groupName(field)
	if err != nil {
		return nil, err
	}
	if known, ok := r.known[string(name)]; ok {
		return known, nil
	}
	group := &knownGroup{list: []string{string(name)}}
	who := r.session.id.Name
	group.send, group.join = r.rules.MaySend(who, group.list[0]), r.rules.MayJoin(who, group.list[0])
	if len(r.known) < maxInterned {
		r.known[group.list[0]] = group
	}
	return group, nil
}

// groups returns the names in a list of fields, and whether the session may send to all
// of them. Lists of one name are shared.
func (r *reader) groups(fields []byte) (list []string, allowed bool, err error) {
	if len(fields) == spread.GroupBytes {
		group, err := r.group(fields)
		if err != nil {
			return nil, false, err
		}
		return group.list, group.send, nil
	}
	list, allowed = make([]string, 0, len(fields)/spread.GroupBytes), true
	for ; len(fields) > 0; fields = fields[spread.GroupBytes:] {
		group, err := r.group(fields[:spread.GroupBytes])
		if err != nil {
			return nil, false, err
		}
		list = append(list, group.list[0])
		allowed = allowed && group.send
	}
	return list, allowed, nil
}

func groupName(field []byte) ([]byte, error) {
	name, ok := spread.GroupName(field)
	if !ok || len(name) == 0 || len(name) > membership.MaxGroupName {
		return nil, fmt.Errorf("group name %.32q: want 1 to %d bytes and a NUL", field, membership.MaxGroupName)
	}
	return name, nil
}
