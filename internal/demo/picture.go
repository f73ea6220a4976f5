package demo

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// pictureEvery is how often the picture is drawn.
const pictureEvery = 200 * time.Millisecond

// erase and draw put the picture below the text. They are called with the reporter
// locked.
func (r *reporter) erase() {
	if r.drawn > 0 {
		fmt.Fprintf(r.out, "\x1b[%dA\x1b[J", r.drawn)
		r.drawn = 0
	}
}

func (r *reporter) draw() {
	if !r.terminal || r.picture == nil {
		return
	}
	lines := r.picture()
	fmt.Fprintf(r.out, "%s\n", strings.Join(lines, "\n"))
	r.drawn = len(lines)
}

func (r *reporter) redraw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erase()
	r.draw()
}

// show has the picture drawn; nil ends that.
func (r *reporter) show(picture func() []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.erase()
	r.picture = picture
	r.draw()
}

// showPicture draws sites, links and counters on a terminal until the function that it
// returns is called.
func (d *demo) showPicture() (stop func()) {
	if !d.report.terminal {
		return func() {}
	}
	p := &picture{demo: d}
	d.report.show(p.lines)
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(pictureEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				d.report.redraw()
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		drawing.Wait()
		d.report.show(nil)
	})
}

// A picture is the demo at a glance. It is drawn with the reporter locked.
type picture struct {
	demo  *demo
	at    time.Duration
	count int // deliveries then
	rate  float64
}

// lines returns the picture.
func (p *picture) lines() []string {
	d := p.demo
	lines := []string{"", fmt.Sprintf("   %-6s%-22s%-26s%10s", "site", "nodes", "its members see", "received")}
	total := 0
	for s, site := range d.plan.sites {
		received, view := 0, ""
		for _, m := range d.cast.all() {
			if m.site == s {
				received += m.count(feedGroup)
				if m.alive() {
					view = p.seen(m.lastView(feedGroup).members)
				}
			}
		}
		total += received
		lines = append(lines, fmt.Sprintf("   %-6s%-22s%-26s%10d", site.name, p.nodes(site), view, received))
	}
	return append(lines, "   "+p.links(), fmt.Sprintf("   %.0f deliveries a second, %.0f s", p.speed(total), d.now().Seconds()))
}

// nodes shows a site's nodes, those that were killed struck out.
func (p *picture) nodes(site planSite) string {
	var b []string
	for _, n := range site.nodes {
		mark := ""
		for _, m := range p.demo.cast.all() {
			if m.node == n.name {
				mark = map[bool]string{true: n.name, false: "(dead)"}[m.alive()]
			}
		}
		b = append(b, mark)
	}
	return strings.Join(b, " ")
}

// seen shows a view: how many members of each site.
func (p *picture) seen(members []string) string {
	var b []string
	for _, site := range p.demo.plan.sites {
		n := 0
		for _, m := range members {
			if _, node, ok := strings.Cut(strings.TrimPrefix(m, "#"), "#"); ok && strings.HasPrefix(node, site.name+"-") {
				n++
			}
		}
		if n > 0 {
			b = append(b, fmt.Sprintf("%s×%d", site.name, n))
		}
	}
	return strings.Join(b, " ")
}

// links shows how the sites are connected.
func (p *picture) links() string {
	var b []string
	sites := p.demo.plan.sites
	for i := range sites {
		for j := range i {
			state := fmt.Sprintf("%.0f ms", ms(linkDelay(i, j)))
			if p.demo.fleet.isCut(siteSet(i, j)) {
				state = "CUT"
			}
			b = append(b, fmt.Sprintf("%s–%s %s", sites[j].name, sites[i].name, state))
		}
	}
	return strings.Join(b, "   ")
}

// speed is the rate of deliveries, smoothed over about a second.
func (p *picture) speed(total int) float64 {
	now := p.demo.now()
	if passed := now - p.at; passed > pictureEvery/2 {
		p.rate += (float64(total-p.count)/passed.Seconds() - p.rate) / 4
		p.at, p.count = now, total
	}
	return p.rate
}
