package client

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ringway/internal/pki"
)

// certificates makes a federation's authority and a node's certificate, and returns the
// authority and what the node shows.
func certificates(t *testing.T, federation, node string) (ca []byte, shown tls.Certificate) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if err := errors.Join(pki.Init(dir, federation, time.Hour), pki.Issue(dir, federation, "lon", node, time.Hour)); err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	shown, err = tls.LoadX509KeyPair(filepath.Join(dir, node+".pem"), filepath.Join(dir, node+"-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return ca, shown
}

// dialTLS connects to a node #me#d1 that shows the certificate.
func dialTLS(t *testing.T, shown tls.Certificate, config *tls.Config) error {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{shown}, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			admit(conn, false)
			defer conn.Close()
		}
	}()
	defer func() { l.Close(); <-ended }()
	c, err := Dial(testContext(t), "tls://"+l.Addr().String(), Options{Name: "me", TLS: config})
	if err == nil {
		c.Close()
	}
	return err
}

func TestTLSTrustsNodesOfTheFederationAlone(t *testing.T) {
	acme, d1 := certificates(t, "acme", "d1")
	_, d2 := certificates(t, "acme", "d2")
	config := func(ca []byte, federation string) *tls.Config {
		c, err := TLSConfig(ca, federation)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := dialTLS(t, d1, config(acme, "acme")); err != nil {
		t.Error(err)
	}
	if err := dialTLS(t, d1, config(acme, "")); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another federation's name": dialTLS(t, d1, config(acme, "other")),
		"another authority":         dialTLS(t, d2, config(acme, "acme")),
		"no configuration":          dialTLS(t, d1, nil),
	} {
		if !errors.Is(err, ErrTLS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := dialTLS(t, d1, &tls.Config{}); err == nil {
		t.Error("a configuration of one's own trusts an unknown authority")
	}
	if _, err := TLSConfig([]byte("no PEM"), ""); !errors.Is(err, ErrTLS) {
		t.Error(err)
	}
	other, wrong := certificates(t, "acme", "d9")
	if err := dialTLS(t, wrong, config(other, "acme")); !errors.Is(err, ErrTLS) {
		t.Errorf("a session of d1 with the certificate of d9: %v", err)
	}
}

// TestTLSEndsAtOnce: a connection that is given up does not take leave first.
func TestTLSEndsAtOnce(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := newConn(tls.Client(ours, &tls.Config{InsecureSkipVerify: true}), "#me#d1", true)
	c.abandon()
	if _, err := c.Receive(testContext(t)); !errors.Is(err, ErrConnection) {
		t.Error(err)
	}
}
