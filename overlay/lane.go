package overlay

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/membership"
	"ringway/topology"
)

// Codes with which a lane is closed.
const (
	codeDraining quic.ApplicationErrorCode = iota + 1 // a planned stop
	codeRefused                                       // wrong federation, unknown peer, wrong version
	codeBreach                                        // the peer broke a rule
	codeReplaced                                      // a newer connection took its place
	codeSilent                                        // hellos went unanswered
)

// streamDone ends a stream that is no longer needed.
const streamDone quic.StreamErrorCode = 1

// Priorities of streams, lowest first: link state ends outages and control messages
// unblock views, so both pass the logs.
const (
	urgencyState   = 0
	urgencyControl = 1
	urgencyLogs    = 3 // QUIC's own; streams of one urgency take turns, packet by packet
)

// A lane is one QUIC connection of a link, after both ends said hello. Its
// goroutines move bytes: everything that needs thought goes to the event loop.
type lane struct {
	g           *Gateway
	peer        *topology.Node
	conn        *quic.Conn
	index       uint8
	incarnation uint64            // the peer's
	cert        *x509.Certificate // the peer's
	shown       []byte            // the own certificate, if this end dialled

	state    *stateQueue
	control  *frameQueue
	bulk     *frameQueue
	grams    *gramQueue
	notes    *noteQueue // that have come
	pressure *pressure  // of the link
	wg       sync.WaitGroup
}

func newLane(g *Gateway, peer *topology.Node, conn *quic.Conn, hello linkHello, shown []byte) *lane {
	return &lane{
		g: g, peer: peer, conn: conn, index: hello.Lane, incarnation: hello.Incarnation, cert: conn.ConnectionState().TLS.PeerCertificates[0], shown: shown,
		state: newStateQueue(), control: newFrameQueue(), bulk: &frameQueue{signalled: newSignalled(), forgets: true}, grams: newGramQueue(),
		notes: newNoteQueue(), pressure: g.pressures[peer.ID],
	}
}

// serve runs the lane until its connection ends.
func (l *lane) serve() {
	l.g.post(func(c *core) { c.laneUp(l) })
	parts := []func() error{l.acceptSubscriptions}
	if l.index == 0 { // the others carry streams of logs only
		parts = append(parts, l.writeState, l.writeControl, l.writeBulk, l.writeGrams, l.readGrams, l.readNotes, l.acceptStreams)
	}
	for _, f := range parts {
		l.wg.Go(func() { l.check(f()) })
	}
	<-l.conn.Context().Done()
	l.wg.Wait()
	cause := context.Cause(l.conn.Context())
	l.g.post(func(c *core) { c.laneDown(l, cause) })
}

// check disconnects the peer if err is its fault.
func (l *lane) check(err error) {
	if errors.Is(err, errBreach) {
		l.breach(err)
	}
}

// breach disconnects a peer that broke a rule.
func (l *lane) breach(err error) {
	l.g.count.breaches.Add(1)
	l.g.warn("peer broke the link protocol: disconnected", "peer", l.peer.Name, "site", l.peer.Site.Name, "error", err)
	l.close(codeBreach, err.Error())
}

func (l *lane) close(code quic.ApplicationErrorCode, why string) {
	_ = l.conn.CloseWithError(code, why)
}

// done is closed when the connection has ended.
func (l *lane) done() <-chan struct{} { return l.conn.Context().Done() }

// openStream opens a stream of that kind for writing only.
func (l *lane) openStream(k streamKind, urgency int8) (*quic.SendStream, error) {
	s, err := l.conn.OpenUniStreamSync(l.conn.Context())
	if err != nil {
		return nil, err
	}
	s.SetPriority(urgency, urgency == urgencyLogs)
	_, err = s.Write([]byte{byte(k)})
	return s, err
}

// writeState tells the peer what the state queue has. It waits a little for more
// before it writes: link state comes in bursts.
func (l *lane) writeState() error {
	s, err := l.openStream(streamState, urgencyState)
	if err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var buf []byte
	for {
		select {
		case <-l.done():
			return nil
		case <-l.state.wake:
		}
		timer.Reset(floodDelay)
		select {
		case <-l.done():
			return nil
		case <-timer.C:
		}
		digest, adverts := l.state.take()
		buf = buf[:0]
		if digest != nil {
			buf = appendDigest(buf, digest)
		}
		for _, a := range adverts {
			buf = appendAdvert(buf, a)
		}
		l.g.count.advertsSent.Add(uint64(len(adverts)))
		if _, err := s.Write(buf); err != nil {
			return err
		}
	}
}

