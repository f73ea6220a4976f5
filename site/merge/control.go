package merge

import (
	"fmt"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// A controlKind is the first byte of a control message.
type controlKind uint8

const (
	controlPropose controlKind = iota + 1 // X1
	controlFill                           // X3: a piece of one
	controlSync                           // X4
	controlReady                          // X5
	// controlHave says what its sender has of the receiver's part in a flush, so that
	// the rest can be sent again. It enters the ring only to tell the gateway that leads.
	controlHave
	// controlDecline tells a proposer that the sender takes part in none of its proposals,
	// and for how long (X8).
	controlDecline
	controlEnd // not a kind
)

// A control is a message about a change of the site view, between gateways of two
// instances and on the ring. Each carries the whole proposal: whoever gets one takes
// part. Decline is the exception, and answers.
type control struct {
	kind controlKind
	view membership.SiteView // proposed
	from membership.InstanceID
	to   membership.InstanceID // of all but Propose

	// Fill
	piece, pieces uint32
	key           flushKey     // with piece 0
	vectors       []promiseRow // with piece 0
	data          []byte

	stand                  // Sync
	claim membership.Claim // Sync

	lost []lostNode // Ready: see flush

	// Have
	have    uint32 // pieces of the receiver's Fill
	gap     uint32 // which of them is missing in front of others, plus one; 0: none
	got     uint32 // pieces of all Fills that the sender has: others see that it gets on
	synced  bool
	ready   bool
	missing membership.Set // places in the proposal that the sender still waits for

	wait time.Duration // Decline: from now
}

// A flushKey says in what state an instance comes into a flush: in which view, which
// cut of it has been computed, if any, and whether the instance is left alone by that
// cut. Those with one key end the view together.
type flushKey struct {
	view  membership.ViewID
	cut   membership.ViewID     // zero: none yet
	alone membership.InstanceID // zero: not alone
}

// A promiseRow is a promise as it was sent: what its source said to every member of
// the view.
type promiseRow struct {
	src uint8
	to  []promiseEntry
}

type promiseEntry struct {
	p    int64
	idx  uint64
	next uint64 // what the source expected next of that member
}

func (k flushKey) append(b []byte) []byte {
	return wire.AppendUint64(k.cut.Append(k.view.Append(b)), uint64(k.alone))
}

func readFlushKey(r *wire.Reader) flushKey {
	return flushKey{membership.ReadViewID(r), membership.ReadViewID(r), membership.InstanceID(r.Uint64())}
}

func (c *control) append(b []byte) []byte {
	b = c.view.Append(append(b, byte(c.kind)))
	b = wire.AppendUint64(wire.AppendUint64(b, uint64(c.from)), uint64(c.to))
	switch c.kind {
	case controlFill:
		b = wire.AppendUint32(wire.AppendUint32(b, c.piece), c.pieces)
		if c.piece == 0 {
			b = appendRows(c.key.append(b), c.vectors)
		}
		return append(b, c.data...)
	case controlSync:
		return appendClaim(c.stand.append(b), &c.claim)
	case controlReady:
		return appendLost(b, c.lost[:min(len(c.lost), maxReadyLost)])
	case controlHave:
		b = wire.AppendBool(wire.AppendBool(wire.AppendUint32(wire.AppendUint32(wire.AppendUint32(b, c.have), c.gap), c.got), c.synced), c.ready)
		return wire.AppendUint64(b, uint64(c.missing))
	case controlDecline:
		return wire.AppendInt64(b, int64(c.wait))
	}
	return b
}

// read decodes a control; data is valid as long as the input.
func (c *control) read(data []byte) error {
	r := wire.NewReader(data)
	*c = control{kind: controlKind(r.Uint8())}
	if r.Err() == nil && (c.kind == 0 || c.kind >= controlEnd) {
		return fmt.Errorf("control message: %w %d", errKind, c.kind)
	}
	c.view = membership.ReadSiteView(&r)
	c.from, c.to = membership.InstanceID(r.Uint64()), membership.InstanceID(r.Uint64())
	switch c.kind {
	case controlFill:
		c.piece, c.pieces = r.Uint32(), r.Uint32()
		if c.pieces == 0 || c.pieces > maxFillPieces || c.piece >= c.pieces {
			r.Fail(fmt.Errorf("%w: piece %d of %d", wire.ErrLimit, c.piece, c.pieces))
		}
		if c.piece == 0 {
			c.key, c.vectors = readFlushKey(&r), readRows(&r, maxRows)
		}
		if c.data = r.Rest(); len(c.data) > fillPieceBytes {
			r.Fail(fmt.Errorf("%w: piece of %d bytes", wire.ErrLimit, len(c.data)))
		}
	case controlSync:
		c.stand.read(&r)
		c.claim = readClaim(&r)
	case controlReady:
		c.lost = readLost(&r, maxReadyLost)
	case controlHave:
		c.have, c.gap, c.got, c.synced, c.ready, c.missing = r.Uint32(), r.Uint32(), r.Uint32(), r.Bool(), r.Bool(), membership.Set(r.Uint64())
	case controlDecline:
		if c.wait = time.Duration(r.Int64()); c.wait < 0 {
			r.Fail(fmt.Errorf("%w: it declines for %v", wire.ErrLimit, c.wait))
		}
	}
	if err := r.Done(); err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	return nil
}

const lostNodeBytes = 8

func appendLost(b []byte, lost []lostNode) []byte {
	b = wire.AppendUint32(b, uint32(len(lost)))
	for _, l := range lost {
		b = wire.AppendUint32(wire.AppendUint32(b, uint32(l.node)), l.boot)
	}
	return b
}

// readLost reads at most limit nodes.
func readLost(r *wire.Reader, limit int) (lost []lostNode) {
	for range r.Count(limit, lostNodeBytes) {
		lost = append(lost, lostNode{membership.NodeID(r.Uint32()), r.Uint32()})
	}
	return lost
}

func (s *stand) append(b []byte) []byte {
	b = wire.AppendInt64(wire.AppendInt64(wire.AppendInt64(append(b, byte(s.place)), s.b), s.f), s.moved)
	return appendRows(b, s.known)
}

func (s *stand) read(r *wire.Reader) {
	s.place, s.b, s.f, s.moved = int(r.Uint8()), r.Int64(), r.Int64(), r.Int64()
	s.known = readRows(r, membership.MaxSites)
	if s.place >= membership.MaxSites {
		r.Fail(fmt.Errorf("%w: place %d", wire.ErrLimit, s.place))
	}
}

const promiseEntryBytes = 24

func appendRows(b []byte, rows []promiseRow) []byte {
	b = wire.AppendUint16(b, uint16(len(rows)))
	for _, row := range rows {
		b = append(b, row.src, byte(len(row.to)))
		for _, e := range row.to {
			b = wire.AppendUint64(wire.AppendUint64(wire.AppendInt64(b, e.p), e.idx), e.next)
		}
	}
	return b
}

// readRows reads at most limit promises of members of a view.
func readRows(r *wire.Reader, limit int) []promiseRow {
	n := int(r.Uint16())
	if n > limit {
		r.Fail(fmt.Errorf("%w: %d promises", wire.ErrLimit, n))
	}
	var rows []promiseRow
	for i := 0; i < n && r.Err() == nil; i++ {
		row := promiseRow{src: r.Uint8()}
		k := int(r.Uint8())
		if row.src >= membership.MaxSites || k > membership.MaxSites || k*promiseEntryBytes > r.Len() {
			r.Fail(fmt.Errorf("%w: promise of member %d to %d members", wire.ErrLimit, row.src, k))
			break
		}
		for range k {
			row.to = append(row.to, promiseEntry{r.Int64(), r.Uint64(), r.Uint64()})
		}
		rows = append(rows, row)
	}
	return rows
}
