package overlay

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"

	"ringway/internal/pki"
	"ringway/internal/wire"
	"ringway/membership"
)

// Logs are relayed by other sites' gateways, so what a log says is signed where it
// comes from. The origin cuts its log into blocks of some entries and signs a seal for
// each. A seal has, for each destination of the block, the hash of that destination's
// entries, and where the one before them was: so whoever gets the entries of some
// destinations only can tell that they are all there, in order and unaltered, without
// knowing anything of the others' (docs/decisions/, "Logs are sealed").

const (
	// maxBlockEntries and maxBlockBytes bound a block: it ends with the entry that
	// reaches one of them. What a receiver holds before it can trust it is one block,
	// and what a signature costs is shared by so many entries.
	maxBlockEntries = 256
	maxBlockBytes   = 256 << 10
)

// A leaf is the hash of one entry.
type leaf [sha256.Size]byte

// A hasher makes leaves without allocating.
type hasher struct {
	h    hash.Hash
	head []byte
}

func newHasher() *hasher { return &hasher{h: sha256.New()} }

func (h *hasher) leaf(e *LogEntry) (l leaf) {
	h.head = wire.AppendUint64(h.head[:0], e.N)
	h.head = append(h.head, byte(len(e.Dests)))
	for _, d := range e.Dests {
		h.head = wire.AppendUint64(h.head, uint64(d))
	}
	h.h.Reset()
	h.h.Write(h.head)
	h.h.Write(e.Data)
	h.h.Sum(l[:0])
	return l
}

// appendLeaf adds an entry to the text whose hash is its destination's in a seal.
func appendLeaf(b []byte, n uint64, l *leaf) []byte {
	return append(wire.AppendUint64(b, n), l[:]...)
}

// leafText is the bytes that appendLeaf adds.
const leafText = 8 + sha256.Size

// A seal is what the origin of a log signs: entries from Low on and below High are
// those of Dests, and no others.
type seal struct {
	Gateway membership.NodeID // of the log's site
	Low     uint64
	High    uint64
	Floor   uint64 // everything below is held by all its destinations
	Dests   []sealed
	// Certificate and Signature are the gateway's.
	Certificate []byte
	Signature   []byte
}

// sealed is the part of a seal about one destination: its entries have the hash Digest,
// and there is none from After on and below the first of them.
type sealed struct {
	Dest   membership.InstanceID
	After  uint64
	Digest leaf
}

const (
	sealHeadBytes = 4 + 3*8 + 1
	sealedBytes   = 8 + 8 + sha256.Size
	// maxSealBytes bounds a seal's frame.
	maxSealBytes = sealHeadBytes + membership.MaxSites*sealedBytes + pki.SignatureBytes + 4 + pki.MaxCertificateBytes
	// maxSkipBytes bounds the frame of an entry's leaf alone.
	maxSkipBytes = leafText + 1 + membership.MaxSites*destBytes
)

func (s *seal) appendBody(b []byte) []byte {
	b = wire.AppendUint32(b, uint32(s.Gateway))
	b = wire.AppendUint64(b, s.Low)
	b = wire.AppendUint64(b, s.High)
	b = wire.AppendUint64(b, s.Floor)
	b = append(b, byte(len(s.Dests)))
	for i := range s.Dests {
		d := &s.Dests[i]
		b = wire.AppendUint64(b, uint64(d.Dest))
		b = wire.AppendUint64(b, d.After)
		b = append(b, d.Digest[:]...)
	}
	return b
}

// text is what is signed: the log, too, so that a seal is of no use for another one.
func (s *seal) text(log membership.LogID) []byte {
	return s.appendBody(appendLogID(make([]byte, 0, logIDBytes+sealHeadBytes+len(s.Dests)*sealedBytes), log))
}

// append appends the seal as a frame. The certificate is left out if the peer has it.
func (s *seal) append(b []byte, withCertificate bool) []byte {
	start := len(b)
	b = s.appendBody(beginFrame(b, frameSeal))
	b = append(b, s.Signature...)
	if withCertificate {
		b = append(b, s.Certificate...)
	}
	return endFrame(b, start)
}

// decodeSeal decodes a seal. One without certificate has that of the seal before.
func decodeSeal(body []byte) (*seal, error) {
	r := wire.NewReader(body)
	s := &seal{Gateway: membership.NodeID(r.Uint32()), Low: r.Uint64(), High: r.Uint64(), Floor: r.Uint64()}
	n := int(r.Uint8())
	if n == 0 || n > membership.MaxSites || s.Low >= s.High {
		r.Fail(fmt.Errorf("%w: seal of [%d, %d) for %d instances", wire.ErrLimit, s.Low, s.High, n))
		n = 0
	}
	s.Dests = make([]sealed, n)
	for i := range s.Dests {
		d := &s.Dests[i]
		d.Dest, d.After = membership.InstanceID(r.Uint64()), r.Uint64()
		copy(d.Digest[:], r.Bytes(len(d.Digest)))
		if i > 0 && d.Dest <= s.Dests[i-1].Dest {
			r.Fail(fmt.Errorf("instances of a seal do not ascend"))
		}
	}
	s.Signature = slices.Clone(r.Bytes(pki.SignatureBytes))
	if r.Len() > pki.MaxCertificateBytes {
		r.Fail(wire.ErrLimit)
	}
	if r.Len() > 0 {
		s.Certificate = slices.Clone(r.Rest())
	}
	return s, breach(r.Done())
}

// about returns what the seal says of a destination; nil: nothing.
func (s *seal) about(dest membership.InstanceID) *sealed {
	i, found := slices.BinarySearchFunc(s.Dests, dest, func(d sealed, of membership.InstanceID) int {
		switch {
		case d.Dest < of:
			return -1
		case d.Dest > of:
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return &s.Dests[i]
}

// A skip stands for an entry that its receiver has already: it is needed to check the
// seal of its block.
type skip struct {
	N     uint64
	Dests []membership.InstanceID
	leaf  leaf
}

func (s *skip) append(b []byte) []byte {
	start := len(b)
	b = appendLeaf(beginFrame(b, frameSkip), s.N, &s.leaf)
	b = append(b, byte(len(s.Dests)))
	for _, d := range s.Dests {
		b = wire.AppendUint64(b, uint64(d))
	}
	return endFrame(b, start)
}

func decodeSkip(body []byte) (skip, error) {
	r := wire.NewReader(body)
	s := skip{N: r.Uint64()}
	copy(s.leaf[:], r.Bytes(len(s.leaf)))
	n := int(r.Uint8())
	if n == 0 || n > membership.MaxSites {
		r.Fail(fmt.Errorf("%w: skipped entry for %d instances", wire.ErrLimit, n))
		n = 0
	}
	s.Dests = make([]membership.InstanceID, n)
	for i := range s.Dests {
		s.Dests[i] = membership.InstanceID(r.Uint64())
	}
	return s, breach(r.Done())
}
