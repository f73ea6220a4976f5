package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"ringway/internal/wire"
	"ringway/membership"
	"ringway/routing"
)

// protocolVersion is that of everything in this file. The ALPN names its major
// part, so that peers of another refuse each other during the handshake.
const protocolVersion = 4

const helloMagic = 0x314c5752 // "RWL1"

// A streamKind is the first byte of every stream and says what it carries.
type streamKind uint8

const (
	streamHello     streamKind = iota + 1 // bidirectional: frameHello each way, first of all
	streamState                           // unidirectional: frameAdvert, frameDigest
	streamControl                         // unidirectional: frameControl, framePromise
	streamSubscribe                       // bidirectional: frameSubscribe there, blocks or a refusal back
	streamStripe                          // bidirectional: frameStripe there, batches back
	streamBulk                            // unidirectional: frameBulk
)

// A frameKind says what a frame on a stream is. A frame is a header of
// frameHeaderBytes (length of the body, kind) and a body.
type frameKind uint8

const (
	frameHello frameKind = iota + 1
	frameAdvert
	frameDigest
	frameControl
	framePromise
	frameSubscribe
	frameRefusal
	frameEntry
	frameStripe
	frameBatch
	frameSkip
	frameSeal
	frameBulk
)

const frameHeaderBytes = 5

// maxFrame returns the largest body of a frame of kind k; 0: there is no such kind.
func maxFrame(k frameKind) int {
	switch k {
	case frameHello:
		return 512
	case frameAdvert:
		return routing.MaxSignedBytes
	case frameDigest:
		return maxDigestBytes
	case frameControl:
		return controlHeaderBytes + MaxControlBytes
	case frameBulk:
		return controlHeaderBytes + MaxBulkBytes
	case framePromise:
		return promiseHeaderBytes + 4*maxRoute + MaxPromiseBytes
	case frameSubscribe:
		return logIDBytes + 17 + membership.MaxSites*wantBytes
	case frameRefusal:
		return 1
	case frameSkip:
		return maxSkipBytes
	case frameSeal:
		return maxSealBytes
	case frameStripe:
		return 4
	case frameBatch:
		return 12
	case frameEntry:
		return maxEntryHead + MaxEntryBytes
	}
	return 0
}

// errBreach is in every error that a peer is to blame for.
var errBreach = errors.New("breach of the link protocol")

// breach blames the peer for err, if it is not nil.
func breach(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errBreach, err)
}

var errFrame = fmt.Errorf("%w: frame of an unknown kind or beyond its limit", errBreach)

// beginFrame appends a frame header whose length endFrame fills in.
func beginFrame(b []byte, k frameKind) []byte { return append(b, 0, 0, 0, 0, byte(k)) }

// endFrame completes the frame that starts at b[start].
func endFrame(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHeaderBytes))
	return b
}

// readHeader reads a frame's header and checks it against the limits.
func readHeader(r io.Reader) (frameKind, int, error) {
	var h [frameHeaderBytes]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	k, n := frameKind(h[4]), binary.LittleEndian.Uint32(h[:])
	if limit := maxFrame(k); limit == 0 || int64(n) > int64(limit) {
		return 0, 0, fmt.Errorf("%w: kind %d, %d bytes", errFrame, k, n)
	}
	return k, int(n), nil
}

// readFrame reads a frame of one of the kinds that the stream may carry.
func readFrame(r io.Reader, kinds ...frameKind) (frameKind, []byte, error) {
	k, n, err := readHeader(r)
	if err != nil {
		return 0, nil, err
	}
	for _, allowed := range kinds {
		if k == allowed {
			body, err := readBody(r, n)
			return k, body, err
		}
	}
	return 0, nil, fmt.Errorf("%w: kind %d does not belong on this stream", errFrame, k)
}

// firstChunk is what readBody allocates on the word of a length alone.
const firstChunk = 64 << 10

