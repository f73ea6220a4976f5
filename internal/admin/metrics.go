package admin

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns the node's metrics: what its status says, under stable names,
// and those of the Go runtime and the process. More collectors may be registered.
func NewRegistry(source Source) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&statusCollector{statuses: newCache(source.Status, freshFor)},
	)
	return registry
}

// A statusCollector turns a Status into metrics. Each of its Counters becomes
// ringway_KEY_total.
type statusCollector struct{ statuses *cache }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ringway_"+name, help, labels, nil)
}

var (
	descUp       = desc("info", "Always 1; the labels say who this is.", "node", "site", "federation", "version")
	descUptime   = desc("uptime_seconds", "Time since the node started.")
	descReady    = desc("ready", "1 if the node does its whole service.")
	descExpires  = desc("cert_expires_seconds", "Time until the node's certificate expires; negative: it has. Absent where certificates are not verified.")
	descRevoked  = desc("cert_revoked", "Certificates on the revocation lists in force.")
	descMembers  = desc("ring_members", "Nodes in the ring.")
	descConfig   = desc("ring_configured", "Nodes that the topology gives this site.")
	descRing     = desc("ring_operational", "1 if the ring carries messages.")
	descRotation = desc("ring_token_rotations_total", "Token visits.")
	descPackets  = desc("ring_packets_total", "Ring packets.", "direction")
	descView     = desc("view_members", "Sites in the view.")
	descPrimary  = desc("view_primary", "1 if the site view is primary; only where the topology asks for that.")
	descComplete = desc("view_complete", "1 if every site of the topology is in the view.")
	descLinkUp   = desc("link_up", "1 if the link is up.", "peer", "site")
	descRTT      = desc("link_rtt_seconds", "Round trip time of the link.", "peer", "site")
	descLoss     = desc("link_loss_ratio", "Share of packets that the link loses.", "peer", "site")
	descBytes    = desc("link_bytes_total", "Bytes over the link.", "peer", "site", "direction")
	descWaiting  = desc("link_control_messages_waiting", "Control messages that are queued for the link.", "peer", "site")
	descWaitSize = desc("link_control_bytes_waiting", "Bytes of the control messages that are queued for the link.", "peer", "site")
	descRoute    = desc("route_cost_seconds", "Cost of the path to a site; absent while there is none.", "site")
	descPosition = desc("stream_position", "Next record that is imported from a site's log.", "origin")
	descLag      = desc("stream_lag_records", "Records of a site's log that are known and not delivered.", "origin")
	descLogNext  = desc("log_next", "One above the newest record of a site's log that this gateway has.", "origin")
	descLogBytes = desc("log_bytes", "What this gateway keeps of a site's log.", "origin")
	descLogWaits = desc("log_lag_bytes", "Received of a site's log and not handed to the site yet.", "origin")
	descLogDrops = desc("log_dropped", "Records of a site's log that were dropped to keep the bound on memory, of logs that are still there.", "origin")
	descLogNew   = desc("log_resumes", "How often a site's log was pulled anew, of logs that are still there.", "origin")
	descLogSubs  = desc("log_subscribers", "Gateways that pull a site's log from this one.", "origin")
	descLogSent  = desc("log_subscriber_lag_records", "How far the slowest gateway that pulls a site's log from this one is behind.", "origin")
	descExport   = desc("export_position", "Next record of the own log.")
	descUnstable = desc("export_unstable_bytes", "Exported and not yet held by all destinations.")
	descSessions = desc("sessions", "Clients that are connected to this node.")
	descGroups   = desc("groups", "Groups that this node knows.")
)

// Describe implements prometheus.Collector. It sends nothing, since Counters come
// with any names: the registry then checks what is collected.
func (c *statusCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *statusCollector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, ok := c.statuses.get(ctx)
	if !ok {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	ready, _ := s.Ready()
	gauge(descUp, 1, s.Node, s.Site, s.Federation, s.Version)
	gauge(descUptime, s.UptimeS)
	gauge(descReady, oneIf(ready))
	if s.Certificate.Verified {
		gauge(descExpires, time.Until(s.Certificate.Expires).Seconds())
		gauge(descRevoked, float64(s.Certificate.Revoked))
	}
	gauge(descMembers, float64(len(s.Ring.Members)))
	gauge(descConfig, float64(s.Ring.Configured))
	gauge(descRing, oneIf(s.Ring.State == Operational))
	count(descRotation, s.Ring.Rotations)
	count(descPackets, s.Ring.Sent, "sent")
	count(descPackets, s.Ring.Received, "received")
	count(descPackets, s.Ring.Resent, "retransmitted")
	gauge(descView, float64(len(s.View.Members)))
	gauge(descComplete, oneIf(s.View.Complete))
	if s.View.Primary != PrimaryOff {
		gauge(descPrimary, oneIf(s.View.Primary == PrimaryYes))
	}
	for _, l := range s.Links {
		gauge(descLinkUp, oneIf(l.State == "up"), l.Peer, l.Site)
		gauge(descRTT, l.RTT/1e3, l.Peer, l.Site)
		gauge(descLoss, l.Loss, l.Peer, l.Site)
		count(descBytes, l.Sent, l.Peer, l.Site, "sent")
		count(descBytes, l.Received, l.Peer, l.Site, "received")
		gauge(descWaiting, float64(l.Waiting), l.Peer, l.Site)
		gauge(descWaitSize, float64(l.WaitingBytes), l.Peer, l.Site)
	}
	for _, r := range s.Routes {
		if len(r.Path) > 0 {
			gauge(descRoute, r.Cost/1e3, r.Site)
		}
	}
	for _, stream := range s.Streams {
		gauge(descPosition, float64(stream.Position), stream.Origin)
		gauge(descLag, float64(stream.Lag), stream.Origin)
	}
	for origin, l := range logsByOrigin(s.Logs) {
		gauge(descLogNext, float64(l.Next), origin)
		gauge(descLogBytes, float64(l.Bytes), origin)
		gauge(descLogWaits, float64(l.LagBytes), origin)
		gauge(descLogDrops, float64(l.Dropped), origin)
		gauge(descLogNew, float64(l.Resumes), origin)
		gauge(descLogSubs, float64(len(l.Subscribers)), origin)
		slowest := uint64(0)
		for _, sub := range l.Subscribers {
			slowest = max(slowest, sub.Lag)
		}
		gauge(descLogSent, float64(slowest), origin)
	}
	gauge(descExport, float64(s.Export.Position))
	gauge(descUnstable, float64(s.Export.UnstableBytes))
	gauge(descSessions, float64(s.Clients))
	gauge(descGroups, float64(s.Groups))
	for name, v := range s.Counters {
		count(desc(name+"_total", "Counter "+name+" of the node's status."), v)
	}
}

// logsByOrigin puts the logs of a site's instances, old and new, together: an instance in
// a label would be a new series each time a site is founded.
func logsByOrigin(logs []Log) map[string]Log {
	all := map[string]Log{}
	for _, l := range logs {
		sum := all[l.Origin]
		sum.Next = max(sum.Next, l.Next)
		sum.Bytes += l.Bytes
		sum.LagBytes += l.LagBytes
		sum.Dropped += l.Dropped
		sum.Resumes += l.Resumes
		sum.Subscribers = append(sum.Subscribers, l.Subscribers...)
		all[l.Origin] = sum
	}
	return all
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
