package pki

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"sync"
	"time"
)

// A Purpose stands before every body that is signed, so that a signature made for one
// purpose proves nothing for another. TLS signs with the same key, but what it signs
// begins with 64 spaces.
type Purpose string

// What nodes sign, because others relay it.
const (
	Advertisement Purpose = "ringway/1 advertisement\x00" // link state of a gateway
	LogSeal       Purpose = "ringway/1 log seal\x00"      // what a site's log has so far
	Promise       Purpose = "ringway/1 promise\x00"       // a broadcast of a site
	Control       Purpose = "ringway/1 control\x00"       // a message from one site to another
	Bulk          Purpose = "ringway/1 bulk\x00"          // likewise, one that gives way to others
	Datagram      Purpose = "ringway/1 datagram\x00"      // one that may get lost
)

// SignatureBytes is the size of a signature.
const SignatureBytes = ed25519.SignatureSize

// MaxCertificateBytes bounds a certificate that a peer shows; ours have about 500.
const MaxCertificateBytes = 4 << 10

// A KeyID names a public key: the first bytes of its SHA-256. It is a hint as to which
// key to try, and proves nothing.
type KeyID [8]byte

func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

func keyIDOf(key ed25519.PublicKey) (id KeyID) {
	sum := sha256.Sum256(key)
	copy(id[:], sum[:])
	return id
}

// A Signer signs with one key of an identity, which may have another one by and by.
type Signer struct{ pair *pair }

// Signer returns the newest key.
func (id *Identity) Signer() Signer { return Signer{id.pair.Load()} }

// KeyID names the key.
func (s Signer) KeyID() KeyID { return s.pair.keyID }

// CertificateDER returns the key's certificate.
func (s Signer) CertificateDER() []byte { return s.pair.leaf.Raw }

// Sign signs a body that others will relay.
func (s Signer) Sign(purpose Purpose, body []byte) []byte {
	return ed25519.Sign(s.pair.key, signedText(purpose, body))
}

// Sign signs with the newest key.
func (id *Identity) Sign(purpose Purpose, body []byte) []byte { return id.Signer().Sign(purpose, body) }

func signedText(purpose Purpose, body []byte) []byte {
	text := make([]byte, 0, len(purpose)+len(body))
	return append(append(text, purpose...), body...)
}

// Verify says whether the node of that name signed the body. The certificate comes
// with the body and must be good by itself; only then does its key count.
func (id *Identity) Verify(purpose Purpose, certDER, body, signature []byte, expectSite, expectNode string) error {
	o, err := id.Origin(certDER)
	if err != nil {
		return err
	}
	if err := o.name.mustBe(name{id.name.federation, expectSite, expectNode}); err != nil {
		return err
	}
	return o.Verify(purpose, body, signature)
}

// An Origin is what a certificate that was found good says.
type Origin struct {
	name    name
	key     ed25519.PublicKey
	keyID   KeyID
	expires time.Time
}

// Name returns the node that the certificate is for.
func (o *Origin) Name() (site, node string) { return o.name.site, o.name.node }

// KeyID names its key.
func (o *Origin) KeyID() KeyID { return o.keyID }

// Verify says whether the origin's key signed the body.
func (o *Origin) Verify(purpose Purpose, body, signature []byte) error {
	if !ed25519.Verify(o.key, signedText(purpose, body), signature) {
		return fmt.Errorf("%w: %v", ErrSignature, o.name)
	}
	return nil
}

// Origin checks a certificate as CheckPeer does, or remembers that it was good. Whether it
// has expired is looked at each time.
func (id *Identity) Origin(certDER []byte) (*Origin, error) {
	if len(certDER) > MaxCertificateBytes {
		return nil, fmt.Errorf("certificate of %d bytes: at most %d are taken", len(certDER), MaxCertificateBytes)
	}
	t := id.trust.Load()
	hash := sha256.Sum256(certDER)
	if known := t.known.get(hash); known != nil && !id.now().After(known.expires) {
		return known, nil
	}
	cert, err := parseCertificate(certDER)
	if err != nil {
		return nil, err
	}
	// An origin is authentic in the role that it has when others dial it.
	if err := id.checkAt(id.now(), t, cert, x509.ExtKeyUsageServerAuth, nil); err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: its key is not Ed25519", ErrUsage)
	}
	owner, err := certificateName(cert)
	if err != nil {
		return nil, err
	}
	found := &Origin{name: owner, key: key, keyID: keyIDOf(key), expires: cert.NotAfter}
	t.known.put(hash, found)
	return found, nil
}

// maxKnownOrigins bounds the certificates remembered: several times the gateways that
// a federation has.
const maxKnownOrigins = 512

// knownOrigins remembers certificates that were found good, by hash. When it is full
// the oldest goes.
type knownOrigins struct {
	mu     sync.Mutex
	limit  int
	byHash map[[sha256.Size]byte]*Origin
	order  [][sha256.Size]byte // a ring once it has limit entries
	oldest int
}

func newKnownOrigins(limit int) *knownOrigins {
	return &knownOrigins{limit: limit, byHash: map[[sha256.Size]byte]*Origin{}}
}

func (k *knownOrigins) get(hash [sha256.Size]byte) *Origin {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byHash[hash]
}

func (k *knownOrigins) put(hash [sha256.Size]byte, o *Origin) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.byHash[hash]; ok {
		k.byHash[hash] = o
		return
	}
	k.byHash[hash] = o
	if len(k.order) < k.limit {
		k.order = append(k.order, hash)
		return
	}
	delete(k.byHash, k.order[k.oldest])
	k.order[k.oldest] = hash
	k.oldest = (k.oldest + 1) % k.limit
}
