package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// The objects that `ringway demo --json` prints, one a line. Durations are
// milliseconds.
type (
	startJSON struct {
		Type      string     `json:"type"` // "start"
		Sites     []string   `json:"sites"`
		Nodes     []string   `json:"nodes"`
		Links     []linkJSON `json:"links"`
		Transport string     `json:"transport"` // multicast or unicast
		Folder    string     `json:"folder"`
	}
	linkJSON struct {
		Between [2]string `json:"between"`
		Delay   float64   `json:"one_way_ms"`
	}
	readyJSON struct {
		Type    string   `json:"type"` // "ready"
		After   float64  `json:"after_ms"`
		Members []string `json:"members"`
	}
	againJSON struct {
		Type string `json:"type"` // "again": what was shown so far does not count
		Why  string `json:"why"`
	}
	progressJSON struct {
		Type      string `json:"type"` // "progress"
		Published int    `json:"published"`
		Delivered int    `json:"delivered"` // to the slowest member
		Total     int    `json:"total"`
	}
	cutJSON struct {
		Type     string     `json:"type"` // "cut"
		Duration float64    `json:"cut_ms"`
		Sides    []sideJSON `json:"sides"`
		Merged   float64    `json:"merged_after_ms"` // from healing until all members have one view
	}
	sideJSON struct {
		Sites    []string `json:"sites"`
		View     float64  `json:"view_after_ms"` // from the cut until all members there have their view
		Messages int      `json:"messages"`      // sent there while it had a view of its own
	}
	strikeJSON struct {
		Type  string  `json:"type"` // "kill"
		Node  string  `json:"node"`
		Left  float64 `json:"left_after_ms"` // until its member is out of all views
		Stall float64 `json:"stall_ms"`      // longest time without a message of its site elsewhere
		Back  float64 `json:"back_after_ms"` // from its new start until its member is in all views
	}
	runningJSON struct {
		Type     string   `json:"type"` // "running": with --keep, until interrupted
		Topology string   `json:"topology"`
		Connect  []string `json:"connect"` // clients
		Admin    []string `json:"admin"`
	}
	latencyJSON struct {
		Type     string  `json:"type"` // "latency"
		From     string  `json:"from"`
		To       string  `json:"to"`
		Link     float64 `json:"link_ms"`     // emulated one-way delay of the direct link
		Path     float64 `json:"path_ms"`     // along the best chain of links
		Farthest float64 `json:"farthest_ms"` // to the destination farthest from the publisher
		P50      float64 `json:"p50_ms"`
		P99      float64 `json:"p99_ms"`
		Ratio    float64 `json:"p50_per_farthest"`
		Messages int     `json:"messages"`
	}
	localJSON struct {
		Type     string  `json:"type"` // "local_latency"
		Site     string  `json:"site"`
		P50      float64 `json:"p50_ms"` // while a site was cut off
		P99      float64 `json:"p99_ms"`
		Max      float64 `json:"max_ms"`
		Messages int     `json:"messages"`
	}
	checkJSON struct {
		Type   string `json:"type"` // "check"
		Name   string `json:"name"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail"`
	}
	resultJSON struct {
		Type     string  `json:"type"` // "result"
		OK       bool    `json:"ok"`
		Messages int     `json:"messages"`
		Members  int     `json:"members"`
		Seconds  float64 `json:"seconds"`
	}
)

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// A reporter tells what happens, as text or as JSON. On a terminal, what the picture
// says stands below the text and is drawn anew all the time. It is safe for concurrent
// use.
type reporter struct {
	mu       sync.Mutex
	out      io.Writer
	json     *json.Encoder // nil: text
	terminal bool          // text may be written over
	picture  func() []string
	drawn    int // lines of the picture that stand there
}

func newReporter(out io.Writer, asJSON, terminal bool) *reporter {
	r := &reporter{out: out, terminal: terminal && !asJSON}
	if asJSON {
		r.json = json.NewEncoder(out)
		r.json.SetEscapeHTML(false)
	}
	return r
}

// object prints an object, if the output is JSON. A fault of the output is noticed by
// whoever reads it.
func (r *reporter) object(v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json != nil {
		_ = r.json.Encode(v)
	}
}

// say prints text, if the output is text.
func (r *reporter) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json != nil {
		return
	}
	r.erase()
	fmt.Fprintf(r.out, format+"\n", args...)
	r.draw()
}

// progress shows how far the feed is, to programs; people have the picture.
func (r *reporter) progress(p progressJSON) {
	p.Type = "progress"
	r.object(p)
}

