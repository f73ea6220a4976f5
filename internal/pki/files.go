package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Names of the files in a certs folder.
const (
	caName    = "ca"
	keySuffix = "-key"
	extension = ".pem"
)

func certFile(dir, owner string) string { return filepath.Join(dir, owner+extension) }
func keyFile(dir, owner string) string  { return filepath.Join(dir, owner+keySuffix+extension) }

const (
	certBlock = "CERTIFICATE"
	keyBlock  = "PRIVATE KEY"

	keyMode  = 0o600 // the owner only
	certMode = 0o644
	dirMode  = 0o755
)

// maxPEMBytes bounds a file of certificates or keys; ours have less than 1 KiB.
const maxPEMBytes = 64 << 10

// createFile writes a file that must not exist yet, whole or not at all.
func createFile(path string, mode fs.FileMode, blocks ...*pem.Block) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	for _, block := range blocks {
		if err == nil {
			_, err = file.Write(pem.EncodeToMemory(block))
		}
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// replaceFile writes a file in one step, so that who reads it finds the old or the new.
func replaceFile(path string, mode fs.FileMode, blocks ...*pem.Block) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createFile(temporary, mode, blocks...); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return nil
}

// readFile reads a file; the hint says how to make it where it is missing.
func readFile(path, hint string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: %s", path, ErrMissing, hint)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: larger than %d KiB, which none of ours is", path, limit>>10)
	}
	return data, nil
}

// readCertificates reads the certificates in a file, at least one.
func readCertificates(path, hint string) ([]*x509.Certificate, error) {
	data, err := readFile(path, hint, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	return parseCertificates(path, data)
}

func parseCertificates(path string, data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := data; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != certBlock {
			return nil, fmt.Errorf("%s: holds a %.40q where certificates must stand", path, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s: holds no certificate in PEM form", path)
	}
	return certs, nil
}

// readKey reads the Ed25519 key in a file.
func readKey(path, hint string) (ed25519.PrivateKey, error) {
	if err := checkKeyMode(path); err != nil {
		return nil, err
	}
	data, err := readFile(path, hint, maxPEMBytes)
	if err != nil {
		return nil, err
	}
	return parseKey(path, data)
}

func parseKey(path string, data []byte) (ed25519.PrivateKey, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != keyBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("%s: does not hold one %q in PEM form", path, keyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: is a key of type %T: nodes use Ed25519", path, parsed)
	}
	return key, nil
}

// checkKeyMode refuses a key that others than its owner may read or change.
func checkKeyMode(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // who opens it says it better
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has %#o: make a new key if others could have read it, else `chmod 600 %s`", ErrKeyMode, path, mode, path)
	}
	return nil
}

func keyPEM(key ed25519.PrivateKey) (*pem.Block, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &pem.Block{Type: keyBlock, Bytes: der}, nil
}

func certPEM(der []byte) *pem.Block { return &pem.Block{Type: certBlock, Bytes: der} }
