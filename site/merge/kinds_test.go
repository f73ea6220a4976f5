package merge

import "testing"

// TestNumbersOfKinds: kinds of control messages and records stand on the wire between sites, so
// their numbers stay. internal/sim counts by them, and by where a record has its own.
func TestNumbersOfKinds(t *testing.T) {
	if got := [...]controlKind{controlPropose, controlFill, controlSync, controlReady, controlHave, controlDecline}; got != [...]controlKind{1, 2, 3, 4, 5, 6} {
		t.Errorf("control messages have the numbers %v", got)
	}
	if got := [...]bulkKind{bulkOffer, bulkAsk, bulkPiece, bulkHeld, bulkGone}; got != [...]bulkKind{16, 17, 18, 19, 20} {
		t.Errorf("messages about bodies have the numbers %v", got)
	}
	if got := [...]recordKind{kindData, kindJoin, kindLeave, kindDown, kindNodeDown, kindPrepare, kindPrepareAck, kindInterestOff, kindNodeLost}; got != [...]recordKind{1, 2, 3, 4, 5, 6, 7, 8, 9} {
		t.Errorf("records have the numbers %v", got)
	}
	d := newDesk(t, 0)
	off := d.record(y, 0, 20, "")
	off.kind = kindInterestOff
	if data := d.raw(off); recordKind(data[recordHeadBytes+8*len(off.idx)]) != kindInterestOff {
		t.Errorf("the kind of a record stands somewhere else in %v", data)
	}
}