func (r *reporter) start(p *plan, folder string) {
	object := startJSON{Type: "start", Transport: "multicast", Folder: folder}
	if p.unicast {
		object.Transport = "unicast"
	}
	r.say("Ringway: one order of messages for members in %d sites.\n", len(p.sites))
	r.say("A site is a datacenter: here %d processes on this machine. Between sites, an emulator\nmakes every packet wait as long as it would travel:\n", nodesPerSite)
	for i, s := range p.sites {
		object.Sites = append(object.Sites, s.name)
		for _, n := range s.nodes {
			object.Nodes = append(object.Nodes, n.name)
		}
		for j := range i {
			object.Links = append(object.Links, linkJSON{[2]string{p.sites[j].name, s.name}, ms(linkDelay(i, j))})
			r.say("   %s – %s   %3.0f ms one way", p.sites[j].name, s.name, ms(linkDelay(i, j)))
		}
	}
	r.say("\nStarting %d nodes (ring by %s, links with mutual TLS); logs in %s", len(object.Nodes), object.Transport, folder)
	r.object(object)
}

// again says that all begins anew, and why.
func (r *reporter) again(why error, next patience) {
	r.object(againJSON{"again", why.Error()})
	r.say("\n%s%s.\nBeginning again, with more patience: a node may be silent for %v.\n", "This does not count: ", why, next.tokenLoss)
}

func (r *reporter) ready(after time.Duration, members []*member) {
	object := readyJSON{Type: "ready", After: ms(after)}
	for _, m := range members {
		object.Members = append(object.Members, m.name)
	}
	r.say("Every site is connected and every member knows all %d, after %.1f s.", len(members), after.Seconds())
	r.object(object)
}

func (r *reporter) latencies(p *plan, pairs []latency) {
	best := paths(len(p.sites))
	r.say("\nHow long a message of the feed took from its publisher to the members of a site. All\nmembers get it at about the same place in time: when it can have reached the farthest.\n")
	r.say("   from  to    direct link  best path  to farthest      p50      p99  p50/farthest")
	for _, l := range pairs {
		far := farthest(best, l.from)
		p50, p99 := quantile(l.samples, 0.5), quantile(l.samples, 0.99)
		object := latencyJSON{
			Type: "latency", From: p.sites[l.from].name, To: p.sites[l.to].name,
			Path: ms(best[l.from][l.to]), Farthest: ms(far), P50: ms(p50), P99: ms(p99),
			Ratio: float64(p50) / float64(far), Messages: len(l.samples),
		}
		if l.from != l.to {
			object.Link = ms(linkDelay(l.from, l.to))
		}
		r.object(object)
		r.say("   %-4s  %-4s  %8.0f ms  %6.0f ms  %8.0f ms  %7.1f  %7.1f  %12.2f",
			object.From, object.To, object.Link, object.Path, object.Farthest, object.P50, object.P99, object.Ratio)
	}
}

func (r *reporter) local(site string, sorted []time.Duration) {
	r.object(localJSON{
		Type: "local_latency", Site: site, P50: ms(quantile(sorted, 0.5)), P99: ms(quantile(sorted, 0.99)),
		Max: ms(quantile(sorted, 1)), Messages: len(sorted),
	})
}

func (r *reporter) cut(p *plan, i *isolation) {
	object := cutJSON{Type: "cut", Duration: ms(i.lasted), Merged: ms(i.merged)}
	for n, side := range [2]sites{allSites(len(p.sites)) &^ i.cut, i.cut} {
		s := sideJSON{View: ms(i.noticed[n]), Messages: i.sent[n]}
		for at := range p.sites {
			if side.has(at) {
				s.Sites = append(s.Sites, p.sites[at].name)
			}
		}
		object.Sides = append(object.Sides, s)
	}
	r.object(object)
}

func (r *reporter) strike(s *strike) {
	r.object(strikeJSON{"kill", s.node, ms(s.left), ms(s.stall), ms(s.back)})
}

func (r *reporter) running(p *plan) {
	object := runningJSON{Type: "running", Topology: p.topology}
	r.say("\nIt goes on running until you press Ctrl-C. Things to try in another terminal:\n")
	for _, s := range p.sites {
		for _, n := range s.nodes {
			object.Connect = append(object.Connect, n.address.String())
			object.Admin = append(object.Admin, n.admin.String())
		}
	}
	first, last := p.sites[0].nodes[0], p.sites[len(p.sites)-1].nodes[0]
	r.say("   ringway sub --connect %v --membership news        # in %s", first.address, first.site)
	r.say("   echo hello | ringway pub --connect %v news        # from %s", last.address, last.site)
	r.say("   ringway status --admin %v", first.admin)
	r.say("   open http://%v/", first.admin)
	r.object(object)
}

func (r *reporter) check(c check) {
	r.object(checkJSON{"check", c.Name, c.OK, c.Detail})
	mark := "ok  "
	if !c.OK {
		mark = "FAIL"
	}
	r.say("   %s  %s: %s", mark, c.Name, c.Detail)
}

func (r *reporter) result(ok bool, messages, members int, took time.Duration) {
	r.object(resultJSON{"result", ok, messages, members, took.Seconds()})
	if ok {
		r.say("\nAll of it held: %d messages, %d members, one order. %.0f s.", messages, members, took.Seconds())
		return
	}
	r.say("\nNot all of it held.")
}
