package pki

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A trust is whom a node believes: authorities, and what they have revoked. It never
// changes; a new one takes its place. So what was found good under an old one counts
// no longer.
type trust struct {
	roots       *x509.CertPool // of authorities
	authorities []*x509.Certificate
	revoked     revocations
	known       *knownOrigins
}

func newTrust(authorities []*x509.Certificate, revoked revocations) *trust {
	t := &trust{roots: x509.NewCertPool(), authorities: authorities, revoked: revoked, known: newKnownOrigins(maxKnownOrigins)}
	for _, a := range authorities {
		t.roots.AddCert(reachBack(a))
	}
	return t
}

// reachBack returns the certificate as if it were valid from as early on as checkDates
// allows, so that x509 does too.
func reachBack(cert *x509.Certificate) *x509.Certificate {
	early := *cert
	early.NotBefore = validFrom(cert)
	return &early
}

func validFrom(cert *x509.Certificate) time.Time { return cert.NotBefore.Add(-ClockSkew) }

// loadTrust reads the authorities and the lists of what they revoked.
func loadTrust(dir, federation string) (*trust, error) {
	authorities, err := readCertificates(certFile(dir, caName), "make the authority with `ringway keys init`, or copy ca.pem from where that was done")
	if err != nil {
		return nil, err
	}
	for _, authority := range authorities {
		if err := checkAuthority(authority, federation); err != nil {
			return nil, fmt.Errorf("%s: %w", certFile(dir, caName), err)
		}
	}
	lists, err := readRevocations(dir, authorities)
	if err != nil {
		return nil, err
	}
	return newTrust(authorities, lists), nil
}

// check says whether an authority that may do so vouches for the certificate now.
func (t *trust) check(cert *x509.Certificate, owner name, usage x509.ExtKeyUsage, now time.Time) error {
	if err := checkDates(cert, now); err != nil {
		return err
	}
	if cert.IsCA || cert.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return fmt.Errorf("%w: it cannot sign for a node", ErrUsage)
	}
	chains, err := reachBack(cert).Verify(x509.VerifyOptions{Roots: t.roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return t.checkChains(chains, cert, owner)
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		// The certificate itself is valid now, so it is the authority that is not.
		return fmt.Errorf("%w: its authority's: make a new authority with `ringway keys init` in another folder", ErrExpired)
	default:
		return fmt.Errorf("%w: %w", ErrUnknownCA, err)
	}
}

// checkChains wants one chain whose authority may sign for the owner's site and has
// not revoked the certificate.
func (t *trust) checkChains(chains [][]*x509.Certificate, cert *x509.Certificate, owner name) (err error) {
	for _, chain := range chains {
		authority := chain[len(chain)-1]
		site, ok := authoritySite(authority)
		switch {
		case len(chain) != 2:
			err = fmt.Errorf("%w: there is a certificate between it and the authority", ErrUsage)
		case ok && site != owner.site:
			err = fmt.Errorf("%w: the authority of site %s signed it, which may only sign for that site", ErrWrongSite, site)
		case t.revoked.has(authority, cert.SerialNumber):
			return fmt.Errorf("%w: serial %s", ErrRevoked, serialText(cert.SerialNumber))
		default:
			return nil
		}
	}
	return err
}

func checkDates(cert *x509.Certificate, now time.Time) error {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Errorf("%w: it was valid until %s, this machine's clock says %s", ErrExpired, cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.Before(validFrom(cert)):
		return fmt.Errorf("%w: it will be from %s, this machine's clock says %s; is it right?", ErrNotYetValid, cert.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// An authorityKey names an authority by its public key, which stays when it gets a new
// certificate.
type authorityKey [sha256.Size]byte

func authorityKeyOf(ca *x509.Certificate) authorityKey {
	return sha256.Sum256(ca.RawSubjectPublicKeyInfo)
}

// revocations are the lists of several authorities.
type revocations map[authorityKey]*revocationList

// A revocationList is what one authority has revoked.
type revocationList struct {
	number  *big.Int // grows with each list
	serials map[string]struct{}
	raw     []byte
}

func (r revocations) has(authority *x509.Certificate, serial *big.Int) bool {
	list := r[authorityKeyOf(authority)]
	if list == nil {
		return false
	}
	_, revoked := list.serials[serialText(serial)]
	return revoked
}

// size returns how many certificates are revoked.
func (r revocations) size() (n int) {
	for _, list := range r {
		n += len(list.serials)
	}
	return n
}

// serialText writes a serial number as certificates' tools do.
func serialText(serial *big.Int) string { return fmt.Sprintf("%X", serial) }
