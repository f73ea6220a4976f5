package pki

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"
)

// Init makes a federation's authority in a folder: ca.pem, which every node needs, and
// ca-key.pem, which only Issue and Revoke need. It refuses a folder that has either.
func Init(dir, federation string, valid time.Duration) error {
	return initAuthority(dir, name{federation: federation}, valid)
}

// InitSite makes the authority of one site, which can sign for that site's nodes and no
// others. Nodes need the ca.pem of all sites in one file.
func InitSite(dir, federation, site string, valid time.Duration) error {
	if err := checkPart("site", site); err != nil {
		return err
	}
	return initAuthority(dir, name{federation: federation, site: site}, valid)
}

func initAuthority(dir string, of name, valid time.Duration) error {
	if err := errors.Join(checkFederation(of.federation), checkValid(valid)); err != nil {
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
	template := authorityTemplate(of, time.Now(), valid)
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return fmt.Errorf("authority of %s: %w", of.federation, err)
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

// authorityTemplate describes an authority; of has a site if it is that site's.
func authorityTemplate(of name, now time.Time, valid time.Duration) *x509.Certificate {
	uri, common := &url.URL{Scheme: scheme, Host: of.federation}, "Ringway authority of "+of.federation
	if of.site != "" {
		uri.Path, common = sitePath+of.site, common+", site "+of.site
	}
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: common},
		NotBefore:             now.Add(-ClockSkew),
		NotAfter:              now.Add(valid),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true, // it signs nodes, not further authorities
		URIs:                  []*url.URL{uri},
	}
}

const sitePath = "/site/"

// authoritySite returns the site that an authority is bound to; false: to none.
func authoritySite(ca *x509.Certificate) (string, bool) {
	for _, uri := range ca.URIs {
		if site, ok := strings.CutPrefix(uri.Path, sitePath); ok && uri.Scheme == scheme {
			return site, true
		}
	}
	return "", false
}

func checkValid(valid time.Duration) error {
	if valid <= 0 {
		return fmt.Errorf("validity of %v: it must be positive", valid)
	}
	return nil
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
		if !belongs(key, ca) {
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
	return nil, nil, fmt.Errorf("%w: %s and %s: put back the pair that `ringway keys init` made", ErrKeyMismatch, keyFile(dir, caName), certFile(dir, caName))
}

// checkAuthority refuses a certificate that is no authority, or another federation's.
// One that was not made by Init need not say which it is of.
func checkAuthority(ca *x509.Certificate, federation string) error {
	if !ca.IsCA {
		return fmt.Errorf("%w: it is not an authority's", ErrUsage)
	}
	for _, uri := range ca.URIs {
		if uri.Scheme != scheme {
			continue
		}
		if site, ok := strings.CutPrefix(uri.Path, sitePath); uri.Path != "" && (!ok || checkPart("site", site) != nil) {
			return fmt.Errorf("%w: the authority's URI is %.200q", ErrUsage, uri)
		}
		if uri.Host != federation {
			return fmt.Errorf("%w: it is the authority of %q, not of %q", ErrFederation, uri.Host, federation)
		}
	}
	return nil
}