// readBody reads n bytes into a buffer that never has more than about twice the
// bytes that have really come.
func readBody(r io.Reader, n int) ([]byte, error) {
	body := make([]byte, min(n, firstChunk))
	for have := 0; ; {
		if _, err := io.ReadFull(r, body[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if have = len(body); have == n {
			return body, nil
		}
		grown := make([]byte, min(n, 2*have))
		copy(grown, body)
		body = grown
	}
}

// A linkHello opens a lane, one from each end.
type linkHello struct {
	Version     uint16
	Lane        uint8 // which of the link's connections
	Node        membership.NodeID
	Incarnation uint64
	Federation  string
}

func (h *linkHello) append(b []byte) []byte {
	start := len(b)
	b = beginFrame(b, frameHello)
	b = wire.AppendUint32(b, helloMagic)
	b = wire.AppendUint16(b, h.Version)
	b = append(b, h.Lane)
	b = wire.AppendUint32(b, uint32(h.Node))
	b = wire.AppendUint64(b, h.Incarnation)
	b = wire.AppendString(b, h.Federation)
	return endFrame(b, start)
}

func decodeHello(body []byte) (linkHello, error) {
	r := wire.NewReader(body)
	if r.Uint32() != helloMagic {
		r.Fail(errors.New("not a hello of this protocol"))
	}
	h := linkHello{Version: r.Uint16(), Lane: r.Uint8(), Node: membership.NodeID(r.Uint32()), Incarnation: r.Uint64(), Federation: r.String(255)}
	if h.Lane >= maxLanes {
		r.Fail(fmt.Errorf("%w: lane %d", wire.ErrLimit, h.Lane))
	}
	return h, breach(r.Done())
}

// appendAdvert appends a signed advertisement as it travels.
func appendAdvert(b []byte, s *routing.Signed) []byte {
	start := len(b)
	return endFrame(s.Append(beginFrame(b, frameAdvert)), start)
}

func decodeAdvert(body []byte) (*routing.Signed, error) {
	s, err := routing.DecodeSigned(body)
	return s, breach(err)
}

// appendDigest appends what this gateway knows, for a new neighbour.
func appendDigest(b []byte, digest []routing.Summary) []byte {
	start := len(b)
	return endFrame(routing.AppendDigest(beginFrame(b, frameDigest), digest), start)
}

func decodeDigest(body []byte) ([]routing.Summary, error) {
	digest, err := routing.DecodeDigest(body)
	return digest, breach(err)
}

// A controlMessage goes to one gateway of an instance, hop by hop.
type controlMessage struct {
	From membership.SiteInstance
	To   membership.SiteInstance
	Hops uint8 // how often it may still be passed on
	// Gateway, one of From's site, signed it; (Incarnation, Number) order what it signed.
	Gateway     membership.NodeID
	Incarnation uint64
	Number      uint64
	Stamp       stamp // of all but Hops
	Data        []byte
	// Bulk: it takes a stream of its own and shares the link with the logs. It is signed for a
	// purpose of its own, and numbered apart.
	Bulk bool
}

const controlHeaderBytes = 45 + stampBytes

// text is what the origin signs.
func (c *controlMessage) text() []byte {
	b := make([]byte, 0, 44+len(c.Data))
	b = appendInstance(appendInstance(b, c.From), c.To)
	b = wire.AppendUint32(b, uint32(c.Gateway))
	b = wire.AppendUint64(b, c.Incarnation)
	b = wire.AppendUint64(b, c.Number)
	return append(b, c.Data...)
}

func (c *controlMessage) append(b []byte) []byte {
	start := len(b)
	kind := frameControl
	if c.Bulk {
		kind = frameBulk
	}
	b = beginFrame(b, kind)
	b = appendInstance(b, c.From)
	b = appendInstance(b, c.To)
	b = append(b, c.Hops)
	b = wire.AppendUint32(b, uint32(c.Gateway))
	b = wire.AppendUint64(b, c.Incarnation)
	b = wire.AppendUint64(b, c.Number)
	b = append(c.Stamp.append(b), c.Data...)
	return endFrame(b, start)
}

func appendInstance(b []byte, x membership.SiteInstance) []byte {
	return wire.AppendUint64(wire.AppendUint32(b, uint32(x.Site)), uint64(x.Instance))
}

func readInstance(r *wire.Reader) membership.SiteInstance {
	return membership.SiteInstance{Site: membership.SiteID(r.Uint32()), Instance: membership.InstanceID(r.Uint64())}
}

func decodeControl(body []byte) (controlMessage, error) {
	r := wire.NewReader(body)
	c := controlMessage{From: readInstance(&r), To: readInstance(&r), Hops: r.Uint8(), Gateway: membership.NodeID(r.Uint32()), Incarnation: r.Uint64(), Number: r.Uint64(), Stamp: readStamp(&r)}
	if c.Hops > maxHops {
		r.Fail(fmt.Errorf("%w: %d hops", wire.ErrLimit, c.Hops))
	}
	if r.Len() > MaxControlBytes {
		r.Fail(wire.ErrLimit)
	}
	c.Data = r.Rest()
	return c, breach(r.Done())
}
