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
