package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Reasons to refuse a certificate, for callers that count or decide by them.
var (
	ErrMissing     = errors.New("file is missing")
	ErrExpired     = errors.New("certificate has expired")
	ErrNotYetValid = errors.New("certificate is not valid yet")
	ErrUnknownCA   = errors.New("certificate is not signed by this federation's authority")
	ErrUsage       = errors.New("certificate is not meant for this use")
	ErrNoName      = errors.New("certificate does not name a node")
	ErrFederation  = errors.New("certificate is of another federation")
	ErrWrongName   = errors.New("certificate names another node")
	ErrWrongSite   = errors.New("certificate is for another site")
	ErrRevoked     = errors.New("certificate has been revoked")
	ErrSignature   = errors.New("signature is not by the certificate's key")
	ErrProtocol    = errors.New("peer does not speak " + ALPN)
)

// Reasons to refuse what stands in a certs folder.
var (
	ErrKeyMismatch    = errors.New("key does not belong to the certificate")
	ErrKeyMode        = errors.New("file mode of a key is too open")
	ErrRevocationList = errors.New("revocation list cannot be used")
)

// A name is what a certificate says about its owner.
type name struct {
	federation, site, node string
}

const scheme = "ringway"

func (n name) uri() *url.URL {
	return &url.URL{Scheme: scheme, Host: n.federation, Path: "/site/" + n.site + "/node/" + n.node}
}

func (n name) String() string { return n.uri().String() }

// mustBe says how a certificate's name differs from the one expected.
func (n name) mustBe(expect name) error {
	switch {
	case n == expect:
		return nil
	case n.node == expect.node && n.federation == expect.federation:
		return fmt.Errorf("%w: it is %v, where %v must be", ErrWrongSite, n, expect)
	}
	return fmt.Errorf("%w: it is %v, where %v must be", ErrWrongName, n, expect)
}

// check says whether a certificate can carry the name.
func (n name) check() error {
	if err := checkFederation(n.federation); err != nil {
		return err
	}
	if err := checkPart("site", n.site); err != nil {
		return err
	}
	return checkPart("node", n.node)
}

// checkFiles says whether, besides, a certs folder can hold files of that name.
func (n name) checkFiles() error {
	if err := n.check(); err != nil {
		return err
	}
	return checkFileName(n.node)
}

// checkFileName says whether a certs folder can hold files of a node of that name.
func checkFileName(node string) error {
	if err := checkPart("node", node); err != nil {
		return err
	}
	if node == caName || node == revokedName || strings.HasSuffix(node, keySuffix) {
		return fmt.Errorf("node name %q: %s.pem is the name of another file in the folder; choose a name other than %s and %s that does not end in %s", node, node, caName, revokedName, keySuffix)
	}
	return nil
}

// maxNameBytes bounds a name in a certificate: it is one label of a host at most.
const maxNameBytes = 63

func checkPart(what, text string) error {
	if text == "" || len(text) > maxNameBytes {
		return fmt.Errorf("%s name %.80q has %d bytes: 1 to %d are allowed", what, text, len(text), maxNameBytes)
	}
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || strings.Contains(text, "/") {
		return fmt.Errorf("%s name %q is not made of a-z 0-9 . _ -", what, text)
	}
	return nil
}

// checkFederation also refuses what X.509 does not take for a host.
func checkFederation(text string) error {
	if err := checkPart("federation", text); err != nil {
		return err
	}
	if strings.Contains("."+text+".", "..") {
		return fmt.Errorf("federation name %q begins or ends with a dot or has two in a row: a certificate cannot carry it", text)
	}
	return nil
}

// PeerName returns the node that a certificate names. It does not say whether to
// believe it: of a connection made with an Identity's configuration, that was checked.
func PeerName(cert *x509.Certificate) (federation, site, node string, err error) {
	n, err := certificateName(cert)
	return n.federation, n.site, n.node, err
}

func certificateName(cert *x509.Certificate) (name, error) {
	if len(cert.URIs) != 1 {
		return name{}, fmt.Errorf("%w: it has %d URIs where one %s://… must stand", ErrNoName, len(cert.URIs), scheme)
	}
	uri := cert.URIs[0]
	parts := strings.Split(uri.Path, "/")
	if len(parts) != 5 || parts[1] != "site" || parts[3] != "node" {
		return name{}, fmt.Errorf("%w: its URI is %.200q", ErrNoName, uri)
	}
	n := name{federation: uri.Host, site: parts[2], node: parts[4]}
	// One name has one spelling: no query, no port, no escapes.
	if err := n.check(); err != nil || n.String() != uri.String() {
		return name{}, fmt.Errorf("%w: its URI is %.200q", ErrNoName, uri)
	}
	return n, nil
}
