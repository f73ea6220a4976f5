package site

import (
	"errors"
	"fmt"
	"log/slog"

	"ringway/internal/pki"
	"ringway/membership"
	"ringway/topology"
)

// Config is what `ringway node` knows when it starts.
type Config struct {
	Topology *topology.Topology
	Node     *topology.Node
	// Insecure lets a node without certificates leave loopback, and leaves ring packets
	// without seals even where there are certificates.
	Insecure bool
	// Dial has gateways, by name, that are reached at another address than the
	// topology's: behind an emulator or address translation.
	Dial map[string]string
	// Reload asks for the topology to be read again; nil: only a changed file does.
	Reload <-chan struct{}
	// User is whom the process goes on as once its ports are bound; empty: as it is.
	User string
	// Trace is the folder that the node writes a trace into; empty: none.
	Trace string
	Log   *slog.Logger
	// LogLost counts the lines that the log could not take; nil: nobody counts.
	LogLost func() uint64
}

// ErrInsecure says that the topology has no certificates and an address that is not
// loopback.
var ErrInsecure = errors.New("no certificates for addresses beyond loopback")

// identity loads the node's certificate, or makes one that nobody verifies where
// that is allowed.
func (c *Config) identity() (*pki.Identity, error) {
	t, n := c.Topology, c.Node
	if t.Certs != "" {
		id, err := pki.LoadIdentity(t.Certs, t.Name, n.Site.Name, n.Name)
		if err != nil {
			return nil, fmt.Errorf("certificates of node %s: %w", n.Name, err)
		}
		return id, nil
	}
	if !c.Insecure && !t.AllLoopback() {
		return nil, fmt.Errorf("topology %s: %w: make some with `ringway keys init` and `ringway keys issue` and name their folder in [federation] certs, or say --insecure", t.Path, ErrInsecure)
	}
	if c.Insecure || n.IsGateway() {
		c.Log.Warn("links are not authenticated: using a throw-away certificate that nobody verifies", "node", n.Name)
	}
	return pki.Throwaway(t.Name, n.Site.Name, n.Name)
}

// sealed says whether the ring's packets are sealed: wherever there are certificates,
// unless the operator does not want it.
func (c *Config) sealed() bool { return c.Topology.Certs != "" && !c.Insecure }

// dialOverrides turns names into ids and refuses what is no gateway.
func (c *Config) dialOverrides() (map[membership.NodeID]string, error) {
	dial := map[membership.NodeID]string{}
	for name, address := range c.Dial {
		peer, ok := c.Topology.Node(name)
		if !ok || !peer.IsGateway() {
			return nil, fmt.Errorf("--dial %s=%s: the topology has no gateway of that name", name, address)
		}
		dial[peer.ID] = address
	}
	return dial, nil
}
