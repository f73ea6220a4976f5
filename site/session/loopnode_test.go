package session

import (
	"slices"
	"sync"

	"ringway/internal/spread"
	"ringway/membership"
	"ringway/site/merge"
)

// A loopNode is a Backend that orders requests of one node by arrival: groups and
// messages without ring and merge.
type loopNode struct {
	mu      sync.Mutex
	server  *Server
	members map[string][]merge.Member
	clients map[membership.ClientID]string
	index   uint32
	hold    chan struct{} // not nil: Submit waits until it is closed

	heldMu   sync.Mutex
	held     map[membership.ClientID]chan struct{} // senders, until they are let go
	released int
	slow     bool // departures do not go round

	asked []merge.Request // that were submitted, in their order
}

// Hold implements Backend: its senders are all of this node.
func (n *loopNode) Hold(_ membership.ClientID, sender merge.Member) {
	n.heldMu.Lock()
	defer n.heldMu.Unlock()
	if n.held[sender.Client] == nil {
		n.held[sender.Client] = make(chan struct{})
	}
}

// LetGo implements Backend: one reader holds at a time.
func (n *loopNode) LetGo(membership.ClientID) {
	n.heldMu.Lock()
	defer n.heldMu.Unlock()
	n.released++
	for sender, open := range n.held {
		close(open)
		delete(n.held, sender)
	}
}

func (n *loopNode) holds(sender membership.ClientID) chan struct{} {
	n.heldMu.Lock()
	defer n.heldMu.Unlock()
	return n.held[sender]
}

// Groups implements Backend.
func (n *loopNode) View() (spread.ViewAnswer, bool) {
	return spread.ViewAnswer{Weighed: true, Primary: true, Total: 2, Epoch: 3, Sites: []string{"lon"}}, true
}

func (n *loopNode) Groups() ([]GroupInfo, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []GroupInfo
	for name, members := range n.members {
		all = append(all, GroupInfo{Name: name, Members: len(members), Sites: 1, Complete: true})
	}
	return all, true
}

// Members implements Backend.
func (n *loopNode) Members(group string) ([]merge.Member, bool, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.members[group]), true, true
}

func (n *loopNode) Connect(s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients[s.Identity().ID] = s.Identity().Name
}

func (n *loopNode) Submit(s *Session, requests []merge.Request) bool {
	n.mu.Lock()
	hold := n.hold
	n.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if open := n.holds(s.Identity().ID); open != nil {
		<-open
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, requests...)
	for _, r := range requests {
		n.request(merge.Member{Client: s.Identity().ID, Name: s.Identity().Name}, r)
	}
	return true
}

func (n *loopNode) Disconnect(s *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	who := merge.Member{Client: s.Identity().ID, Name: s.Identity().Name}
	for group := range n.members {
		n.drop(group, who, merge.CauseDisconnect)
	}
	delete(n.clients, who.Client)
	if !n.slow {
		n.server.Release(who.Client)
	}
}

// empty says that no session is left.
func (n *loopNode) empty() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.clients) == 0
}

func (n *loopNode) request(who merge.Member, r merge.Request) {
	group := r.Groups[0:]
	switch r.Kind {
	case merge.Join:
		if !slices.Contains(n.members[group[0]], who) {
			n.members[group[0]] = append(n.members[group[0]], who)
			n.view(group[0], who, merge.CauseJoin)
		}
	case merge.Leave:
		n.drop(group[0], who, merge.CauseLeave)
	case merge.Send:
		var to []membership.ClientID
		for _, g := range r.Groups {
			for id, name := range n.clients {
				if g == spread.PrivateGroup(name, "d1") && !slices.Contains(to, id) {
					to = append(to, id)
				}
			}
			for _, m := range n.members[g] {
				if !slices.Contains(to, m.Client) && !(r.SelfDiscard && m == who) {
					to = append(to, m.Client)
				}
			}
		}
		n.server.Deliver([]merge.Output{{Kind: merge.OutMessage, To: to, Message: merge.Message{
			Sender: who.Client, SenderName: who.Name, Service: r.Service, SelfDiscard: r.SelfDiscard, Hint: r.Hint, Groups: r.Groups, Data: r.Data,
		}}})
	}
}

func (n *loopNode) drop(group string, who merge.Member, cause merge.Cause) {
	i := slices.Index(n.members[group], who)
	if i < 0 {
		return
	}
	n.members[group] = slices.Delete(slices.Clone(n.members[group]), i, i+1)
	if cause == merge.CauseLeave {
		n.server.Deliver([]merge.Output{{Kind: merge.OutLeft, Group: group, To: []membership.ClientID{who.Client}}})
	}
	n.view(group, who, cause)
}

func (n *loopNode) view(group string, changed merge.Member, cause merge.Cause) {
	n.index++
	v := &merge.GroupView{Group: group, ID: merge.GroupViewID{Origin: 7, Time: 8, Index: n.index}, Cause: cause, Changed: changed, Members: n.members[group]}
	var to []membership.ClientID
	for _, m := range v.Members {
		to = append(to, m.Client)
	}
	n.server.Deliver([]merge.Output{{Kind: merge.OutView, View: v, To: to}})
}
