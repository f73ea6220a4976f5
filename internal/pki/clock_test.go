package pki

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
	"time"
)

// beyondSkew is how far behind a clock must be to refuse a certificate that was just
// issued: what that reaches back, what is allowed, and some.
const beyondSkew = 2*ClockSkew + time.Hour

// youngFolder is a folder as earlier releases made it just now: its authority and its
// certificates reach back five minutes.
func youngFolder(t *testing.T, nodes ...string) string {
	t.Helper()
	dir, from := folder(t, nodes...), time.Now().Add(-5*time.Minute)
	replace := func(file string, template, ca *x509.Certificate) {
		t.Helper()
		_, caKey, err := loadAuthority(dir, "acme")
		must(t, err)
		key, err := readKey(keyFile(dir, file), "")
		must(t, err)
		template.NotBefore = from
		der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
		must(t, err)
		must(t, os.WriteFile(certFile(dir, file), pem.EncodeToMemory(certPEM(der)), certMode))
	}
	template := authorityTemplate(name{federation: "acme"}, time.Now(), year)
	replace(caName, template, template)
	ca, _, err := loadAuthority(dir, "acme")
	must(t, err)
	for _, node := range nodes {
		replace(node, nodeTemplate(owner(node), from, time.Now().Add(30*24*time.Hour)), ca)
	}
	return dir
}

// TestClocksBehind: a node whose clock is behind starts with certificates that were just
// made, meets others on either side of a link, and believes what they sign.
func TestClocksBehind(t *testing.T) {
	for name, c := range map[string]struct {
		dir    string
		behind []time.Duration
	}{
		"new":                 {folder(t, "lon-1", "lon-2"), []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour, 47 * time.Hour}},
		"of earlier releases": {youngFolder(t, "lon-1", "lon-2"), []time.Duration{10 * time.Minute, time.Hour, 24 * time.Hour}},
	} {
		for _, behind := range c.behind {
			t.Run(name+", "+behind.String(), func(t *testing.T) {
				late, err := loadIdentity(c.dir, owner("lon-1"), clock(-behind))
				must(t, err)
				peer := load(t, c.dir, "lon-2")
				_, _, err = handshake(t, late.ServerTLS(), peer.ClientTLS("lon", "lon-1"))
				must(t, err)
				_, _, err = handshake(t, peer.ServerTLS(), late.ClientTLS("lon", "lon-2"))
				must(t, err)
				must(t, late.CheckPeer(peer.CertificateDER(), "lon", "lon-2"))
				must(t, late.Allowed(parse(t, peer)))
				for _, purpose := range []Purpose{Advertisement, LogSeal, Promise, Control} {
					must(t, late.Verify(purpose, peer.CertificateDER(), nil, peer.Sign(purpose, nil), "lon", "lon-2"))
				}
			})
		}
	}
}

// TestClocksFarBehind: who is believed stays so, however far back the clock leaps; until
// the certificate expires, or is revoked (TestRevokedNodeIsRefused). Others are refused.
func TestClocksFarBehind(t *testing.T) {
	for name, dir := range map[string]string{
		"new":                 folder(t, "lon-1", "lon-2", "lon-3"),
		"of earlier releases": youngFolder(t, "lon-1", "lon-2", "lon-3"),
	} {
		t.Run(name, func(t *testing.T) {
			id, known, stranger := load(t, dir, "lon-1"), load(t, dir, "lon-2"), load(t, dir, "lon-3")
			verify := func(of *Identity, node string) error {
				return id.Verify(Promise, of.CertificateDER(), nil, of.Sign(Promise, nil), "lon", node)
			}
			must(t, verify(known, "lon-2"))
			id.now = clock(-beyondSkew)
			must(t, verify(known, "lon-2"))
			must(t, id.Allowed(parse(t, known)))
			refused(t, verify(stranger, "lon-3"), ErrNotYetValid, "clock")
			refused(t, id.CheckPeer(stranger.CertificateDER(), "lon", "lon-3"), ErrNotYetValid, "clock")
			id.now = clock(31 * 24 * time.Hour)
			refused(t, verify(known, "lon-2"), ErrExpired)
			refused(t, id.Allowed(parse(t, known)), ErrExpired)
			_, err := Revoke(dir, "acme", "lon-2")
			must(t, err)
			id.now = clock(-beyondSkew)
			before := id.trust.Load()
			if _, err := id.reloadTrust(); err != nil || id.trust.Load() == before {
				t.Fatalf("the list was not read: %v", err)
			}
			refused(t, id.Allowed(parse(t, known)), ErrRevoked)
		})
	}
}

// TestNewCertificatesReachBack: those of nodes and of authorities, for who is not as lenient
// as checkDates (clients, earlier releases); that is no part of their validity.
func TestNewCertificatesReachBack(t *testing.T) {
	const month = 30 * 24 * time.Hour
	dir := folder(t, "lon-1")
	ca, _, err := loadAuthority(dir, "acme")
	must(t, err)
	for cert, valid := range map[*x509.Certificate]time.Duration{ca: year, parse(t, load(t, dir, "lon-1")): month} {
		if back := time.Since(cert.NotBefore); back < ClockSkew {
			t.Errorf("reaches back %v", back)
		}
		if got := Validity(cert); got < valid-time.Second || got > valid+time.Second { // dates have whole seconds
			t.Errorf("valid for %v, want %v", got, valid)
		}
	}
	must(t, Issue(dir, "acme", "lon", "lon-1", time.Hour))
	if list, err := Inspect(dir); err != nil || list[1].Renew {
		t.Errorf("with an hour of an hour left: %+v, %v", list[1], err)
	}
}
