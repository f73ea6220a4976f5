package keys

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ringway/internal/freeport"
	"ringway/internal/pki"
	"ringway/membership"
	"ringway/site/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// An authority signs certificates for a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  ed25519.PrivateKey
	n    int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key, n: 1}
}

func (a *authority) issue(federation, site, node string) tls.Certificate {
	a.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.issueFor(federation, site, node, key)
}

func (a *authority) issueFor(federation, site, node string, key crypto.Signer) tls.Certificate {
	a.t.Helper()
	a.n++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n), Subject: pkix.Name{CommonName: node}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs: []*url.URL{{Scheme: "ringway", Host: federation, Path: "/site/" + site + "/node/" + node}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A testIdentity believes one authority and a federation, and has a list of who is
// revoked.
type testIdentity struct {
	mu         sync.Mutex
	cert       tls.Certificate
	authority  *authority
	federation string
	revoked    map[string]bool // by serial number
	changed    chan struct{}
	asked      func() // if set: called once, when somebody has just taken the certificate
}

func (a *authority) identity(federation, site, node string) *testIdentity {
	return &testIdentity{cert: a.issue(federation, site, node), authority: a, federation: federation, revoked: map[string]bool{}, changed: make(chan struct{})}
}

func (id *testIdentity) TLSCertificate() tls.Certificate {
	id.mu.Lock()
	cert, asked := id.cert, id.asked
	id.asked = nil
	id.mu.Unlock()
	if asked != nil {
		asked()
	}
	return cert
}

func (id *testIdentity) Changed() <-chan struct{} {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.changed
}

// change changes something and says so.
func (id *testIdentity) change(f func()) {
	id.mu.Lock()
	defer id.mu.Unlock()
	f()
	close(id.changed)
	id.changed = make(chan struct{})
}

var errRevoked = errors.New("revoked")

func (id *testIdentity) Allowed(cert *x509.Certificate) error {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.revoked[cert.SerialNumber.String()] {
		return errRevoked
	}
	if federation, _, _, err := pki.PeerName(cert); err != nil || federation != id.federation {
		return pki.ErrFederation
	}
	if err := cert.CheckSignatureFrom(id.authority.cert); err != nil {
		return pki.ErrUnknownCA
	}
	return nil
}

func (id *testIdentity) CheckPeer(der []byte, site, node string) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if _, s, n, err := pki.PeerName(cert); err != nil || s != site || n != node {
		return pki.ErrWrongName
	}
	return id.Allowed(cert)
}

// A testRing is a keyring with a lock, as lan.Seal.
type testRing struct {
	mu   sync.Mutex
	keys *seal.Keyring
}

func (r *testRing) ShareFor(n membership.NodeID) (seal.Share, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.ShareFor(n)
}

func (r *testRing) Learn(n membership.NodeID, s *seal.Share) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.Learn(n, s)
}

func (r *testRing) Knows(n membership.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.Knows(n)
}

func (r *testRing) Forget(n membership.NodeID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.Forget(n)
}

func (r *testRing) Rotate() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys.Rotate()
}

func (r *testRing) Switch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys.Switch()
}

// A member is a node of a test's site.
type member struct {
	t    testing.TB
	name string
	id   membership.NodeID
	at   netip.AddrPort
	who  *testIdentity
	real *pki.Identity // if set: instead of who
	ring *testRing
	e    *Exchange
	stop func()
}

var names = []string{"a", "b", "c", "d"}

// newSite describes n members with certificates of one authority; none runs.
func newSite(t testing.TB, ca *authority, n int) []*member {
	t.Helper()
	var site []*member
	for i := range n {
		site = append(site, &member{t: t, name: names[i], id: membership.NodeID(i + 1), at: freeport.For(t), who: ca.identity("fed", "lon", names[i])})
	}
	t.Cleanup(func() {
		for _, m := range site {
			if m.stop != nil {
				m.stop()
			}
		}
	})
	return site
}

// start begins a life of a member.
func (m *member) start(site []*member) {
	m.t.Helper()
	var nodes []Node
	var ids []membership.NodeID
	for _, o := range site {
		if o != m {
			nodes = append(nodes, Node{ID: o.id, Name: o.name, Address: o.at})
			ids = append(ids, o.id)
		}
	}
	keys, err := seal.NewKeyring(m.id, ids, rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	m.ring = &testRing{keys: keys}
	var identity Identity = m.who
	if m.real != nil {
		identity = m.real
	}
	if m.e, err = Open(Config{Site: "lon", Self: m.id, Address: m.at, Nodes: nodes, Identity: identity, Keyring: m.ring}); err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.e.Run(ctx); err != nil {
			m.t.Error(err)
		}
	}()
	m.stop = func() {
		cancel()
		<-done
		m.stop = nil
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// allMet says whether all members know each other.
func allMet(site []*member) func() bool {
	return func() bool {
		for _, m := range site {
			for _, o := range site {
				if m != o && !m.ring.Knows(o.id) {
					return false
				}
			}
		}
		return true
	}
}
