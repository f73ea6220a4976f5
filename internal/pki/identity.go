package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// An Identity is who a node is and whom it believes. What it holds is replaced as a
// whole when the files of its certs folder change (Watch); whoever asks gets the
// newest. It is safe for concurrent use.
type Identity struct {
	name name
	dir  string // of the files; empty: a throw-away identity
	now  func() time.Time

	pair  atomic.Pointer[pair]
	trust atomic.Pointer[trust]

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	reloads  uint64
	failures uint64
	problem  error // of the latest reload; nil: none
	warned   time.Time
}

// A pair is a node's certificate and its key.
type pair struct {
	cert  tls.Certificate
	leaf  *x509.Certificate
	key   ed25519.PrivateKey
	keyID KeyID
}

// LoadIdentity reads a node's identity from a certs folder and makes sure that its
// peers will accept it.
func LoadIdentity(dir, federation, site, node string) (*Identity, error) {
	return LoadIdentityAt(dir, federation, site, node, time.Now)
}

// LoadIdentityAt is LoadIdentity with a wall clock of the caller's, as tests have.
func LoadIdentityAt(dir, federation, site, node string, now func() time.Time) (*Identity, error) {
	return loadIdentity(dir, name{federation, site, node}, now)
}

func loadIdentity(dir string, owner name, now func() time.Time) (*Identity, error) {
	if err := owner.checkFiles(); err != nil {
		return nil, err
	}
	id := newIdentity(owner, now)
	id.dir = dir
	t, err := loadTrust(dir, owner.federation)
	if err != nil {
		return nil, err
	}
	p, err := loadPair(dir, owner.node, owner.site)
	if err != nil {
		return nil, err
	}
	id.trust.Store(t)
	if err := id.checkOwn(p); err != nil {
		return nil, err
	}
	id.pair.Store(p)
	return id, nil
}

// checkOwn refuses here, where the operator sees it, what a peer would refuse.
func (id *Identity) checkOwn(p *pair) error {
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if err := id.check(p.leaf, usage, &id.name); err != nil {
			return fmt.Errorf("%s: %w: %s", certFile(id.dir, id.name.node), err, hintFor(id.name.node, id.name.site))
		}
	}
	return nil
}

func hintFor(node, site string) string {
	return fmt.Sprintf("make it with `ringway keys issue` for node %s of site %s", node, site)
}

// loadPair reads a node's certificate and key.
func loadPair(dir, node, site string) (*pair, error) {
	hint := hintFor(node, site)
	certs, err := readCertificates(certFile(dir, node), hint)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile(dir, node), hint)
	if err != nil {
		return nil, err
	}
	if !belongs(key, certs[0]) {
		return nil, fmt.Errorf("%w: %s and %s: %s", ErrKeyMismatch, keyFile(dir, node), certFile(dir, node), hint)
	}
	return newPair(key, certs[0]), nil
}

func belongs(key ed25519.PrivateKey, cert *x509.Certificate) bool {
	return key.Public().(ed25519.PublicKey).Equal(cert.PublicKey)
}

func newPair(key ed25519.PrivateKey, leaf *x509.Certificate) *pair {
	return &pair{
		cert: tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf},
		leaf: leaf, key: key, keyID: keyIDOf(key.Public().(ed25519.PublicKey)),
	}
}

// throwawayValid is longer than any process lives.
const throwawayValid = 10 * 365 * 24 * time.Hour

// Throwaway makes an identity that nobody can verify and that verifies nobody, for
// federations on loopback and those told to be insecure.
func Throwaway(federation, site, node string) (*Identity, error) {
	owner := name{federation, site, node}
	if err := owner.check(); err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := nodeTemplate(owner, now.Add(-ClockSkew), now.Add(throwawayValid))
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("throw-away certificate of node %s: %w", node, err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("throw-away certificate of node %s: %w", node, err)
	}
	id := newIdentity(owner, time.Now)
	id.trust.Store(newTrust(nil, nil))
	id.pair.Store(newPair(key, leaf))
	return id, nil
}

func newIdentity(owner name, now func() time.Time) *Identity {
	return &Identity{name: owner, now: now, changed: make(chan struct{})}
}

// Throwaway says that this identity verifies nobody.
func (id *Identity) Throwaway() bool { return id.dir == "" }

// CertificateDER returns the node's certificate, which peers give to Verify.
func (id *Identity) CertificateDER() []byte { return id.pair.Load().leaf.Raw }

// TLSCertificate returns the node's certificate and key as they are now: ask again for
// each handshake.
func (id *Identity) TLSCertificate() tls.Certificate { return id.pair.Load().cert }

// Expires returns until when the node's certificate is valid.
func (id *Identity) Expires() time.Time { return id.pair.Load().leaf.NotAfter }

// Allowed says whether a certificate that was believed when it was shown may go on taking
// part: it is of this federation, and signed, not expired and not revoked. That it was
// valid already is known, whatever the clock says since. A throw-away identity only looks
// at the federation.
func (id *Identity) Allowed(cert *x509.Certificate) error {
	now := id.now()
	if now.Before(cert.NotBefore) {
		now = cert.NotBefore
	}
	return id.checkAt(now, id.trust.Load(), cert, x509.ExtKeyUsageServerAuth, nil)
}

// CheckPeer says whether a certificate that is shown is good now, and names that node.
func (id *Identity) CheckPeer(certDER []byte, site, node string) error {
	cert, err := parseCertificate(certDER)
	if err != nil {
		return err
	}
	return id.check(cert, x509.ExtKeyUsageServerAuth, &name{id.name.federation, site, node})
}

func parseCertificate(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificateBytes {
		return nil, fmt.Errorf("certificate of %d bytes: at most %d are taken", len(der), MaxCertificateBytes)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate cannot be read: %w", err)
	}
	return cert, nil
}

// check holds a certificate against the rules: it names a node of this federation,
// the expected one if there is an expectation, and is signed, valid and meant for the
// use.
func (id *Identity) check(cert *x509.Certificate, usage x509.ExtKeyUsage, expect *name) error {
	return id.checkAt(id.now(), id.trust.Load(), cert, usage, expect)
}

func (id *Identity) checkAt(now time.Time, t *trust, cert *x509.Certificate, usage x509.ExtKeyUsage, expect *name) error {
	owner, err := certificateName(cert)
	if err != nil {
		return err
	}
	if owner.federation != id.name.federation {
		return fmt.Errorf("%w: it is of %q, this node is of %q", ErrFederation, owner.federation, id.name.federation)
	}
	if !id.Throwaway() {
		if err := t.check(cert, owner, usage, now); err != nil {
			return fmt.Errorf("%w (%v)", err, owner)
		}
	}
	if expect != nil {
		return owner.mustBe(*expect)
	}
	return nil
}
