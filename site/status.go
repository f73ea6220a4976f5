package site

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"ringway/internal/admin"
	"ringway/membership"
	"ringway/overlay"
	"ringway/site/merge"
	"ringway/site/ring"
	"ringway/site/session"
	"ringway/topology"
)

// openAdmin binds the operators' port, if the topology has one.
func (n *node) openAdmin() (err error) {
	address := n.cfg.Node.Admin
	if !address.IsValid() {
		return nil
	}
	n.admin, err = admin.Listen(address.String(), n, admin.NewRegistry(n), n.log)
	if err != nil {
		return fmt.Errorf("node %s: %w", n.cfg.Node.Name, err)
	}
	return nil
}

// Status implements admin.Source. It asks the loop for what belongs to it.
func (n *node) Status() admin.Status {
	s := admin.Status{
		Node: n.cfg.Node.Name, Site: n.cfg.Node.Site.Name, Federation: n.cfg.Topology.Name,
		UptimeS: time.Since(n.loop.started).Seconds(), Draining: n.draining.Load(), Counters: map[string]uint64{},
	}
	if inner, ok := n.ask(); ok {
		n.addRing(&s, &inner.ring)
		n.addReplica(&s, &inner.replica)
		s.Joins = inner.joins
		s.Counters["node_loop_microseconds"] = uint64(inner.busy.Microseconds())
		s.Counters["sessions_waiting_for_readers"] = uint64(inner.held)
	}
	n.addSessions(&s)
	n.addCertificate(&s)
	addCounters(s.Counters, "lan", n.port.Stats())
	if n.seal != nil {
		addCounters(s.Counters, "seal", n.seal.Stats())
		addCounters(s.Counters, "keys", n.keys.Stats())
	}
	s.Counters["trace_lost_events"] = n.loop.trace.lost()
	if n.cfg.LogLost != nil {
		s.Counters["log_lost_lines"] = n.cfg.LogLost()
	}
	if n.gateway != nil {
		n.addOverlay(&s, n.gateway.Status())
	}
	return s
}

// inner is what only the loop knows.
type inner struct {
	ring    ring.Status
	replica merge.Status
	busy    time.Duration
	joins   []admin.JoinWait
	held    int // senders of this node that wait for slow readers
}

func (n *node) ask() (inner, bool) {
	answer := make(chan inner, 1)
	l := n.loop
	if !n.in.call(func() {
		answer <- inner{l.core.Ring.Status(), l.core.Replica.Status(), l.busy, l.joins.status(l.now()), len(l.flow.held)}
	}) {
		return inner{}, false
	}
	select {
	case i := <-answer:
		return i, true
	case <-n.done:
		return inner{}, false
	}
}

func (n *node) addRing(s *admin.Status, r *ring.Status) {
	mode := "multicast"
	if !n.cfg.Node.Site.Multicast.IsValid() {
		mode = "unicast"
	}
	s.Ring = admin.Ring{
		ID: r.Ring.String(), State: strings.ToLower(r.State.String()), Configured: len(n.cfg.Node.Site.Nodes),
		Members: nodeList(n.cfg.Topology, r.Members), Holding: r.Holding,
		Seq: uint64(r.Seq), Aru: uint64(r.Aru), Stable: uint64(r.Stable),
		Rotations: r.Rotations, Sent: r.PacketsSent, Received: r.PacketsReceived, Resent: r.Retransmitted,
		LANMode: mode + ", " + string(n.port.Mode()) + n.sealing(),
	}
	addCounters(s.Counters, "ring", r.Counters)
}

func (n *node) sealing() string {
	if n.seal == nil {
		return ", not sealed"
	}
	return ", sealed"
}

