package pki

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"sync"
	"time"
)

// signatureContext stands before every body that is signed. TLS signs with the same
// key, but what it signs begins with 64 spaces.
const signatureContext = "ringway/1 signed by its origin\x00"

// SignatureBytes is the size of a signature.
const SignatureBytes = ed25519.SignatureSize

// MaxCertificateBytes bounds a certificate that Verify takes; ours have about 500.
const MaxCertificateBytes = 4 << 10

// Sign signs a body that others will relay, such as a link-state advertisement.
func (id *Identity) Sign(body []byte) []byte {
	return ed25519.Sign(id.key, signedText(body))
}

func signedText(body []byte) []byte {
	return append([]byte(signatureContext), body...)
}

// Verify says whether the node of that name signed the body. The certificate comes
// with the body and must be good by itself; only then does its key count.
func (id *Identity) Verify(certDER, body, signature []byte, expectSite, expectNode string) error {
	origin, err := id.origin(certDER)
	if err != nil {
		return err
	}
	if expect := (name{id.name.federation, expectSite, expectNode}); origin.name != expect {
		return fmt.Errorf("%w: it is %v, where %v must be", ErrWrongName, origin.name, expect)
	}
	if !ed25519.Verify(origin.key, signedText(body), signature) {
		return fmt.Errorf("%w: %v", ErrSignature, origin.name)
	}
	return nil
}

// origin checks a certificate, or remembers that it was good. Its dates are looked at
// each time.
func (id *Identity) origin(certDER []byte) (origin, error) {
	if len(certDER) > MaxCertificateBytes {
		return origin{}, fmt.Errorf("certificate of %d bytes: at most %d are taken", len(certDER), MaxCertificateBytes)
	}
	hash := sha256.Sum256(certDER)
	if known, ok := id.known.get(hash); ok && known.validAt(id.now()) {
		return known, nil
	}
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return origin{}, fmt.Errorf("certificate cannot be read: %w", err)
	}
	// An origin is authentic in the role that it has when others dial it.
	if err := id.check(cert, x509.ExtKeyUsageServerAuth, nil); err != nil {
		return origin{}, err
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return origin{}, fmt.Errorf("%w: its key is not Ed25519", ErrUsage)
	}
	owner, err := certificateName(cert)
	if err != nil {
		return origin{}, err
	}
	found := origin{name: owner, key: key, from: cert.NotBefore, to: cert.NotAfter}
	id.known.put(hash, found)
	return found, nil
}

// An origin is what a certificate that was found good says.
type origin struct {
	name     name
	key      ed25519.PublicKey
	from, to time.Time
}

func (o origin) validAt(now time.Time) bool { return !now.Before(o.from) && !now.After(o.to) }

// maxKnownOrigins bounds the certificates remembered: several times the gateways that
// a federation has.
const maxKnownOrigins = 512

// knownOrigins remembers certificates that were found good, by hash. When it is full
// the oldest goes.
type knownOrigins struct {
	mu     sync.Mutex
	limit  int
	byHash map[[sha256.Size]byte]origin
	order  [][sha256.Size]byte // a ring once it has limit entries
	oldest int
}

func newKnownOrigins(limit int) *knownOrigins {
	return &knownOrigins{limit: limit, byHash: map[[sha256.Size]byte]origin{}}
}

func (k *knownOrigins) get(hash [sha256.Size]byte) (origin, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o, ok := k.byHash[hash]
	return o, ok
}

func (k *knownOrigins) put(hash [sha256.Size]byte, o origin) {
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
