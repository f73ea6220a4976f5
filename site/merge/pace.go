package merge

import "time"

// A fillOut is the way of a Fill to one member: how much of it is there and under way, and when
// what is under way counts as lost. Like everything of an exchange it is the gateway's, not replicated.
//
// Fills share their links with all that the sites send each other, and what a link cannot take at once
// waits in front of it, in order. So a piece whose answer has not come yet is late as a rule, and not
// lost; a copy of it would wait behind it, and all else that the change of the view needs
// behind the copy ([decision 0045]). The window grows while answers come in little more than the time of an
// empty way, as in TCP Vegas (Brakmo and Peterson 1995), so that what waits is worth a few seconds at most:
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
	late   uint32        // what had been sent when an answer was overdue; 0: all of that is there

	mended   uint32 // the piece that was sent again, plus one
	mendedAt time.Duration

	timed   uint32 // the piece whose answer is timed, plus one; 0: none
	timedAt time.Duration
	took    time.Duration // the latest that was timed
}

// sendFill sends pieces of a Fill; the receiver has so many. The leading gateway begins with a first
// window. Another one, whom the receiver tells what it has since it is nearer, goes on behind that.
func (r *Replica) sendFill(place int, have uint32) {
	o, m := &r.exchange.peers[place].fill, r.m
	usual := r.answerTime(place)
	began := o.data == nil
	if began {
		o.data, o.window, o.wait = m.fillFor(place), firstWindow, max(usual, r.patience())
		o.again = r.now + o.wait
	}
	_, of := pieceOf(o.data, 0)
	have = min(have, of) // whatever it says
	if began && !r.gateway.leads && !m.off(impatient) {
		o.goOn(r.now, have, of, m.off(ghosts))
	}
	switch {
	case have > o.have:
		o.answered(r.now, have, usual, r.patience())
	case m.off(impatient):
		o.sent = o.have
	case o.sent > have && r.now >= o.again:
		r.overdue(place, have)
	}
	for ; o.sent < min(of, o.have+o.window); o.sent++ {
		if o.timed == 0 {
			o.timed, o.timedAt = o.sent+1, r.now
		}
		r.sendPiece(place, o.data, o.sent)
		o.again = r.now + o.wait
	}
}

// goOn takes over a Fill that another gateway has begun: a first window of it is under way, or has come.
// If more is that nobody has told this one of, it goes twice. To wait for it
// would be to wait for what may be gone, one piece after the other.
func (o *fillOut) goOn(now time.Duration, have, of uint32, ghosts bool) {
	o.have, o.sent = have, max(have, min(of, firstWindow))
	if ghosts {
		o.sent = min(of, have+firstWindow)
	}
	if o.sent > have && !ghosts {
		o.timed, o.timedAt = have+1, now
	}
}

// answered is an answer that tells of more than the one before.
func (o *fillOut) answered(now time.Duration, have uint32, usual, patience time.Duration) {
	timed := o.timed != 0 && have >= o.timed
	if timed {
		o.took, o.timed = now-o.timedAt, 0
	}
	switch slow := o.took > usual+2*queueTime; { // what comes the other way waits, too
	case slow && timed:
		o.window = max(o.window/2, 1)
	case !slow:
		o.window = min(o.window+max(min(have, o.sent), o.have)-o.have, fillWindow) // for what this gateway sent
	}
	if have >= o.late {
		o.late = 0
	}
	o.have, o.sent = have, max(o.sent, have)
	o.wait = max(o.wait/2, usual, min(2*o.took, maxWaits*patience), patience)
	o.again = now + o.wait
}

// overdue is the answer that has not come in time: what the receiver says now counts, and the first
// piece that it lacks goes again, alone. What lay behind that may still be on its way. It goes again if
// the next answer is overdue, too, and it is known how long answers take; or if the receiver has
// less than it once had.
func (r *Replica) overdue(place int, have uint32) {
	o := &r.exchange.peers[place].fill
	if o.late != 0 && o.took > 0 || have < o.have {
		o.sent, o.timed = have+1, 0
	}
	o.have, o.window, o.late = have, 1, o.sent
	o.wait = max(o.wait, min(2*o.wait, 2*r.patience()))
	r.mend(place, have)
	o.again = r.now + o.wait
}

// mendFill sends a piece again that did not come, though some behind it did; gap is its number plus
// one. On a way that keeps order it is lost. It does not put off when the piece counts as overdue that the
// receiver needs next: that may be another one, if its ring lost it.
func (r *Replica) mendFill(place int, gap uint32) {
	o := &r.exchange.peers[place].fill
	if gap <= o.have || gap > o.sent || gap <= o.mended && r.now < o.mendedAt+r.answerTime(place) {
		return
	}
	r.mend(place, gap-1)
}

func (r *Replica) mend(place int, piece uint32) {
	o := &r.exchange.peers[place].fill
	o.mended, o.mendedAt = piece+1, r.now
	r.sendPiece(place, o.data, piece)
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

// patience is how long an answer may always take: so that a copy of a piece comes, and a copy of that, before
// the change of the view counts as stuck.
func (r *Replica) patience() time.Duration { return min(r.cfg.Timing.Stuck/4, maxPatience) }

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
