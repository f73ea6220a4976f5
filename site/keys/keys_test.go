package keys

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/pion/dtls/v2"

	"ringway/membership"
	"ringway/site/seal"
)

func TestNodesMeet(t *testing.T) {
	site := newSite(t, newAuthority(t), 4)
	began := time.Now()
	for _, m := range site {
		m.start(site)
	}
	for _, m := range site {
		m.e.Settle(t.Context())
	}
	t.Logf("settled after %v", time.Since(began))
	eventually(t, "all met", allMet(site))
	eventually(t, "one session for each pair", func() bool {
		for _, m := range site {
			m.e.mu.Lock()
			for _, p := range m.e.peers {
				if len(p.sessions) != 1 {
					m.e.mu.Unlock()
					return false
				}
			}
			m.e.mu.Unlock()
		}
		return true
	})
}

// TestShareIsWhatThePeerLearns holds what is learnt against what was told.
func TestShareIsWhatThePeerLearns(t *testing.T) {
	site := newSite(t, newAuthority(t), 2)
	for _, m := range site {
		m.start(site)
	}
	eventually(t, "met", allMet(site))
	// What one's ring seals now opens with the other: a packet in the clear of theirs is
	// below both. A probe of an unformed ring is one that needs no view.
	probe := []byte{'R', 1, 7, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	sealed := sealWith(t, site[0].ring, probe)
	if got := openWith(t, site[1].ring, sealed); !bytes.Equal(got, probe) {
		t.Fatalf("%x came out as %x", probe, got)
	}
}

func TestALoneNodeSettlesSoon(t *testing.T) {
	site := newSite(t, newAuthority(t), 3)
	site[0].start(site)
	began := time.Now()
	site[0].e.Settle(t.Context())
	if took := time.Since(began); took > patience {
		t.Errorf("settled after %v", took)
	}
}

// TestANewLifeIsMet starts a node again at once: the others learn its new keys, and none
// of its old ones is any good.
func TestANewLifeIsMet(t *testing.T) {
	site := newSite(t, newAuthority(t), 3)
	for _, m := range site {
		m.start(site)
	}
	eventually(t, "met", allMet(site))
	old := site[0].ring
	site[0].stop()
	site[0].start(site)
	eventually(t, "met again", func() bool {
		return allMet(site)() && bootOf(site[1].e, 1) == bootOfRing(site[0].ring) && bootOf(site[2].e, 1) == bootOfRing(site[0].ring)
	})
	if bootOfRing(old) == bootOfRing(site[0].ring) {
		t.Error("two lives with one number")
	}
}

func bootOfRing(r *testRing) uint64 {
	share, _ := r.ShareFor(2)
	return share.Boot
}

func bootOf(e *Exchange, n membership.NodeID) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peers[n].boot
}

// TestARevokedNodeIsForgotten revokes one of three in the others' lists.
func TestARevokedNodeIsForgotten(t *testing.T) {
	site := newSite(t, newAuthority(t), 3)
	for _, m := range site {
		m.start(site)
	}
	eventually(t, "met", allMet(site))
	serial := site[2].e.cfg.Identity.TLSCertificate()
	cert := parse(t, serial.Certificate[0])
	before, _ := site[0].ring.ShareFor(2)
	for _, m := range site[:2] {
		m.who.change(func() { m.who.revoked[cert.SerialNumber.String()] = true })
	}
	eventually(t, "forgotten, and the others have new keys", func() bool {
		share, _ := site[0].ring.ShareFor(2)
		return !site[0].ring.Knows(3) && !site[1].ring.Knows(3) && share.Epoch > before.Epoch && acked(site[0].e, 2, share.Epoch)
	})
	if !site[0].ring.Knows(2) || !site[1].ring.Knows(1) {
		t.Error("the others do not know each other any more")
	}
	// With a new certificate it is back.
	site[2].who.change(func() { site[2].who.cert = site[2].who.authority.issue("fed", "lon", "c") })
	eventually(t, "back", allMet(site))
}

func acked(e *Exchange, n membership.NodeID, epoch uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.peers[n].acknowledged(epoch)
}

// TestANewCertificateIsShown renews a node's certificate: the peers see it, and what they
// know of the node's keys stays.
func TestANewCertificateIsShown(t *testing.T) {
	site := newSite(t, newAuthority(t), 2)
	for _, m := range site {
		m.start(site)
	}
	eventually(t, "met", allMet(site))
	// The keyring knows them a moment before they are counted.
	eventually(t, "the keys to be counted", func() bool { return site[1].e.Stats().Learnt > 0 })
	learnt := site[1].e.Stats().Learnt
	renewed := site[0].who.authority.issue("fed", "lon", "a")
	site[0].who.change(func() { site[0].who.cert = renewed })
	want := parse(t, renewed.Certificate[0]).SerialNumber
	eventually(t, "the new certificate to be seen", func() bool {
		e := site[1].e
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.peers[1].cert.SerialNumber.Cmp(want) == 0
	})
	if n := site[1].e.Stats().Learnt; n != learnt {
		t.Errorf("a new certificate changed the keys: learnt %d and %d", learnt, n)
	}
}

