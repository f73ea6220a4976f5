package overlay

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"ringway/membership"
	"ringway/routing"
)

// counters count what happened since New. Safe for concurrent use.
type counters struct {
	breaches, badSignatures, refused, wrongFederation, garbage, warningsSuppressed          atomic.Uint64
	routeChanges, dialFailures, silences, expelled, untrusted, sealsMade, tampered, renewed atomic.Uint64
	advertsSent, advertsReceived, recomputes                                                atomic.Uint64
	entriesReceived, subscriptions, refusals, resets, ownDropped                            atomic.Uint64
	promisesSent, promisesReceived, promisesDuplicate, promisesDropped                      atomic.Uint64
	notesSent, notesReceived, notesRelayed, notesDuplicate, notesDropped                    atomic.Uint64
	controlsSent, controlsDropped, controlsRerouted, controlsLate                           atomic.Uint64
}

// Status is what an operator sees of a gateway's overlay.
type Status struct {
	Gateway        string
	Draining       bool
	Links          []LinkStatus          // by peer
	Advertisements []AdvertisementStatus // by gateway
	Routes         []routing.Route       // by cost
	Logs           []LogStatus           // own first
	Reach          []Reach               // by site and instance
	Counters       map[string]uint64     // by stable name
}

// A LinkStatus describes the link to one gateway.
type LinkStatus struct {
	Peer, Site  string
	State       LinkState
	Since       time.Duration // in that state
	Lanes       int
	RTT, Jitter time.Duration
	Offset      time.Duration // the peer's wall clock less ours, about
	LossPPM     uint32
	Cost        time.Duration // what routes count it as while it is up
	Flaps       int
	Downs       uint64
	Address     string // the peer's, of lane 0
	// Of QUIC, all lanes.
	BytesSent, BytesReceived, PacketsSent, PacketsLost uint64
	CongestionWindow                                   uint64
	// ControlQueue control messages of ControlBytes wait for the link; maxControlQueue and
	// maxControlQueueBytes bound them.
	ControlQueue, ControlBytes int
	// BulkQueue pieces of large bodies of BulkBytes wait beside them, with the same bounds.
	BulkQueue, BulkBytes int
}

// An AdvertisementStatus describes what a gateway advertises.
type AdvertisementStatus struct {
	Gateway, Site        string
	Incarnation, Counter uint64
	Draining, NoTransit  bool
	State                State
	Edges                []routing.Edge
}

// A LogStatus describes a log that this gateway has, or part of one.
type LogStatus struct {
	Log         membership.LogID
	Own         bool
	Next        uint64 // one above the newest entry here
	First       uint64 // oldest entry here
	Entries     int
	Bytes       int
	Dropped     uint64 // to keep the memory bound
	Importing   bool
	Imported    uint64 // everything below was handed to the node
	LagBytes    uint64 // received and not yet handed over
	Parent      string // where it is pulled from; empty: nowhere now
	Resumes     uint64 // how often it was pulled anew, from the same parent or another
	Subscribers []SubscriberStatus
}

// A SubscriberStatus describes a gateway that gets a log from this one.
type SubscriberStatus struct {
	Peer      string
	Next      uint64 // everything below was sent
	Lag       uint64 // numbers behind the newest entry here
	SentBytes uint64
}

// Status describes the gateway now. It asks the event loop, so it returns the
// counters alone before and after Run, and when the loop does not answer in time.
func (g *Gateway) Status() Status {
	answer := make(chan Status, 1)
	timeout := time.NewTimer(time.Second)
	defer timeout.Stop()
	select {
	case g.events <- func(c *core) { answer <- c.status() }:
		select {
		case s := <-answer:
			return s
		case <-g.done:
		case <-timeout.C:
		}
	case <-g.done:
	case <-timeout.C:
	}
	return Status{Gateway: g.self.Name, Counters: g.count.snapshot()}
}

func (n *counters) snapshot() map[string]uint64 {
	return map[string]uint64{
		"ringway_overlay_breaches_total":                  n.breaches.Load(),
		"ringway_overlay_bad_signatures_total":            n.badSignatures.Load(),
		"ringway_overlay_peers_refused_total":             n.refused.Load(),
		"ringway_overlay_peers_expelled_total":            n.expelled.Load(),
		"ringway_overlay_untrusted_origins_total":         n.untrusted.Load(),
		"ringway_overlay_seals_made_total":                n.sealsMade.Load(),
		"ringway_overlay_tampered_total":                  n.tampered.Load(),
		"ringway_overlay_lanes_renewed_total":             n.renewed.Load(),
		"ringway_overlay_wrong_federation_total":          n.wrongFederation.Load(),
		"ringway_overlay_garbage_packets_total":           n.garbage.Load(),
		"ringway_overlay_warnings_suppressed_total":       n.warningsSuppressed.Load(),
		"ringway_overlay_dial_failures_total":             n.dialFailures.Load(),
		"ringway_overlay_silences_total":                  n.silences.Load(),
		"ringway_overlay_adverts_sent_total":              n.advertsSent.Load(),
		"ringway_overlay_adverts_received_total":          n.advertsReceived.Load(),
		"ringway_overlay_route_computations_total":        n.recomputes.Load(),
		"ringway_overlay_route_changes_total":             n.routeChanges.Load(),
		"ringway_overlay_entries_received_total":          n.entriesReceived.Load(),
		"ringway_overlay_subscriptions_total":             n.subscriptions.Load(),
		"ringway_overlay_refusals_sent_total":             n.refusals.Load(),
		"ringway_overlay_relay_resets_total":              n.resets.Load(),
		"ringway_overlay_own_entries_dropped_total":       n.ownDropped.Load(),
		"ringway_overlay_promises_sent_total":             n.promisesSent.Load(),
		"ringway_overlay_promises_received_total":         n.promisesReceived.Load(),
		"ringway_overlay_promises_duplicate_total":        n.promisesDuplicate.Load(),
		"ringway_overlay_promises_superseded_total":       n.promisesDropped.Load(),
		"ringway_overlay_datagrams_sent_total":            n.notesSent.Load(),
		"ringway_overlay_datagrams_received_total":        n.notesReceived.Load(),
		"ringway_overlay_datagrams_relayed_total":         n.notesRelayed.Load(),
		"ringway_overlay_datagrams_duplicate_total":       n.notesDuplicate.Load(),
		"ringway_overlay_datagrams_dropped_total":         n.notesDropped.Load(),
		"ringway_overlay_control_messages_sent_total":     n.controlsSent.Load(),
		"ringway_overlay_control_messages_dropped_total":  n.controlsDropped.Load(),
		"ringway_overlay_control_messages_rerouted_total": n.controlsRerouted.Load(),
		"ringway_overlay_control_messages_late_total":     n.controlsLate.Load(),
	}
}

