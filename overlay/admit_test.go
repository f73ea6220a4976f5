package overlay

import (
	"crypto/x509"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"ringway/internal/pki"
)

// A certified federation has certificates of an authority, each gateway in a folder of
// its own.
type certified struct {
	*federation
	ca   string            // the authority's folder
	dirs map[string]string // by gateway
	ids  map[string]*pki.Identity
}

func newCertified(t *testing.T, gateways []string, links ...string) *certified {
	t.Helper()
	f := &certified{federation: newFederation(t, gateways, links...), ca: t.TempDir(), dirs: map[string]string{}, ids: map[string]*pki.Identity{}}
	f.must(pki.Init(f.ca, f.top.Name, time.Hour))
	for _, name := range gateways {
		f.dirs[name] = t.TempDir()
		f.must(pki.Issue(f.ca, f.top.Name, f.node[name].Site.Name, name, time.Hour))
		f.give(name, "ca.pem", name+".pem", name+"-key.pem")
		id, err := pki.LoadIdentity(f.dirs[name], f.top.Name, f.node[name].Site.Name, name)
		f.must(err)
		f.ids[name] = id
	}
	f.plug = func(name string, cfg *Config) { cfg.Identity = f.ids[name] }
	// On a busy machine nobody shall be silent who is only not scheduled.
	f.top.Timing.Hello = time.Second
	return f
}

func (f *certified) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// give copies files from the authority's folder to a gateway's.
func (f *certified) give(name string, files ...string) {
	f.t.Helper()
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(f.ca, file))
		f.must(err)
		f.must(os.WriteFile(filepath.Join(f.dirs[name], file), data, 0o600))
	}
}

func (f *certified) reload(name string) {
	f.t.Helper()
	if _, err := f.ids[name].Reload(); err != nil {
		f.t.Fatal(err)
	}
}

// TestRotationUnderTraffic: every gateway gets a new key and certificate while records
// flow. No link goes down, no record is lost or comes twice. How long a stream stands still
// for it is TestHandoverGap's, in virtual time.
func TestRotationUnderTraffic(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c")
	f.all()
	f.converged()
	log, n := logOf("a"), uint64(0)
	f.gate["c-1"].Pull([]Position{{Log: log}})
	more := func() {
		f.gate["a-1"].Append(log, entries(n, 50, 100, "c"))
		n += 50
	}
	more()
	// Who dials has its new certificate last. A lane is made anew by the end that dials, some
	// time after that, and would else show the other end's old one, if the disk is slow: that
	// one is good until it expires, and the lane made anew before.
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(f.ids))) {
		if _, err := pki.Renew(f.ca, f.top.Name, f.node[name].Site.Name, name, time.Hour, 2*time.Hour, true); err != nil {
			t.Fatal(err)
		}
		f.give(name, name+".pem", name+"-key.pem")
		f.reload(name)
	}
	anew := func(at, peer string) bool { // the link at shows the peer's new certificate
		more()
		answer := make(chan bool, 1)
		f.gate[at].post(func(c *core) {
			lane := c.links[f.node[peer].ID].lanes[0]
			answer <- lane != nil && lane.cert.Equal(certOf(f.ids[peer]))
		})
		return <-answer
	}
	for _, pair := range [][2]string{{"a-1", "b-1"}, {"b-1", "a-1"}, {"b-1", "c-1"}, {"c-1", "b-1"}} {
		eventually(t, pair[0]+" has a link with the new certificate of "+pair[1], func() bool { return anew(pair[0], pair[1]) })
	}
	more()
	eventually(t, "all records", func() bool { return f.rec["c-1"].count(log) == int(n) })
	if got := f.rec["c-1"].got(log); !slices.Equal(got, upTo(n, 1)) {
		t.Errorf("%d records in a wrong order", len(got))
	}
	for name, g := range f.gate {
		for _, l := range g.Status().Links {
			if l.Downs != 0 { // it may be in doubt for a moment when the machine is busy
				t.Errorf("%s: link to %s went down: %+v", name, l.Peer, l)
			}
		}
		if f.counter(name, "breaches") != 0 || f.counter(name, "bad_signatures") != 0 {
			t.Errorf("%s blames somebody", name)
		}
	}
}

// TestRevokedGatewayIsOut: as soon as the list is read its links are closed, nobody
// lets it in again, and the others go on.
func TestRevokedGatewayIsOut(t *testing.T) {
	f := newCertified(t, []string{"a-1", "b-1", "c-1"}, "a-b", "b-c", "a-c")
	f.all()
	f.converged()
	serials, err := pki.Revoke(f.ca, f.top.Name, "c-1")
	f.must(err)
	if len(serials) != 1 {
		t.Fatalf("revoked %v", serials)
	}
	for _, name := range []string{"a-1", "b-1"} {
		f.give(name, "revoked.pem")
		f.reload(name)
	}
	site := f.node["c-1"].Site.ID
	for _, name := range []string{"a-1", "b-1"} {
		eventually(t, name+" has no link to c-1 and no way to c", func() bool {
			return f.link(name, "c-1").State == LinkDown && !f.rec[name].reaches(site) && f.counter(name, "peers_expelled") == 1
		})
	}
	eventually(t, "it is refused when it comes again", func() bool {
		return f.counter("a-1", "peers_refused")+f.counter("a-1", "dial_failures") > 0
	})
	if f.link("a-1", "b-1").State != LinkUp || f.link("a-1", "b-1").Downs != 0 {
		t.Errorf("the others' link: %+v", f.link("a-1", "b-1"))
	}
	for _, name := range []string{"a-1", "b-1"} {
		if n := f.counter(name, "breaches"); n != 0 {
			t.Errorf("%s blames somebody for what another relayed", name)
		}
	}
}

func certOf(id *pki.Identity) *x509.Certificate {
	cert, err := x509.ParseCertificate(id.CertificateDER())
	if err != nil {
		panic(err)
	}
	return cert
}