// TestACertificateThatChangesInAHandshake: of two handshakes the one that began with the old
// certificate is done last, so the new one has to be shown once more.
func TestACertificateThatChangesInAHandshake(t *testing.T) {
	site := newSite(t, newAuthority(t), 2)
	first := site[0]
	renewed := first.who.authority.issue("fed", "lon", "a")
	want := parse(t, renewed.Certificate[0]).SerialNumber
	seen := func() bool {
		e := site[1].e
		e.mu.Lock()
		defer e.mu.Unlock()
		cert := e.peers[1].cert
		return cert != nil && cert.SerialNumber.Cmp(want) == 0
	}
	late := make(chan struct{}) // the old certificate's handshake goes on
	first.who.asked = func() {
		first.who.change(func() { first.who.cert = renewed })
		for end := time.Now().Add(patience); time.Now().Before(end) && (first.e.showing() == 0 || !seen()); {
			time.Sleep(time.Millisecond)
		}
		close(late)
	}
	site[1].start(site)
	site[0].start(site)
	<-late
	eventually(t, "all sessions to be there", func() bool {
		s := first.e.Stats()
		return s.Sessions >= 3 || s.DialsFailed+s.HandshakeFailed > 0 // it took too long
	})
	eventually(t, "the new certificate to be seen last", seen)
}

// TestAnOldCertificateThatIsSeenLast: of two handshakes the one that shows the old certificate
// ends first here and last at the peer, who takes it for the newest. So its session ends as
// soon as another shows the new one, and the peer is left with that.
func TestAnOldCertificateThatIsSeenLast(t *testing.T) {
	ca := newAuthority(t)
	was, is := parse(t, ca.issue("fed", "lon", "a").Certificate[0]), parse(t, ca.issue("fed", "lon", "a").Certificate[0])
	with := func(self, other membership.NodeID) (*Exchange, *peer) {
		p := &peer{node: Node{ID: other}, kick: make(chan struct{}, 1)}
		return &Exchange{cfg: Config{Self: self}, peers: map[membership.NodeID]*peer{other: p}, changed: make(chan struct{}, 1)}, p
	}
	for _, dialed := range []bool{false, true} { // the old one
		here, p := with(1, 2)
		before := &session{e: here, peer: p, dialed: dialed, acked: 1, heard: time.Now()}
		here.add(before)
		here.renew()
		after := &session{e: here, peer: p, dialed: !dialed, shown: here.showing(), heard: time.Now()}
		here.add(after)
		if before.surplus() {
			t.Error("a session ends before the one that replaces it is good")
		}
		after.acked = 1
		if !before.surplus() || after.surplus() {
			t.Errorf("old one dialled %v: surplus is the old one %v, the new one %v", dialed, before.surplus(), after.surplus())
		}
	}
	there, p := with(2, 1)
	older, newer := &session{peer: p, cert: was}, &session{peer: p, cert: is}
	there.add(newer)
	there.add(older)
	if there.drop(older); p.cert != is {
		t.Error("the certificate of a session that has ended is the peer's")
	}
	if there.drop(newer); p.cert != is {
		t.Error("the certificate of the last session is forgotten with it")
	}
}

