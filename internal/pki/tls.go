package pki

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// ALPN is the protocol that both ends of a link must speak; its number changes with
// everything that is not understood by an older version.
const ALPN = "ringway/1"

// ServerTLS returns the configuration for listening. It accepts every node of the
// federation; the caller reads from PeerName which one called.
func (id *Identity) ServerTLS() *tls.Config {
	config := id.config()
	config.ClientAuth = tls.RequireAnyClientCert // and VerifyConnection verifies it
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return id.checkConnection(state, x509.ExtKeyUsageClientAuth, nil)
	}
	return config
}

// ClientTLS returns the configuration for dialling a node, and only that node.
func (id *Identity) ClientTLS(expectSite, expectNode string) *tls.Config {
	config := id.config()
	expect := name{id.name.federation, expectSite, expectNode}
	// The default check is for the names of hosts. Ours, in VerifyConnection, is for
	// the names of nodes.
	config.InsecureSkipVerify = true
	config.VerifyConnection = func(state tls.ConnectionState) error {
		return id.checkConnection(state, x509.ExtKeyUsageServerAuth, &expect)
	}
	return config
}

func (id *Identity) config() *tls.Config {
	return &tls.Config{
		// Both are asked at each handshake, so that a renewed certificate is shown by the
		// next one.
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &id.pair.Load().cert, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &id.pair.Load().cert, nil },
		MinVersion:           tls.VersionTLS13,
		MaxVersion:           tls.VersionTLS13,
		NextProtos:           []string{ALPN},
		// Links live long; resuming one would only save what is checked here.
		SessionTicketsDisabled: true,
		Time:                   id.now,
	}
}

func (id *Identity) checkConnection(state tls.ConnectionState, usage x509.ExtKeyUsage, expect *name) error {
	if state.NegotiatedProtocol != ALPN {
		return fmt.Errorf("%w: it negotiated %.40q", ErrProtocol, state.NegotiatedProtocol)
	}
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: the peer showed none", ErrNoName)
	}
	return id.check(state.PeerCertificates[0], usage, expect)
}
