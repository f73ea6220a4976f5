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
		err = fmt.Errorf("advertisement of %s: %w", node.Name, err)
		if innocent(err) { // the list was read between the two looks at it
			return err
		}
		return breach(err)
	}
	v.mu.Lock()
	v.last[s.Gateway] = s
	v.mu.Unlock()
	return nil
}

// origin returns who a gateway is, by a certificate that is said to be its own.
func (v *verifier) origin(gateway membership.NodeID, cert []byte) (*pki.Origin, *topology.Node, error) {
	node, ok := v.gateways[gateway]
	if !ok {
		return nil, nil, breach(fmt.Errorf("signature of gateway %v, which the topology does not have", gateway))
	}
	origin, err := v.identity.Origin(cert)
	if err != nil {
		return nil, node, untrusted(fmt.Errorf("certificate of %s: %w", node.Name, err))
	}
	if site, name := origin.Name(); site != node.Site.Name || name != node.Name {
		return nil, node, breach(fmt.Errorf("%w: it is of %s/%s, where %s/%s signs", pki.ErrWrongName, site, name, node.Site.Name, node.Name))
	}
	return origin, node, nil
}

// checkSeal says whether a gateway of the log's site made the seal.
func (v *verifier) checkSeal(log membership.LogID, s *seal) error {
	origin, node, err := v.origin(s.Gateway, s.Certificate)
	if err != nil {
		return err
	}
	if node.Site.ID != log.Site {
		return tampered("seal of %v by %s, a gateway of another site", log, node.Name)
	}
	if err := origin.Verify(pki.LogSeal, s.text(log), s.Signature); err != nil {
		return tampered("seal of [%d, %d) of %v: %w", s.Low, s.High, log, err)
	}
	return nil
}

// untrusted is an error for which the neighbour is to blame unless it is innocent.
func untrusted(err error) error {
	if innocent(err) {
		return err
	}
	return breach(err)
}
