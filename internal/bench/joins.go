package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"ringway/client"
)

// JoinConfig says how many clients join how many groups.
type JoinConfig struct {
	Connect  []string // addresses; sessions connect to them in turn
	Sessions int
	Groups   int // in all
	Each     int // groups that each session joins
	Probes   int // joins one after the other, for the latency of one
	// Witness, if it is set, is an address where one session more joins all groups.
	// When its node is lost, every group has a new view.
	Witness string
	Options client.Options // how to connect: TLS, Token
}

// MaxSessions bounds the sessions of a measurement: each takes a socket here and there.
const MaxSessions = 20_000

// Check says what is wrong with a JoinConfig.
func (c *JoinConfig) Check() error {
	var err error
	want := func(name string, v, low, high int) {
		if v < low || v > high {
			err = errors.Join(err, fmt.Errorf("%s %d: want %d to %d", name, v, low, high))
		}
	}
	want("sessions", c.Sessions, 1, MaxSessions)
	want("groups", c.Groups, 1, 10*MaxGroups)
	want("each", c.Each, 1, min(c.Groups, MaxGroups))
	want("probes", c.Probes, 0, 1_000_000)
	if len(c.Connect) == 0 {
		err = errors.Join(err, errors.New("no address to connect to"))
	}
	return err
}

// A JoinResult has what was measured. Its JSON is the schema of `ringway bench joins
// --json`.
type JoinResult struct {
	Type     string  `json:"type"` // "joins"
	Sessions int     `json:"sessions"`
	Groups   int     `json:"groups"`
	Joins    int     `json:"joins"`
	Seconds  float64 `json:"seconds"` // until every session had its own view of each of its groups
	PerS     float64 `json:"joins_per_s"`
	Own      Latency `json:"own_view_us"` // from one join to the view with it, nobody else joining
	// Changed has, with a witness, when the first and the last of all groups' new views
	// came after the loss of its node, in seconds since 1970.
	Changed []float64 `json:"changed,omitempty"`
}

// WriteText writes r for people, beside the goals.
func (r *JoinResult) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%d sessions joined %d of %d groups in %.2f s: %.0f joins/s (goal 20000: %.2f of it)\n",
		r.Sessions, r.Joins, r.Groups, r.Seconds, r.PerS, r.PerS/20_000)
	if err == nil && r.Own.P50 > 0 {
		_, err = fmt.Fprintf(w, "own view after a join, one at a time: p50 %d µs, p99 %d µs (goal 1000 µs: %.2f of it)\n", r.Own.P50, r.Own.P99, float64(r.Own.P50)/1000)
	}
	if err == nil && len(r.Changed) == 2 {
		_, err = fmt.Fprintf(w, "after the loss: first new view at %.3f, last at %.3f, %.3f s later\n", r.Changed[0], r.Changed[1], r.Changed[1]-r.Changed[0])
	}
	return err
}

// A joiner is a session that joins groups and waits for its own views.
type joiner struct {
	conn   *client.Conn
	groups []string
	lost   map[string]bool // groups that have changed by network, after the joins
}

