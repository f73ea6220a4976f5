package keys

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/logging"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/site/seal"
)

// Times. They only matter to how soon nodes that can reach each other have met; a ring
// that has its keys does not wait for any of them.
const (
	// handshakeTime bounds a handshake: three datagrams each way on a LAN.
	handshakeTime = 3 * time.Second
	// cookieTime is how long a stranger may take to echo a cookie.
	cookieTime = time.Second
	// flightInterval is after how long a flight of the handshake is sent again.
	flightInterval = 100 * time.Millisecond
	// dialEvery is the pause between two attempts to reach a node.
	dialEvery = 250 * time.Millisecond
	// tellEvery is the pause between two shares until one is acknowledged.
	tellEvery = 50 * time.Millisecond
	// aliveEvery is how often a share is told that is acknowledged already, and
	// silence how long a session lives without a word.
	aliveEvery = time.Second
	silence    = 5 * time.Second
	// checkEvery is how often peers' certificates are looked at: they expire.
	checkEvery = time.Second
	// switchAfter is how long a new sender key waits for peers that do not acknowledge.
	switchAfter = time.Second
	// rotateEvery bounds what one stolen share is good for.
	rotateEvery = time.Hour
	// settleTime is how long a starting node waits for its peers' keys, and settleMax
	// how long if some of them have begun to answer.
	settleTime = 250 * time.Millisecond
	settleMax  = time.Second
	// complainEvery bounds the log lines about each peer and each cause.
	complainEvery = time.Minute
)

// An Identity is this node's certificate and whom it believes: a pki.Identity.
type Identity interface {
	TLSCertificate() tls.Certificate
	CheckPeer(certDER []byte, site, node string) error
	Allowed(cert *x509.Certificate) error
	Changed() <-chan struct{}
}

// A Keyring is where shares come from and go to: a lan.Seal. It is safe for concurrent
// use.
type Keyring interface {
	ShareFor(node membership.NodeID) (seal.Share, bool)
	Learn(node membership.NodeID, share *seal.Share) bool
	Forget(node membership.NodeID) error
	Rotate() error
	Switch()
}

// A Node is another node of the site.
type Node struct {
	ID      membership.NodeID
	Name    string
	Address netip.AddrPort // of its ring; its DTLS port is the next one
}

// Config says who this node is and whom it has to meet.
type Config struct {
	Site     string
	Self     membership.NodeID
	Address  netip.AddrPort // own LAN address; the DTLS port is the next one
	Nodes    []Node         // all others of the site
	Identity Identity
	Keyring  Keyring
	Log      *slog.Logger
}

// Port returns the address of DTLS that belongs to a LAN address.
func Port(address netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(address.Addr().Unmap(), address.Port()+1)
}

var errNotOfSite = errors.New("the certificate names no other node of this site")

// dtlsConfig is for one handshake: accept says whether the peer's certificate will do.
func dtlsConfig(id Identity, accept func(der []byte) error) *dtls.Config {
	return &dtls.Config{
		Certificates: []tls.Certificate{id.TLSCertificate()},
		// Not nil but empty: none of the module's own suites, see doc.go.
		CipherSuites:         []dtls.CipherSuiteID{},
		CustomCipherSuites:   suites,
		SignatureSchemes:     []tls.SignatureScheme{tls.Ed25519},
		ClientAuth:           dtls.RequireAnyClientCert, // and VerifyPeerCertificate verifies it
		ExtendedMasterSecret: dtls.RequireExtendedMasterSecret,
		// The default check is for the names of hosts. Ours is for the names of nodes.
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errNotOfSite
			}
			return accept(raw[0])
		},
		FlightInterval: flightInterval,
		LoggerFactory:  quiet(),
	}
}

// quiet keeps the module from writing to stderr; what matters is returned as an error.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// nodeOf returns which of the site's nodes a certificate names, if it is to be believed.
func (e *Exchange) nodeOf(der []byte) (*peer, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	_, site, node, err := pki.PeerName(cert)
	if err != nil {
		return nil, err
	}
	if err := e.cfg.Identity.CheckPeer(der, site, node); err != nil {
		return nil, err
	}
	for _, p := range e.peers {
		if site == e.cfg.Site && node == p.node.Name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: it is of node %s of site %s", errNotOfSite, node, site)
}
