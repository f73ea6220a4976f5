package sim

import (
	"ringway/membership"
	"ringway/site/merge"
)

// What the machines tell each other has its kind in a byte; TestNumbersOfKinds of
// site/merge has these numbers. Nothing but the summary of what runs have covered goes by it.
var (
	controlKinds = [...]string{1: "Propose (X1)", 2: "Fill (X3), pieces", 3: "Sync (X4)", 4: "Ready (X5)", 5: "Have (X3)", 6: "Decline (X8)",
		16: "Offer (B1)", 17: "Ask (B1)", 18: "Piece (B1)", 19: "Held (B1)", 20: "Gone (B1)"}
	recordKinds = [...]string{1: "data", 2: "Join", 3: "Leave", 4: "Down", 5: "NodeDown (J7)", 6: "Prepare (J1)", 7: "PrepareAck (J1)", 8: "InterestOff (J4)", 9: "NodeLost (J7)"}
)

// countControl counts a control message that a gateway sends.
func (f *federation) countControl(data []byte) {
	if len(data) > 0 && int(data[0]) < len(controlKinds) && controlKinds[data[0]] != "" {
		f.stats.Covered["controls: "+controlKinds[data[0]]]++
	}
}

// countRecord counts a record that a gateway has in its log. Its kind stands behind its place
// and its index in the stream to each destination.
func (f *federation) countRecord(r *merge.Record) {
	const head = membership.ViewIDBytes + 4*8 // view, source, number, T and destinations
	if at := head + 8*len(r.Dests); at < len(r.Data) && int(r.Data[at]) < len(recordKinds) {
		f.stats.Covered["records in logs of gateways: "+recordKinds[r.Data[at]]]++
	}
}

// countEvictions counts the sites that a node takes for too slow.
func (f *federation) countEvictions(list []merge.Eviction) {
	if len(list) > 0 {
		f.stats.Covered["sites taken out of the view for being slow (B6)"] += len(list)
	}
}
