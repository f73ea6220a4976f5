package merge

// hooks let tests look in and switch rules off. They are nil outside tests.
type hooks struct {
	broken func(what string) // an invariant does not hold
	off    mutant
}

// A mutant is a rule switched off: a test that does not notice is worth nothing.
// docs/rules.md has all rules, and what notices. Zero is none.
type mutant uint8

const (
	noFloor        mutant = iota + 1 // P2c without floors and clock
	noHold                           // P2b without last[c] ≤ V
	deafToScopes                     // 6.3: sessions with independent scopes are held like all
	freeInGroup                      // 6.3: and those are not held by what they sent to the same group either
	freeOnReturn                     // 6.3, N8: nor by what their node saw before it came back
	noScope                          // P2b: a local message may have members elsewhere
	leakyScope                       // 6.1: what comes from another site is for its groups of one site too
	anyTurn                          // P2a: requests in any order
	noLast                           // P2c without last[c]
	farAhead                         // P2c without MaxAhead
	stampAtMachine                   // P2: T is what is free here, not what the request carries
	noStep                           // C1: a Tick moves the clock as far as its reading says
	lateRiser                        // C7: a site that slept gets up as slowly as one whose clock is slow
	openCredit                       // B3: credit as if all links were wide
	noOwnClock                       // C3: H without the own clock
	anyAhead                         // C2: records with any T
	rash                             // C2: whoever is ahead is to blame
	silentSource                     // C3: H without members that have sent nothing yet
	sigmaShared                      // C4: H without members that share no group with this site
	orderedTick                      // S1: H counts before every member of the ring holds its Tick
	unsafeRelease                    // S2 without the stable line
	earlyLineage                     // S2: what a lineage causes leaves before all of the ring have decided by it
	unsafePromise                    // S3 without it
	unsafeTell                       // S2: what a flush says
	wOrdered                         // S3: W says more than the Tick that announced it
	earlyReady                       // S3: Ready rests on the frame that fixed it, not on a Tick
	anyIdx                           // I1 without idx
	noIdxGate                        // I2 without idx
	noFault                          // I3: nobody says that a record breaks a promise
	anyGap                           // I4: who sees a gap is believed, whatever the site holds
	trustful                         // I4: who breaks the protocol stays in the view
	vAtT                             // D1: V is the T of what was delivered last
	noStable                         // D2
	selfStable                       // D2 without the own stable line
	noNodeLost                       // D3: no signal for who was lost at another site
	lostOnce                         // D3: who was ordered out once is not lost, though it came back and was lost again
	noFIFOWait                       // D4
	dropOwn                          // 5.6: own records are kept until they are delivered here
	dropOthers                       // 5.6: and those of others
	onePhase                         // J1 without waiting for acks
	ackNoMaxT                        // J2 without maxT
	noOwnMaxT                        // J2 without what the own site has accepted
	noStale                          // J2: what is older than an answer still counts
	noOnT                            // J3
	overtake                         // J2: what a client asks for gets its place before its join that waits
	noOff                            // J4 without the T of what emptied a group
	offEarly                         // J4 without looking at joins that are not delivered
	downEarly                        // J7 without T > last[c]
	anyHeir                          // N1 without majorities
	noAttempts                       // N1 without attempts
	learnerVotes                     // N1: who has not the state has a vote
	firstHeir                        // N2: any instance that may go on does
	anyState                         // N3: heirs with any state
	outsideHeir                      // N3: also of voters outside the newest electorate that may have been formed
	noGapRule                        // N4: all frames behind a gap of a broken ring count
	beyondSafe                       // N6: who closes alone delivers by all horizons it has
	aloneNoCut                       // N6: and not by the cut
	blindFounder                     // N7: the epoch of a founded view is the first
	noMinT                           // N8: who closed a view comes back to it anywhere
	backInTime                       // N8: and into an older view
	noCatchUp                        // N8: and before the instance has delivered as much
	seenAgain                        // N8: and gets what it saw again
	blindEpoch                       // X1: epochs of others do not count
	anyProposal                      // X2: an older proposal starts anew as well
	noFreeze                         // X2: deliveries go on while a view changes
	readyLoss                        // X6: who was lost while frozen is not told before the install
	outOfTurn                        // X3: what is acted on at arrival does not wait for what lies before it
	anyEvidence                      // X3: promises of whoever is in the proposal
	impatient                        // X3: each Have has all pieces under way sent again
	selfish                          // X3: a change of the view gets on only if something comes to this site
	untold                           // X3: the gateway that leads knows only what it is told itself of how far others are
	hurried                          // X3: a change of the view may stand still no longer while a long Fill is under way
	ghosts                           // X3: who goes on with another gateway's Fill waits for pieces that nobody sent
	inOrderOnly                      // X3: pieces of a Fill that come ahead of their turn are dropped
	spareMore                        // X3: a Fill leaves out the record that its receiver expects next, too
	torn                             // X4: promises count whose records are missing
	noSafeF                          // X4: F without safe records that may have been delivered
	anyCompany                       // X5: C is whoever is in the proposal
	noExclusion                      // X5: all of C are in TS
	noCover                          // X5: what TS lack may have been delivered in C
	noMoved                          // X5: K below a change of groups that somebody has seen
	noRelay                          // X5: and at lost sites, which told others
	muteReady                        // X5: who installs before its Ready went out says so only when asked
	earlyInstall                     // X6: install before every member of the ring holds the Readys
	fewReady                         // X6: install when the own Ready is fixed
	noSplit                          // X6: no signal before a safe record that is not stable
	keepAll                          // X6: what comes from lost sources is delivered above K too
	oneName                          // X6: views of groups that only this site sees have the ids of those that all see
	noBereave                        // X6: members of lost sources stay until the install
	sameTail                         // X6: group views of the tail have the ids of those that all see
	noClose                          // X7: a cut is forgotten when another proposal comes
	deafToNo                         // X8: who is told to wait proposes as if it were not
	apart                            // X8: members are taken out of views whose others have to wait
	begrudge                         // X8: also who was never in the view in force is put off for going on without this site
	lightFall                        // X8: who gets out of sight on its way into a view may try again at once
	oneSided                         // X6: a group view in the tail does not make a group one that has lost somebody
	oldNews                          // X8: what link state says of each site's view counts as it comes
	risingWish                       // N8: a newer view is wanted than any proposed, also by whom one of those will do
	unsafeBody                       // B1a: bodies move before every member of the ring holds them
	earlyRequest                     // B1b: a large message is accepted while destinations lack its body
	noAsking                         // B1d: nobody asks for a body that a record waits for
	keepGone                         // B1f: a body stays that its source does not have any more
	anyWindow                        // B2a: any number of bodies of one source
	firstCome                        // B2b: and no later one gives way
	anyView                          // U3: a datagram of another view is delivered
	datagramTwice                    // U4: one that comes again too
	lastMutant
)

func (m *machine) off(x mutant) bool { return m.cfg.off(x) }

func (c *Config) off(x mutant) bool { return c.hooks != nil && c.hooks.off == x }

// shares says whether a group has members here and at a place: what sigmaShared goes by.
func (m *machine) shares(place int) bool {
	for _, g := range m.groups {
		if g.Interest.Has(m.self) && g.Interest.Has(place) {
			return true
		}
	}
	return false
}

// hold checks an invariant of section 13 of the sequencing page. A broken one is
// counted and told; the machine goes on with what it has, because stopping a site
// helps nobody.
func (m *machine) hold(ok bool, what string) bool {
	if !ok {
		m.broken++
		if m.cfg.hooks != nil && m.cfg.hooks.broken != nil {
			m.cfg.hooks.broken(what)
		}
	}
	return ok
}
