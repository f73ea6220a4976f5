package topology

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"
)

// The JSON of ExplainJSON. Durations are nanoseconds; what a node does not have is
// left out. Keys are only ever added.
type (
	explained struct {
		Type        string          `json:"type"` // "topology"
		Federation  string          `json:"federation"`
		Certs       string          `json:"certs,omitempty"`
		AllLoopback bool            `json:"all_loopback"`
		Primary     bool            `json:"primary"` // views are told apart by the sites' weights
		Sites       []explainedSite `json:"sites"`
		Links       []explainedLink `json:"links"`
		Groups      []explainedRule `json:"groups"`
		Access      explainedAccess `json:"access"`
		Timing      []Derived       `json:"timing"`
		Paths       []explainedPath `json:"paths"`
	}
	explainedSite struct {
		Name      string          `json:"name"`
		ID        string          `json:"id"`
		Multicast string          `json:"multicast,omitempty"`
		Weight    int             `json:"weight"`               // its say in which view is primary
		NoTransit bool            `json:"no_transit,omitempty"` // its gateways pass on nothing between other sites
		Nodes     []explainedNode `json:"nodes"`
	}
	explainedNode struct {
		Name    string   `json:"name"`
		ID      string   `json:"id"`
		Address string   `json:"address"`
		DTLS    string   `json:"dtls"`
		Clients []string `json:"clients"`
		Gateway string   `json:"gateway,omitempty"`
		Admin   string   `json:"admin,omitempty"`
	}
	explainedLink struct {
		Between [2]string     `json:"between"`
		Cost    time.Duration `json:"cost_ns"` // 0: measured
		Planned time.Duration `json:"planned_ns"`
		Source  string        `json:"planned_from"`
		Delay   time.Duration `json:"wan_delay_ns,omitempty"`
		Jitter  time.Duration `json:"wan_jitter_ns,omitempty"`
		Loss    float64       `json:"wan_loss,omitempty"`     // fraction
		Rate    uint64        `json:"wan_rate_bps,omitempty"` // bit/s
	}
	explainedRule struct {
		Match     string        `json:"match"`
		Scope     string        `json:"scope"`
		SlowSite  string        `json:"slow_site"`
		SlowAfter time.Duration `json:"slow_after_ns"`
	}
	explainedAccess struct {
		Methods    []string         `json:"methods"`
		Addresses  []string         `json:"addresses,omitempty"` // none: everywhere
		TokenFile  string           `json:"token_file,omitempty"`
		Tokens     int              `json:"tokens,omitempty"`
		SlowReader SlowReader       `json:"slow_reader"`
		BlockTime  time.Duration    `json:"block_time_ns"`
		Limits     explainedLimits  `json:"limits"`
		Allow      []explainedAllow `json:"allow"`
	}
	explainedLimits struct {
		Sessions           int `json:"sessions,omitempty"`
		SessionsPerAddress int `json:"sessions_per_address,omitempty"`
		JoinsPerSecond     int `json:"joins_per_second,omitempty"`
		QueueMessages      int `json:"queue_messages,omitempty"`
		QueueBytes         int `json:"queue_bytes,omitempty"`
	}
	explainedAllow struct {
		Client string   `json:"client"`
		Send   []string `json:"send"`
		Join   []string `json:"join"`
	}
	explainedPath struct {
		From string        `json:"from"`
		To   string        `json:"to"`
		Cost time.Duration `json:"cost_ns"`
		Via  []string      `json:"via"`
	}
)

// ExplainJSON writes what Explain says as one JSON object on one line.
func (t *Topology) ExplainJSON(w io.Writer) error {
	x := explained{
		Type: "topology", Federation: t.Name, Certs: t.Certs, AllLoopback: t.AllLoopback(), Primary: t.Primary,
		Sites: []explainedSite{}, Links: []explainedLink{}, Groups: []explainedRule{}, Paths: []explainedPath{},
		Access: explainAccess(&t.Access),
		Timing: t.DerivedTiming(),
	}
	for _, s := range t.Sites {
		x.Sites = append(x.Sites, explainSite(s))
		for _, path := range t.Paths(s) {
			x.Paths = append(x.Paths, explainedPath{From: s.Name, To: path.To.Name, Cost: path.Cost, Via: siteNames(path.Via)})
		}
	}
	for _, l := range t.Links {
		planned, source := l.planned()
		x.Links = append(x.Links, explainedLink{
			Between: [2]string{l.Between[0].Name, l.Between[1].Name},
			Cost:    l.Cost, Planned: planned, Source: source,
			Delay: l.WAN.Delay, Jitter: l.WAN.Jitter, Loss: l.WAN.Loss, Rate: l.WAN.Rate,
		})
	}
	for _, g := range t.Groups {
		slow := "wait"
		if g.EvictSlow {
			slow = "evict"
		}
		x.Groups = append(x.Groups, explainedRule{Match: g.Match, Scope: g.scope(), SlowSite: slow, SlowAfter: g.SlowAfter})
	}
	return json.NewEncoder(w).Encode(x)
}

func explainAccess(a *Access) explainedAccess {
	x := explainedAccess{
		Methods: a.Methods, TokenFile: a.TokenFile, Tokens: len(a.Tokens), SlowReader: a.SlowReader, BlockTime: a.BlockTime,
		Limits: explainedLimits(a.Limits), Allow: []explainedAllow{},
	}
	if a.Addresses != nil {
		x.Addresses = a.Addresses.list()
	}
	for _, rule := range a.Allow {
		x.Allow = append(x.Allow, explainedAllow{
			Client: rule.Client, Send: append([]string{}, rule.Send...), Join: append([]string{}, rule.Join...),
		})
	}
	return x
}

func explainSite(s *Site) explainedSite {
	site := explainedSite{Name: s.Name, ID: s.ID.String(), Weight: s.Weight, NoTransit: s.NoTransit, Nodes: []explainedNode{}}
	if s.Multicast.IsValid() {
		site.Multicast = s.Multicast.String()
	}
	text := func(a netip.AddrPort) string {
		if a.IsValid() {
			return a.String()
		}
		return ""
	}
	for _, n := range s.Nodes {
		site.Nodes = append(site.Nodes, explainedNode{
			Name: n.Name, ID: n.ID.String(), Address: text(n.Address), DTLS: text(n.DTLS()),
			Clients: listeners(n), Gateway: text(n.Gateway), Admin: text(n.Admin),
		})
	}
	return site
}
