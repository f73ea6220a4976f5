package pki

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Description says what a certificate in a folder is, and what is wrong with it.
type Description struct {
	File       string    `json:"file"`
	Kind       string    `json:"kind"` // "authority" or "node"
	Federation string    `json:"federation"`
	Site       string    `json:"site,omitempty"` // of an authority: the only one it signs for
	Node       string    `json:"node,omitempty"`
	Serial     string    `json:"serial"` // hexadecimal digits
	From       time.Time `json:"from"`
	Expires    time.Time `json:"expires"`
	LeftS      float64   `json:"left_s"` // until it expires, in seconds; negative: it has
	Key        string    `json:"key"`    // "here", or "elsewhere": the folder does not have it
	KeyID      string    `json:"key_id"`
	Renew      bool      `json:"renew"`             // it should be renewed by now
	Revoked    bool      `json:"revoked"`           // it is on a revocation list of the folder
	Problem    string    `json:"problem,omitempty"` // why it cannot be used; empty: it can
}

// maxInspected bounds the files of a folder that Inspect looks at.
const maxInspected = 10_000

// Inspect describes the certificates in a folder: authorities first, then nodes by
// name. A folder that a node has holds few of them, the one that issues holds all.
func Inspect(dir string) ([]Description, error) {
	authorities, err := readCertificates(certFile(dir, caName), "make the authority with `ringway keys init`, or copy ca.pem from where that was done")
	if err != nil {
		return nil, err
	}
	lists, listErr := readRevocations(dir, authorities)
	t := newTrust(authorities, lists)
	var all []Description
	for _, ca := range authorities {
		d := describe(certFile(dir, caName), ca)
		d.Kind = "authority"
		d.Key, d.Problem = keyState(dir, caName, ca, len(authorities) > 1)
		for _, uri := range ca.URIs {
			d.Federation = uri.Host
		}
		d.Site, _ = authoritySite(ca)
		if err := errors.Join(checkDates(ca, time.Now()), checkAuthority(ca, d.Federation)); err != nil {
			d.Problem = err.Error()
		}
		all = append(all, d)
	}
	paths, err := nodeFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		all = append(all, inspectNode(dir, path, t))
	}
	return all, listErr
}

// nodeFiles returns the files that have nodes' certificates.
func nodeFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxInspected {
		return nil, fmt.Errorf("%s: has %d files, at most %d are looked at", dir, len(entries), maxInspected)
	}
	var paths []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), extension)
		if ok && name != caName && name != revokedName && !strings.HasSuffix(name, keySuffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(paths)
	return paths, nil
}

func inspectNode(dir, path string, t *trust) Description {
	node := strings.TrimSuffix(filepath.Base(path), extension)
	certs, err := readCertificates(path, "")
	if err != nil {
		return Description{File: path, Kind: "node", Node: node, Problem: err.Error()}
	}
	d := describe(path, certs[0])
	d.Kind = "node"
	d.Key, d.Problem = keyState(dir, node, certs[0], true)
	d.Renew = time.Until(d.Expires) <= RenewAhead(Validity(certs[0]))
	owner, err := certificateName(certs[0])
	if err == nil {
		d.Federation, d.Site, d.Node = owner.federation, owner.site, owner.node
		err = t.check(certs[0], owner, x509.ExtKeyUsageServerAuth, time.Now())
		d.Revoked = errors.Is(err, ErrRevoked)
		if err == nil && owner.node != node {
			err = fmt.Errorf("%w: it is for %s", ErrWrongName, owner.node)
		}
	}
	if err != nil {
		d.Problem = err.Error()
	}
	return d
}

func describe(path string, cert *x509.Certificate) Description {
	return Description{
		File: path, Serial: serialText(cert.SerialNumber), From: cert.NotBefore.UTC(), Expires: cert.NotAfter.UTC(),
		LeftS: time.Until(cert.NotAfter).Round(time.Second).Seconds(), KeyID: keyIDOf(caPublic(cert)).String(),
	}
}

// keyState says whether the folder has the key of a certificate, and what is wrong
// with it. Where another certificate may own the key, one that does not match is
// elsewhere.
func keyState(dir, owner string, cert *x509.Certificate, shared bool) (where, problem string) {
	key, err := readKey(keyFile(dir, owner), "")
	switch {
	case errors.Is(err, ErrMissing):
		return "elsewhere", ""
	case err != nil:
		return "here", err.Error()
	case !belongs(key, cert) && shared && cert.IsCA:
		return "elsewhere", ""
	case !belongs(key, cert):
		return "here", fmt.Sprintf("%v: %s", ErrKeyMismatch, keyFile(dir, owner))
	}
	return "here", ""
}
