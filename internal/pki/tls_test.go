package pki

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// handshake connects two configurations, lets each side read one byte of the other,
// and returns the first error of each side; err is whichever refused.
func handshake(t *testing.T, serverConfig, clientConfig *tls.Config) (server, client *tls.Conn, err error) {
	t.Helper()
	a, b := loopbackPair(t)
	server, client = tls.Server(a, serverConfig), tls.Client(b, clientConfig)
	deadline := time.Now().Add(30 * time.Second)
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i, conn := range []*tls.Conn{server, client} {
		must(t, conn.SetDeadline(deadline))
		wg.Go(func() {
			if errs[i] = conn.Handshake(); errs[i] == nil {
				errs[i] = ping(conn, i == 0)
			}
			if errs[i] != nil {
				conn.NetConn().Close()
			}
		})
	}
	wg.Wait()
	a.Close()
	b.Close()
	// A side that is refused only sees an alert, or the connection closed.
	for _, err := range errs {
		for _, kind := range []error{ErrExpired, ErrNotYetValid, ErrUnknownCA, ErrUsage, ErrNoName, ErrFederation, ErrWrongName, ErrWrongSite, ErrRevoked, ErrProtocol} {
			if errors.Is(err, kind) {
				return server, client, err
			}
		}
	}
	return server, client, errors.Join(errs...)
}

// loopbackPair returns the two ends of a TCP connection. (A net.Pipe would not do: both
// sides may write at once, one its flight and one an alert, and a pipe holds nothing.)
func loopbackPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	b, err = net.Dial("tcp", listener.Addr().String())
	must(t, err)
	a, err = listener.Accept()
	must(t, err)
	return a, b
}

// ping writes a byte and reads one, or the other way round.
func ping(conn net.Conn, writes bool) error {
	buf := []byte{1}
	if writes {
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
	if _, err := conn.Read(buf); err != nil {
		return err
	}
	if !writes {
		_, err := conn.Write(buf)
		return err
	}
	return nil
}

func TestHandshake(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	server, client, err := handshake(t, load(t, dir, "lon-1").ServerTLS(), load(t, dir, "lon-2").ClientTLS("lon", "lon-1"))
	must(t, err)
	for conn, want := range map[*tls.Conn]string{server: "lon-2", client: "lon-1"} {
		state := conn.ConnectionState()
		_, site, node, err := PeerName(state.PeerCertificates[0])
		if site != "lon" || node != want || err != nil {
			t.Errorf("peer is %q of %q, %v; want %q", node, site, err, want)
		}
		if state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != ALPN {
			t.Errorf("version %x, protocol %q", state.Version, state.NegotiatedProtocol)
		}
	}
}

func TestHandshakeRefused(t *testing.T) {
	dir := folder(t, "lon-1", "lon-2")
	impostors := folder(t, "lon-1", "lon-2") // the same names, by another authority
	good := func(node string) *Identity { return load(t, dir, node) }
	bad := func(node string) *Identity { return load(t, impostors, node) }
	throwaway := func(federation, node string) *Identity {
		id, err := Throwaway(federation, "lon", node)
		must(t, err)
		return id
	}
	at := func(id *Identity, d time.Duration) *Identity {
		id.now = clock(d)
		return id
	}
	edit := func(c *tls.Config, change func(*tls.Config)) *tls.Config {
		change(c)
		return c
	}
	cases := map[string]struct {
		server, client *tls.Config
		want           error
	}{
		"server is another node":    {good("lon-1").ServerTLS(), good("lon-2").ClientTLS("lon", "lon-3"), ErrWrongName},
		"server is of another site": {good("lon-1").ServerTLS(), good("lon-2").ClientTLS("fra", "lon-1"), ErrWrongSite},
		"no expectation":            {good("lon-1").ServerTLS(), good("lon-2").ClientTLS("", ""), ErrWrongName},
		"server by another CA":      {bad("lon-1").ServerTLS(), good("lon-2").ClientTLS("lon", "lon-1"), ErrUnknownCA},
		"client by another CA":      {good("lon-1").ServerTLS(), credulous(bad("lon-2")).ClientTLS("lon", "lon-1"), ErrUnknownCA},
		"client is a throw-away":    {good("lon-1").ServerTLS(), throwaway("acme", "lon-2").ClientTLS("lon", "lon-1"), ErrUnknownCA},
		"server is a throw-away":    {throwaway("acme", "lon-1").ServerTLS(), good("lon-2").ClientTLS("lon", "lon-1"), ErrUnknownCA},
		"client sees expired":       {good("lon-1").ServerTLS(), at(good("lon-2"), 31*24*time.Hour).ClientTLS("lon", "lon-1"), ErrExpired},
		"server sees expired":       {at(good("lon-1"), 31*24*time.Hour).ServerTLS(), good("lon-2").ClientTLS("lon", "lon-1"), ErrExpired},
		"server sees not yet valid": {at(good("lon-1"), -beyondSkew).ServerTLS(), good("lon-2").ClientTLS("lon", "lon-1"), ErrNotYetValid},
		"client sees not yet valid": {good("lon-1").ServerTLS(), at(good("lon-2"), -beyondSkew).ClientTLS("lon", "lon-1"), ErrNotYetValid},
		"other federation":          {throwaway("other", "lon-1").ServerTLS(), throwaway("acme", "lon-2").ClientTLS("lon", "lon-1"), ErrFederation},
		"throw-away, another name":  {throwaway("acme", "lon-1").ServerTLS(), throwaway("acme", "lon-2").ClientTLS("lon", "lon-9"), ErrWrongName},
		"client without certificate": {good("lon-1").ServerTLS(), edit(good("lon-2").ClientTLS("lon", "lon-1"), func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }
		}), nil},
		"client without ALPN":       {good("lon-1").ServerTLS(), edit(good("lon-2").ClientTLS("lon", "lon-1"), func(c *tls.Config) { c.NextProtos = nil }), ErrProtocol},
		"client of another version": {good("lon-1").ServerTLS(), edit(good("lon-2").ClientTLS("lon", "lon-1"), func(c *tls.Config) { c.NextProtos = []string{"ringway/2"} }), nil},
		"server without ALPN":       {edit(good("lon-1").ServerTLS(), func(c *tls.Config) { c.NextProtos = nil }), good("lon-2").ClientTLS("lon", "lon-1"), ErrProtocol},
		"client with TLS 1.2 only":  {good("lon-1").ServerTLS(), edit(good("lon-2").ClientTLS("lon", "lon-1"), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, _, err := handshake(t, c.server, c.client)
			refused(t, err, c.want)
		})
	}
}

// credulous makes the identity believe every server, so that the server's refusal shows.
func credulous(id *Identity) *Identity {
	id.dir = "" // as a throw-away identity does
	return id
}

func TestThrowawaysBelieveEachOther(t *testing.T) {
	a, err := Throwaway("acme", "lon", "ca") // no file, so any name will do
	must(t, err)
	b, err := Throwaway("acme", "fra", "fra-1")
	must(t, err)
	server, _, err := handshake(t, a.ServerTLS(), b.ClientTLS("lon", "ca"))
	must(t, err)
	if _, site, node, _ := PeerName(server.ConnectionState().PeerCertificates[0]); site != "fra" || node != "fra-1" {
		t.Errorf("peer is %q of %q", node, site)
	}
}