// writeControl writes the control queue's frames.
func (l *lane) writeControl() error { return l.writeFrames(l.control, streamControl, urgencyControl) }

// writeBulk writes those of the bulk queue. On a full link they have their share beside the
// logs: neither waits for more than a packet of the other.
func (l *lane) writeBulk() error { return l.writeFrames(l.bulk, streamBulk, urgencyLogs) }

func (l *lane) writeFrames(q *frameQueue, kind streamKind, urgency int8) error {
	s, err := l.openStream(kind, urgency)
	if err != nil {
		return err
	}
	for {
		select {
		case <-l.done():
			return nil
		case <-q.wake:
		}
		for frame := q.next(); frame != nil; frame = q.next() {
			if _, err := s.Write(frame); err != nil {
				return err
			}
			q.wrote(l.g.now())
		}
	}
}

// writeGrams sends the datagram queue's. Promises wait where they crowd a link, notes also
// for QUIC to send those before them; hellos never do.
func (l *lane) writeGrams() error {
	var grams [][]byte
	var r ration
	var s share
	waited := time.NewTimer(0)
	defer waited.Stop()
	for {
		select {
		case <-l.done():
			return nil
		case <-l.grams.wake:
		case <-waited.C:
		}
		grams = l.grams.takeHellos(grams[:0])
		now, hellos := l.g.now(), len(grams)
		if r.due(now) {
			r.look(now, l.conn.ConnectionStats().BytesSent, l.pressure.full())
		}
		wait := r.wait(now)
		if wait <= 0 {
			grams = l.takePromises(grams, r.gap > 0)
		}
		bytes := 0
		for i, b := range grams {
			if i >= hellos {
				bytes += len(b)
			}
			if err := l.sendGram(b); err != nil {
				return err
			}
		}
		if bytes > 0 {
			r.take(now, bytes)
		}
		clear(grams)
		more, err := l.writeNotes(&s)
		if err != nil {
			return err
		}
		if more && (wait <= 0 || wait > shareLook) {
			wait = shareLook
		}
		if wait > 0 {
			waited.Reset(wait)
		}
	}
}

// takePromises appends those that wait; few: only the newest of each origin.
func (l *lane) takePromises(grams [][]byte, few bool) [][]byte {
	if !few {
		return l.grams.takePromises(grams)
	}
	grams, superseded := l.grams.takeNewest(grams)
	l.g.count.promisesDropped.Add(uint64(superseded))
	return grams
}

// sendGram sends one datagram.
func (l *lane) sendGram(b []byte) error {
	err := l.conn.SendDatagram(b)
	if _, tooLarge := errors.AsType[*quic.DatagramTooLargeError](err); !tooLarge {
		return err
	}
	if !l.control.put(membership.SiteInstance{}, endFrame(append(beginFrame(nil, framePromise), b[1:]...), 0)) {
		l.g.count.promisesDropped.Add(1)
	}
	return nil
}

// readGrams answers hellos at once and hands on the rest.
func (l *lane) readGrams() error {
	for {
		b, err := l.conn.ReceiveDatagram(l.conn.Context())
		if err != nil {
			return err
		}
		now, wall := l.g.now(), time.Now().UnixNano()
		gram, err := decodeGram(b)
		if err != nil {
			return err
		}
		switch gram := gram.(type) {
		case hello:
			l.grams.putAnswer(answer{gram, wall}.append(nil))
			l.g.post(func(c *core) { c.heardHello(l, now, gram) })
		case answer:
			l.g.post(func(c *core) { c.heardAnswer(l, now, wall, gram) })
		case *promise:
			l.g.post(func(c *core) { c.promiseCame(l, gram) })
		case *note:
			l.g.count.notesDropped.Add(uint64(l.notes.put(gram)))
		}
	}
}

// acceptStreams reads the peer's unidirectional streams: one of each kind.
func (l *lane) acceptStreams() error {
	reads := map[streamKind]func(io.Reader) error{streamState: l.readState, streamControl: l.readControl, streamBulk: l.readBulk}
	for {
		s, err := l.conn.AcceptUniStream(l.conn.Context())
		if err != nil {
			return err
		}
		in := bufio.NewReaderSize(s, 16<<10)
		k, err := in.ReadByte()
		if err != nil {
			return err
		}
		read, ok := reads[streamKind(k)]
		if !ok {
			return breach(fmt.Errorf("unexpected one-way stream of kind %d", k))
		}
		delete(reads, streamKind(k))
		l.wg.Go(func() {
			err := read(in)
			if errors.Is(err, io.EOF) {
				err = breach(errors.New("stream ended before the link"))
			}
			l.check(err)
		})
	}
}

