package merge

import (
	"time"

	"ringway/membership"
)

// Constants of the protocol: all nodes of a federation agree on them.
const (
	// inlineMax is the largest body that travels inside a LocalSend. Larger ones
	// cross the sender's ring first, and then the way to other sites, so that a deadline does
	// not include that (bulk.go).
	inlineMax = 64 << 10
	// maxAhead bounds how far a deadline may lie ahead of the clock.
	maxAhead = int64(5 * time.Second)
	// maxStep bounds how far one Tick moves the clock: a wild reading costs
	// little. In large quiet views Ticks are farther apart (stepOf).
	maxStep = int64(time.Second)
	// maxLead bounds how far deadlines and floors are set ahead for one member.
	maxLead = int64(2 * time.Second)
	// maxTickPromises bounds the promises in a Tick: one for each member of the
	// largest view.
	maxTickPromises = 64
	// maxWaiting bounds the promises of one source that wait for records.
	maxWaiting = 8
	// maxSnaps bounds the Ticks whose effects are remembered until they are
	// known ring-safe; a Tick is safe after about two rotations.
	maxSnaps = 64
	// maxHorizons bounds the horizons that wait for the act line.
	maxHorizons = 1024
	// maxChunk bounds the members in one PrepareAck record, so that
	// no record of the directory exceeds 64 KiB.
	maxChunk = 1000
	// maxBodies bounds the large bodies of one node that wait at every node of
	// the site for their LocalSend. More than one is rare: a client sends its
	// next message only after the one before.
	maxBodies = 8
	// pieceBytes is the size of the pieces of a large body between sites: what is sent
	// after one that has begun waits for no more.
	pieceBytes = 32 << 10
	// bulkWindow bounds the bodies of one source that a site takes before their records
	// come: the largest message.
	bulkWindow = membership.MaxMessageBytes
	// maxAsk bounds the pieces that one message asks for.
	maxAsk = 64
	// fillPieceBytes is the size of the pieces of a Fill: large enough for one to be
	// enough as a rule, and small enough to be through a link of 256 kbit/s in a second, so that
	// a flush is seen to get on there.
	fillPieceBytes = 32 << 10
	// maxFillPieces bounds a Fill to 1 GiB: more than credit lets be under way from
	// 64 sources, and a directory of millions of members.
	maxFillPieces = 32768
	// maxRows bounds the promises that come with a Fill: keptPromises of each member.
	maxRows = 8 * 64
	// maxReadyLost bounds the lives of nodes that one Ready names: each of the most nodes
	// that a site may have, lost eight times while one view changes.
	maxReadyLost = 8 * 128
	// maxAttempts bounds the attempts of one lineage. A node with more gives up
	// its vote.
	maxAttempts = 64
)

// Constants of tuning: every node may have its own.
const (
	minInterval = 2 * time.Millisecond  // of ticks and promises, while busy
	maxInterval = 20 * time.Millisecond // likewise
	quietAfter  = 2 * time.Second       // without federated traffic (quiet.go)
	// minGap keeps event-driven ticks and promises from following each other
	// closer than a fast ring turns.
	minGap = 200 * time.Microsecond
	// promiseGap is the shortest time between two promises: news that comes in
	// between shares the next one.
	promiseGap = 500 * time.Microsecond
	// leadRise bounds how fast a lead grows: 5 ms in 100 ms. One late packet
	// must not raise every later deadline.
	leadRise = 20 // nanoseconds of time for one of lead
	// slewPart is the part of elapsed time by which a reading is pulled towards
	// the fastest peer.
	slewPart = 10
	// standstill is how long a ring may go without a Tick and still know what time it is in
	// the view: more than quietMost, less than maxAhead.
	standstill = 3 * time.Second
	// stepBehind is how far behind a peer the clock jumps instead of slewing.
	stepBehind = 500 * time.Millisecond

	startSlack = 500 * time.Microsecond // two rotations of a LAN ring
	minSlack   = 200 * time.Microsecond
	maxSlack   = 50 * time.Millisecond

	repeatInterval = 200 * time.Millisecond // of what a flush says, and of an Attach
	maxPatience    = 500 * time.Millisecond // see Replica.patience
	queueTime      = time.Second            // how much of a Fill may wait in front of a link, as long as it takes
	importStuck    = 250 * time.Millisecond // a gap that nobody fills: pull again

	// maxControls and maxControlBytes bound the control messages that wait for the
	// ring. What does not fit is repeated.
	maxControls     = 1024
	maxControlBytes = 64 << 20
	// bulkRepeat is after what time an Offer is made again, or that a body is held, and
	// nothing came of it.
	bulkRepeat = 500 * time.Millisecond
	// maxBulkQueue and maxBulkBytes bound the messages about bodies that wait for the ring.
	// What does not fit is asked for again.
	maxBulkQueue = 2048
	maxBulkBytes = 16 << 20
	// maxFarBodies bounds the large bodies of one node that wait for other sites: there have
	// to be some of maxBodies left for messages within the site.
	maxFarBodies = maxBodies / 2
	// firstWindow is how many pieces of a Fill are under way to one member before it has
	// answered, and fillWindow how many there are at most: 4 MiB.
	firstWindow = 4
	fillWindow  = 128
	// fillAsk is after how many pieces of a Fill its receiver says so at once.
	fillAsk = 4
	// maxWaits bounds how long an answer is waited for because others took long, in Replica.patience:
	// twice as long as a change of the view may make no progress.
	maxWaits = 8
	// keptPromises is how many of a source's latest promises are kept for a Fill: the
	// newest may speak of records that nobody has.
	keptPromises = 8
	// arenaBytes is the size of the chunks that frames are encoded into.
	arenaBytes = 64 << 10
	// maxInterned bounds the names that are kept to decode without allocating.
	maxInterned = 8192
	// maxReplay bounds the bytes a learner keeps until the site's state arrives.
	maxReplay = 512 << 20
	// lateWindow is how many samples a lateness quantile looks back.
	lateWindow = 256
)
