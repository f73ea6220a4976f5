//go:build linux

package lab

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"ringway/internal/netem"
)

// Status is what a lab is like at present. Its JSON is the schema of `ringway lab
// status --json`.
type Status struct {
	Type       string            `json:"type"` // "lab"
	Topology   string            `json:"topology"`
	Folder     string            `json:"folder"`
	Up         float64           `json:"up_s"`
	WAN        string            `json:"wan"`                 // "tc netem" or "emulated"; empty: no links
	Fault      string            `json:"wan_fault,omitempty"` // why links carry nothing, or are late
	Partitions []string          `json:"partitions,omitempty"`
	Nodes      []NodeStatus      `json:"nodes"`
	Links      []netem.Direction `json:"links"`
}

// A NodeStatus is a node of a lab.
type NodeStatus struct {
	Name  string  `json:"name"`
	Site  string  `json:"site"`
	Space string  `json:"space"` // what `ip netns exec` takes
	State string  `json:"state"`
	PID   int     `json:"pid,omitempty"`
	Lives int     `json:"lives"`
	Loss  float64 `json:"lan_loss,omitempty"` // share of what its LAN sends it
}

// Status returns what the lab is like.
func (l *Lab) Status() *Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &Status{Type: "lab", Topology: l.plan.topology.Path, Folder: l.folder, Up: time.Since(l.began).Seconds(), Partitions: l.parts, Links: []netem.Direction{}}
	if l.wan != nil {
		s.WAN, s.Links = l.wan.kind(), l.wan.status()
		if err := l.wan.fault(); err != nil {
			s.Fault = err.Error()
		}
	}
	s.Nodes = l.nodes()
	return s
}

// Nodes returns what the nodes' processes are like.
func (l *Lab) Nodes() []NodeStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes()
}

func (l *Lab) nodes() (list []NodeStatus) {
	for _, m := range l.machines {
		n := NodeStatus{Name: m.Name, Site: m.site.Name, Space: filepath.Base(m.space.Path()), State: m.state(), Lives: m.starts, Loss: m.loss}
		if m.running() {
			n.PID = m.cmd.Process.Pid
		}
		list = append(list, n)
	}
	return list
}

// WriteText writes s for people.
func (s *Status) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%s, up %v, logs and traces in %s\n", s.Topology, time.Duration(s.Up*1e9).Round(time.Second), s.Folder)
	if s.Fault != "" {
		fmt.Fprintf(w, "WARNING: %s\n", s.Fault)
	}
	for _, p := range s.Partitions {
		fmt.Fprintf(w, "partition %s\n", p)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "\nNODE\tSITE\tSTATE\tPID\tLIVES\tNAMESPACE")
	for _, n := range s.Nodes {
		pid := "-"
		if n.PID > 0 {
			pid = fmt.Sprint(n.PID)
		}
		state := n.State
		if n.Loss > 0 {
			state += fmt.Sprintf(", loses %.3g%% of its LAN", 100*n.Loss)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\n", n.Name, n.Site, state, pid, n.Lives, n.Space)
	}
	if len(s.Links) > 0 {
		fmt.Fprintf(table, "\nLINK (%s)\tSTATE\tPROFILE\tCARRIED\tDROPPED\tLATE p50 / p99\n", s.WAN)
		for _, d := range s.Links {
			state := "up"
			if d.Down {
				state = "CUT"
			}
			if d.Fault != "" {
				state = d.Fault
			}
			c := &d.Counters
			fmt.Fprintf(table, "%s>%s\t%s\t%s\t%d\t%d\t%v / %v\n", d.From, d.To, state, d.Profile, c.Left.Packets, c.Lost+c.Full+c.Down+c.NoMemory+c.Refused+c.Unread,
				c.Late.Quantile(0.5), c.Late.Quantile(0.99))
		}
	}
	return table.Flush()
}
