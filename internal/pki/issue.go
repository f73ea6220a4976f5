package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"
)

// clockSkew is how far a certificate's validity reaches back, for nodes whose clocks
// are behind the one that issued it.
const clockSkew = 5 * time.Minute

// Init makes a federation's authority in a folder: ca.pem, which every node needs, and
// ca-key.pem, which only Issue needs. It refuses a folder that has either.
func Init(dir, federation string, valid time.Duration) error {
	if err := errors.Join(checkFederation(federation), checkValid(valid)); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	for _, path := range []string{certFile(dir, caName), keyFile(dir, caName)} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = fs.ErrExist
			}
			return fmt.Errorf("%s: %w: a new authority would void every certificate of the old one; use another folder, or move the old files away first", path, err)
		}
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Ringway authority of " + federation},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(valid),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs nodes, not further authorities
		URIs:                  []*url.URL{{Scheme: scheme, Host: federation}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return fmt.Errorf("authority of %s: %w", federation, err)
	}
	keyBlock, err := keyPEM(key)
	if err != nil {
		return err
	}
	if err := createFile(keyFile(dir, caName), keyMode, keyBlock); err != nil {
		return err
	}
	if err := createFile(certFile(dir, caName), certMode, certPEM(der)); err != nil {
		os.Remove(keyFile(dir, caName))
		return err
	}
	return nil
}

func checkValid(valid time.Duration) error {
	if valid <= 0 {
		return fmt.Errorf("validity of %v: it must be positive", valid)
	}
	return nil
}

// Issue makes a node's certificate and key in the folder that has the authority. If
// the node has a key already, that key gets a new certificate, which replaces the old
// one in one step: this is how certificates are renewed. None outlives the authority.
func Issue(dir string, federation, site, node string, valid time.Duration) error {
	owner := name{federation, site, node}
	if err := errors.Join(owner.checkFiles(), checkValid(valid)); err != nil {
		return err
	}
	ca, caKey, err := loadAuthority(dir, federation)
	if err != nil {
		return err
	}
	key, isNew, err := nodeKey(dir, node)
	if err != nil {
		return err
	}
	now := time.Now()
	template := nodeTemplate(owner, now.Add(-clockSkew), now.Add(valid))
	if template.NotAfter.After(ca.NotAfter) {
		template.NotAfter = ca.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("certificate of node %s: %w", node, err)
	}
	if isNew {
		var block *pem.Block
		if block, err = keyPEM(key); err != nil {
			return err
		}
		if err := createFile(keyFile(dir, node), keyMode, block); err != nil {
			return err
		}
	}
	return replaceFile(certFile(dir, node), certMode, certPEM(der))
}

// loadAuthority reads what signs certificates.
func loadAuthority(dir, federation string) (*x509.Certificate, ed25519.PrivateKey, error) {
	certs, err := readCertificates(certFile(dir, caName), "make the authority with `ringway keys init`")
	if err != nil {
		return nil, nil, err
	}
	key, err := readKey(keyFile(dir, caName), "certificates are issued where `ringway keys init` was run, since only that folder has the authority's key")
	if err != nil {
		return nil, nil, err
	}
	for _, ca := range certs {
		if !key.Public().(ed25519.PublicKey).Equal(ca.PublicKey) {
			continue
		}
		if err := checkAuthority(ca, federation); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", certFile(dir, caName), err)
		}
		if err := checkDates(ca, time.Now()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w: make a new authority with `ringway keys init` in another folder", certFile(dir, caName), err)
		}
		return ca, key, nil
	}
	return nil, nil, fmt.Errorf("%s does not belong to %s: put back the pair that `ringway keys init` made", keyFile(dir, caName), certFile(dir, caName))
}

// checkAuthority refuses a certificate that is no authority, or another federation's.
// One that was not made by Init need not say which it is of.
func checkAuthority(ca *x509.Certificate, federation string) error {
	if !ca.IsCA {
		return fmt.Errorf("%w: it is not an authority's", ErrUsage)
	}
	for _, uri := range ca.URIs {
		if uri.Scheme == scheme && uri.Host != federation {
			return fmt.Errorf("%w: it is the authority of %q, not of %q", ErrFederation, uri.Host, federation)
		}
	}
	return nil
}

// nodeKey returns the node's key, which is new if the folder has none.
func nodeKey(dir, node string) (key ed25519.PrivateKey, isNew bool, err error) {
	key, err = readKey(keyFile(dir, node), "")
	if errors.Is(err, ErrMissing) {
		_, key, err = ed25519.GenerateKey(rand.Reader)
		return key, true, err
	}
	return key, false, err
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