// RunJoins measures. Ready is called when all sessions are in all their groups; with a
// witness, the run then waits until its node is lost and every group has a new view.
func RunJoins(ctx context.Context, cfg JoinConfig, ready func()) (*JoinResult, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	prefix := fmt.Sprintf("j%d-%d-", os.Getpid(), time.Now().UnixMilli()%1e6)
	all, err := dialJoiners(ctx, &cfg, prefix)
	defer func() {
		for _, j := range all {
			j.conn.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	r := &JoinResult{Type: "joins", Sessions: cfg.Sessions, Groups: cfg.Groups, Joins: cfg.Sessions * cfg.Each}
	if cfg.Probes > 0 {
		if r.Own, err = probeJoins(ctx, all[0].conn, prefix, cfg.Probes); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	if err := joinAll(ctx, all); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(began).Seconds()
	r.PerS = float64(r.Joins) / r.Seconds
	if cfg.Witness == "" {
		return r, nil
	}
	r.Changed, err = awaitLoss(ctx, &cfg, all, prefix, ready)
	return r, err
}

func dialJoiners(ctx context.Context, cfg *JoinConfig, prefix string) ([]*joiner, error) {
	all := make([]*joiner, cfg.Sessions)
	dials, dialing := errgroup.WithContext(ctx)
	dials.SetLimit(32)
	for i := range all {
		j := &joiner{lost: map[string]bool{}}
		for k := range cfg.Each {
			j.groups = append(j.groups, fmt.Sprintf("%s%d", prefix, (i*cfg.Each+k)%cfg.Groups))
		}
		all[i] = j
		dials.Go(func() (err error) {
			j.conn, err = client.Dial(dialing, cfg.Connect[i%len(cfg.Connect)], asMember(cfg.Options))
			return err
		})
	}
	if err := dials.Wait(); err != nil {
		var up []*joiner
		for _, j := range all {
			if j.conn != nil {
				up = append(up, j)
			}
		}
		return up, err
	}
	return all, nil
}

// probeJoins joins and leaves groups of its own, one after the other.
func probeJoins(ctx context.Context, conn *client.Conn, prefix string, n int) (Latency, error) {
	h := hdrhistogram.New(lowest, highest, digits)
	for i := range n {
		began := time.Now()
		if err := conn.Join(ctx, fmt.Sprintf("%sp%d", prefix, i)); err != nil {
			return Latency{}, err
		}
		if err := next[*client.View](ctx, conn); err != nil {
			return Latency{}, err
		}
		if err := h.RecordValue(time.Since(began).Microseconds()); err != nil {
			return Latency{}, err
		}
		if err := conn.Leave(ctx, fmt.Sprintf("%sp%d", prefix, i)); err != nil {
			return Latency{}, err
		}
		if err := next[*client.Left](ctx, conn); err != nil {
			return Latency{}, err
		}
	}
	return latencyOf(h), nil
}

// next waits for an event of a kind.
func next[E client.Event](ctx context.Context, conn *client.Conn) error {
	for {
		e, err := conn.Receive(ctx)
		if err != nil {
			return err
		}
		if _, ok := e.(E); ok {
			return nil
		}
	}
}

// joinAll lets all sessions join, each without waiting for its answers.
func joinAll(ctx context.Context, all []*joiner) error {
	work, working := errgroup.WithContext(ctx)
	for _, j := range all {
		work.Go(func() error {
			for _, g := range j.groups {
				if err := j.conn.Join(working, g); err != nil {
					return err
				}
			}
			return nil
		})
		work.Go(func() error {
			in := map[string]bool{}
			for len(in) < len(j.groups) {
				e, err := j.conn.Receive(working)
				if err != nil {
					return err
				}
				if v, ok := e.(*client.View); ok {
					in[v.Group] = true
				}
			}
			return nil
		})
	}
	return work.Wait()
}

// awaitLoss has a witness join all groups, and waits until each has a view without it.
func awaitLoss(ctx context.Context, cfg *JoinConfig, all []*joiner, prefix string, ready func()) ([]float64, error) {
	witness := &joiner{lost: map[string]bool{}}
	for i := range cfg.Groups {
		witness.groups = append(witness.groups, fmt.Sprintf("%s%d", prefix, i))
	}
	var err error
	if witness.conn, err = client.Dial(ctx, cfg.Witness, asMember(cfg.Options)); err != nil {
		return nil, err
	}
	defer witness.conn.Close()
	watch, watching := errgroup.WithContext(ctx)
	var mu sync.Mutex
	var first, last time.Time
	for _, j := range all {
		watch.Go(func() error {
			for len(j.lost) < len(j.groups) {
				e, err := j.conn.Receive(watching)
				if err != nil {
					return err
				}
				v, ok := e.(*client.View)
				if !ok || v.Cause != client.ByNetwork {
					continue
				}
				j.lost[v.Group] = true
				now := time.Now()
				mu.Lock()
				if first.IsZero() {
					first = now
				}
				last = now
				mu.Unlock()
			}
			return nil
		})
	}
	if err := joinAll(ctx, []*joiner{witness}); err != nil {
		return nil, fmt.Errorf("the witness: %w", err)
	}
	ready()
	if err := watch.Wait(); err != nil {
		return nil, err
	}
	return []float64{float64(first.UnixMicro()) / 1e6, float64(last.UnixMicro()) / 1e6}, nil
}
