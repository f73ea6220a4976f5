//go:build linux

package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"ringway/client"
	"ringway/internal/lab"
)

// A Federation is a topology as a lab, and what belongs to it.
type Federation struct {
	Lab   *lab.Lab
	Nodes []*Member // in the topology's order

	binary string
	folder string // topology, logs, traces
	disks  map[string]*disk
}

// A Member is a node of a federation.
type Member struct {
	operator

	site    string
	gateway bool
	lab     *lab.Lab
	clients string // where they connect
}

// NewFederation makes the lab of a topology whose nodes have admin ports. Some nodes may
// have disks of so many bytes for their logs and traces; untraced: there are no traces. No
// node runs yet.
func NewFederation(topology, binary string, disks map[string]int64, untraced bool) (*Federation, error) {
	f := &Federation{binary: binary, disks: map[string]*disk{}}
	if err := f.build(topology, disks, untraced); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *Federation) build(topology string, disks map[string]int64, untraced bool) (err error) {
	if f.folder, err = os.MkdirTemp("", "rw"); err != nil {
		return err
	}
	folders := map[string]string{}
	for node, size := range disks {
		if f.disks[node], err = newDisk(size); err != nil {
			return fmt.Errorf("disk of %s: %w", node, err)
		}
		folders[node] = f.disks[node].folder
	}
	// The lab makes certificates next to its copy of the topology.
	copied := filepath.Join(f.folder, filepath.Base(topology))
	text, err := os.ReadFile(topology)
	if err != nil {
		return err
	}
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		return err
	}
	if f.Lab, err = lab.New(lab.Config{Topology: copied, Folder: f.folder, Binary: f.binary, Disks: folders, Untraced: untraced, Network: fmt.Sprintf("lab%d", sites.Add(1))}); err != nil {
		return err
	}
	for _, site := range f.Lab.Topology().Sites {
		for _, n := range site.Nodes {
			if !n.Admin.IsValid() {
				return fmt.Errorf("%s: node %s has no admin port: a scenario asks there whether it is ready", topology, n.Name)
			}
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				return f.Lab.Dial(ctx, n.Name, network, address)
			}
			f.Nodes = append(f.Nodes, &Member{
				operator: newOperator(n.Name, n.Admin.String(), dial), site: site.Name, gateway: n.IsGateway(), lab: f.Lab, clients: n.Address.String(),
			})
		}
	}
	return nil
}

// String returns the node's name.
func (m *Member) String() string { return m.node }

// Dial connects to the node from its own machine and begins to receive.
func (m *Member) Dial(ctx context.Context, name string) (*Session, error) {
	return open(ctx, m.site, m.node, m.clients, m.options(name))
}

func (m *Member) options(name string) client.Options {
	return client.Options{Name: name, Membership: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		return m.lab.Dial(ctx, m.node, network, address)
	}}
}

// process returns what the lab knows of the node.
func (m *Member) process() lab.NodeStatus {
	for _, n := range m.lab.Nodes() {
		if n.Name == m.node {
			return n
		}
	}
	return lab.NodeStatus{Name: m.node}
}

// Lives returns how many processes have been started here.
func (m *Member) Lives() int { return m.process().Lives }

// Names returns the names of all nodes, or of those of a site.
func (f *Federation) Names(site string) (names []string) {
	for _, m := range f.Nodes {
		if site == "" || m.site == site {
			names = append(names, m.node)
		}
	}
	return names
}

// At returns the nodes of a site.
func (f *Federation) At(site string) (members []*Member) {
	for _, m := range f.Nodes {
		if m.site == site {
			members = append(members, m)
		}
	}
	return members
}

// Address returns where the node's clients connect, on its own machine.
func (m *Member) Address() string { return m.clients }

// ClientOptions are for clients of any of the nodes, each on its node's machine.
func (f *Federation) ClientOptions() client.Options {
	return client.Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, m := range f.Nodes {
			if m.clients == address {
				return f.Lab.Dial(ctx, m.node, network, address)
			}
		}
		return nil, fmt.Errorf("%s: no node of %s has this address", address, f.Lab.Topology().Path)
	}}
}

// member returns the node of that name, or nil.
func (f *Federation) member(name string) *Member {
	for _, m := range f.Nodes {
		if m.node == name {
			return m
		}
	}
	return nil
}

// Ready waits until every node is in the ring of its whole site and in the view of all
// sites.
func (f *Federation) Ready(ctx context.Context) error {
	for _, m := range f.Nodes {
		if err := poll(ctx, m.node+" to be ready", func() error {
			status, err := m.Status(ctx)
			if err != nil {
				return err
			}
			if ready, why := status.Ready(); !ready {
				return errors.New(why)
			}
			if len(status.Ring.Members) < status.Ring.Configured {
				return fmt.Errorf("its ring is %v", status.Ring.Members)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Rings is how often the nodes' rings have formed, all together.
func (f *Federation) Rings(ctx context.Context) (n uint64, err error) {
	for _, node := range f.Nodes {
		status, err := node.Status(ctx)
		if err != nil {
			return 0, err
		}
		n += status.Counters["ring_installed"]
	}
	return n, nil
}

// Faults says what no fault of the network excuses: a node that is not there, or that
// panicked in any of its lives.
func (f *Federation) Faults() error {
	var faults []error
	for _, n := range f.Lab.Nodes() {
		if n.State != "running" {
			faults = append(faults, fmt.Errorf("node %s: %s", n.Name, n.State))
		}
	}
	for _, folder := range f.folders() {
		logs, err := filepath.Glob(filepath.Join(folder, "log", "*.log"))
		faults = append(faults, err)
		for _, log := range logs {
			faults = append(faults, lastWords(log))
		}
	}
	return errors.Join(faults...)
}

// folders are those that have logs and traces.
func (f *Federation) folders() []string {
	list := []string{f.folder}
	for _, d := range f.disks {
		list = append(list, d.folder)
	}
	return list
}

// CheckTraces has `ringway trace check` judge what the nodes wrote, once they have ended
// in order.
func (f *Federation) CheckTraces(ctx context.Context) error {
	var traces []string
	for _, folder := range f.folders() {
		traces = append(traces, filepath.Join(folder, "trace"))
	}
	return checkTraces(ctx, f.binary, traces...)
}

// Keep copies logs and traces to a folder, which must be new.
func (f *Federation) Keep(folder string) error {
	var faults []error
	for _, from := range f.folders() {
		for _, sub := range []string{"log", "trace"} {
			faults = append(faults, os.CopyFS(filepath.Join(folder, sub), os.DirFS(filepath.Join(from, sub))))
		}
	}
	return errors.Join(faults...)
}

// Logs returns the end of each log.
func (f *Federation) Logs() string {
	var all string
	for _, folder := range f.folders() {
		logs, _ := filepath.Glob(filepath.Join(folder, "log", "*.log")) // the pattern is right
		for _, log := range logs {
			text, err := tail(log)
			all += fmt.Sprintf("-- %s (%v)\n%s", filepath.Base(log), err, text)
		}
	}
	return all
}

// Close kills what still runs and removes everything.
func (f *Federation) Close() error {
	var faults []error
	if f.Lab != nil {
		faults = append(faults, f.Lab.Close())
	}
	for _, d := range f.disks {
		if d != nil {
			faults = append(faults, d.close())
		}
	}
	return errors.Join(append(faults, os.RemoveAll(f.folder))...)
}
