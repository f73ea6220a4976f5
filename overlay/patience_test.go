package overlay

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"ringway/membership"
)

// TestALinkThatComesBackIsFoundSoon: whenever a link comes back, but for the two seconds of a
// patient dial, somebody knocks within half a second, and a connection takes three ways there
// and back then.
func TestALinkThatComesBackIsFoundSoon(t *testing.T) {
	const delay = 40 * time.Millisecond
	worst := time.Duration(0)
	for n := range 12 {
		away := 3*time.Second + time.Duration(n)*170*time.Millisecond
		t.Run(fmt.Sprint(away), func(t *testing.T) {
			inMesh(t, "ab", 1, map[string]time.Duration{"a-b": delay}, func(m *mesh) {
				m.all().converged()
				there := func() bool { return m.rec["b-1"].reaches(membership.SiteIDOf("a")) }
				m.link("a-b", cutWay)
				time.Sleep(away)
				if there() {
					t.Fatal("a link that is cut carries something")
				}
				m.link("a-b", mendWay)
				took := m.until("the link", 3*time.Second, there)
				worst = max(worst, took)
				if limit := knockTime + 6*delay; took > limit {
					t.Errorf("a link that was away for %v came back after %v, want at most %v", away, took, limit)
				}
			})
		})
	}
	t.Logf("the longest took %v", worst)
}

// TestDialPatience: who was never connected, was far away or has not answered for long, may
// take its time.
func TestDialPatience(t *testing.T) {
	for _, c := range []struct {
		hello   time.Duration
		rtt     time.Duration
		tries   int // before
		wait    time.Duration
		patient bool
	}{
		{meshHello, 0, 0, dialTime, true},
		{meshHello, 0, 5, dialTime, true},
		{meshHello, time.Millisecond, 0, knockTime, false},
		{meshHello, 200 * time.Millisecond, 0, 800 * time.Millisecond, false},
		{300 * time.Millisecond, time.Millisecond, 0, 1500 * time.Millisecond, false},
		{time.Second, time.Millisecond, 0, dialTime, true},
		{meshHello, time.Second, 0, dialTime, true},
		{meshHello, time.Millisecond, patientEach - 1, dialTime, true},
		{meshHello, time.Millisecond, patientEach, knockTime, false},
	} {
		p := dialPatience{hello: c.hello, rtt: c.rtt, tries: c.tries}
		if wait, patient := p.next(); wait != c.wait || patient != c.patient {
			t.Errorf("hellos of %v, round trips of %v, %d tries: %v, %v, want %v, %v", c.hello, c.rtt, c.tries, wait, patient, c.wait, c.patient)
		}
	}
	for err, want := range map[error]bool{
		fmt.Errorf("dial: %w", &quic.IdleTimeoutError{}): true,
		&quic.HandshakeTimeoutError{}:                    true,
		context.DeadlineExceeded:                         true,
		context.Canceled:                                 false,
		errors.New("refused"):                            false,
		&quic.ApplicationError{Remote: true}:             false,
	} {
		if got := unanswered(err); got != want {
			t.Errorf("%v counts as unanswered: %v", err, got)
		}
	}
}