func (c *core) status() Status {
	s := Status{
		Gateway: c.self.Name, Draining: c.draining, Routes: c.routes.Table(),
		Reach: slices.Clone(c.reach), Counters: c.count.snapshot(),
	}
	for _, l := range c.order {
		if !l.off {
			s.Links = append(s.Links, c.linkStatus(l))
		}
	}
	for _, a := range c.db.All() {
		s.Advertisements = append(s.Advertisements, AdvertisementStatus{
			Gateway: c.nodeName(a.Gateway), Site: c.siteName(a.Site), Incarnation: a.Incarnation, Counter: a.Counter,
			Draining: a.Flags&routing.Draining != 0, NoTransit: a.Flags&routing.NoTransit != 0,
			State: State{Instance: a.Instance, View: a.View, Epoch: a.Epoch, Wanted: a.Wanted}, Edges: a.Edges,
		})
	}
	if c.own != nil {
		s.Logs = append(s.Logs, c.logStatus(c.own, nil))
	}
	own := len(s.Logs)
	for _, f := range c.feeds {
		s.Logs = append(s.Logs, c.logStatus(f.store, f))
	}
	slices.SortFunc(s.Logs[own:], func(a, b LogStatus) int { return strings.Compare(a.Log.String(), b.Log.String()) })
	return s
}

func (c *core) linkStatus(l *link) LinkStatus {
	s := LinkStatus{
		Peer: l.peer.Name, Site: l.peer.Site.Name, State: l.gate.state, Since: c.now() - l.gate.since,
		RTT: l.meter.rtt, Jitter: l.meter.jitter, Offset: l.meter.offset, LossPPM: l.meter.lossPPM(), Cost: l.measured(),
		Lanes: int(l.laneCount()), Flaps: l.gate.flaps, Downs: l.downs,
	}
	for _, lane := range l.lanes {
		if lane == nil {
			continue
		}
		q := lane.conn.ConnectionStats()
		s.BytesSent += q.BytesSent
		s.BytesReceived += q.BytesReceived
		s.PacketsSent += q.PacketsSent
		s.PacketsLost += q.PacketsLost
		s.CongestionWindow += q.CongestionWindow
		frames, bytes := lane.control.size()
		s.ControlQueue += frames
		s.ControlBytes += bytes
		frames, bytes = lane.bulk.size()
		s.BulkQueue += frames
		s.BulkBytes += bytes
		if lane.index == 0 {
			s.Address = lane.conn.RemoteAddr().String()
		}
	}
	return s
}

func (c *core) logStatus(st *store, f *feed) LogStatus {
	x := st.stats()
	s := LogStatus{
		Log: st.id, Own: st.own, Next: x.next, First: x.first, Entries: x.entries, Bytes: x.bytes,
		Dropped: x.dropped, LagBytes: x.lag,
	}
	if f != nil {
		if f.up != nil {
			s.Parent = f.up.lane.peer.Name
		}
		s.Resumes = max(f.begun, 1) - 1
		if f.importer != nil {
			s.Importing, s.Imported = !f.importer.stopping, f.importer.cursor.Load()
		}
	}
	for b := range c.branches {
		if b.store == st {
			next := b.cursor.Load()
			s.Subscribers = append(s.Subscribers, SubscriberStatus{Peer: b.lane.peer.Name, Next: next, Lag: x.next - min(next, x.next), SentBytes: b.sent.Load()})
		}
	}
	slices.SortFunc(s.Subscribers, func(a, b SubscriberStatus) int { return strings.Compare(a.Peer, b.Peer) })
	return s
}

func (c *core) nodeName(id membership.NodeID) string {
	if id == c.self.ID {
		return c.self.Name
	}
	if n := c.gateways[id]; n != nil {
		return n.Name
	}
	return id.String()
}

func (c *core) siteName(id membership.SiteID) string {
	for _, s := range c.cfg.Topology.Sites {
		if s.ID == id {
			return s.Name
		}
	}
	return id.String()
}