// TestStrangersAreRefused shows certificates that must not do.
func TestStrangersAreRefused(t *testing.T) {
	ca := newAuthority(t)
	site := newSite(t, ca, 2)
	site[0].start(site)
	other := newAuthority(t)
	for what, id := range map[string]*testIdentity{
		"another authority":    other.identity("fed", "lon", "b"),
		"another federation":   ca.identity("acme", "lon", "b"),
		"another site":         ca.identity("fed", "fra", "b"),
		"a node that is none":  ca.identity("fed", "lon", "z"),
		"the node's very name": ca.identity("fed", "lon", "a"),
	} {
		refused := site[0].e.Stats().Refused
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		conn, err := net.Dial("udp", Port(site[0].at).String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := dtls.ClientWithContext(ctx, conn, dtlsConfig(id, func([]byte) error { return nil }))
		if err == nil {
			// The client may be done before the server has looked at its certificate; then
			// the connection is closed on it.
			c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // a closed one fails by itself
			if _, err = c.Read(make([]byte, 100)); err == nil {
				t.Errorf("%s: was told something", what)
			}
			c.Close()
		}
		eventually(t, what+" to be refused", func() bool { return site[0].e.Stats().Refused > refused })
		conn.Close()
		cancel()
	}
	if site[0].ring.Knows(2) || site[0].e.Stats().Sessions != 0 {
		t.Error("a stranger was met")
	}
}

// TestNobodyWaitsForASlowClient begins handshakes that never go on, and garbage, and
// wants a node to meet another all the same.
func TestNobodyWaitsForASlowClient(t *testing.T) {
	site := newSite(t, newAuthority(t), 2)
	site[0].start(site)
	var slow []net.Conn
	hello := captureHello(t, site[1].who)
	eventually(t, "somebody to be limited", func() bool {
		conn, err := net.Dial("udp", Port(site[0].at).String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, conn)
		for _, b := range [][]byte{hello, []byte("what is this"), bytes.Repeat(hello, 5000/len(hello))} {
			conn.Write(b) //nolint:errcheck // a stranger does not care
		}
		return site[0].e.Stats().Limited > 0
	})
	site[1].start(site)
	eventually(t, "met", allMet(site))
	for _, c := range slow {
		c.Close()
	}
	eventually(t, "the slow to be gone", func() bool {
		l := site[0].e.l
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.pending == 0
	})
}

// captureHello returns the first datagram of a handshake.
func captureHello(t *testing.T, id Identity) []byte {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	conn, err := net.Dial("udp", server.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		dtls.ClientWithContext(ctx, conn, dtlsConfig(id, func([]byte) error { return nil })) //nolint:errcheck // it is cancelled
	}()
	b := make([]byte, 2000)
	n, _, err := server.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-done
	if !isHello(b[:n]) {
		t.Fatalf("%x does not look like a hello", b[:n])
	}
	return b[:n]
}

// TestAlertsInTheClearEndNothing sends one to both ends of a session from the other's
// address: over loopback, a stranger's socket cannot; so the guard is asked directly.
func TestAlertsInTheClearEndNothing(t *testing.T) {
	alert := []byte{21, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0}
	sealed := []byte{21, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0}
	again := []byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0}
	g := &guard{}
	if !g.lets(alert) {
		t.Error("during the handshake, the module must see an alert")
	}
	g.established.Store(true)
	for _, c := range []struct {
		datagram []byte
		want     bool
	}{
		{alert, false}, {sealed, true}, {again, true}, {append(append([]byte{}, sealed...), alert...), false}, {alert[:14], false}, {nil, false},
	} {
		if g.lets(c.datagram) != c.want {
			t.Errorf("%x: want %v", c.datagram, c.want)
		}
	}
	for range maxHandshakeDatagrams {
		g.lets(again)
	}
	if g.lets(again) {
		t.Error("the clear part of a session is not bounded")
	}
}

func TestMessages(t *testing.T) {
	share := message{kind: kindShare, share: seal.Share{Boot: 7, Epoch: 3, Counter: 9, Sender: seal.Secret{1, 2}, Wrap: seal.Secret{3}}}
	ack := message{kind: kindAck, share: seal.Share{Boot: 7, Epoch: 3}}
	for _, m := range []message{share, ack} {
		b := appendMessage(nil, &m)
		if got, ok := parseMessage(b); !ok || got != m {
			t.Errorf("%v came back as %v, %v", m, got, ok)
		}
		for n := range b {
			if _, ok := parseMessage(b[:n]); ok {
				t.Errorf("%d of %d bytes are a message", n, len(b))
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, &message{kind: kindShare, share: seal.Share{Boot: 7}}))
	f.Add(appendMessage(nil, &message{kind: kindAck, share: seal.Share{Boot: 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, ok := parseMessage(b); ok && !bytes.Equal(appendMessage(nil, &m), b) {
			t.Errorf("%x has another spelling", b)
		}
	})
}

// FuzzRecord looks at whatever strangers send.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0}, []byte{1})
	f.Fuzz(func(t *testing.T, b, cookie []byte) {
		if echoes(b, cookie) && (!isHello(b) || !bytes.Contains(b, cookie)) {
			t.Error("an echo that is none")
		}
		if c := cookieOf(b); !bytes.Contains(b, c) {
			t.Error("a cookie from nowhere")
		}
		sealed, ok := harmless(b)
		if sealed && ok && epoch(b) == 0 {
			t.Error("taken for sealed")
		}
	})
}

// FuzzSuite opens whatever comes as a record.
func FuzzSuite(f *testing.F) {
	s := &suite{}
	if err := s.Init(make([]byte, 48), make([]byte, 32), make([]byte, 32), true); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{23, 0xFE, 0xFD, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := s.Decrypt(b); err == nil && b[0] != typeChangeCipherSpec {
			t.Errorf("%x is sealed", b)
		}
	})
}
