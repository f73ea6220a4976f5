package overlay

import (
	"errors"
	"fmt"

	"ringway/internal/pki"
	"ringway/internal/wire"
	"ringway/membership"
)

// A stamp is an origin's signature under what other sites' gateways relay: promises,
// notes and control messages. The key's certificate is the one that the origin advertises.
type stamp struct {
	Key       pki.KeyID
	Signature [pki.SignatureBytes]byte
}

const stampBytes = len(pki.KeyID{}) + pki.SignatureBytes

func (s *stamp) append(b []byte) []byte { return append(append(b, s.Key[:]...), s.Signature[:]...) }

func readStamp(r *wire.Reader) (s stamp) {
	copy(s.Key[:], r.Bytes(len(s.Key)))
	copy(s.Signature[:], r.Bytes(len(s.Signature)))
	return s
}

// sign stamps a text.
func (g *Gateway) sign(purpose pki.Purpose, text []byte) (s stamp) {
	signer := g.cfg.Identity.Signer()
	s.Key = signer.KeyID()
	copy(s.Signature[:], signer.Sign(purpose, text))
	return s
}

// errStamp is in every breach by which a neighbour is found to have passed on what its
// origin never said.
var errStamp = errors.New("signature is not the origin's")

// checkStamp says whether a gateway signed a text. A breach is the fault of the
// neighbour it came from, who had to check as well; another error says that this
// gateway does not know or trust the key, perhaps not yet.
func (v *verifier) checkStamp(gateway membership.NodeID, purpose pki.Purpose, text []byte, s *stamp) error {
	v.mu.Lock()
	last := v.last[gateway]
	v.mu.Unlock()
	if last == nil {
		return fmt.Errorf("gateway %v has not advertised a key", gateway)
	}
	origin, node, err := v.origin(gateway, last.Certificate)
	if err != nil {
		return err
	}
	if origin.KeyID() != s.Key {
		return fmt.Errorf("key of %s is %v, what it advertised is %v", node.Name, s.Key, origin.KeyID())
	}
	if err := origin.Verify(purpose, text, s.Signature[:]); err != nil {
		return breach(fmt.Errorf("%w: %s: %w", errStamp, node.Name, err))
	}
	return nil
}

// believe says whether what a neighbour passed on is its origin's, and blames the
// neighbour if it must have known that it is not.
func (g *Gateway) believe(from *lane, origin membership.NodeID, purpose pki.Purpose, text []byte, s *stamp) bool {
	err := g.verifier.checkStamp(origin, purpose, text, s)
	switch {
	case err == nil:
		return true
	case errors.Is(err, errBreach):
		g.count.badSignatures.Add(1)
		from.breach(err)
	default:
		g.count.untrusted.Add(1)
	}
	return false
}
