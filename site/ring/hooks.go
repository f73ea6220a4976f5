package ring

// A mutant is a rule of RING.md section 2 switched off. Only this package's tests
// switch rules off: a checker that does not notice proves nothing when it is silent.
type mutant uint64

const (
	noHello        mutant = 1 << iota // detection: a silent predecessor is dead
	noTokenLoss                       // detection: no token for a while ends the ring
	noTokenResend                     // detection: a lone lost token is sent again
	noSharing                         // gather: who is given up by one is given up by all
	noAgreement                       // gather: all who are wanted have the same sets
	noTimeout                         // gather: the silent are given up
	noProbe                           // probe: rings make themselves known
	oneWayMerge                       // probe: both must hear each other
	lowCounter                        // commit: a counter above any seen
	anyCommit                         // commit: only for the ring this node has in mind
	anyLife                           // commit: only for this life of the node
	noRewrap                          // recovery: what a mate lacks is sent again
	hastyInstall                      // recovery: nobody installs before all have all
	closeEarly                        // recovery: nothing is handed up before install
	beyondGap                         // recovery: beyond a gap only what mates have sent
	safeEarly                         // recovery: a safe frame not known stable ends the regular part
	ownStable                         // recovery: what one mate knows as stable is stable
	noObligation                      // recovery: an attempt that may have succeeded elsewhere binds
	matesByName                       // recovery: mates are those who come from the same ring
	believeFailing                    // a join that gives this node up cannot break its ring
	believeOld                        // a member's join from before the ring cannot break it
	sameLife                          // a new incarnation is another node under the same name
	staleLife                         // what an older incarnation has sent is dropped
	noNap                             // who was asleep does not believe the joins that waited
	noRate                            // joins are limited
	noExpel                           // the slowest receiver is asked to leave
	noShun                            // and stays out for a while
	stableTooSoon                     // the stable line is from two visits
	hastyLeave                        // leave: only when all members hold what this node sent
	noWord                            // leave: the others are told
	noKnock                           // detection: who is silent is asked for at its host
	anyRefusal                        // detection: who was heard since is not dead
)

// off says whether a test has switched the rule off.
func (m *Machine) off(x mutant) bool { return m.cfg.off&x != 0 }
