package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

// folder makes a certs folder of federation acme with certificates for the nodes.
func folder(t *testing.T, nodes ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	must(t, Init(dir, "acme", year))
	for _, node := range nodes {
		must(t, Issue(dir, "acme", "lon", node, 30*24*time.Hour))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, dir, node string) *Identity {
	t.Helper()
	id, err := LoadIdentity(dir, "acme", "lon", node)
	must(t, err)
	return id
}

func parse(t *testing.T, id *Identity) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(id.CertificateDER())
	must(t, err)
	return cert
}

// refused checks that err is of the kind and says the words.
func refused(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("was accepted")
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("error is not %q: %v", kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not say %q: %v", w, err)
		}
	}
}

func TestIssuedCertificate(t *testing.T) {
	dir := folder(t, "lon-1")
	cert := parse(t, load(t, dir, "lon-1"))
	federation, site, node, err := PeerName(cert)
	if err != nil || federation != "acme" || site != "lon" || node != "lon-1" {
		t.Errorf("PeerName = %q %q %q, %v", federation, site, node, err)
	}
	if got, want := cert.URIs[0].String(), "ringway://acme/site/lon/node/lon-1"; got != want {
		t.Errorf("URI %s, want %s", got, want)
	}
	if cert.PublicKeyAlgorithm != x509.Ed25519 || cert.IsCA || cert.SerialNumber.Sign() <= 0 {
		t.Errorf("algorithm %v, CA %v, serial %v", cert.PublicKeyAlgorithm, cert.IsCA, cert.SerialNumber)
	}
	if len(cert.Raw) > MaxCertificateBytes/4 {
		t.Errorf("certificate has %d bytes, close to the limit of %d", len(cert.Raw), MaxCertificateBytes)
	}
	for file, mode := range map[string]fs.FileMode{"ca.pem": 0o644, "ca-key.pem": 0o600, "lon-1.pem": 0o644, "lon-1-key.pem": 0o600} {
		info, err := os.Stat(filepath.Join(dir, file))
		must(t, err)
		if got := info.Mode().Perm(); got&^mode != 0 {
			t.Errorf("%s has mode %v, want %v", file, got, mode)
		}
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	for _, kept := range []string{"ca.pem", "ca-key.pem"} {
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, kept), []byte("precious"), 0o600))
		refused(t, Init(dir, "acme", year), fs.ErrExist, kept, "another folder")
		entries, err := os.ReadDir(dir)
		must(t, err)
		if data, _ := os.ReadFile(filepath.Join(dir, kept)); string(data) != "precious" || len(entries) != 1 {
			t.Errorf("%s: now %q, with %d files", kept, data, len(entries))
		}
	}
}

func TestRenewalKeepsTheKey(t *testing.T) {
	dir := folder(t, "lon-1")
	before := load(t, dir, "lon-1")
	must(t, Issue(dir, "acme", "lon", "lon-1", 60*24*time.Hour))
	after := load(t, dir, "lon-1")
	if !before.pair.Load().key.Equal(after.pair.Load().key) {
		t.Error("the key changed")
	}
	if bytes.Equal(before.CertificateDER(), after.CertificateDER()) {
		t.Error("the certificate did not change")
	}
	if leftovers, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(leftovers) > 0 {
		t.Errorf("left behind: %v", leftovers)
	}
}

func TestNoCertificateOutlivesTheAuthority(t *testing.T) {
	dir := t.TempDir()
	must(t, Init(dir, "acme", time.Hour))
	must(t, Issue(dir, "acme", "lon", "lon-1", year))
	authority, err := readCertificates(certFile(dir, caName), "")
	must(t, err)
	if cert := parse(t, load(t, dir, "lon-1")); !cert.NotAfter.Equal(authority[0].NotAfter) {
		t.Errorf("valid until %v, the authority until %v", cert.NotAfter, authority[0].NotAfter)
	}
}

