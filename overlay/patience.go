package overlay

import (
	"errors"
	"net"
	"time"

	"github.com/quic-go/quic-go"
)

// A dialPatience is how long a dial waits for the peer's first sign. QUIC repeats its first
// packet after 0.2, 0.6 and 1.4 s, so a link that comes back in between would wait for up to 0.8 s;
// a dial that gives up sooner and begins anew knocks more often. Whoever was connected
// before will answer about as soon as it did then.
type dialPatience struct {
	hello time.Duration // between two hellos: who gives those time gives dials time
	rtt   time.Duration // of the latest connection, at its best; zero: there was none
	tries int           // since then
}

const (
	// knockTime is the least patience, two packets, and knockHellos how many hellos it is.
	knockTime   = 500 * time.Millisecond
	knockHellos = 5
	// knockRTTs is how many round trips of before the sign may take.
	knockRTTs = 4
	// patientEach is how often a dial waits for dialTime all the same, one in some 20 s: the
	// path may have become longer by far.
	patientEach = 32
)

// next returns how long the next dial waits for a sign. Patient: that is as long as any does.
func (p *dialPatience) next() (wait time.Duration, patient bool) {
	p.tries++
	if wait = max(knockTime, knockHellos*p.hello, knockRTTs*p.rtt); p.rtt == 0 || p.tries%patientEach == 0 || wait >= dialTime {
		return dialTime, true
	}
	return wait, false
}

// connected takes a connection that has ended.
func (p *dialPatience) connected(conn *quic.Conn) {
	p.rtt, p.tries = conn.ConnectionStats().MinRTT, 0
}

// unanswered says whether a dial failed because nobody answered in time.
func unanswered(err error) bool {
	late, ok := errors.AsType[net.Error](err)
	return ok && late.Timeout()
}
