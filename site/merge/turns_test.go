package merge

import (
	"slices"
	"testing"

	"ringway/membership"
)

// TestImportsAndClientsTakeTurns: of what a node sends in its ring, Ticks go first, and what comes
// from other sites and what clients send go in turn, as long as there is both (B4). Neither has
// a share of the ring's window: the ring gives each node that, whatever it is for.
func TestImportsAndClientsTakeTurns(t *testing.T) {
	f := newTorrent(0)
	w, r := f.w, f.gw.replica
	self := "#" + f.to.name + "#" + f.gw.name // what goes there concerns this site only
	var fx Effects
	for range 8 {
		r.Submit(w.now, f.to.id, Request{Kind: Send, Service: membership.Agreed, Groups: []string{self}, Data: []byte("m")}, &fx)
	}
	b := Batch{Log: f.log, For: f.gw.instance(), From: f.first}
	for _, x := range f.records {
		b.Records = append(b.Records, x.Data)
	}
	r.Import(w.now, &b, &fx)
	r.gateway.tickDue = w.now
	var kinds []frameKind
	for frame, ok := r.Next(w.now, 1400); ok; frame, ok = r.Next(w.now, 1400) {
		kinds = append(kinds, frameKind(frame.Data[0]))
	}
	want := []frameKind{frameTick}
	for range f.records { // a client's turn or an import's is first, as it was left
		want = append(want, frameInbound, frameSend)
	}
	if len(kinds) > 1 && kinds[1] == frameSend {
		for i := range f.records {
			want[1+2*i], want[2+2*i] = frameSend, frameInbound
		}
	}
	want = append(want, frameSend, frameSend, frameSend, frameSend)
	if !slices.Equal(kinds, want) {
		t.Errorf("frames of kinds %v, want %v: Tick %d, imports %d and clients' %d in turn", kinds, want, frameTick, frameInbound, frameSend)
	}
}
