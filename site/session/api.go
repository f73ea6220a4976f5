package session

import (
	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// A Backend is what a Server serves: the node. Its methods are called from many
// goroutines.
type Backend interface {
	// Connect introduces a session whose name is free on this node. Called once,
	// before anything else of that session.
	Connect(s *Session)
	// Submit hands over requests of one session in their order. It blocks while
	// the node has too much queued; the session is not read meanwhile, so TCP
	// holds the client back. It returns false once the node stops. The slice is
	// only valid during the call, unless it returns false; what the requests
	// refer to stays and is never changed.
	Submit(s *Session, requests []merge.Request) bool
	// Disconnect tells that the session ended, for whatever reason; called once.
	// The name stays taken until the node calls Server.Release.
	Disconnect(s *Session)
	// Hold wants a sender held back, wherever it is, because a reader of this node
	// has enough; LetGo ends that for all that the reader held. They never block.
	Hold(reader membership.ClientID, sender merge.Member)
	LetGo(reader membership.ClientID)
	// Groups, Members and View tell what this node knows. They return false once the node
	// stops.
	Groups() ([]GroupInfo, bool)
	Members(group string) (members []merge.Member, complete, ok bool)
	View() (spread.ViewAnswer, bool)
}

// A GroupInfo is what a node knows of a group.
type GroupInfo = spread.GroupInfo

// Identity is what the handshake fixes about a session.
type Identity struct {
	ID         membership.ClientID
	Name       string // private name, without '#' and node
	Membership bool   // wants membership messages
	Version    [3]byte
}
