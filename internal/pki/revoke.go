package pki

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"time"
)

// revokedName is that of the file with the revocation lists: X.509 lists in PEM form,
// one for each authority, as `openssl crl` reads them.
const revokedName = "revoked"

const (
	listBlock = "X509 CRL"
	// maxListBytes bounds the file of revocation lists: 60 bytes of PEM a certificate, and
	// the full lists of several authorities.
	maxListBytes = 4 << 20
	// maxRevoked bounds the certificates on one authority's list. It has only those that
	// have not expired by themselves.
	maxRevoked = 10_000
)

// readRevocations reads the lists in a folder; there may be none. Each must be signed
// by one of the authorities.
func readRevocations(dir string, authorities []*x509.Certificate) (revocations, error) {
	path := certFile(dir, revokedName)
	data, err := readFile(path, "", maxListBytes)
	if errors.Is(err, ErrMissing) {
		return revocations{}, nil
	}
	if err != nil {
		return nil, err
	}
	lists, err := parseRevocations(data, authorities)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return lists, nil
}

func parseRevocations(data []byte, authorities []*x509.Certificate) (revocations, error) {
	lists := revocations{}
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != listBlock {
			return nil, fmt.Errorf("%w: holds a %.40q where a %q must stand", ErrRevocationList, block.Type, listBlock)
		}
		parsed, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRevocationList, err)
		}
		authority, err := signerOf(parsed, authorities)
		if err != nil {
			return nil, err
		}
		list := &revocationList{number: new(big.Int), serials: map[string]struct{}{}, raw: block.Bytes}
		if parsed.Number != nil {
			list.number = parsed.Number
		}
		for _, entry := range parsed.RevokedCertificateEntries {
			list.serials[serialText(entry.SerialNumber)] = struct{}{}
		}
		key := authorityKeyOf(authority)
		if former := lists[key]; former == nil || former.number.Cmp(list.number) < 0 {
			lists[key] = list
		}
	}
	if len(lists) == 0 {
		return nil, fmt.Errorf("%w: holds none in PEM form", ErrRevocationList)
	}
	return lists, nil
}

// signerOf returns the authority that signed a list.
func signerOf(list *x509.RevocationList, authorities []*x509.Certificate) (*x509.Certificate, error) {
	for _, a := range authorities {
		if list.CheckSignatureFrom(a) == nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: no authority of %s%s signed it", ErrRevocationList, caName, extension)
}

// revokedSuffix is added to the names of a revoked node's files, so that the next
// `keys issue` makes a new key.
const revokedSuffix = ".revoked"

// Revoke puts every certificate of the node that has been issued in this folder and
// has not expired on the authority's list, and sets the node's files aside: what was
// revoked is never used again. It returns the serial numbers that are new on the list.
func Revoke(dir, federation, node string) (serials []string, err error) {
	if err := checkFileName(node); err != nil {
		return nil, err // the authority's own files, for one, are not to be set aside
	}
	ca, key, err := loadAuthority(dir, federation)
	if err != nil {
		return nil, err
	}
	issued, err := readLedger(dir)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	var entries []x509.RevocationListEntry
	for _, e := range issued {
		if e.Node == node && e.Authority == keyIDOf(caPublic(ca)).String() && now.Before(e.Expires) {
			serial, ok := new(big.Int).SetString(e.Serial, 16)
			if !ok {
				return nil, fmt.Errorf("%s: serial %.40q is not a number", ledgerFile(dir), e.Serial)
			}
			entries = append(entries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now})
		}
	}
	// A certificate from before the ledger existed.
	if certs, err := readCertificates(certFile(dir, node), ""); err == nil && certs[0].CheckSignatureFrom(ca) == nil {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: certs[0].SerialNumber, RevocationTime: now})
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("node %s: this authority has issued no certificate for it that is still valid: revoke where `ringway keys issue` ran", node)
	}
	serials, err = extendList(dir, ca, key, entries, issued)
	if err != nil {
		return nil, err
	}
	return serials, setAside(dir, node)
}

// setAside renames a node's files.
func setAside(dir, node string) error {
	for _, path := range []string{keyFile(dir, node), certFile(dir, node)} {
		if err := os.Rename(path, path+revokedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// extendList writes the authority's list anew with further entries, leaving out
// certificates that have expired by themselves.
func extendList(dir string, ca *x509.Certificate, key signer, entries []x509.RevocationListEntry, issued []ledgerEntry) (added []string, err error) {
	authorities, err := readCertificates(certFile(dir, caName), "")
	if err != nil {
		return nil, err
	}
	lists, err := readRevocations(dir, authorities)
	if err != nil {
		return nil, err
	}
	number := big.NewInt(1)
	var all []x509.RevocationListEntry
	listed := map[string]bool{}
	if former := lists[authorityKeyOf(ca)]; former != nil {
		number.Add(former.number, number)
		parsed, err := x509.ParseRevocationList(former.raw)
		if err != nil {
			return nil, err
		}
		expired := expiredSerials(issued)
		for _, e := range parsed.RevokedCertificateEntries {
			if text := serialText(e.SerialNumber); !expired[text] && !listed[text] {
				listed[text] = true
				all = append(all, x509.RevocationListEntry{SerialNumber: e.SerialNumber, RevocationTime: e.RevocationTime})
			}
		}
	}
	for _, e := range entries {
		if text := serialText(e.SerialNumber); !listed[text] {
			listed[text] = true
			added, all = append(added, text), append(all, e)
		}
	}
	if len(all) > maxRevoked {
		return nil, fmt.Errorf("%w: %d certificates are revoked and have not expired, at most %d are taken: make a new authority, and shorter certificates", ErrRevocationList, len(all), maxRevoked)
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: number, ThisUpdate: time.Now(), NextUpdate: ca.NotAfter, RevokedCertificateEntries: all,
	}, ca, key)
	if err != nil {
		return nil, fmt.Errorf("revocation list: %w", err)
	}
	blocks := []*pem.Block{{Type: listBlock, Bytes: der}}
	for other, list := range lists {
		if other != authorityKeyOf(ca) {
			blocks = append(blocks, &pem.Block{Type: listBlock, Bytes: list.raw})
		}
	}
	size := 0
	for _, block := range blocks {
		size += len(pem.EncodeToMemory(block))
	}
	if size > maxListBytes {
		return nil, fmt.Errorf("%w: the lists of %d authorities take %d bytes, and nodes read %d: take an authority whose certificates have expired out of %s%s", ErrRevocationList, len(blocks), size, maxListBytes, caName, extension)
	}
	return added, replaceFile(certFile(dir, revokedName), certMode, blocks...)
}
