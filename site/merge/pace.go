package merge

import "time"

// A fillOut is the way of a Fill to one member: how much of it is there and under way, and when
// what is under way counts as lost. Like everything of an exchange it is the gateway's, not replicated.
//
// Fills share their links with all that the sites send each other, and what a link cannot take at once waits in
// front of it, in order. So a piece whose answer has not come yet is not lost as a rule but late; a
// copy of it would wait behind it, and all else that the change of the view needs behind
// the copy ([decision 0045]). The window grows while answers are as quick as on an
// empty way, as in TCP Vegas (Brakmo and Peterson 1995), so that not much more than a second's worth waits:
// a proposal may be given up for another one, whose Fills come behind.
//
// [decision 0045]: docs/decisions/0045-what-waits-is-not-sent-again.md
type fillOut struct {
	data   []byte        // encoded, when it was needed
	sent   uint32        // pieces of it
	have   uint32        // of them are there, as far as the member has said
	window uint32        // how many more may be under way
	wait   time.Duration // how long what is under way may go unanswered
	again  time.Duration // when it counts as lost

	mended   uint32 // the piece that was sent again because others came without it, plus one
	mendedAt time.Duration

	timed   uint32 // the piece whose answer is timed, plus one; 0: none
	timedAt time.Duration
}

// sendFill sends pieces of a Fill; the receiver has so many. The leading gateway begins; another one
// that is asked takes it that the first window is under way.
func (r *Replica) sendFill(place int, have uint32) {
	o, m := &r.exchange.peers[place].fill, r.m
	usual := r.answerTime(place)
	began := o.data == nil
	if began {
		o.data, o.window, o.wait, o.again = m.fillFor(place), firstWindow, usual, r.now+usual
	}
	_, of := pieceOf(o.data, 0)
	have = min(have, of) // whatever it says
	if began && !r.gateway.leads && !m.off(impatient) {
		o.sent = min(of, o.window)
	}
	switch {
	case have > o.have:
		o.answered(r.now, have, usual)
	case m.off(impatient):
		o.sent = o.have
	case o.sent > o.have && r.now >= o.again:
		o.overdue(have)
	}
	for ; o.sent < min(of, o.have+o.window); o.sent++ {
		if o.timed == 0 {
			o.timed, o.timedAt = o.sent+1, r.now
		}
		r.sendPiece(place, o.data, o.sent)
		o.again = r.now + o.wait
	}
}

// answered is an answer that tells of more than the one before.
func (o *fillOut) answered(now time.Duration, have uint32, usual time.Duration) {
	slow := false
	if o.timed != 0 && have >= o.timed {
		slow, o.timed = now-o.timedAt > 2*usual, 0
	}
	if o.window = min(o.window+have-o.have, fillWindow); slow {
		o.window = max(o.window/2, 1)
	}
	o.have, o.sent = have, max(o.sent, have)
	o.wait = max(o.wait/2, usual)
	o.again = now + o.wait
}

// overdue is the answer that has not come in time: what the receiver says now counts, and the first
// piece that it lacks goes again, alone.
func (o *fillOut) overdue(have uint32) {
	o.have, o.sent, o.window, o.timed = have, have, 1, 0
	o.wait = min(2*o.wait, maxFillWait)
}

// mendFill sends a piece again that did not come, though some behind it did; gap is its number plus
// one. On a way that keeps order it is lost.
func (r *Replica) mendFill(place int, gap uint32) {
	o := &r.exchange.peers[place].fill
	if gap <= o.have || gap > o.sent || o.mended == gap && r.now < o.mendedAt+r.answerTime(place) {
		return
	}
	o.mended, o.mendedAt = gap, r.now
	r.sendPiece(place, o.data, gap-1)
	o.again = r.now + o.wait
}

// answerTime is how long a member's answer to a piece takes when nothing is in its way: to the member
// and back, and the pass of its ring.
func (r *Replica) answerTime(place int) time.Duration {
	way := r.farthest()
	if known := r.views.peers.at(r.m.flush.view.Members[place].Instance); known != nil {
		way = known.Delay
	}
	return 2*way + repeatInterval/2
}

// sendPiece sends a piece of a Fill; the first one brings what belongs to the whole.
func (r *Replica) sendPiece(place int, fill []byte, i uint32) {
	c := control{kind: controlFill, piece: i}
	if c.data, c.pieces = pieceOf(fill, i); i == 0 {
		c.key = r.m.flush.parts[r.m.flush.self].key
		for _, rows := range r.exchange.rows {
			c.vectors = append(c.vectors, rows...)
		}
	}
	r.sendControl(place, &c)
}
