package overlay

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// A want is a destination that a subscription covers: entries for Instance from
// number From on.
type want struct {
	Instance membership.InstanceID
	From     uint64
}

const (
	wantBytes  = 16
	destBytes  = 8
	logIDBytes = 4 + 8 + membership.ViewIDBytes
)

func appendLogID(b []byte, l membership.LogID) []byte {
	b = wire.AppendUint32(b, uint32(l.Site))
	b = wire.AppendUint64(b, uint64(l.Instance))
	return l.View.Append(b)
}

func readLogID(r *wire.Reader) membership.LogID {
	return membership.LogID{Site: membership.SiteID(r.Uint32()), Instance: membership.InstanceID(r.Uint64()), View: membership.ReadViewID(r)}
}

// A subscribe asks the parent for a log: every entry that any of Wants covers,
// once, in the order of numbers.
type subscribe struct {
	Log      membership.LogID
	Distance time.Duration // the child's, from the log's origin: a parent must be nearer
	// Insist asks a parent that no longer holds a position to go back for it
	// upstream, which costs it all that it holds of the log.
	Insist bool
	Wants  []want // ascending by instance
}

func (s *subscribe) append(b []byte) []byte {
	start := len(b)
	b = beginFrame(b, frameSubscribe)
	b = appendLogID(b, s.Log)
	b = wire.AppendInt64(b, int64(s.Distance))
	b = wire.AppendBool(b, s.Insist)
	b = wire.AppendUint32(b, uint32(len(s.Wants)))
	for _, w := range s.Wants {
		b = wire.AppendUint64(b, uint64(w.Instance))
		b = wire.AppendUint64(b, w.From)
	}
	return endFrame(b, start)
}

func decodeSubscribe(body []byte) (subscribe, error) {
	r := wire.NewReader(body)
	s := subscribe{Log: readLogID(&r), Distance: time.Duration(r.Int64()), Insist: r.Bool()}
	n := r.Count(membership.MaxSites, wantBytes)
	s.Wants = make([]want, n)
	for i := range s.Wants {
		s.Wants[i] = want{membership.InstanceID(r.Uint64()), r.Uint64()}
		if i > 0 && s.Wants[i].Instance <= s.Wants[i-1].Instance {
			r.Fail(fmt.Errorf("instances of a subscription do not ascend"))
		}
	}
	if r.Err() == nil && n == 0 {
		r.Fail(fmt.Errorf("subscription without instances"))
	}
	return s, breach(r.Done())
}

// A refusal says why a subscription is not, or no longer, served.
type refusal uint8

const (
	refusedDropped refusal = iota + 1 // a position asked for is no longer held
	refusedUnknown                    // not a log that this gateway can reach
	refusedGone                       // the log has ended
	refusedLoop                       // the parent is not nearer to the log than the child
	refusedLimit                      // too many subscriptions
	lastRefusal    = refusedLimit
)

var refusalNames = [...]string{refusedDropped: "dropped", refusedUnknown: "unknown", refusedGone: "gone", refusedLoop: "loop", refusedLimit: "limit"}

func (r refusal) Error() string {
	if r == 0 || r > lastRefusal {
		return fmt.Sprintf("refusal(%d)", uint8(r))
	}
	return refusalNames[r]
}

func (r refusal) append(b []byte) []byte {
	start := len(b)
	return endFrame(append(beginFrame(b, frameRefusal), byte(r)), start)
}

func decodeRefusal(body []byte) (refusal, error) {
	r := wire.NewReader(body)
	code := refusal(r.Uint8())
	if code == 0 || code > lastRefusal {
		r.Fail(fmt.Errorf("unknown code %d", uint8(code)))
	}
	return code, breach(r.Done())
}

const entryHeaderBytes = 9

