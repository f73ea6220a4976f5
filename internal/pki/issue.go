package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// ClockSkew is how far a node's clock may be behind and no certificate be refused for it.
// Validity reaches back by as much, and who checks a certificate allows as much, since
// those of other issuers and earlier releases reach back less. It gives nobody anything:
// an authority vouches for a certificate from the moment that it signs it.
const ClockSkew = 24 * time.Hour

// Issue makes a node's certificate and key in the folder that has the authority. If
// the node has a key already, that key gets a new certificate, which replaces the old
// one in one step. None outlives the authority.
func Issue(dir string, federation, site, node string, valid time.Duration) error {
	owner := name{federation, site, node}
	if err := errors.Join(owner.checkFiles(), checkValid(valid)); err != nil {
		return err
	}
	key, err := readKey(keyFile(dir, node), "")
	isNew := errors.Is(err, ErrMissing)
	if isNew {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		return err
	}
	return sign(dir, owner, key, isNew, valid)
}

// A Renewal is what Renew did.
type Renewal struct {
	Renewed bool
	Expires time.Time // when the node's certificate does now
}

// Renew gives a node that has a certificate the next one, if the present one ends
// within ahead; ahead zero stands for RenewAhead of the present one's validity. With
// newKey it also gets a new key; the old key's certificate stays good until it expires
// or is revoked.
func Renew(dir string, federation, site, node string, valid, ahead time.Duration, newKey bool) (Renewal, error) {
	owner := name{federation, site, node}
	if err := errors.Join(owner.checkFiles(), checkValid(valid)); err != nil {
		return Renewal{}, err
	}
	former, err := loadPair(dir, node, site)
	if err != nil {
		return Renewal{}, err
	}
	if ahead == 0 {
		ahead = RenewAhead(Validity(former.leaf))
	}
	if time.Until(former.leaf.NotAfter) > ahead {
		return Renewal{Expires: former.leaf.NotAfter}, nil
	}
	key := former.key
	if newKey {
		if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
			return Renewal{}, err
		}
	}
	if err := sign(dir, owner, key, newKey, valid); err != nil {
		return Renewal{}, err
	}
	certs, err := readCertificates(certFile(dir, node), "")
	if err != nil {
		return Renewal{}, err
	}
	return Renewal{Renewed: true, Expires: certs[0].NotAfter}, nil
}

// sign makes the certificate of a key and writes both, the key only if it is new. A
// node that reads in between finds a pair that does not match, keeps what it has, and
// reads again.
func sign(dir string, owner name, key ed25519.PrivateKey, isNew bool, valid time.Duration) error {
	ca, caKey, err := loadAuthority(dir, owner.federation)
	if err != nil {
		return err
	}
	if site, bound := authoritySite(ca); bound && site != owner.site {
		return fmt.Errorf("%w: the authority in %s may only sign for nodes of site %s, %s is of %s: issue where that site's authority is", ErrWrongSite, dir, site, owner.node, owner.site)
	}
	now := time.Now()
	template := nodeTemplate(owner, now.Add(-ClockSkew), now.Add(valid))
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("certificate of node %s: %w", owner.node, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certificate of node %s: %w", owner.node, err)
	}
	if err := appendLedger(dir, ca, cert, owner); err != nil {
		return err
	}
	if isNew {
		block, err := keyPEM(key)
		if err != nil {
			return err
		}
		if err := replaceFile(keyFile(dir, owner.node), keyMode, block); err != nil {
			return err
		}
	}
	return replaceFile(certFile(dir, owner.node), certMode, certPEM(der))
}

// nodeTemplate describes a node's certificate.
func nodeTemplate(owner name, from, to time.Time) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: owner.node},
		NotBefore:             from,
		NotAfter:              to,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{owner.uri()},
	}
}
