package pki

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// The ledger has a line of JSON for each certificate that was issued in a folder, so
// that a node can be revoked whole: an earlier certificate of the same key is as good
// as the newest until it expires.

// maxLedgerBytes bounds the ledger: 100,000 certificates.
const maxLedgerBytes = 32 << 20

// A ledgerEntry is a line of the ledger.
type ledgerEntry struct {
	Serial    string    `json:"serial"`
	Node      string    `json:"node"`
	Site      string    `json:"site"`
	Expires   time.Time `json:"expires"`
	Authority string    `json:"authority"` // KeyID of the authority that signed
}

// A signer is a key that signs certificates and lists.
type signer = crypto.Signer

func ledgerFile(dir string) string { return filepath.Join(dir, "issued.jsonl") }

func caPublic(ca *x509.Certificate) ed25519.PublicKey {
	key, _ := ca.PublicKey.(ed25519.PublicKey)
	return key
}

// appendLedger notes a certificate. It is called before the certificate can be used. What
// a full disk or a crash has left of an entry stays a line of its own.
func appendLedger(dir string, ca, cert *x509.Certificate, owner name) error {
	line, err := json.Marshal(ledgerEntry{
		Serial: serialText(cert.SerialNumber), Node: owner.node, Site: owner.site, Expires: cert.NotAfter.UTC(),
		Authority: keyIDOf(caPublic(ca)).String(),
	})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(ledgerFile(dir), os.O_RDWR|os.O_CREATE|os.O_APPEND, certMode)
	if err != nil {
		return err
	}
	torn, err := endsTorn(file)
	if err == nil {
		if torn {
			line = append([]byte{'\n'}, line...)
		}
		_, err = file.Write(append(line, '\n'))
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// endsTorn says whether the file's last line has no end.
func endsTorn(file *os.File) (bool, error) {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false, err
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return last[0] != '\n', err
}

// readLedger returns what was issued in a folder, oldest first.
func readLedger(dir string) ([]ledgerEntry, error) {
	data, err := readFile(ledgerFile(dir), "", maxLedgerBytes)
	if errors.Is(err, ErrMissing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseLedger(ledgerFile(dir), data)
}

func parseLedger(path string, data []byte) ([]ledgerEntry, error) {
	var list []ledgerEntry
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		if line := bytes.TrimSpace(lines.Bytes()); len(line) == 0 || line[0] == '{' && !bytes.HasSuffix(line, []byte("}")) {
			continue // an entry that was not written to its end: its certificate never came to be
		}
		var e ledgerEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, n, err)
		}
		list = append(list, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// expiredSerials returns those that no list needs any longer. A day more than their
// end is waited for, for nodes whose clocks are behind.
func expiredSerials(issued []ledgerEntry) map[string]bool {
	expired := map[string]bool{}
	for _, e := range issued {
		if time.Since(e.Expires) > 24*time.Hour {
			expired[e.Serial] = true
		}
	}
	return expired
}
