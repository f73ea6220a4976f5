package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// An Identity is who a node is and whom it believes. It never changes, and is safe for
// concurrent use.
type Identity struct {
	name  name
	cert  tls.Certificate
	key   ed25519.PrivateKey
	roots *x509.CertPool // nil: a throw-away identity, which believes every name
	now   func() time.Time
	known *knownOrigins
}

// LoadIdentity reads a node's identity from a certs folder and makes sure that its
// peers will accept it.
func LoadIdentity(dir, federation, site, node string) (*Identity, error) {
	return loadIdentity(dir, name{federation, site, node}, time.Now)
}

func loadIdentity(dir string, owner name, now func() time.Time) (*Identity, error) {
	if err := owner.checkFiles(); err != nil {
		return nil, err
	}
	hint := fmt.Sprintf("make it with `ringway keys issue` for node %s of site %s", owner.node, owner.site)
	authorities, err := readCertificates(certFile(dir, caName), "make the authority with `ringway keys init`, or copy ca.pem from where that was done")
	if err != nil {
		return nil, err
	}
	certs, err := readCertificates(certFile(dir, owner.node), hint)
	if err != nil {
		return nil, err
	}
	key, err := readKey(keyFile(dir, owner.node), hint)
	if err != nil {
		return nil, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(certs[0].PublicKey) {
		return nil, fmt.Errorf("%s does not belong to %s: %s", keyFile(dir, owner.node), certFile(dir, owner.node), hint)
	}
	roots := x509.NewCertPool()
	for _, authority := range authorities {
		if err := checkAuthority(authority, owner.federation); err != nil {
			return nil, fmt.Errorf("%s: %w", certFile(dir, caName), err)
		}
		roots.AddCert(authority)
	}
	id := newIdentity(owner, key, certs[0].Raw, now)
	id.roots = roots
	// What a peer would refuse is refused here, where the operator sees it.
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if err := id.check(certs[0], usage, &owner); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", certFile(dir, owner.node), err, hint)
		}
	}
	return id, nil
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
	template := nodeTemplate(owner, now.Add(-clockSkew), now.Add(throwawayValid))
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("throw-away certificate of node %s: %w", node, err)
	}
	return newIdentity(owner, key, der, time.Now), nil
}

func newIdentity(owner name, key ed25519.PrivateKey, der []byte, now func() time.Time) *Identity {
	return &Identity{
		name:  owner,
		cert:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		key:   key,
		now:   now,
		known: newKnownOrigins(maxKnownOrigins),
	}
}

// CertificateDER returns the node's certificate, which peers give to Verify.
func (id *Identity) CertificateDER() []byte { return id.cert.Certificate[0] }

// check holds a certificate against the rules: it names a node of this federation,
// the expected one if there is an expectation, and is signed, valid and meant for the
// use.
func (id *Identity) check(cert *x509.Certificate, usage x509.ExtKeyUsage, expect *name) error {
	owner, err := certificateName(cert)
	if err != nil {
		return err
	}
	if owner.federation != id.name.federation {
		return fmt.Errorf("%w: it is of %q, this node is of %q", ErrFederation, owner.federation, id.name.federation)
	}
	if id.roots != nil {
		if err := id.checkChain(cert, usage); err != nil {
			return fmt.Errorf("%w (%v)", err, owner)
		}
	}
	if expect != nil && owner != *expect {
		return fmt.Errorf("%w: it is %v, where %v must be", ErrWrongName, owner, *expect)
	}
	return nil
}

// checkChain says whether the authority vouches for the certificate now.
func (id *Identity) checkChain(cert *x509.Certificate, usage x509.ExtKeyUsage) error {
	now := id.now()
	if err := checkDates(cert, now); err != nil {
		return err
	}
	if cert.IsCA || cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: it cannot sign for a node", ErrUsage)
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: id.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		// The certificate itself is valid now, so it is the authority that is not.
		return fmt.Errorf("%w: its authority's: make a new authority with `ringway keys init` in another folder", ErrExpired)
	default:
		return fmt.Errorf("%w: %w", ErrUnknownCA, err)
	}
}

func checkDates(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%w: it was valid until %s", ErrExpired, cert.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(cert.NotBefore):
		return fmt.Errorf("%w: it will be from %s; is this machine's clock right?", ErrNotYetValid, cert.NotBefore.UTC().Format(time.RFC3339))
	}
	return nil
}
