package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pion/dtls/v2"

	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
)

// openssl returns OpenSSL's command line, another implementation of DTLS 1.2 and of the
// one suite that we speak.
func openssl(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		without(t, "openssl is not installed")
	}
	out, err := exec.Command(path, "ciphers", "-tls1_2", "ECDHE-ECDSA-CHACHA20-POLY1305").Output()
	if err != nil || !strings.Contains(string(out), "ECDHE-ECDSA-CHACHA20-POLY1305") {
		without(t, "this openssl has no ECDHE-ECDSA-CHACHA20-POLY1305")
	}
	return path
}

// without ends a test that cannot run here. In CI that is a failure: .ci/run installs what
// is needed.
func without(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// files writes an identity for openssl and returns the flags that name it.
func files(t *testing.T, id *testIdentity) []string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key, err := x509.MarshalPKCS8PrivateKey(id.cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"-cert", write("cert.pem", "CERTIFICATE", id.cert.Certificate[0]), "-key", write("key.pem", "PRIVATE KEY", key),
		"-CAfile", write("ca.pem", "CERTIFICATE", id.authority.cert.Raw), "-dtls1_2",
	}
}

// A talker collects what a process says.
type talker struct{ lockedbuf.Buffer }

func (w *talker) said(what string) bool { return strings.Contains(w.String(), what) }

// TestOpenSSLIsAccepted lets openssl s_client shake hands with a node, as a node of its
// site: it verifies the node's certificate, shows its own, and is told the node's share.
func TestOpenSSLIsAccepted(t *testing.T) {
	path, site := openssl(t), newSite(t, newAuthority(t), 2)
	site[0].start(site)
	args := append([]string{"s_client", "-connect", Port(site[0].at).String(), "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305", "-verify_return_error", "-quiet", "-state"}, files(t, site[1].who)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd, out := exec.CommandContext(ctx, path, args...), &talker{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		cancel()
		cmd.Wait() //nolint:errcheck // it was killed
	}()
	share, _ := site[0].ring.ShareFor(2)
	secret := string(share.Wrap[:])
	eventually(t, "openssl to get a share over the sealed session", func() bool { return out.said(secret) })
	if n := site[0].e.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestOpenSSLAnswers dials openssl s_server as if it were a node. OpenSSL's server uses an
// Ed25519 certificate in TLS 1.2 but not in DTLS 1.2 (ssl_set_masks asks for the version
// number of TLS), so it has one of ECDSA here; the suite and all else are as ever.
func TestOpenSSLAnswers(t *testing.T) {
	path, site := openssl(t), newSite(t, newAuthority(t), 2)
	site[1].who.cert = site[1].who.authority.issueFor("fed", "lon", "b", ecdsaKey(t))
	conn, done := serve(t, path, site, "ECDHE-ECDSA-CHACHA20-POLY1305")
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	config := dtlsConfig(site[0].who, func(der []byte) error { return site[0].who.CheckPeer(der, "lon", "b") })
	config.SignatureSchemes = append(config.SignatureSchemes, tls.ECDSAWithP256AndSHA256)
	c, err := dtls.ClientWithContext(ctx, conn, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello over there\n")); err != nil {
		t.Error(err)
	}
}

// TestOnlyGCMIsRefused: a peer that speaks no suite with sequence nonces gets nowhere,
// from either side.
func TestOnlyGCMIsRefused(t *testing.T) {
	const gcm = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
	path, site := openssl(t), newSite(t, newAuthority(t), 2)
	site[0].start(site)
	args := append([]string{"s_client", "-connect", Port(site[0].at).String(), "-cipher", gcm, "-quiet"}, files(t, site[1].who)...)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	if out, err := cmd.CombinedOutput(); err == nil || ctx.Err() != nil || !strings.Contains(string(out), "alert") {
		t.Errorf("openssl with GCM only: %v\n%s", err, out)
	}
	if s := site[0].e.Stats(); s.Sessions != 0 {
		t.Errorf("a session came about: %+v", s)
	}

	site[1].who.cert = site[1].who.authority.issueFor("fed", "lon", "b", ecdsaKey(t))
	conn, done := serve(t, path, site, gcm)
	defer done()
	c, err := dtls.ClientWithContext(ctx, conn, dtlsConfig(site[0].who, func([]byte) error { return nil }))
	if err == nil {
		c.Close()
		t.Error("a server with GCM only was spoken to")
	}
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// serve starts openssl s_server as node b and returns a socket to it.
func serve(t *testing.T, path string, site []*member, ciphers string) (net.Conn, func()) {
	t.Helper()
	at := freeport.For(t)
	args := append([]string{"s_server", "-accept", at.String(), "-cipher", ciphers, "-Verify", "1", "-verify_return_error", "-no_comp"}, files(t, site[1].who)...)
	ctx, cancel := context.WithCancel(t.Context())
	cmd, out := exec.CommandContext(ctx, path, args...), &talker{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "openssl to listen", func() bool { return out.said("ACCEPT") })
	conn, err := net.Dial("udp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	return conn, func() {
		conn.Close()
		in.Close()
		cancel()
		cmd.Wait() //nolint:errcheck // it was killed
		if t.Failed() {
			t.Log(out.String())
		}
	}
}
