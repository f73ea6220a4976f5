package merge

import (
	"testing"
	"time"
)

// A riser is a desk's node as the gateway that leads its site, and whose clock stands at
// zero. What it hears of others comes without delay.
type riser struct {
	*Replica
	d *desk
}

func newRiser(t *testing.T, off mutant) *riser {
	d := newDesk(t, off)
	d.cfg.Gateways = d.m.voters
	r := New(d.cfg)
	r.m, r.fx = d.m, &d.fx
	r.now = time.Minute
	r.gatewayReset()
	r.importer = importer{sources: make([]source, 5)}
	r.base = timeBase{0, r.now}
	return &riser{r, d}
}

// hears brings a promise of another site, whose view time is reading.
func (r *riser) hears(reading time.Duration) { r.hearsOf(y, reading) }

func (r *riser) hearsOf(i int, reading time.Duration) {
	p := promise{view: r.d.view.ID, src: r.d.view.Members[i].Instance, counter: r.gateway.counter, reading: int64(reading), to: make([]promised, 5)}
	r.PromiseIn(r.now, p.append(nil), &r.d.fx)
}

// ticks is what this node's next Tick says and the clock that the site has then.
func (r *riser) ticks() time.Duration {
	r.d.tick(r.viewReading(r.now), 0, -1, -1)
	r.base = timeBase{r.m.clock, r.now}
	return time.Duration(r.m.clock)
}

// TestASiteThatSleptGetsUp: view time makes up at once for the time that a node slept, as
// far as other sites have gone on meanwhile, and no further (C7). A clock that has leapt is
// no reason to follow anybody, and neither is a sleep that is long past.
func TestASiteThatSleptGetsUp(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what                 string
		slept, ahead, passed time.Duration // passed: between the sleep and the promise
		want                 time.Duration
	}{
		{"it slept, and others went on", 300 * ms, 300 * ms, 0, 300 * ms},
		{"it slept for longer than others went on", 300 * ms, 200 * ms, 0, 200 * ms},
		{"they are ahead for another reason, too", 100 * ms, 300 * ms, 0, 100 * ms},
		{"a leap", time.Hour, 0, 0, 0},
		{"it slept long ago", 300 * ms, 300 * ms, makeUpTime + 1, 0},
	} {
		r := newRiser(t, 0)
		r.Slept(c.slept)
		r.now += c.passed
		r.base.at = r.now
		r.hears(c.ahead)
		if got := r.ticks(); got != c.want {
			t.Errorf("%s: the first Tick's clock is %v, want %v", c.what, got, c.want)
		}
		if r.hears(c.ahead); r.ticks() > max(c.want, c.ahead) {
			t.Errorf("%s: then it is %v, beyond everybody's", c.what, time.Duration(r.m.clock))
		}
	}
	r := newRiser(t, lateRiser)
	r.Slept(300 * ms)
	if r.hears(300 * ms); r.ticks() == 300*ms {
		t.Error("without the rule the site is as early")
	}
}

// TestSlew: a site whose clock is behind another's follows it by a tenth of the time that
// passes, and not beyond it (C1). Only one that is behind by half a second follows at once.
func TestSlew(t *testing.T) {
	const ms, start, passed = time.Millisecond, time.Second, 200 * time.Millisecond
	for _, c := range []struct {
		what                string
		ahead, atOnce, then time.Duration
	}{
		{"another is ahead", 100 * ms, 0, passed + passed/slewPart},
		{"another is a little ahead", 5 * ms, 0, passed + 5*ms},
		{"nobody is ahead", 0, 0, passed},
		{"another is behind", -50 * ms, 0, passed},
		{"another is far ahead", stepBehind + ms, stepBehind + ms, passed},
	} {
		r := newRiser(t, 0)
		r.base, r.m.clock = timeBase{int64(start), r.now}, int64(start)
		r.hears(start + c.ahead)
		if got := r.ticks() - start; got != c.atOnce {
			t.Errorf("%s: while no time passes the clock goes on by %v, want %v", c.what, got, c.atOnce)
		}
		r.now += passed
		if got := r.ticks() - start - c.atOnce; got != c.then {
			t.Errorf("%s: in %v the clock goes on by %v, want %v", c.what, passed, got, c.then)
		}
	}
}
