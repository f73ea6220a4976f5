package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// give copies a file from one folder to another.
func give(t *testing.T, from, to, file string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(from, file))
	must(t, err)
	mode := os.FileMode(certMode)
	if strings.HasSuffix(file, keySuffix+extension) {
		mode = keyMode
	}
	must(t, os.WriteFile(filepath.Join(to, file), data, mode))
}

// nodeFolder makes what a node has: the authority's certificate and its own files.
func nodeFolder(t *testing.T, from, node string) string {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"ca.pem", node + ".pem", node + "-key.pem"} {
		give(t, from, dir, file)
	}
	return dir
}

func reload(t *testing.T, id *Identity, wantChange bool) {
	t.Helper()
	changed, err := id.Reload()
	must(t, err)
	if changed != wantChange {
		t.Fatalf("changed: %v, want %v", changed, wantChange)
	}
}

// TestOnlyNodesAreRevoked: not the authority, whose certificate it has signed as well, and
// not files elsewhere.
func TestOnlyNodesAreRevoked(t *testing.T) {
	dir := folder(t, "lon-1")
	for _, name := range []string{caName, revokedName, "lon-1" + keySuffix, "../lon-1", "", "a b"} {
		if _, err := Revoke(dir, "acme", name); err == nil {
			t.Errorf("%q was revoked", name)
		}
	}
	load(t, dir, "lon-1")
	if _, err := os.Stat(keyFile(dir, caName)); err != nil {
		t.Error(err)
	}
}

func TestRevokedNodeIsRefused(t *testing.T) {
	ca := folder(t, "lon-1", "lon-2")
	dir := nodeFolder(t, ca, "lon-1")
	id, peer := load(t, dir, "lon-1"), load(t, nodeFolder(t, ca, "lon-2"), "lon-2")
	signature := peer.Sign(Control, nil)
	must(t, id.Verify(Control, peer.CertificateDER(), nil, signature, "lon", "lon-2")) // known by now

	serials, err := Revoke(ca, "acme", "lon-2")
	must(t, err)
	if len(serials) != 1 || serials[0] != serialText(parse(t, peer).SerialNumber) {
		t.Errorf("revoked %v", serials)
	}
	before := id.Changed()
	give(t, ca, dir, "revoked.pem")
	reload(t, id, true)
	select {
	case <-before:
	default:
		t.Error("nobody was told")
	}
	refused(t, id.Allowed(parse(t, peer)), ErrRevoked, "lon-2", serials[0])
	refused(t, id.CheckPeer(peer.CertificateDER(), "lon", "lon-2"), ErrRevoked)
	refused(t, id.Verify(Control, peer.CertificateDER(), nil, signature, "lon", "lon-2"), ErrRevoked)
	_, _, err = handshake(t, id.ServerTLS(), peer.ClientTLS("lon", "lon-1"))
	refused(t, err, ErrRevoked)
	_, _, err = handshake(t, peer.ServerTLS(), id.ClientTLS("lon", "lon-2"))
	refused(t, err, ErrRevoked)
	must(t, id.Allowed(parse(t, id)))
	reload(t, id, false)

	// A node that finds itself revoked is told so, and still learns who else is.
	if _, err := Revoke(ca, "acme", "lon-1"); err != nil {
		t.Fatal(err)
	}
	give(t, ca, dir, "revoked.pem")
	changed, err := id.Reload()
	refused(t, err, ErrRevoked, "lon-1")
	if !changed || id.Status().Revoked != 2 || id.Status().Problem == "" {
		t.Errorf("changed: %v, %+v", changed, id.Status())
	}
	_, err = LoadIdentity(dir, "acme", "lon", "lon-1")
	refused(t, err, ErrRevoked, "ringway keys issue")
}

// TestRevocationCoversFormerCertificates: what was issued before for the same node is
// as good as the newest, so it has to go as well; what it gets afterwards is good.
func TestRevocationCoversFormerCertificates(t *testing.T) {
	ca := folder(t, "lon-1", "lon-2")
	first := load(t, nodeFolder(t, ca, "lon-2"), "lon-2")
	must(t, Issue(ca, "acme", "lon", "lon-2", year))
	second := load(t, nodeFolder(t, ca, "lon-2"), "lon-2")
	serials, err := Revoke(ca, "acme", "lon-2")
	must(t, err)
	if len(serials) != 2 {
		t.Errorf("revoked %v", serials)
	}
	again, err := Revoke(ca, "acme", "lon-2")
	must(t, err)
	if len(again) != 0 {
		t.Errorf("revoked twice: %v", again)
	}
	must(t, Issue(ca, "acme", "lon", "lon-2", year))
	id, third := load(t, ca, "lon-1"), load(t, ca, "lon-2")
	refused(t, id.Allowed(parse(t, first)), ErrRevoked)
	refused(t, id.Allowed(parse(t, second)), ErrRevoked)
	must(t, id.Allowed(parse(t, third)))
	if first.Signer().KeyID() == third.Signer().KeyID() {
		t.Error("a revoked key is used again")
	}
}

// TestTornLedger: an entry that a full disk has cut off keeps nobody from issuing and
// revoking; what is no entry at all does.
func TestTornLedger(t *testing.T) {
	ca := folder(t, "lon-1", "lon-2")
	ledger, err := os.ReadFile(ledgerFile(ca))
	must(t, err)
	must(t, os.WriteFile(ledgerFile(ca), ledger[:len(ledger)-20], 0o600))
	must(t, Issue(ca, "acme", "lon", "lon-3", year))
	for _, node := range []string{"lon-1", "lon-3"} {
		serials, err := Revoke(ca, "acme", node)
		must(t, err)
		if len(serials) != 1 {
			t.Errorf("%s: revoked %v", node, serials)
		}
	}
	must(t, os.WriteFile(ledgerFile(ca), append(ledger, "{}}\n"...), 0o600))
	if _, err := Revoke(ca, "acme", "lon-2"); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("a ledger with rubbish in line 3: %v", err)
	}
}

