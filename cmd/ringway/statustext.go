package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"ringway/internal/admin"
)

// writeStatus writes a status for people: blocks with a heading each.
func writeStatus(out io.Writer, s *admin.Status) error {
	w := &table{Writer: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	ready, why := s.Ready()
	if ready {
		why = "ready"
	} else {
		why = "not ready: " + why
	}
	w.row("node", fmt.Sprintf("%s in site %s of federation %s: %s", s.Node, s.Site, s.Federation, why))
	w.row("version", s.Version+", up "+seconds(s.UptimeS))
	w.row("certificate", certificateState(&s.Certificate))
	w.row("ring", fmt.Sprintf("%s, %d of %d nodes: %s", s.Ring.State, len(s.Ring.Members), s.Ring.Configured, strings.Join(s.Ring.Members, " ")))
	w.row("", fmt.Sprintf("%d token rotations, packets: %d sent, %d received, %d retransmitted, by %s",
		s.Ring.Rotations, s.Ring.Sent, s.Ring.Received, s.Ring.Resent, s.Ring.LANMode))
	w.row("federation", fmt.Sprintf("%s, %d of %d sites: %s", viewState(&s.View), len(s.View.Members), s.View.Configured, strings.Join(s.View.Members, " ")))
	w.row("view", s.View.ID)
	w.row("export", fmt.Sprintf("record %d, held everywhere up to %d, %s not yet", s.Export.Position, s.Export.Stable, size(s.Export.UnstableBytes)))
	if n := s.Counters["merge_faults"]; n > 0 {
		w.row("peers", fmt.Sprintf("broke the protocol %d times; the log says who", n))
	}
	w.row("groups", fmt.Sprint(s.Groups))
	w.row("clients", fmt.Sprint(s.Clients))
	if len(s.Links) > 0 {
		w.heading("LINK", "SITE", "STATE", "RTT", "JITTER", "LOSS", "SENT", "RECEIVED", "WAITING")
		for _, l := range s.Links {
			state := l.State
			if l.Reason != "" {
				state += ": " + l.Reason
			}
			w.row(l.Peer, l.Site, state, ms(l.RTT), ms(l.Jitter), fmt.Sprintf("%.2f%%", l.Loss*100), size(l.Sent), size(l.Received), waiting(&l))
		}
	}
	if len(s.Routes) > 0 {
		w.heading("TO", "COST", "PATH")
		for _, r := range s.Routes {
			if len(r.Path) == 0 {
				w.row(r.Site, "-", "unreachable")
				continue
			}
			w.row(r.Site, ms(r.Cost), strings.Join(r.Path, " "))
		}
	}
	if len(s.Streams) > 0 {
		w.heading("STREAM OF", "POSITION", "LAG", "BEHIND", "SLOW")
		for _, t := range s.Streams {
			w.row(t.Origin, fmt.Sprint(t.Position), fmt.Sprintf("%d records", t.Lag), ms(t.LagMS), ms(t.SlowMS))
		}
	}
	if len(s.Joins) > 0 {
		w.heading("JOIN WAITS", "CLIENTS", "FOR", "UNDER WAY TO IT", "MISSING OF IT", "SINCE")
		for _, j := range s.Joins {
			for _, x := range j.Sites {
				w.row(j.Group, fmt.Sprint(j.Clients), x.Site, size(uint64(x.Bytes)), fmt.Sprintf("%d records", x.Records), ms(j.WaitedMS))
			}
		}
	}
	if len(s.Logs) > 0 {
		w.heading("LOG OF", "RECORDS", "KEPT", "FROM", "RESUMED", "TO")
		for _, l := range s.Logs {
			from := l.From
			if l.Own {
				from = "this site"
			}
			to := make([]string, len(l.Subscribers))
			for i, sub := range l.Subscribers {
				to[i] = fmt.Sprintf("%s (%d behind)", sub.Gateway, sub.Lag)
			}
			w.row(l.Origin, fmt.Sprintf("%d to %d", l.First, l.Next), size(uint64(l.Bytes)), from, fmt.Sprint(l.Resumes), strings.Join(to, ", "))
		}
	}
	if len(s.Sessions) > 0 {
		w.heading("CLIENT", "FROM", "GROUPS", "QUEUED", "IN", "OUT", "SINCE")
		for _, c := range s.Sessions {
			w.row(c.Name, c.Address, fmt.Sprint(c.Groups), size(uint64(c.QueuedBytes)), fmt.Sprint(c.Received), fmt.Sprint(c.Delivered), seconds(c.Connected))
		}
		if more := s.Clients - len(s.Sessions); more > 0 {
			w.row(fmt.Sprintf("and %d more", more))
		}
	}
	return w.Flush()
}

// A table lines up the cells of its rows.
type table struct{ *tabwriter.Writer }

func (t *table) row(cells ...string) {
	for i, c := range cells {
		cells[i] = readable([]byte(c)) // names come from clients and peers
	}
	fmt.Fprintln(t.Writer, strings.Join(cells, "\t"))
}

// heading begins a block, whose columns line up by themselves.
func (t *table) heading(cells ...string) {
	t.Flush()
	fmt.Fprintln(t.Writer)
	t.row(cells...)
}

func viewState(v *admin.View) string {
	state := "not complete"
	switch {
	case v.Frozen:
		state = "changing"
	case v.Complete:
		state = "complete"
	}
	switch v.Primary {
	case admin.PrimaryYes:
		return state + ", primary"
	case admin.PrimaryNo:
		return state + ", not primary"
	}
	return state
}

func ms(v float64) string { return fmt.Sprintf("%.1f ms", v) }

func seconds(v float64) string {
	return time.Duration(v * float64(time.Second)).Truncate(time.Second).String()
}

// size writes a number of bytes in the unit that suits it.
func size(n uint64) string {
	v, unit := float64(n), 0
	for ; v >= 1024 && unit < 4; unit++ {
		v /= 1024
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, [...]string{"B", "KiB", "MiB", "GiB", "TiB"}[unit])
}

// waiting writes what is queued for a link.
func waiting(l *admin.Link) string {
	if l.Waiting == 0 {
		return "-"
	}
	return fmt.Sprintf("%d (%s)", l.Waiting, size(uint64(l.WaitingBytes)))
}

// certificateState says until when the node's certificate counts, and what to do.
func certificateState(c *admin.Certificate) string {
	if !c.Verified {
		return "none: peers are not verified"
	}
	state := "expires " + c.Expires.Format(time.RFC3339) + ", in " + left(time.Until(c.Expires).Seconds())
	if c.Renew {
		state += ": renew it"
	}
	if c.Revoked > 0 {
		state += fmt.Sprintf("; %d revoked", c.Revoked)
	}
	if c.Problem != "" {
		state += "; changed files were not taken: " + c.Problem
	}
	return state
}
