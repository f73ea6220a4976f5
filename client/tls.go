package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ErrTLS says that the node did not prove who it is.
var ErrTLS = errors.New("the node's certificate is not good")

// alpn names the protocol within TLS.
const alpn = "ringway-client/1"

// TLSConfig returns how to connect to the nodes of a federation over TLS: whoever has a
// certificate of its authority is a node of it, and the private group that the session
// gets must be of the node in the certificate. ca is the authority's certificate, in PEM
// (ca.pem of `ringway keys init`). federation is the name that the certificate must have;
// empty: any, which is as good where the authority serves one federation.
func TLSConfig(ca []byte, federation string) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%w: the authority's file has no certificate in PEM: want the ca.pem that `ringway keys init` made", ErrTLS)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{alpn},
		// Names of machines are not in the certificates of nodes; what is there, and
		// the chain, VerifyConnection checks.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			return verifyNode(s.PeerCertificates, roots, federation)
		},
	}, nil
}

// verifyNode checks the chain of a node's certificate, and whose it is.
func verifyNode(chain []*x509.Certificate, roots *x509.CertPool, federation string) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: there is none", ErrTLS)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fmt.Errorf("%w: %w", ErrTLS, err)
	}
	who, _, ok := nodeOf(chain[0])
	switch {
	case !ok:
		return fmt.Errorf("%w: it is of the right authority, but not a node's", ErrTLS)
	case federation != "" && who != federation:
		return fmt.Errorf("%w: it is of a node of federation %.64q, not of %q", ErrTLS, who, federation)
	}
	return nil
}

// nodeOf returns which federation's node a certificate is for:
// ringway://FEDERATION/site/SITE/node/NODE.
func nodeOf(c *x509.Certificate) (federation, node string, ok bool) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "ringway" {
		return "", "", false
	}
	uri := c.URIs[0]
	parts := strings.Split(strings.TrimPrefix(uri.EscapedPath(), "/"), "/")
	if len(parts) != 4 || parts[0] != "site" || parts[2] != "node" {
		return "", "", false
	}
	node, err := url.PathUnescape(parts[3])
	return uri.Host, node, err == nil && node != ""
}

// encrypt puts TLS over a connection, and closes that if it cannot.
func encrypt(ctx context.Context, conn net.Conn, addr string, config *tls.Config) (net.Conn, error) {
	if config == nil {
		conn.Close()
		return nil, fmt.Errorf("%w: Options.TLS is not set: make it with TLSConfig", ErrTLS)
	}
	if config.ServerName == "" && !config.InsecureSkipVerify {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// checkNode makes sure that a session over TLS is with the node of the certificate. A
// certificate of another kind, which a configuration of the application's own accepts,
// says nothing about that.
func checkNode(conn net.Conn, private string) error {
	secure, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	chain := secure.ConnectionState().PeerCertificates
	if len(chain) == 0 {
		return nil
	}
	_, node, ok := nodeOf(chain[0])
	if ok && !strings.HasSuffix(private, "#"+node) {
		return fmt.Errorf("%w: it is node %.32q's, and the session is %.40q", ErrTLS, node, private)
	}
	return nil
}
