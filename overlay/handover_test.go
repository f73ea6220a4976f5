package overlay

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"ringway/internal/pki"
)

// TestHandoverGap: every gateway of a chain gets a new key and certificate, one after the
// other or all at once, while records flow and promises and control messages go. Each link
// is made anew: it is never down nor in doubt. A stream begins anew on the new connection
// where the old one had brought it, so it stands still for one round trip of that link, and
// for one of each if both are made anew at the same time. Nothing is lost, comes twice or out of turn.
func TestHandoverGap(t *testing.T) {
	const delay = 20 * time.Millisecond
	for name, apart := range map[string]time.Duration{"one after the other": time.Second, "all at once": 0} {
		if underRace && apart > 0 {
			continue // the detector makes it ten times as slow
		}
		t.Run(name, func(t *testing.T) {
			inMesh(t, "abc", 1, map[string]time.Duration{"a-b": delay, "b-c": delay}, func(m *mesh) {
				keys := m.certify()
				certified := m.plug
				var mu sync.Mutex
				random := rand.New(rand.NewPCG(1, 1)) // spreads when links are made anew
				m.plug = func(name string, cfg *Config) {
					certified(name, cfg)
					cfg.Rand = func() float64 {
						mu.Lock()
						defer mu.Unlock()
						return random.Float64()
					}
				}
				m.all().converged()
				m.pull("a")
				log, got := logOf("a"), m.rec["c-1"]
				var n uint64
				var gap time.Duration
				promises := map[string]bool{}
				came, last := 0, time.Now()
				run := func(d time.Duration) {
					for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
						if n%2 == 0 {
							m.gate["a-1"].Broadcast(time.Now().AppendFormat(nil, time.RFC3339Nano))
						}
						m.gate["a-1"].Append(log, entries(n, 1, 200, "b", "c"))
						n++
						if n%50 == 0 {
							m.gate["a-1"].Control(sourceOf(m.gate["c-1"]), []byte("control"))
						}
						if count := got.count(log); count > came {
							gap = max(gap, time.Since(last))
							came, last = count, time.Now()
						}
					}
				}
				run(200 * time.Millisecond)
				gap = 0
				run(200 * time.Millisecond)
				calm := gap
				for _, name := range []string{"a-1", "b-1", "c-1"} {
					keys.renew(name)
					run(apart)
				}
				run(refreshSpread + 500*time.Millisecond)
				m.until("the last records", time.Second, func() bool { return got.count(log) == int(n) })
				if numbers := got.got(log); !slices.Equal(numbers, upTo(n, 1)) {
					t.Errorf("%d of %d records, or out of turn", len(numbers), n)
				}
				got.mu.Lock()
				for _, p := range got.promises {
					if promises[p] {
						t.Errorf("promise %s came twice", p)
					}
					promises[p] = true
				}
				controls := len(got.controls)
				got.mu.Unlock()
				t.Logf("%d records, %d promises, %d control messages; the stream stood still for %v, before for %v", n, len(promises), controls, gap, calm)
				// A record comes every 2 ms and is looked for as often, and a seal waits for 2 ms.
				if limit := 2*2*delay + 6*time.Millisecond; gap > limit {
					t.Errorf("the stream stood still for %v, more than %v", gap, limit)
				}
				if controls < int(n)/50-1 {
					t.Errorf("%d control messages of %d came", controls, n/50)
				}
				if len(promises) < int(n)/2-15 { // some are under way
					t.Errorf("%d promises of %d came", len(promises), n/2)
				}
				for name, g := range m.gate {
					counters := g.count.snapshot()
					if counters["ringway_overlay_lanes_renewed_total"] == 0 || counters["ringway_overlay_breaches_total"] != 0 || counters["ringway_overlay_silences_total"] != 0 {
						t.Errorf("%s: %v", name, counters)
					}
					for _, l := range g.Status().Links {
						if l.Downs != 0 || l.Flaps != 0 {
							t.Errorf("%s: link to %s: %d downs, %d flaps", name, l.Peer, l.Downs, l.Flaps)
						}
					}
				}
			})
		})
	}
}

// keys are certificates of an authority for a mesh.
type keys struct {
	m    *mesh
	ca   string
	dirs map[string]string
	ids  map[string]*pki.Identity
}

// certify gives each gateway a certificate of one authority.
func (m *mesh) certify() *keys {
	k := &keys{m: m, ca: m.t.TempDir(), dirs: map[string]string{}, ids: map[string]*pki.Identity{}}
	k.must(pki.Init(k.ca, m.top.Name, time.Hour))
	for name, n := range m.node {
		k.dirs[name] = m.t.TempDir()
		k.must(pki.Issue(k.ca, m.top.Name, n.Site.Name, name, time.Hour))
		k.give(name, "ca.pem", name+".pem", name+"-key.pem")
		id, err := pki.LoadIdentity(k.dirs[name], m.top.Name, n.Site.Name, name)
		k.must(err)
		k.ids[name] = id
	}
	m.plug = func(name string, cfg *Config) { cfg.Identity = k.ids[name] }
	return k
}

func (k *keys) must(err error) {
	k.m.t.Helper()
	if err != nil {
		k.m.t.Fatal(err)
	}
}

// give copies files from the authority's folder to a gateway's.
func (k *keys) give(name string, files ...string) {
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(k.ca, file))
		k.must(err)
		k.must(os.WriteFile(filepath.Join(k.dirs[name], file), data, 0o600))
	}
}

// renew gives a running gateway a new key and certificate.
func (k *keys) renew(name string) {
	_, err := pki.Renew(k.ca, k.m.top.Name, k.m.node[name].Site.Name, name, time.Hour, 2*time.Hour, true)
	k.must(err)
	k.give(name, name+".pem", name+"-key.pem")
	_, err = k.ids[name].Reload()
	k.must(err)
}