func TestNames(t *testing.T) {
	for _, federation := range []string{"a", "acme", "acme.prod", "a_b", "-a-", "0", strings.Repeat("x", 63)} {
		dir := t.TempDir()
		must(t, Init(dir, federation, year))
		for _, node := range []string{"lon-1", "-", ".", "..", "a..b", "_x.", strings.Repeat("n", 63)} {
			must(t, Issue(dir, federation, "..", node, year))
			id, err := LoadIdentity(dir, federation, "..", node)
			must(t, err)
			if f, s, n, err := PeerName(parse(t, id)); f != federation || s != ".." || n != node || err != nil {
				t.Errorf("%s/%s came back as %q %q %q, %v", federation, node, f, s, n, err)
			}
		}
	}
	dir := folder(t)
	for _, bad := range []string{"", "A", "a b", "a/b", "../x", "ü", "a%2f", "a:1", "a@b", "x\x00", strings.Repeat("x", 64)} {
		if Init(t.TempDir(), bad, year) == nil {
			t.Errorf("federation %q was accepted", bad)
		}
		if Issue(dir, "acme", bad, "n", year) == nil || Issue(dir, "acme", "s", bad, year) == nil {
			t.Errorf("name %q was accepted", bad)
		}
		if _, err := LoadIdentity(dir, "acme", "s", bad); err == nil || errors.Is(err, ErrMissing) {
			t.Errorf("loading %q: %v", bad, err)
		}
		if _, err := Throwaway(bad, "s", "n"); err == nil {
			t.Errorf("throw-away federation %q was accepted", bad)
		}
	}
	for _, bad := range []string{".a", "a.", "a..b"} {
		refused(t, Init(t.TempDir(), bad, year), nil, "dot")
	}
	for _, bad := range []string{"ca", "x-key"} {
		refused(t, Issue(dir, "acme", "lon", bad, year), nil, "another file")
	}
	refused(t, Init(t.TempDir(), "acme", 0), nil, "validity")
	refused(t, Issue(dir, "acme", "lon", "n", -time.Second), nil, "validity")
}

func TestIssueRefuses(t *testing.T) {
	refused(t, Issue(t.TempDir(), "acme", "lon", "n", year), ErrMissing, "ca.pem", "ringway keys init")
	dir := folder(t)
	refused(t, Issue(dir, "other", "lon", "n", year), ErrFederation, `"acme"`, `"other"`)
	must(t, os.Remove(keyFile(dir, caName)))
	refused(t, Issue(dir, "acme", "lon", "n", year), ErrMissing, "ca-key.pem", "ringway keys init")
	other := folder(t)
	must(t, os.Rename(keyFile(other, caName), keyFile(dir, caName)))
	refused(t, Issue(dir, "acme", "lon", "n", year), nil, "does not belong")
	if _, err := os.Stat(keyFile(dir, "n")); err == nil {
		t.Error("a refused node has a key")
	}
}

