package ring

import (
	"time"

	"ringway/membership"
)

// knock asks a node's host. What it answers is of when the knock arrives.
func (s *sim) knock(n *simNode, id membership.NodeID) {
	i, _ := n.m.place(id)
	to, life := s.nodes[i], n.lives
	if !s.refuses || s.net.blocked[[2]membership.NodeID{n.id, id}] || s.net.blocked[[2]membership.NodeID{id, n.id}] ||
		s.net.loss > 0 && s.rng.Float64() < s.net.loss {
		return
	}
	s.at(s.net.delay, func() {
		if to.up() {
			return
		}
		s.at(s.net.delay, func() {
			if n.up() && n.lives == life && !n.paused {
				n.m.Refused(s.now, id, &n.fx)
				n.flush()
			}
		})
	})
}

// deathOnALivingHost: the host of a dead process tells, so nobody waits for time-outs.
func deathOnALivingHost(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.refuses = true
	s.formed()
	s.nodes[0].crash()
	s.must(120*time.Millisecond, "a ring without the dead", func() bool { return s.ringOfJust(s.nodes[1:]...) })
	s.nodes[2].crash()
	s.must(120*time.Millisecond, "the last one alone", func() bool { return s.ringOfJust(s.nodes[1]) })
	return s.verdict()
}

// refusalOfTheLiving: refusals that answer nothing, or of a node that has given a sign since, are
// nobody's death.
func refusalOfTheLiving(seed uint64, off mutant) error {
	s := newScene(seed, 3, off)
	s.formed()
	n, other := s.nodes[0], s.nodes[1]
	rings := n.installed()
	refuse := func() {
		n.m.Refused(s.now, other.id, &n.fx)
		n.flush()
	}
	refuse()
	n.m.knock(s.now, &n.fx) // as if the token were late
	n.flush()
	refuse() // an answer to an older knock
	s.run(80*time.Millisecond, nil)
	refuse() // the token has come round
	s.run(time.Second, nil)
	n.m.knock(s.now, &n.fx)
	n.flush()
	packet := other.m.ringPacket(kindHello)
	n.m.Receive(s.now, packet, &n.fx)
	n.flush()
	refuse() // it was heard
	s.run(time.Second, nil)
	s.claim(n.installed() == rings, "node %v installed %d rings more", n.id, n.installed()-rings)
	return s.verdict()
}