// nodeList names nodes, in the order of the topology.
func nodeList(t *topology.Topology, ids []membership.NodeID) []string {
	names := []string{}
	for _, site := range t.Sites {
		for _, n := range site.Nodes {
			if slices.Contains(ids, n.ID) {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

func (n *node) addReplica(s *admin.Status, r *merge.Status) {
	s.View = admin.View{
		ID: r.View.String(), Instance: r.Instance.String(), Configured: len(n.cfg.Topology.Sites),
		Complete: r.Ready && len(r.Members) == len(n.cfg.Topology.Sites), Frozen: r.Frozen, Learning: !r.Ready || !r.Attached,
		Members: []string{},
	}
	s.View.Primary = n.primaryState(r.Primary)
	for _, m := range r.Members {
		s.View.Members = append(s.View.Members, n.siteName(m.Site))
	}
	slices.Sort(s.View.Members)
	s.Groups = r.Groups
	s.Export = admin.Export{UnstableBytes: uint64(r.HeldBytes), SlackMS: admin.Milliseconds(time.Duration(r.Slack))}
	for _, source := range r.Sources {
		s.Streams = append(s.Streams, admin.Stream{
			Origin: n.siteName(source.Site), Instance: source.Instance.String(), Position: source.Log, Lag: uint64(source.Waiting),
			LagMS: admin.Milliseconds(time.Duration(max(0, r.Clock-source.Promise))), LeadMS: admin.Milliseconds(time.Duration(source.Lead)),
			LateMS: admin.Milliseconds(time.Duration(source.Late)), SlowMS: admin.Milliseconds(source.Slow),
		})
	}
	slices.SortFunc(s.Streams, func(a, b admin.Stream) int { return cmp.Compare(a.Origin, b.Origin) })
	for name, v := range map[string]uint64{
		"merge_accepted": r.Accepted, "merge_rejected": r.Rejected, "merge_delivered": r.Delivered, "merge_imported": r.Imported,
		"merge_duplicates": r.Duplicate, "merge_dropped": r.Dropped, "merge_bad_frames": r.BadFrames, "merge_faults": r.Faults,
		"merge_broken_invariants": r.Broken, "merge_ticks": r.Ticks,
		"merge_slow_sites_evicted": r.Evicted,
	} {
		s.Counters[name] = v
	}
	addCounters(s.Counters, "merge_datagrams", r.Datagrams)
	addCounters(s.Counters, "merge_bodies", r.Bulk)
}

func (n *node) primaryState(primary bool) string {
	switch {
	case !n.cfg.Topology.Primary:
		return admin.PrimaryOff
	case primary:
		return admin.PrimaryYes
	}
	return admin.PrimaryNo
}

func (n *node) siteName(id membership.SiteID) string {
	if site, ok := n.cfg.Topology.SiteByID(id); ok {
		return site.Name
	}
	return id.String()
}

func (n *node) nodeName(id membership.NodeID) string {
	if node, ok := n.cfg.Topology.NodeByID(id); ok {
		return node.Name
	}
	return id.String()
}

func (n *node) addSessions(s *admin.Status) {
	status := n.sessions.Status()
	s.Clients = len(status.Sessions)
	// The slowest first, as only so many are listed.
	slices.SortFunc(status.Sessions, func(a, b session.Client) int {
		return cmp.Or(cmp.Compare(b.QueuedBytes, a.QueuedBytes), strings.Compare(a.Name, b.Name))
	})
	listed := status.Sessions[:min(len(status.Sessions), admin.MaxSessionsListed)]
	groups := n.groupsOf(listed)
	for i, c := range listed {
		s.Sessions = append(s.Sessions, admin.Session{
			Name: c.Name, Address: c.Address, Groups: groups[i], QueuedBytes: c.QueuedBytes, Received: c.Received, Delivered: c.Sent,
			Connected: time.Since(c.Since).Seconds(),
		})
	}
	addCounters(s.Counters, "sessions", status)
	s.Counters["topology_reloads"], s.Counters["topology_reloads_refused"] = n.reload.done.Load(), n.reload.failed.Load()
}

// groupsOf asks the loop in how many groups each session is.
func (n *node) groupsOf(sessions []session.Client) []int {
	answer := make(chan []int, 1)
	asked := n.in.call(func() {
		counts := make([]int, len(sessions))
		for i := range sessions {
			counts[i] = n.loop.core.Replica.GroupsOf(sessions[i].ID)
		}
		answer <- counts
	})
	if asked {
		select {
		case counts := <-answer:
			return counts
		case <-n.done:
		}
	}
	return make([]int, len(sessions))
}

func (n *node) addCertificate(s *admin.Status) {
	id := n.identity.Status()
	s.Certificate = admin.Certificate{
		Verified: !id.Throwaway, Serial: id.Serial, Expires: id.Expires.UTC(), Renew: !time.Now().Before(id.RenewFrom),
		Revoked: id.Revoked, Problem: id.Problem,
	}
	s.Counters["cert_reloads"], s.Counters["cert_reload_failures"] = id.Reloads, id.Failures
}

func (n *node) addOverlay(s *admin.Status, o overlay.Status) {
	for _, l := range o.Links {
		s.Links = append(s.Links, admin.Link{
			Peer: l.Peer, Site: l.Site, Address: l.Address, State: l.State.String(), RTT: admin.Milliseconds(l.RTT),
			Jitter: admin.Milliseconds(l.Jitter), Loss: float64(l.LossPPM) / 1e6,
			Cost: admin.Milliseconds(l.Cost), Lanes: l.Lanes,
			Up: l.Since.Seconds(), Sent: l.BytesSent, Received: l.BytesReceived, Waiting: l.ControlQueue, WaitingBytes: l.ControlBytes,
		})
	}
	for _, r := range o.Routes {
		route := admin.Route{Site: n.siteName(r.Site), Cost: admin.Milliseconds(r.Cost)}
		for _, id := range r.Path {
			route.Path = append(route.Path, n.nodeName(id))
		}
		s.Routes = append(s.Routes, route)
	}
	for _, log := range o.Logs {
		s.Logs = append(s.Logs, n.logStatus(&log))
		if log.Own {
			s.Export.Position, s.Export.Stable = log.Next, log.First
		}
		for i := range s.Streams {
			if !log.Own && log.Importing && s.Streams[i].Instance == log.Log.Instance.String() {
				s.Streams[i].Via = n.cfg.Node.Name
			}
		}
	}
	for name, v := range o.Counters {
		s.Counters[strings.TrimSuffix(strings.TrimPrefix(name, "ringway_"), "_total")] = v
	}
}

func (n *node) logStatus(l *overlay.LogStatus) admin.Log {
	log := admin.Log{
		Origin: n.siteName(l.Log.Site), Instance: l.Log.Instance.String(), View: l.Log.View.String(), Own: l.Own, Importing: l.Importing,
		First: l.First, Next: l.Next, Bytes: l.Bytes, LagBytes: l.LagBytes, Dropped: l.Dropped, From: l.Parent, Resumes: l.Resumes,
	}
	for _, sub := range l.Subscribers {
		log.Subscribers = append(log.Subscribers, admin.Subscriber{Gateway: sub.Peer, Next: sub.Next, Lag: sub.Lag, Sent: sub.SentBytes})
	}
	return log
}

// addCounters adds every uint64 field of a structure as AREA_FIELD, in the words that
// the field has: one list of names less to keep in step.
func addCounters(to map[string]uint64, area string, counters any) {
	v := reflect.ValueOf(counters)
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Uint64 {
			to[area+"_"+snakeCase(v.Type().Field(i).Name)] = f.Uint()
		}
	}
}

func snakeCase(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
