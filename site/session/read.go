package session

import (
	"errors"
	"fmt"
	"io"

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
	names    map[string][]string // group name to the list with it alone
}

// read takes requests until the client ends the session or breaks a rule.
func (s *Session) read() error {
	r := &reader{session: s, buffer: s.in, chunk: firstChunk, names: map[string][]string{}}
	s.in = nil
	for {
		need, err := r.parse()
		if len(r.requests) > 0 {
			s.received.Add(uint64(len(r.requests)))
			s.server.stats.received.Add(uint64(len(r.requests)))
			if !s.server.backend.Submit(s, r.requests) {
				return errors.New("the node stops")
			}
			clear(r.requests)
			r.requests = r.requests[:0]
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
		if err := header.CheckFromClient(r.session.private, r.session.large); err != nil {
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
	names, data := body[:h.Groups*spread.GroupBytes], body[h.Groups*spread.GroupBytes:]
	switch {
	case h.Type&spread.TypeDisconnect != 0:
		return errDisconnect
	case h.Type&(spread.TypeJoin|spread.TypeLeave) != 0:
		if h.Groups == 0 {
			return errors.New("join or leave of no group")
		}
		groups, err := r.groups(names[:spread.GroupBytes]) // only the first one counts
		if err != nil {
			return err
		}
		if groups[0][0] == '#' {
			return fmt.Errorf("join or leave of the private group %q", groups[0])
		}
		kind := merge.Join
		if h.Type&spread.TypeLeave != 0 {
			kind = merge.Leave
		}
		r.requests = append(r.requests, merge.Request{Kind: kind, Groups: groups})
		return nil
	}
	groups, err := r.groups(names)
	if err != nil {
		return err
	}
	service, ok := spread.ServiceOf(h.Type)
	if !ok {
		return fmt.Errorf("%w: type %#x", spread.ErrType, h.Type)
	}
	// Only the service and self discard go on: what else a client sets, membership
	// bits among it, is not its to say.
	r.requests = append(r.requests, merge.Request{
		Kind: merge.Send, Service: service, SelfDiscard: h.Type&spread.TypeSelfDiscard != 0,
		Hint: h.Hint, Groups: groups, Data: data,
	})
	return nil
}

// groups returns the names in a list of fields. Lists of one name are shared.
func (r *reader) groups(fields []byte) ([]string, error) {
	if len(fields) == spread.GroupBytes {
		name, err := groupName(fields)
		if err != nil {
			return nil, err
		}
		if list, ok := r.names[string(name)]; ok {
			return list, nil
		}
		list := []string{string(name)}
		if len(r.names) < maxInterned {
			r.names[list[0]] = list
		}
		return list, nil
	}
	list := make([]string, 0, len(fields)/spread.GroupBytes)
	for ; len(fields) > 0; fields = fields[spread.GroupBytes:] {
		name, err := groupName(fields[:spread.GroupBytes])
		if err != nil {
			return nil, err
		}
		if known, ok := r.names[string(name)]; ok {
			list = append(list, known[0])
		} else {
			list = append(list, string(name))
		}
	}
	return list, nil
}

func groupName(field []byte) ([]byte, error) {
	name, ok := spread.GroupName(field)
	if !ok || len(name) == 0 || len(name) > membership.MaxGroupName {
		return nil, fmt.Errorf("group name %.32q: want 1 to %d bytes and a NUL", field, membership.MaxGroupName)
	}
	return name, nil
}
