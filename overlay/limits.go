package overlay

import (
	"time"

	"ringway/membership"
	"ringway/routing"
)

// Limits of the protocol between gateways. Both ends must agree on them: what
// exceeds one is a breach.
const (
	// MaxEntryBytes bounds an entry's data: the largest message and, above it, the
	// record's own fields.
	MaxEntryBytes = membership.MaxMessageBytes + 64<<10
	// MaxControlBytes bounds a control message. The largest, a flush's Fill, is cut
	// by its sender to stay below.
	MaxControlBytes = 1 << 20
	// MaxBulkBytes bounds a message that gives way to others: whatever comes next waits until
	// it has been handed on.
	MaxBulkBytes = 64 << 10
	// MaxPromiseBytes bounds a promise: those of 64 sites need 1 KiB.
	MaxPromiseBytes = 16 << 10
	// MaxDatagramBytes bounds a Datagram's data: with a note's head it fits a packet of any
	// path that carries QUIC.
	MaxDatagramBytes = 1024
	// maxNoteTo bounds the instances that one copy of a note is for: more go in several.
	maxNoteTo = 8
	// maxDigestBytes bounds a digest: 20 B for each of routing.MaxGateways.
	maxDigestBytes = 4 + 20*routing.MaxGateways
	// maxHops bounds how often a promise, note or control message is passed on. A loop
	// can exist only while link state converges; this ends it.
	maxHops = 16
	// maxRoute bounds the gateways on the source route of a promise's second path.
	maxRoute = 8
	// maxLanes bounds the QUIC connections of a link: with eight, NewReno's answer
	// to 0.1 % loss no longer holds a link back.
	maxLanes = 8
)

// Bounds of this gateway's memory.
const (
	// maxOwnLogBytes bounds the own log. Credit keeps it far smaller: 8 MiB of
	// unstable records to each of at most 63 other sites. What is dropped above it
	// can no longer be had by a site that lacks it.
	maxOwnLogBytes = 512 << 20
	// maxRelayBytes bounds all logs of other sites together; each has an equal
	// share, but at least minRelayBytes so that a child that reconnects finds what
	// it missed.
	maxRelayBytes = 256 << 20
	minRelayBytes = 4 << 20
	// maxImportLag bounds what has been received of a log and not yet been taken by
	// the Handler. Above it the parent's stream is not read.
	maxImportLag = 2 << 20
	// maxControlQueue and maxControlQueueBytes bound control messages that wait for
	// one link, or for the Handler: room for the flush of a view, several MiB to each of
	// a few instances. They are repeated by the machines above, so the newest are refused
	// when it is full.
	maxControlQueue      = 4096
	maxControlQueueBytes = 32 << 20
	// maxBulkQueue and maxBulkQueueBytes bound likewise the messages that give way to others.
	// The machines ask for 8 MiB of a body at a time at most.
	maxBulkQueue      = 1024
	maxBulkQueueBytes = 32 << 20
	// maxUnprovedBytes bounds the control messages that were written to a link and that
	// are kept until the peer has answered a later hello, a round trip and one or two
	// hellos: four of the largest. The oldest go first.
	maxUnprovedBytes = 4 * (MaxControlBytes + controlHeaderBytes + frameHeaderBytes)
	// maxPromiseBacklog is how many promises of one origin may wait for one link or
	// for the Handler; then the oldest, superseded ones go.
	maxPromiseBacklog = 4
	// maxNotes is how many notes of one origin may wait at one place: for a link, to be looked
	// at, for the event loop or for the Handler. Then the oldest go: they are old news.
	maxNotes = 256
	// maxEvents bounds what the links have found out and the event loop has not yet
	// taken; they wait when it is full.
	maxEvents = 256
	// maxStreams bounds the subscriptions that one peer may have open here: one a
	// log, with room for those being replaced.
	maxStreams = 4 * membership.MaxSites
	// maxHandshakes bounds connections that have not said hello yet, maxHandshakesFrom
	// those from one address: behind one there may be a site, or an emulator. From
	// maxTrusting on, addresses must be verified first.
	maxHandshakes     = 256
	maxHandshakesFrom = 64
	maxTrusting       = 32
	// noteAge is how long a note waits for a link at most. What its sender says next is worth
	// more, and a burst gets through on most links.
	noteAge = 100 * time.Millisecond
	// noteRound is how many notes pass one after the other before something else has its turn.
	noteRound = 16
	// maxDisjointSites bounds the federation in which promises also take a second
	// path: beyond it the second paths would be most of the traffic.
	maxDisjointSites = 16
)

// Tuning.
const (
	// streamWindow and connWindow are QUIC's flow-control windows: 2 × 200 Mbit/s ×
	// 300 ms is 15 MiB, and a link shares its window among its logs.
	initialWindow = 1 << 20
	streamWindow  = 16 << 20
	connWindow    = 64 << 20
	// socketBuffer is what the UDP socket asks for in each direction: 30 ms at
	// 2 Gbit/s.
	socketBuffer = 8 << 20
	// writeBatch is about what one write to a stream carries, and a body from
	// inlineBody on is written from where it lies instead of being copied.
	writeBatch = 64 << 10
	inlineBody = 16 << 10
	// importBatch and importEntries bound one call of Handler.Records.
	importBatch   = 256 << 10
	importEntries = 1024
	// floodDelay batches advertisements of one link.
	floodDelay = 5 * time.Millisecond
	// advertLife is how long an advertisement that is not repeated is kept; the living
	// repeat theirs every ten minutes.
	advertLife = 35 * time.Minute
	// handshakeTime bounds a caller's handshake and the exchange of hellos.
	handshakeTime = 5 * time.Second
	// dialTime bounds an attempt to connect (patience.go).
	dialTime = 2 * time.Second
	// idleTime is QUIC's own time-out. Hellos notice a dead link long before.
	idleTime = 15 * time.Second
	// redialMin and redialMax bound the back-off between two dials of a peer.
	redialMin = 50 * time.Millisecond
	redialMax = 2 * time.Second
	// retryMin and retryMax bound the back-off between two subscriptions to a log.
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
	// linger is how long a log is still pulled for children that have gone: most
	// come back within it.
	linger = 2 * time.Second
	// insistTime is how long a child that insisted may hold back a relayed log while
	// it takes what it lacked. After it the child has to keep up again.
	insistTime = 5 * time.Second
	// drainTime is how long a gateway that stops waits for its neighbours to have
	// moved their streams.
	drainTime = 400 * time.Millisecond
)
