package merge

// hooks let tests look in and switch rules off. They are nil outside tests.
type hooks struct {
	broken func(what string) // an invariant does not hold
	off    mutant
}

// A mutant is a rule switched off: a test that does not notice is worth nothing.
type mutant uint32

const (
	noFloor       mutant = 1 << iota // P2c without floors and clock
	noHold                           // P2b without last[c] ≤ V
	onePhase                         // J1 without waiting for acks
	noIdxGate                        // I2 without idx
	ackNoMaxT                        // J2 without maxT
	noOnT                            // J3
	unsafeRelease                    // S2 and S3 without the stable line
	noStable                         // D2
	noFIFOWait                       // D4
	downEarly                        // J7 without T > last[c]
	noClose                          // X7: a cut is forgotten when another proposal comes
	noExclusion                      // X5: all of C are in TS
	noCover                          // X5: what TS lack may have been delivered in C
	noMoved                          // X5: K below a change of groups that somebody has seen
	noRelay                          // X5: and at lost sites, which told others
	noSafeF                          // X4: F without safe records that may have been delivered
	noSplit                          // X6: no signal before a safe record that is not stable
	keepAll                          // X6: what comes from lost sources is delivered above K too
	orderedTick                      // S1: H counts before every member of the ring holds its Tick
	wOrdered                         // S3: W says more than the Tick that announced it
	selfStable                       // D2 without the own stable line
	silentSource                     // C3: H without members that have sent nothing yet
	noOff                            // J4 without the T of what emptied a group
	offEarly                         // J4 without looking at joins that are not delivered
	noNodeLost                       // D3: no signal for who was lost at another site
	noMinT                           // N8: who closed a view comes back to it anywhere
	backInTime                       // N8: and into an older view
	noFreeze                         // X2: deliveries go on while a view changes
	readyLoss                        // X6: who was lost while frozen is not told before the install
	outOfTurn                        // X3: what is acted on at arrival does not wait for what lies before it
)

func (m *machine) off(x mutant) bool { return m.cfg.hooks != nil && m.cfg.hooks.off&x != 0 }

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
