package site

import "crypto/tls"

// clientALPN is offered to clients that ask for a protocol; none has to.
const clientALPN = "ringway-client/1"

// clientTLS is how a node listens for clients behind tls://. It shows its certificate,
// the newest one at each handshake, and asks for none: clients have methods of their own.
func (n *node) clientTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{clientALPN},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate := n.identity.TLSCertificate()
			return &certificate, nil
		},
	}
}
