package session

import (
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
)

// nameWait is how long a client waits for its name while the departure of the session
// that had it is on its way round the ring, and through the federation.
const nameWait = 2 * time.Second

// names are the private names that are taken at this node, until the departure of
// their sessions has gone round the ring. The server's lock guards them.
type names struct {
	taken      map[string]membership.ClientID
	of         map[membership.ClientID]string
	freed      map[string]chan struct{} // closed when the name is free: somebody waits
	perAddress map[netip.Addr]int       // sessions that have not ended
	counter    uint64
}

func newNames() names {
	return names{
		taken: map[string]membership.ClientID{}, of: map[membership.ClientID]string{},
		freed: map[string]chan struct{}{}, perAddress: map[netip.Addr]int{},
	}
}

// free frees the name of a client.
func (n *names) free(id membership.ClientID) {
	name, ok := n.of[id]
	if !ok {
		return
	}
	delete(n.of, id)
	delete(n.taken, name)
	if waiting := n.freed[name]; waiting != nil {
		close(waiting)
		delete(n.freed, name)
	}
}

// whenFree returns what is closed when the name is free.
func (n *names) whenFree(name string) <-chan struct{} {
	waiting := n.freed[name]
	if waiting == nil {
		waiting = make(chan struct{})
		n.freed[name] = waiting
	}
	return waiting
}

// invent makes a name that is free.
func (n *names) invent() string {
	for {
		n.counter++
		name := fmt.Sprintf("r%d-%d", n.counter%9999, n.counter/9999%1000)
		if _, taken := n.taken[name]; !taken {
			return name
		}
	}
}

// full refuses a further session of that address, with the lock held.
func (s *Server) full(address netip.Addr) error {
	limits := &s.rules.Load().Limits
	if n := len(s.names.taken); n >= limits.Sessions {
		return &spread.CodeError{Code: spread.TooManySessions, Why: fmt.Sprintf("%d sessions, at most %d", n, limits.Sessions)}
	}
	if n := s.names.perAddress[address]; limits.SessionsPerAddress > 0 && n >= limits.SessionsPerAddress {
		return &spread.CodeError{Code: spread.TooManySessions, Why: fmt.Sprintf("%d sessions from %s, at most %d", n, addressText(address), limits.SessionsPerAddress)}
	}
	return nil
}

// admit refuses a connection, before it has said anything, if there is no place for it.
func (s *Server) admit(address netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full(address)
}

// A holder is who has a name.
type holder int

const (
	nobody   holder = iota
	departed        // a session that has ended
	stranger        // a session that goes on
	owner           // a session that goes on, and gives the name up for its key
)

// holds says who has a name, with the lock held.
func (s *Server) holds(name string) (*Session, holder) {
	id, taken := s.names.taken[name]
	switch session := s.byID[id]; {
	case !taken:
		return nil, nobody
	case session == nil || session.isEnded():
		return nil, departed
	case session.admission.resumable:
		return session, owner
	default:
		return session, stranger
	}
}

// precheck refuses a hello whose name the client cannot get, whatever it proves. Names
// are not reserved yet: who has not shown that he may come in takes nobody's.
func (s *Server) precheck(hello *spread.Hello) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, who := s.holds(hello.Name); who == stranger {
		return inUse(hello.Name)
	}
	return nil
}

func inUse(name string) error {
	return &spread.CodeError{Code: spread.NameInUse, Why: fmt.Sprintf("name %q is in use", name)}
}

// take gives the client its name, or invents one, and an id. A name whose session has
// ended is waited for; so is that of a session that the same client had before, which
// ends for it.
func (s *Server) take(hello *spread.Hello, a *admission) (membership.ClientID, error) {
	deadline := time.NewTimer(nameWait)
	defer deadline.Stop()
	for {
		id, before, free, err := s.tryTake(hello, a)
		if err != nil || free == nil {
			return id, err
		}
		if before != nil {
			before.end("its client has come back with another connection")
		}
		select {
		case <-free:
		case <-deadline.C:
			return id, inUse(hello.Name)
		case <-s.closing:
			return id, errStops
		}
	}
}

// tryTake gives the client its name if that is free. If it will be, it returns what is
// closed then, and the session that has to end before.
func (s *Server) tryTake(hello *spread.Hello, a *admission) (id membership.ClientID, before *Session, free <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hello.Name == "" {
		hello.Name = s.names.invent()
	}
	session, who := s.holds(hello.Name)
	switch {
	case who == stranger, who == owner && !session.admission.sameKey(a):
		return id, nil, nil, inUse(hello.Name)
	case who != nobody:
		return id, session, s.names.whenFree(hello.Name), nil
	}
	if err := s.full(a.address); err != nil {
		return id, nil, nil, err
	}
	s.names.counter++
	id = membership.ClientID{Node: s.cfg.Node, Session: s.cfg.Boot<<32 | s.names.counter&0xffffffff}
	s.names.taken[hello.Name], s.names.of[id] = id, hello.Name
	s.names.perAddress[a.address]++
	return id, nil, nil, nil
}

// sameKey says whether b comes from the client that a came from.
func (a *admission) sameKey(b *admission) bool {
	return a.resumable && b.resumable && subtle.ConstantTimeCompare(a.key[:], b.key[:]) == 1
}

// Release frees the name of a session whose departure has gone round the ring.
func (s *Server) Release(id membership.ClientID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names.free(id)
}

// left counts a session of that address no more, with the lock held.
func (n *names) left(address netip.Addr) {
	if n.perAddress[address]--; n.perAddress[address] <= 0 {
		delete(n.perAddress, address)
	}
}
