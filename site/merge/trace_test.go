package merge

import (
	"testing"

	"ringway/membership"
)

// TestPlaceOfALocalJoin: where others of one T still wait, V lies below what is delivered. A
// join that only its site sees has its place behind that, not behind V.
func TestPlaceOfALocalJoin(t *testing.T) {
	d := newDesk(t, 0)
	near := d.m.group("near")
	near.Interest = membership.SetOf(x)
	joins := func(name string) (at Place) {
		d.cfg.Trace = func(e *TraceEvent) { at = e.Behind }
		if v := d.sends(name, localSend{kind: Join, groups: []string{"near"}}); v != accepted {
			t.Fatalf("the join is not accepted: %s", v)
		}
		return at
	}
	first, second := d.record(y, membership.Agreed, 50, "m"), d.record(z, membership.Safe, 50, "safe")
	first.n = 7
	d.comes(first)
	d.comes(second)
	d.tick(100, 0, 100, -1)
	d.tick(100, d.seq, 100, -1)
	if got, want := joins("a"), (Place{50, d.view.Members[y].Instance, 7}); got != want || d.m.v != 49 {
		t.Errorf("behind %v with V = %d, want %v with V = 49", got, d.m.v, want)
	}
	d.tick(100, d.seq, 100, 100)
	d.tick(100, d.seq, 100, 100)
	if got, want := joins("b"), (Place{T: 100}); got != want {
		t.Errorf("behind %v, want %v: everything is delivered", got, want)
	}
}
