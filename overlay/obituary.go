package overlay

import (
	"cmp"
	"slices"

	"ringway/membership"
	"ringway/routing"
)

// A site finds out at once when a process of its own dies, because the host says so, while
// the other sites' gateways have nothing but its silence. So those who are left tell
// everybody (routing rule 6).

// Dead tells that the process of another gateway of this site has ended, with the
// incarnation that it had. A later one is another life.
func (g *Gateway) Dead(gateway membership.NodeID, incarnation uint64) {
	g.post(func(c *core) {
		if l := c.links[gateway]; l == nil || l.peer.Site.ID != c.site {
			return
		}
		c.dead[gateway] = max(c.dead[gateway], incarnation)
		c.log.Info("gateway of this site has ended", "gateway", c.nodeName(gateway))
	})
}

// obituary lists the dead whose last life is still advertised.
func (c *core) obituary() []routing.Death {
	if len(c.dead) == 0 {
		return nil
	}
	var list []routing.Death
	for id, incarnation := range c.dead {
		if s, ok := c.db.Get(id); !ok || s.Incarnation > incarnation {
			delete(c.dead, id)
			continue
		}
		list = append(list, routing.Death{Gateway: id, Incarnation: incarnation})
	}
	slices.SortFunc(list, func(a, b routing.Death) int { return cmp.Compare(a.Gateway, b.Gateway) })
	return list[:min(len(list), routing.MaxDead)]
}

// refute begins another incarnation if somebody of this site calls this one dead.
func (c *core) refute(s *routing.Signed) {
	for _, d := range s.Dead {
		if d.Gateway == c.self.ID && s.Site == c.site && d.Incarnation >= c.incarnation {
			c.incarnation = d.Incarnation + 1
			c.warn("another gateway of this site called this one dead", "gateway", c.nodeName(s.Gateway))
		}
	}
}
