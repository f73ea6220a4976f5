package overlay

import (
	"bytes"
	"fmt"
	"sync"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/routing"
	"ringway/topology"
)

// A verifier checks that advertisements were signed by the gateways they are about.
// In a mesh the same one comes from every neighbour, so it remembers the last good
// one of each gateway. Safe for concurrent use.
type verifier struct {
	identity *pki.Identity
	gateways map[membership.NodeID]*topology.Node // all of the topology; never changed

	mu   sync.Mutex
	last map[membership.NodeID]*routing.Signed // at most one for each of gateways
}

func newVerifier(identity *pki.Identity, gateways map[membership.NodeID]*topology.Node) *verifier {
	return &verifier{identity: identity, gateways: gateways, last: map[membership.NodeID]*routing.Signed{}}
}

// check returns a breach unless the gateway named in s made it. Other errors say that
// its certificate does not count here, for which the neighbour is not to blame.
func (v *verifier) check(s *routing.Signed) error {
	node, ok := v.gateways[s.Gateway]
	if !ok || node.Site.ID != s.Site {
		return breach(fmt.Errorf("advertisement of gateway %v in site %v, which the topology does not have", s.Gateway, s.Site))
	}
	v.mu.Lock()
	last := v.last[s.Gateway]
	v.mu.Unlock()
	if _, err := v.identity.Origin(s.Certificate); err != nil && innocent(err) {
		return fmt.Errorf("advertisement of %s: %w", node.Name, err)
	}
	if last != nil && bytes.Equal(last.Body, s.Body) && bytes.Equal(last.Signature, s.Signature) && bytes.Equal(last.Certificate, s.Certificate) {
		return nil
	}
	if err := v.identity.Verify(pki.Advertisement, s.Certificate, s.Body, s.Signature, node.Site.Name, node.Name); err != nil {
		return breach(fmt.Errorf("advertisement of %s: %w", node.Name, err))
	}
	v.mu.Lock()
	v.last[s.Gateway] = s
	v.mu.Unlock()
	return nil
}
