package main

import (
	"slices"

	"ringway/client"
)

// An election decides who leads. In each view every member votes for the leader that it
// had, or for nobody. Votes are agreed messages, so all members get them in one order, and
// those of one view all get the same: when the last one has come, all decide alike.
//
//	E1  In a view at most one leads: the first member that a vote names, in the order of
//	    the votes, or the first of the view if none does.
//	E2  A leader that is still there goes on leading; who comes does not take over.
//	E3  From the transitional signal on nobody leads, until the next view has voted: a
//	    leader that was cut off steps down before the others have another one.
//
// It is not safe for concurrent use.
type election struct {
	view   *client.View
	voted  map[string]bool
	choice string // the first member that a vote named
	had    string // leader of the view before
	leader string // empty: not decided
}

// entered takes a new view and returns the vote to send.
func (e *election) entered(v *client.View) (vote string) {
	if e.leader != "" {
		e.had = e.leader
	}
	if !slices.Contains(v.Members, e.had) {
		e.had = ""
	}
	e.view, e.voted, e.choice, e.leader = v, map[string]bool{}, "", ""
	return v.ID.String() + " " + e.had
}

// left: the view is about to end, and its leader steps down (E3).
func (e *election) left() {
	if e.leader != "" {
		e.had, e.leader = e.leader, ""
	}
	e.voted = nil
}

// lost: the connection was lost, and with it the view and what is known.
func (e *election) lost() { *e = election{} }

// counted takes a vote and says whether it decided.
func (e *election) counted(sender, vote string) bool {
	if e.view == nil || e.voted == nil || e.voted[sender] || !slices.Contains(e.view.Members, sender) {
		return false
	}
	id := e.view.ID.String()
	if len(vote) <= len(id) || vote[:len(id)] != id {
		return false // of a view before
	}
	e.voted[sender] = true
	if named := vote[len(id)+1:]; e.choice == "" && slices.Contains(e.view.Members, named) {
		e.choice = named
	}
	if len(e.voted) < len(e.view.Members) {
		return false
	}
	if e.leader = e.choice; e.leader == "" {
		e.leader = e.view.Members[0]
	}
	return true
}
