//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ringway/internal/netlab"
	"ringway/internal/pki"
)

// Names in a site's network.
const (
	switchName = "lan"
	adminPort  = "127.0.0.1:4805" // of each node, in its own namespace
)

// sites number the networks of this process, whether of sites or of federations.
var sites atomic.Uint32

// Config says which site to run.
type Config struct {
	Nodes  int    // n1, n2 and so on
	Binary string // ringway, from Build
	Trace  bool   // have the nodes write traces
}

// A Site is a network of namespaces with a node in each, and what belongs to it.
type Site struct {
	Nodes  []*Node // in order: n1 is the first
	Switch *netlab.Switch

	cfg      Config
	network  *netlab.Network
	folder   string // topology, sockets, logs
	topology string
}

// Build builds the node's program into a folder and returns its path. It is built for
// the race detector if that is asked for, and not if only GOFLAGS do: a site's times are
// those of a program at full speed.
func Build(ctx context.Context, folder string, race bool) (string, error) {
	binary := filepath.Join(folder, fmt.Sprintf("ringway-%v", race))
	cmd := exec.CommandContext(ctx, "go", "build", fmt.Sprintf("-race=%v", race), "-o", binary, "ringway/cmd/ringway") //nolint:gosec // no shell
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ringway/cmd/ringway: %w\n%s", err, out)
	}
	return binary, nil
}

// NewSite makes the network and starts every node; Ready waits for them.
func NewSite(cfg Config) (*Site, error) {
	s := &Site{cfg: cfg}
	if err := s.build(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, n := range s.Nodes {
		if err := n.Start(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Site) build() (err error) {
	// Paths of unix sockets are short: the folder must be, too.
	if s.folder, err = os.MkdirTemp("", "rw"); err != nil {
		return err
	}
	if err := os.Mkdir(s.logFolder(), 0o700); err != nil {
		return err
	}
	if s.network, err = netlab.New(fmt.Sprintf("site%d", sites.Add(1))); err != nil {
		return err
	}
	if s.Switch, err = s.network.Switch(switchName); err != nil {
		return err
	}
	for i := range s.cfg.Nodes {
		n, err := newNode(s, i)
		if err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	s.topology = filepath.Join(s.folder, "site.toml")
	if err := os.WriteFile(s.topology, []byte(s.describe()), 0o600); err != nil {
		return err
	}
	return s.certify()
}

// Names in a site's topology.
const (
	federationName = "scenario"
	siteName       = "lan"
)

// certsValid is longer than any scenario.
const certsValid = 24 * time.Hour

// certify makes the certificates that the topology names.
func (s *Site) certify() error {
	certs := filepath.Join(s.folder, "certs")
	if err := pki.Init(certs, federationName, certsValid); err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if err := pki.Issue(certs, federationName, siteName, n.Name, certsValid); err != nil {
			return err
		}
	}
	return nil
}

// describe writes the topology file: one site, sealed, everything by default.
func (s *Site) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[federation]\nname = %q\ncerts = \"certs\"\n[[site]]\nname = %q\nmulticast = \"239.192.7.1:4803\"\n", federationName, siteName)
	for _, n := range s.Nodes {
		fmt.Fprintf(&b, "  [[site.node]]\n  name = %q\n  address = %q\n  admin = %q\n  clients = [%q]\n", n.Name, netip.AddrPortFrom(n.address, 4803), adminPort, n.Address())
	}
	return b.String()
}

func (s *Site) logFolder() string { return filepath.Join(s.folder, "log") }

// Keep copies logs and traces to a folder, which must be new.
func (s *Site) Keep(folder string) error {
	err := os.CopyFS(filepath.Join(folder, "log"), os.DirFS(s.logFolder()))
	if s.cfg.Trace {
		err = errors.Join(err, os.CopyFS(filepath.Join(folder, "trace"), os.DirFS(s.traceFolder())))
	}
	return err
}

// Names returns the names of all nodes.
func (s *Site) Names() []string {
	var names []string
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// Ready waits until every node is in one ring of all nodes and takes clients.
func (s *Site) Ready(ctx context.Context) error {
	all := s.Names()
	for _, n := range s.Nodes {
		what := fmt.Sprintf("%s to be in a ring of all %d nodes", n.Name, len(all))
		err := poll(ctx, what, func() error {
			status, err := n.Status(ctx)
			if err != nil {
				return err
			}
			if ready, why := status.Ready(); !ready {
				return errors.New(why)
			}
			if !slices.Equal(status.Ring.Members, all) {
				return fmt.Errorf("its ring is %v", status.Ring.Members)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Stop ends every node in order, by SIGTERM. It says which did not end well.
func (s *Site) Stop(ctx context.Context) error {
	var faults []error
	for _, n := range s.Nodes {
		faults = append(faults, n.Terminate())
	}
	for _, n := range s.Nodes {
		faults = append(faults, n.Ended(ctx))
	}
	return errors.Join(faults...)
}

// Faults says what nodes did that no fault of the network excuses: ended by
// themselves, panicked, raced.
func (s *Site) Faults() error {
	var faults []error
	for _, n := range s.Nodes {
		faults = append(faults, n.Fault())
	}
	return errors.Join(faults...)
}

// Close kills what still runs and removes everything.
func (s *Site) Close() error {
	var faults []error
	for _, n := range s.Nodes {
		n.abandon()
	}
	if s.network != nil {
		faults = append(faults, s.network.Close())
	}
	for _, n := range s.Nodes {
		n.reap()
	}
	return errors.Join(append(faults, os.RemoveAll(s.folder))...)
}

// pollEvery is how often poll asks.
const pollEvery = 20 * time.Millisecond

// poll waits until the condition returns nil.
func poll(ctx context.Context, what string, condition func() error) error {
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain for %s: %w", what, err)
		case <-time.After(pollEvery):
		}
	}
}