// appendEntryHeader appends all of an entry's frame but its data.
func appendEntryHeader(b []byte, e *LogEntry) []byte {
	b = wire.AppendUint32(b, uint32(entryHeaderBytes+destBytes*len(e.Dests)+len(e.Data)))
	b = append(b, byte(frameEntry))
	b = wire.AppendUint64(b, e.N)
	b = append(b, byte(len(e.Dests)))
	for _, d := range e.Dests {
		b = wire.AppendUint64(b, uint64(d))
	}
	return b
}

// arenaBytes is the block from which an entryReader cuts small entries: one
// allocation for many, and few enough bytes to be kept alive by one of them.
const arenaBytes = 64 << 10

// An entryReader takes entries off a subscription's stream.
type entryReader struct {
	in    *bufio.Reader
	arena []byte
	dests []membership.InstanceID // the last entry's: neighbours mostly have the same
}

func newEntryReader(r io.Reader) *entryReader {
	return &entryReader{in: bufio.NewReaderSize(r, writeBatch)}
}

// ready says whether the whole next entry can be had without waiting.
func (r *entryReader) ready() bool {
	if r.in.Buffered() < frameHeaderBytes {
		return false
	}
	h, err := r.in.Peek(frameHeaderBytes)
	return err == nil && uint64(r.in.Buffered()) >= frameHeaderBytes+uint64(binary.LittleEndian.Uint32(h))
}

// next returns the next entry. A refusal from the parent is returned as the error.
func (r *entryReader) next() (LogEntry, error) {
	k, n, err := readHeader(r.in)
	if err != nil {
		return LogEntry{}, err
	}
	switch k {
	case frameRefusal:
		body, err := readBody(r.in, n)
		if err != nil {
			return LogEntry{}, err
		}
		code, err := decodeRefusal(body)
		if err == nil {
			err = code
		}
		return LogEntry{}, err
	case frameEntry:
		return r.entry(n)
	}
	return LogEntry{}, fmt.Errorf("%w: kind %d does not belong on this stream", errFrame, k)
}

func (r *entryReader) entry(n int) (LogEntry, error) {
	var head [entryHeaderBytes + destBytes*membership.MaxSites]byte
	if n < entryHeaderBytes {
		return LogEntry{}, breach(wire.ErrShort)
	}
	if _, err := io.ReadFull(r.in, head[:entryHeaderBytes]); err != nil {
		return LogEntry{}, err
	}
	h := wire.NewReader(head[:entryHeaderBytes])
	e := LogEntry{N: h.Uint64()}
	dests := int(h.Uint8())
	n -= entryHeaderBytes + destBytes*dests
	if dests == 0 || dests > membership.MaxSites || n < 0 || n > MaxEntryBytes {
		return LogEntry{}, breach(fmt.Errorf("%w: entry for %d instances", wire.ErrLimit, dests))
	}
	if _, err := io.ReadFull(r.in, head[:destBytes*dests]); err != nil {
		return LogEntry{}, err
	}
	e.Dests = r.instances(head[:destBytes*dests])
	var err error
	e.Data, err = r.data(n)
	return e, err
}

// instances decodes a list of destinations, sharing the last entry's if it is the same.
func (r *entryReader) instances(b []byte) []membership.InstanceID {
	h := wire.NewReader(b)
	var list [membership.MaxSites]membership.InstanceID
	n := len(b) / destBytes
	for i := range n {
		list[i] = membership.InstanceID(h.Uint64())
	}
	if !slices.Equal(list[:n], r.dests) {
		r.dests = slices.Clone(list[:n])
	}
	return r.dests
}

// data reads n bytes: a small entry's into the arena, a large one's in chunks.
func (r *entryReader) data(n int) ([]byte, error) {
	if n >= inlineBody {
		return readBody(r.in, n)
	}
	if n > len(r.arena) {
		r.arena = make([]byte, arenaBytes)
	}
	body := r.arena[:n:n]
	r.arena = r.arena[n:]
	_, err := io.ReadFull(r.in, body)
	return body, err
}
