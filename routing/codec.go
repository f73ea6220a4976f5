package routing

import (
	"fmt"
	"time"

	"ringway/internal/wire"
	"ringway/membership"
)

// Sizes on the wire.
const (
	codecVersion     = 3
	edgeBytes        = 4 + 8 + 8 + 4 + 1
	maxCertificate   = 8 << 10 // DER of one leaf certificate
	maxSignature     = 512
	deathBytes       = 4 + 8
	maxBody          = 256 + MaxEdges*edgeBytes + MaxDead*deathBytes
	MaxSignedBytes   = maxBody + maxCertificate + maxSignature + 12
	maxAdvertised    = time.Hour // of a cost or RTT: what is larger is nonsense
	partsPerMillion  = 1_000_000
	summaryBytes     = 4 + 8 + 8
	maxAdvertisedPPM = partsPerMillion
	// maxIncarnation bounds incarnations, wall clocks in nanoseconds, so that one can always be
	// out-numbered: beyond 2^64 the next one is 0, and a gateway and who remembers its mad life
	// would correct each other for ever.
	maxIncarnation = 1 << 62
)

// Append appends the encoding of a.
func (a *Advertisement) Append(b []byte) []byte {
	b = append(b, codecVersion)
	b = wire.AppendUint32(b, uint32(a.Gateway))
	b = wire.AppendUint32(b, uint32(a.Site))
	b = wire.AppendUint64(b, a.Incarnation)
	b = wire.AppendUint64(b, a.Counter)
	b = append(b, byte(a.Flags))
	b = wire.AppendUint64(b, uint64(a.Instance))
	b = a.View.Append(b)
	b = wire.AppendUint64(b, a.Epoch)
	b = wire.AppendUint64(b, a.Wanted)
	b = wire.AppendUint32(b, uint32(len(a.Edges)))
	for _, e := range a.Edges {
		b = wire.AppendUint32(b, uint32(e.To))
		b = wire.AppendInt64(b, int64(e.Cost))
		b = wire.AppendInt64(b, int64(e.RTT))
		b = wire.AppendUint32(b, e.LossPPM)
		b = append(b, e.Lanes)
	}
	b = append(b, byte(len(a.Dead)))
	for _, d := range a.Dead {
		b = wire.AppendUint32(b, uint32(d.Gateway))
		b = wire.AppendUint64(b, d.Incarnation)
	}
	return b
}

// DecodeAdvertisement reads what Append wrote.
func DecodeAdvertisement(body []byte) (Advertisement, error) {
	r := wire.NewReader(body)
	if v := r.Uint8(); r.Err() == nil && v != codecVersion {
		return Advertisement{}, fmt.Errorf("advertisement of version %d, this node speaks %d", v, codecVersion)
	}
	a := Advertisement{
		Gateway: membership.NodeID(r.Uint32()), Site: membership.SiteID(r.Uint32()),
		Incarnation: r.Uint64(), Counter: r.Uint64(), Flags: Flags(r.Uint8()),
		Instance: membership.InstanceID(r.Uint64()), View: membership.ReadViewID(&r), Epoch: r.Uint64(), Wanted: r.Uint64(),
	}
	n := r.Count(MaxEdges, edgeBytes)
	if n > 0 {
		a.Edges = make([]Edge, n)
	}
	for i := range a.Edges {
		e := &a.Edges[i]
		e.To = membership.NodeID(r.Uint32())
		e.Cost, e.RTT = time.Duration(r.Int64()), time.Duration(r.Int64())
		e.LossPPM, e.Lanes = r.Uint32(), r.Uint8()
		if r.Err() == nil && !e.plausible() {
			return Advertisement{}, fmt.Errorf("advertisement of gateway %v: edge to %v is out of range", a.Gateway, e.To)
		}
	}
	if err := a.readDead(&r); err != nil {
		return Advertisement{}, err
	}
	if err := r.Done(); err != nil {
		return Advertisement{}, fmt.Errorf("advertisement: %w", err)
	}
	if a.Gateway == 0 || a.Site == 0 {
		return Advertisement{}, fmt.Errorf("advertisement of no gateway or no site")
	}
	if a.Incarnation >= maxIncarnation {
		return Advertisement{}, fmt.Errorf("advertisement of gateway %v: incarnation %d is no wall clock", a.Gateway, a.Incarnation)
	}
	return a, nil
}

func (a *Advertisement) readDead(r *wire.Reader) error {
	n := int(r.Uint8())
	if n > MaxDead {
		r.Fail(wire.ErrLimit)
		return nil
	}
	for i := range n {
		d := Death{membership.NodeID(r.Uint32()), r.Uint64()}
		if r.Err() == nil && (d.Gateway == a.Gateway || i > 0 && d.Gateway <= a.Dead[i-1].Gateway) {
			return fmt.Errorf("advertisement of gateway %v: its list of the dead is not in order, or has itself", a.Gateway)
		}
		a.Dead = append(a.Dead, d)
	}
	return nil
}

func (e *Edge) plausible() bool {
	return e.Cost > 0 && e.Cost <= maxAdvertised && e.RTT >= 0 && e.RTT <= maxAdvertised && e.LossPPM <= maxAdvertisedPPM && e.To != 0
}

// Append appends the encoding of s.
func (s *Signed) Append(b []byte) []byte {
	b = wire.AppendBlob(b, s.Body)
	b = wire.AppendBlob(b, s.Certificate)
	return wire.AppendBlob(b, s.Signature)
}

// DecodeSigned reads what Append wrote, and the advertisement in it. It does not
// verify the signature. The result aliases data.
func DecodeSigned(data []byte) (*Signed, error) {
	r := wire.NewReader(data)
	s := &Signed{Body: r.Blob(maxBody), Certificate: r.Blob(maxCertificate), Signature: r.Blob(maxSignature)}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("signed advertisement: %w", err)
	}
	a, err := DecodeAdvertisement(s.Body)
	if err != nil {
		return nil, err
	}
	s.Advertisement = a
	return s, nil
}

// AppendDigest appends the encoding of a digest.
func AppendDigest(b []byte, digest []Summary) []byte {
	b = wire.AppendUint32(b, uint32(len(digest)))
	for _, s := range digest {
		b = wire.AppendUint32(b, uint32(s.Gateway))
		b = wire.AppendUint64(b, s.Incarnation)
		b = wire.AppendUint64(b, s.Counter)
	}
	return b
}

// DecodeDigest reads what AppendDigest wrote.
func DecodeDigest(data []byte) ([]Summary, error) {
	r := wire.NewReader(data)
	digest := make([]Summary, r.Count(MaxGateways, summaryBytes))
	for i := range digest {
		digest[i] = Summary{Gateway: membership.NodeID(r.Uint32()), Incarnation: r.Uint64(), Counter: r.Uint64()}
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("digest: %w", err)
	}
	return digest, nil
}
