package overlay

import (
	"bufio"
	"encoding/binary"
	"errors"
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
	ID     uint32 // of the child's choice: its stripes name it
	Wants  []want // ascending by instance
}

func (s *subscribe) append(b []byte) []byte {
	start := len(b)
	b = beginFrame(b, frameSubscribe)
	b = appendLogID(b, s.Log)
	b = wire.AppendInt64(b, int64(s.Distance))
	b = wire.AppendBool(b, s.Insist)
	b = wire.AppendUint32(b, s.ID)
	b = wire.AppendUint32(b, uint32(len(s.Wants)))
	for _, w := range s.Wants {
		b = wire.AppendUint64(b, uint64(w.Instance))
		b = wire.AppendUint64(b, w.From)
	}
	return endFrame(b, start)
}

func decodeSubscribe(body []byte) (subscribe, error) {
	r := wire.NewReader(body)
	s := subscribe{Log: readLogID(&r), Distance: time.Duration(r.Int64()), Insist: r.Bool(), ID: r.Uint32()}
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

// refusalIn returns the refusal that a frame's body has, or why it has none.
func refusalIn(body []byte) error {
	code, err := decodeRefusal(body)
	if err != nil {
		return err
	}
	return code
}

// maxEntryHead is the longest head of an entry within its frame: by how much its number
// is above the last one's (a varint), how many destinations it has (zero: those of the
// last one), and which.
const maxEntryHead = binary.MaxVarintLen64 + 1 + destBytes*membership.MaxSites

// An entryEncoder makes the heads of a subscription's entries, one after the other.
type entryEncoder struct {
	last  uint64
	dests []membership.InstanceID
}

// append appends all of an entry's frame but its data.
func (w *entryEncoder) append(b []byte, e *LogEntry) []byte {
	start := len(b)
	b = beginFrame(b, frameEntry)
	b = binary.AppendUvarint(b, e.N-w.last)
	if w.last = e.N; slices.Equal(e.Dests, w.dests) {
		b = append(b, 0)
	} else {
		w.dests = e.Dests
		b = append(b, byte(len(e.Dests)))
		for _, d := range e.Dests {
			b = wire.AppendUint64(b, uint64(d))
		}
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeaderBytes+len(e.Data)))
	return b
}

// arenaBytes is the block from which an entryReader cuts small entries: one
// allocation for many, and few enough bytes to be kept alive by one of them.
const arenaBytes = 64 << 10

// An entryReader takes entries off a subscription's stream.
type entryReader struct {
	in    *bufio.Reader
	arena []byte
	begun bool
	last  uint64                  // the last entry's number
	dests []membership.InstanceID // the last entry's: neighbours mostly have the same
	cert  []byte                  // the last seal's: one without has the same
}

func newEntryReader(r io.Reader) *entryReader {
	return &entryReader{in: bufio.NewReaderSize(r, writeBatch)}
}

// numbered waits for the next frame and says whether it is the head of a batch.
func (r *entryReader) numbered() (bool, error) {
	h, err := r.in.Peek(frameHeaderBytes)
	if err != nil {
		return false, err
	}
	return frameKind(h[frameHeaderBytes-1]) == frameBatch, nil
}

// next returns the next item. A refusal from the parent is returned as the error.
func (r *entryReader) next() (item, error) {
	k, n, err := readHeader(r.in)
	if err != nil {
		return item{}, err
	}
	switch k {
	case frameEntry:
		e, err := r.entry(n)
		return item{kind: k, entry: e}, err
	case frameRefusal, frameSkip, frameSeal:
	default:
		return item{}, fmt.Errorf("%w: kind %d does not belong on this stream", errFrame, k)
	}
	body, err := readBody(r.in, n)
	if err != nil {
		return item{}, err
	}
	switch k {
	case frameSkip:
		s, err := decodeSkip(body)
		return item{kind: k, entry: LogEntry{N: s.N, Dests: s.Dests}, leaf: s.leaf}, err
	case frameSeal:
		s, err := decodeSeal(body)
		if len(s.Certificate) == 0 {
			s.Certificate = r.cert
		}
		r.cert = s.Certificate
		return item{kind: k, seal: s}, err
	}
	return item{}, refusalIn(body)
}

// entry reads an entry whose frame's body has n bytes.
func (r *entryReader) entry(n int) (LogEntry, error) {
	left := int64(n)
	step, size, err := r.uvarint(left)
	if err != nil {
		return LogEntry{}, err
	}
	left -= int64(size)
	if !r.begun {
		r.begun = true
	} else if step == 0 {
		return LogEntry{}, breach(fmt.Errorf("numbers of a log's entries do not ascend at %d", r.last))
	}
	e := LogEntry{N: r.last + step}
	if e.N < r.last {
		return LogEntry{}, breach(fmt.Errorf("number of an entry overflows after %d", r.last))
	}
	r.last = e.N
	if e.Dests, left, err = r.destinations(left); err != nil {
		return LogEntry{}, err
	}
	if left < 0 || left > MaxEntryBytes {
		return LogEntry{}, breach(fmt.Errorf("%w: entry of %d bytes", wire.ErrLimit, left))
	}
	e.Data, err = r.data(int(left))
	return e, err
}

// uvarint reads a varint of at most limit bytes and returns how many it had.
func (r *entryReader) uvarint(limit int64) (v uint64, size int, err error) {
	for shift := 0; ; shift += 7 {
		if int64(size) >= limit {
			return 0, 0, breach(wire.ErrShort)
		}
		b, err := r.in.ReadByte()
		if err != nil {
			return 0, 0, cutShort(err)
		}
		if size++; size > binary.MaxVarintLen64 || size == binary.MaxVarintLen64 && b > 1 {
			return 0, 0, breach(fmt.Errorf("%w: number of an entry", wire.ErrLimit))
		}
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v, size, nil
		}
	}
}

// destinations reads an entry's, of whose frame left bytes are still to come, and
// returns how many are left then.
func (r *entryReader) destinations(left int64) ([]membership.InstanceID, int64, error) {
	if left < 1 {
		return nil, 0, breach(wire.ErrShort)
	}
	b, err := r.in.ReadByte()
	if err != nil {
		return nil, 0, cutShort(err)
	}
	left--
	n := int(b)
	if n == 0 {
		if len(r.dests) == 0 {
			return nil, 0, breach(errors.New("entry without destinations"))
		}
		return r.dests, left, nil
	}
	if n > membership.MaxSites || int64(n*destBytes) > left {
		return nil, 0, breach(fmt.Errorf("%w: entry for %d instances", wire.ErrLimit, n))
	}
	var list [destBytes * membership.MaxSites]byte
	if _, err := io.ReadFull(r.in, list[:n*destBytes]); err != nil {
		return nil, 0, cutShort(err)
	}
	return r.instances(list[:n*destBytes]), left - int64(n*destBytes), nil
}

// cutShort is how a stream looks that ends within a frame.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
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