func TestLoadRefuses(t *testing.T) {
	overwrite := func(file, content string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600))
		}
	}
	remove := func(file string) func(*testing.T, string) {
		return func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, file))) }
	}
	moved := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)))
		}
	}
	cases := map[string]struct {
		spoil func(*testing.T, string)
		at    time.Duration
		kind  error
		words []string
	}{
		"no authority":       {remove("ca.pem"), 0, ErrMissing, []string{"ca.pem", "ringway keys init"}},
		"no certificate":     {remove("lon-1.pem"), 0, ErrMissing, []string{"lon-1.pem", "ringway keys issue", "site lon"}},
		"no key":             {remove("lon-1-key.pem"), 0, ErrMissing, []string{"lon-1-key.pem", "ringway keys issue"}},
		"not PEM":            {overwrite("lon-1.pem", "hello"), 0, nil, []string{"lon-1.pem", "no certificate"}},
		"key not PEM":        {overwrite("lon-1-key.pem", "hello"), 0, nil, []string{"lon-1-key.pem", "PRIVATE KEY"}},
		"key as certificate": {moved("lon-1-key.pem", "lon-1.pem"), 0, nil, []string{"lon-1.pem", "where certificates must stand"}},
		"broken certificate": {overwrite("lon-1.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0, nil, []string{"lon-1.pem", "x509"}},
		"huge":               {overwrite("ca.pem", strings.Repeat("x", maxPEMBytes+1)), 0, nil, []string{"larger than 64 KiB"}},
		"another's key":      {moved("lon-2-key.pem", "lon-1-key.pem"), 0, ErrKeyMismatch, []string{"lon-1-key.pem", "lon-1.pem"}},
		"authority is node":  {moved("lon-2.pem", "ca.pem"), 0, ErrUsage, []string{"ca.pem", "not an authority"}},
		"expired":            {nil, 31 * 24 * time.Hour, ErrExpired, []string{"valid until", "ringway keys issue"}},
		"not yet valid":      {nil, -beyondSkew, ErrNotYetValid, []string{"clock", "ringway keys issue"}},
		"another's name": {func(t *testing.T, dir string) {
			moved("lon-2.pem", "lon-1.pem")(t, dir)
			moved("lon-2-key.pem", "lon-1-key.pem")(t, dir)
		}, 0, ErrWrongName, []string{"node/lon-2", "node/lon-1"}},
		"new authority": {func(t *testing.T, dir string) {
			moved("ca.pem", "old.pem")(t, dir)
			moved("ca-key.pem", "old-key.pem")(t, dir)
			must(t, Init(dir, "acme", year))
		}, 0, ErrUnknownCA, []string{"lon-1.pem", "ringway keys issue"}},
		"other federation's authority": {func(t *testing.T, dir string) {
			other := t.TempDir()
			must(t, Init(other, "other", year))
			must(t, os.Rename(certFile(other, caName), certFile(dir, caName)))
		}, 0, ErrFederation, []string{"ca.pem", `"other"`, `"acme"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "lon-1", "lon-2")
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			_, err := loadIdentity(dir, owner("lon-1"), clock(c.at))
			refused(t, err, c.kind, c.words...)
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %v", err)
			}
		})
	}
	if _, err := LoadIdentity(folder(t, "lon-1"), "other", "lon", "lon-1"); !errors.Is(err, ErrFederation) {
		t.Errorf("wrong federation: %v", err)
	}
	if _, err := LoadIdentity(folder(t, "lon-1"), "acme", "fra", "lon-1"); !errors.Is(err, ErrWrongSite) {
		t.Errorf("wrong site: %v", err)
	}
}

func owner(node string) name { return name{"acme", "lon", node} }

// clock returns a clock that is off by d.
func clock(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// TestTwoAuthorities is the middle of replacing an authority: ca.pem has both.
func TestTwoAuthorities(t *testing.T) {
	old, next := folder(t, "lon-1"), folder(t, "lon-2")
	a, err := os.ReadFile(certFile(old, caName))
	must(t, err)
	b, err := os.ReadFile(certFile(next, caName))
	must(t, err)
	for _, dir := range []string{old, next} {
		must(t, os.WriteFile(certFile(dir, caName), append(bytes.Clone(a), b...), certMode))
	}
	first, second := load(t, old, "lon-1"), load(t, next, "lon-2")
	if _, _, err := handshake(t, first.ServerTLS(), second.ClientTLS("lon", "lon-1")); err != nil {
		t.Error(err)
	}
}

// forge makes a certificate that a careless or hostile authority might, signed by the
// folder's.
func forge(t *testing.T, dir string, change func(*x509.Certificate)) []byte {
	t.Helper()
	ca, caKey, err := loadAuthority(dir, "acme")
	must(t, err)
	public, _, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	template := nodeTemplate(owner("lon-1"), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca, public, caKey)
	must(t, err)
	return der
}

func TestForgedCertificates(t *testing.T) {
	dir := folder(t, "lon-1")
	id := load(t, dir, "lon-1")
	uris := func(texts ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.URIs = nil
			for _, text := range texts {
				u, err := url.Parse(text)
				must(t, err)
				c.URIs = append(c.URIs, u)
			}
		}
	}
	cases := map[string]struct {
		change func(*x509.Certificate)
		want   error
	}{
		"as it should be":  {func(*x509.Certificate) {}, nil},
		"no URI":           {uris(), ErrNoName},
		"two URIs":         {uris("ringway://acme/site/lon/node/lon-1", "ringway://acme/site/fra/node/fra-1"), ErrNoName},
		"other scheme":     {uris("https://acme/site/lon/node/lon-1"), ErrNoName},
		"other path":       {uris("ringway://acme/node/lon-1/site/lon"), ErrNoName},
		"longer path":      {uris("ringway://acme/site/lon/node/lon-1/x"), ErrNoName},
		"query":            {uris("ringway://acme/site/lon/node/lon-1?x=1"), ErrNoName},
		"port":             {uris("ringway://acme:1/site/lon/node/lon-1"), ErrNoName},
		"user":             {uris("ringway://me@acme/site/lon/node/lon-1"), ErrNoName},
		"escaped":          {uris("ringway://acme/site/lon/node/lon%2d1"), ErrNoName},
		"escaped slash":    {uris("ringway://acme/site/lon%2fnode%2flon-1"), ErrNoName},
		"upper case":       {uris("ringway://acme/site/LON/node/lon-1"), ErrNoName},
		"empty node":       {uris("ringway://acme/site/lon/node/"), ErrNoName},
		"other federation": {uris("ringway://other/site/lon/node/lon-1"), ErrFederation},
		"expired":          {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, ErrExpired},
		"from soon on":     {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(ClockSkew - time.Minute) }, nil},
		"not yet valid":    {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(ClockSkew + time.Minute) }, ErrNotYetValid},
		"not for servers": {func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}, ErrUsage},
		"for mail":        {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }, ErrUsage},
		"no signing":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }, ErrUsage},
		"is an authority": {func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }, ErrUsage},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			cert, err := x509.ParseCertificate(forge(t, dir, c.change))
			must(t, err)
			err = id.check(cert, x509.ExtKeyUsageServerAuth, nil)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestForeignKeysAreRefused(t *testing.T) {
	dir := folder(t, "lon-1")
	ca, caKey, err := loadAuthority(dir, "acme")
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := nodeTemplate(owner("lon-1"), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	must(t, err)
	refused(t, load(t, dir, "lon-1").Verify(Control, der, nil, nil, "lon", "lon-1"), ErrUsage, "Ed25519")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.Remove(keyFile(dir, "lon-1")))
	block := certPEM(pkcs8)
	block.Type = keyBlock
	must(t, createFile(keyFile(dir, "lon-1"), keyMode, block))
	_, err = LoadIdentity(dir, "acme", "lon", "lon-1")
	refused(t, err, nil, "Ed25519")
}

func TestForeignAuthorityWithoutName(t *testing.T) {
	dir := t.TempDir()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "corporate"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	must(t, err)
	block, err := keyPEM(key)
	must(t, err)
	must(t, createFile(keyFile(dir, caName), keyMode, block))
	must(t, createFile(certFile(dir, caName), certMode, certPEM(der)))
	must(t, Issue(dir, "acme", "lon", "lon-1", year))
	load(t, dir, "lon-1")
}

func FuzzPeerName(f *testing.F) {
	id, err := Throwaway("acme", "lon", "lon-1")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(id.CertificateDER())
	f.Fuzz(func(t *testing.T, der []byte) {
		if err := id.Verify(Control, der, der, der, "lon", "lon-1"); err == nil {
			t.Error("a signature of nothing was accepted")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if federation, site, node, err := PeerName(cert); err == nil {
			if again, err := Throwaway(federation, site, node); err != nil {
				t.Errorf("%q %q %q cannot be certified: %v", federation, site, node, err)
			} else if again.name.String() != cert.URIs[0].String() {
				t.Errorf("%v is another spelling of %v", cert.URIs[0], again.name)
			}
		}
	})
}