func TestRevocationListsThatCannotBeUsed(t *testing.T) {
	ca, strange := folder(t, "lon-1", "lon-2", "lon-3"), folder(t, "lon-2")
	for _, dir := range []string{ca, strange} {
		if _, err := Revoke(dir, "acme", "lon-2"); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(certFile(ca, revokedName))
	must(t, err)
	foreign, err := os.ReadFile(certFile(strange, revokedName))
	must(t, err)
	block, _ := pem.Decode(good)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, data := range map[string][]byte{
		"not PEM": []byte("hello"), "empty": nil, "by a strange authority": foreign,
		"broken signature": pem.EncodeToMemory(block), "a certificate": pem.EncodeToMemory(certPEM(parse(t, load(t, ca, "lon-1")).Raw)),
	} {
		t.Run(name, func(t *testing.T) {
			dir := nodeFolder(t, ca, "lon-1")
			must(t, os.WriteFile(certFile(dir, revokedName), data, certMode))
			_, err := LoadIdentity(dir, "acme", "lon", "lon-1")
			refused(t, err, ErrRevocationList, "revoked.pem")
		})
	}
	// While running, the list that was read before stays, and an old one never counts.
	dir := nodeFolder(t, ca, "lon-1")
	must(t, os.WriteFile(certFile(dir, revokedName), good, certMode))
	id := load(t, dir, "lon-1")
	if _, err := Revoke(ca, "acme", "lon-3"); err != nil {
		t.Fatal(err)
	}
	give(t, ca, dir, "revoked.pem")
	reload(t, id, true)
	must(t, os.WriteFile(certFile(dir, revokedName), good, certMode))
	_, err = id.Reload()
	refused(t, err, ErrRevocationList, "older")
	must(t, os.Remove(certFile(dir, revokedName)))
	_, err = id.Reload()
	refused(t, err, ErrRevocationList, "lacks it")
	if s := id.Status(); s.Revoked != 2 || s.Failures != 2 {
		t.Errorf("%+v", s)
	}
}

func TestListsOfTwoAuthorities(t *testing.T) {
	lon, fra := t.TempDir(), t.TempDir()
	must(t, InitSite(lon, "acme", "lon", year))
	must(t, InitSite(fra, "acme", "fra", year))
	must(t, Issue(lon, "acme", "lon", "lon-1", year))
	must(t, Issue(lon, "acme", "lon", "lon-2", year))
	must(t, Issue(fra, "acme", "fra", "fra-1", year))
	var bundle, lists []byte
	for dir, node := range map[string]string{lon: "lon-2", fra: "fra-1"} {
		a, err := os.ReadFile(certFile(dir, caName))
		must(t, err)
		bundle = append(bundle, a...)
		if _, err := Revoke(dir, "acme", node); err != nil {
			t.Fatal(err)
		}
		l, err := os.ReadFile(certFile(dir, revokedName))
		must(t, err)
		lists = append(lists, l...)
	}
	must(t, os.WriteFile(certFile(lon, caName), bundle, certMode))
	must(t, os.WriteFile(certFile(lon, revokedName), lists, certMode))
	id := load(t, lon, "lon-1")
	if id.Status().Revoked != 2 {
		t.Errorf("%+v", id.Status())
	}
	// One authority's next list keeps the other's.
	must(t, Issue(lon, "acme", "lon", "lon-3", year))
	if _, err := Revoke(lon, "acme", "lon-3"); err != nil {
		t.Fatal(err)
	}
	reload(t, id, true)
	if id.Status().Revoked != 3 {
		t.Errorf("%+v", id.Status())
	}
}

// TestSiteAuthority: a site's authority signs for no other site, whoever asks.
func TestSiteAuthority(t *testing.T) {
	lon, fra := t.TempDir(), t.TempDir()
	must(t, InitSite(lon, "acme", "lon", year))
	must(t, InitSite(fra, "acme", "fra", year))
	must(t, Issue(lon, "acme", "lon", "lon-1", year))
	must(t, Issue(fra, "acme", "fra", "fra-1", year))
	refused(t, Issue(lon, "acme", "fra", "fra-2", year), ErrWrongSite, "may only sign for nodes of site lon")
	a, err := os.ReadFile(certFile(lon, caName))
	must(t, err)
	b, err := os.ReadFile(certFile(fra, caName))
	must(t, err)
	bundle := append(bytes.Clone(a), b...)
	must(t, os.WriteFile(certFile(lon, caName), bundle, certMode))
	must(t, os.WriteFile(certFile(fra, caName), bundle, certMode))
	first, second := load(t, lon, "lon-1"), loadOf(t, fra, "fra", "fra-1")
	if _, _, err := handshake(t, first.ServerTLS(), second.ClientTLS("lon", "lon-1")); err != nil {
		t.Error(err)
	}
	refused(t, first.CheckPeer(forgeFor(t, lon, "fra", "fra-1"), "fra", "fra-1"), ErrWrongSite, "authority of site lon")
	must(t, first.CheckPeer(forgeFor(t, fra, "fra", "fra-1"), "fra", "fra-1"))
}

func loadOf(t *testing.T, dir, site, node string) *Identity {
	t.Helper()
	id, err := LoadIdentity(dir, "acme", site, node)
	must(t, err)
	return id
}

// forgeFor signs a certificate that Issue would refuse to sign.
func forgeFor(t *testing.T, dir, site, node string) []byte {
	t.Helper()
	return forge(t, dir, func(c *x509.Certificate) {
		*c = *nodeTemplate(name{"acme", site, node}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	})
}
