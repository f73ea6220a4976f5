package seal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"ringway/membership"
	"ringway/site/ring"
)

// An offer is a view key for one member, sealed under the wrap key that this member
// has given to the representative:
//
//	0  member       node id
//	4  wrap key id
//	8  number       of offers under this wrap key, from 1; it is the nonce
//	16 the secret, sealed; 16 bytes tag
//
// Offers stand behind a commit token, the number of them in the last byte.
const offerBytes = 16 + SecretBytes + tagBytes

// MaxOffersBytes is by how much offers can make a commit token larger.
const MaxOffersBytes = ring.MaxNodes*offerBytes + 1

var errNoWrap = errors.New("no wrap key of a member")

// wrapping is the wrap key that a peer gave to this node, and how often it was used.
type wrapping struct {
	key  key
	used uint64
}

// offerContext binds an offer to its ring and member.
func offerContext(id ring.ID, member membership.NodeID) []byte {
	return binary.LittleEndian.AppendUint32(ofRing(id), uint32(member))
}

func offerNonce(number uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), number)
}

// offers seals a ring's secret for each of its members but this node.
func (k *Keyring) offers(id ring.ID, members []membership.NodeID, secret *Secret) ([]byte, error) {
	b := make([]byte, 0, len(members)*offerBytes+1)
	n := 0
	for _, member := range members {
		if member == k.self {
			continue
		}
		p := k.peers[member]
		if p == nil || p.wrap.key.aead == nil {
			return nil, fmt.Errorf("%w: %v", errNoWrap, member)
		}
		p.wrap.used++
		b = binary.LittleEndian.AppendUint32(b, uint32(member))
		b = binary.LittleEndian.AppendUint32(b, p.wrap.key.id)
		b = binary.LittleEndian.AppendUint64(b, p.wrap.used)
		b = p.wrap.key.aead.Seal(b, offerNonce(p.wrap.used), secret[:], offerContext(id, member))
		n++
	}
	return append(b, byte(n)), nil
}

// splitOffers takes the offers off a commit token.
func splitOffers(plain []byte) (packet, offers []byte, ok bool) {
	if len(plain) == 0 {
		return nil, nil, false
	}
	n := int(plain[len(plain)-1])
	size := n*offerBytes + 1
	if n == 0 || n > ring.MaxNodes || size > len(plain) {
		return nil, nil, false
	}
	at := len(plain) - size
	return plain[:at:at], plain[at:], true
}

// offered is who else than the representative was given a key.
func offered(offers []byte) []membership.NodeID {
	var nodes []membership.NodeID
	for ; len(offers) >= offerBytes; offers = offers[offerBytes:] {
		nodes = append(nodes, membership.NodeID(binary.LittleEndian.Uint32(offers)))
	}
	return nodes
}

// open finds and opens the offer that is meant for this node.
func (k *Keyring) openOffer(id ring.ID, offers []byte) (Secret, bool) {
	p := k.peers[id.Representative]
	if p == nil {
		return Secret{}, false
	}
	for ; len(offers) >= offerBytes; offers = offers[offerBytes:] {
		if membership.NodeID(binary.LittleEndian.Uint32(offers)) != k.self {
			continue
		}
		keyID, number := binary.LittleEndian.Uint32(offers[4:]), binary.LittleEndian.Uint64(offers[8:])
		for i := range p.given {
			g := &p.given[i]
			if g.key.aead == nil || g.key.id != keyID || number <= g.opened {
				continue
			}
			var secret Secret
			if _, err := g.key.aead.Open(secret[:0], offerNonce(number), offers[16:offerBytes], offerContext(id, k.self)); err == nil {
				g.opened = number
				return secret, true
			}
		}
	}
	return Secret{}, false
}
