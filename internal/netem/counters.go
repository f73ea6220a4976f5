package netem

// A Tally counts packets and their bytes, IP headers included.
type Tally struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

func (t *Tally) add(bytes int) {
	t.Packets++
	t.Bytes += uint64(bytes)
}

// Counters say what happened to the packets of one direction since the link was made.
// Came + Duplicated = Left + the drops + Waiting, in packets, but for Unread ones, which
// the engine never saw.
type Counters struct {
	Came    Tally `json:"came"`
	Left    Tally `json:"left"`
	Waiting Tally `json:"waiting"` // now

	// Packets dropped, by cause.
	Lost     uint64 `json:"lost"`      // by the profile's loss
	Full     uint64 `json:"full"`      // by the limit of its rate
	Down     uint64 `json:"down"`      // the link was down, or went down while they were on their way
	NoMemory uint64 `json:"no_memory"` // more on their way than the engine holds
	Refused  uint64 `json:"refused"`   // by the interface at the other end: it is down
	Unread   uint64 `json:"unread"`    // the engine was too late to take them from the interface

	Duplicated uint64 `json:"duplicated"`
	Jumped     uint64 `json:"jumped"` // did not wait (reorder)

	// Late is how much later than due packets left.
	Late Histogram `json:"late"`
}