// readState takes advertisements and digests off the peer's stream. Signatures are
// checked here, beside the event loop, and only of what is new to this gateway.
func (l *lane) readState(in io.Reader) error {
	for {
		k, body, err := readFrame(in, frameAdvert, frameDigest)
		if err != nil {
			return err
		}
		if k == frameDigest {
			digest, err := decodeDigest(body)
			if err != nil {
				return err
			}
			l.g.post(func(c *core) { c.digestCame(l, digest) })
			continue
		}
		signed, err := decodeAdvert(body)
		if err != nil {
			return err
		}
		if err := l.g.verifier.check(signed); errors.Is(err, errBreach) {
			l.g.count.badSignatures.Add(1)
			return err
		} else if err != nil {
			l.g.count.untrusted.Add(1)
			l.g.warn("advertisement ignored", "from", l.peer.Name, "error", err)
			continue
		}
		l.g.count.advertsReceived.Add(1)
		l.g.post(func(c *core) { c.advertCame(l, signed) })
	}
}

func (l *lane) readControl(in io.Reader) error {
	for {
		k, body, err := readFrame(in, frameControl, framePromise)
		if err != nil {
			return err
		}
		if k == framePromise {
			p, err := decodePromiseFrame(body)
			if err != nil {
				return err
			}
			l.g.post(func(c *core) { c.promiseCame(l, p) })
			continue
		}
		msg, err := decodeControl(body)
		if err != nil {
			return err
		}
		l.g.post(func(c *core) { c.controlCame(l, msg) })
	}
}

func (l *lane) readBulk(in io.Reader) error {
	for {
		_, body, err := readFrame(in, frameBulk)
		if err != nil {
			return err
		}
		msg, err := decodeControl(body)
		if err != nil {
			return err
		}
		msg.Bulk = true
		l.g.post(func(c *core) { c.controlCame(l, msg) })
	}
}

// acceptSubscriptions takes the peer's subscriptions.
func (l *lane) acceptSubscriptions() error {
	for {
		s, err := l.conn.AcceptStream(l.conn.Context())
		if err != nil {
			return err
		}
		l.wg.Go(func() { l.check(l.readSubscribe(s)) })
	}
}

func (l *lane) readSubscribe(s *quic.Stream) error {
	_ = s.SetReadDeadline(time.Now().Add(handshakeTime))
	var k [1]byte
	if _, err := io.ReadFull(s, k[:]); err != nil {
		return err
	}
	if streamKind(k[0]) == streamStripe {
		return l.readStripe(s)
	}
	if streamKind(k[0]) != streamSubscribe {
		return breach(fmt.Errorf("unexpected two-way stream of kind %d", k[0]))
	}
	_, body, err := readFrame(s, frameSubscribe)
	if err != nil {
		s.CancelWrite(streamDone)
		return err
	}
	sub, err := decodeSubscribe(body)
	if err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Time{})
	b := &branch{lane: l, stream: s, sub: sub}
	l.g.post(func(c *core) { c.subscribed(b) })
	return awaitChild(s)
}

// readStripe takes a stripe of a subscription that the peer has here.
func (l *lane) readStripe(s *quic.Stream) error {
	_, body, err := readFrame(s, frameStripe)
	if err != nil {
		s.CancelWrite(streamDone)
		return err
	}
	hello, err := decodeStripe(body)
	if err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Time{})
	l.g.post(func(c *core) { c.joined(l, s, hello.ID) })
	return awaitChild(s)
}

// awaitChild waits until the child leaves. It says nothing more: its end of the stream
// tells that it has left.
func awaitChild(s *quic.Stream) error {
	var k [1]byte
	if n, err := s.Read(k[:]); n > 0 {
		return breach(errors.New("data after a subscription"))
	} else if err != nil {
		s.CancelWrite(streamDone)
	}
	return nil
}

// promise queues an encoded promise for the peer.
func (l *lane) promise(origin membership.NodeID, gram []byte) {
	if n := l.grams.putPromise(origin, gram); n > 0 {
		l.g.count.promisesDropped.Add(uint64(n))
	}
}
