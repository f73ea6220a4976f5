package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"ringway/client"
	"ringway/internal/spread"
	"ringway/membership"
)

// SessionsConfig says how many sessions connect to one node, and what is measured beside
// them.
type SessionsConfig struct {
	Connect  string
	Admin    string // the node's admin address, for its memory; "": not measured
	Sessions int
	Rate     float64 // connects a second; 0: as fast as it goes
	// Stuck readers join the group whose latency is measured and read nothing. Pairs of
	// runs, without and with them, of Duration each follow the connecting. None: no runs.
	Stuck    int
	Pairs    int
	Duration time.Duration
	Messages float64 // a second, in those runs
}

// maxStuck and maxPairs bound a measurement.
const (
	maxStuck = 1000
	maxPairs = 100
)

// Check says what is wrong with a SessionsConfig.
func (c *SessionsConfig) Check() error {
	var err error
	want := func(name string, v, low, high int) {
		if v < low || v > high {
			err = errors.Join(err, fmt.Errorf("%s %d: want %d to %d", name, v, low, high))
		}
	}
	want("sessions", c.Sessions, 1, MaxSessions)
	want("stuck", c.Stuck, 0, maxStuck)
	want("pairs", c.Pairs, 0, maxPairs)
	if c.Rate < 0 || c.Messages <= 0 || c.Duration <= 0 {
		err = errors.Join(err, errors.New("rates must not be negative, messages and duration must be positive"))
	}
	return err
}

// A SessionsResult has what was measured. Its JSON is the schema of `ringway bench
// sessions --json`.
type SessionsResult struct {
	Type      string  `json:"type"` // "sessions"
	Sessions  int     `json:"sessions"`
	Seconds   float64 `json:"seconds"` // until all were in
	PerS      float64 `json:"connects_per_s"`
	Connect   Latency `json:"connect_us"` // from when a connect was due to its verdict
	BytesEach int64   `json:"bytes_per_idle_session,omitempty"`
	// Pairs are runs of latency without and with stuck readers, one after the other.
	Pairs []Pair `json:"pairs,omitempty"`
}

// A Pair is two runs that differ in the stuck readers alone.
type Pair struct {
	Without Latency `json:"without_us"`
	With    Latency `json:"with_us"`
}

// WriteText writes r for people, beside the goals.
func (r *SessionsResult) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sessions in %.2f s: %.0f/s (goal 1000: %.2f of it); each took p50 %.1f ms, p99 %.1f ms\n",
		r.Sessions, r.Seconds, r.PerS, r.PerS/1000, milli(r.Connect.P50), milli(r.Connect.P99))
	if r.BytesEach > 0 {
		fmt.Fprintf(&b, "memory of the node for each idle session: %.1f kB (goal below 40: %.2f of it)\n", float64(r.BytesEach)/1000, float64(r.BytesEach)/40_000)
	}
	for _, p := range r.Pairs {
		fmt.Fprintf(&b, "without stuck readers p50 %.2f ms, p99 %.2f ms; with them p50 %.2f ms, p99 %.2f ms: %.2f and %.2f of it\n",
			milli(p.Without.P50), milli(p.Without.P99), milli(p.With.P50), milli(p.With.P99),
			float64(p.With.P50)/float64(p.Without.P50), float64(p.With.P99)/float64(p.Without.P99))
	}
	if n := len(r.Pairs); n > 0 {
		fmt.Fprintf(&b, "medians of %d pairs: p50 %.2f, p99 %.2f of that without stuck readers\n", n,
			r.median(func(l Latency) float64 { return float64(l.P50) }), r.median(func(l Latency) float64 { return float64(l.P99) }))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// median returns that of the ratios of a figure, with stuck readers to without.
func (r *SessionsResult) median(of func(Latency) float64) float64 {
	ratios := make([]float64, 0, len(r.Pairs))
	for _, p := range r.Pairs {
		ratios = append(ratios, of(p.With)/of(p.Without))
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func milli(microseconds int64) float64 { return float64(microseconds) / 1000 }

// RunSessions measures.
func RunSessions(ctx context.Context, cfg SessionsConfig) (*SessionsResult, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	crowd := crowd{cfg: &cfg, connect: hdrhistogram.New(lowest, highest, digits)}
	defer crowd.close()
	before, err := cfg.memory(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := crowd.gather(ctx); err != nil {
		return nil, err
	}
	r := &SessionsResult{Type: "sessions", Sessions: cfg.Sessions, Seconds: time.Since(began).Seconds(), Connect: latencyOf(crowd.connect)}
	r.PerS = float64(cfg.Sessions) / r.Seconds
	after, err := cfg.memory(ctx)
	if err != nil {
		return nil, err
	}
	r.BytesEach = max(0, after-before) / int64(cfg.Sessions)
	for range cfg.Pairs {
		pair, err := cfg.pair(ctx)
		if err != nil {
			return nil, err
		}
		r.Pairs = append(r.Pairs, pair)
	}
	return r, nil
}

// memory returns what the node's process has resident.
func (c *SessionsConfig) memory(ctx context.Context) (int64, error) {
	if c.Admin == "" {
		return 0, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "process_resident_memory_bytes "); ok {
			bytes, err := strconv.ParseFloat(value, 64)
			return int64(bytes), err
		}
	}
	return 0, errors.Join(lines.Err(), fmt.Errorf("%s does not tell the node's memory: is it a node's admin address?", c.Admin))
}

// A crowd is many sessions that do nothing. They are bare connections: this process needs
// memory too.
type crowd struct {
	cfg     *SessionsConfig
	mu      sync.Mutex // guards what follows
	conns   []net.Conn
	connect *hdrhistogram.Histogram
}

// dialing is how many connects may be under way.
const dialing = 256

// gather connects all sessions at the rate.
func (c *crowd) gather(ctx context.Context) error {
	dials, dialCtx := errgroup.WithContext(ctx)
	dials.SetLimit(dialing)
	began := time.Now()
	for i := range c.cfg.Sessions {
		due := time.Now()
		if c.cfg.Rate > 0 {
			due = began.Add(time.Duration(float64(i) / c.cfg.Rate * float64(time.Second)))
			if err := sleepUntil(dialCtx, due); err != nil {
				break // a dial failed, and Wait says how
			}
		}
		dials.Go(func() error {
			conn, err := bareSession(dialCtx, c.cfg.Connect)
			if err != nil {
				return fmt.Errorf("session %d: %w", i+1, err)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.conns = append(c.conns, conn)
			return c.connect.RecordValue(max(lowest, time.Since(due).Microseconds()))
		})
	}
	return errors.Join(dials.Wait(), ctx.Err())
}

func sleepUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *crowd) close() {
	for _, conn := range c.conns {
		conn.Close() //nolint:errcheck // the sessions end either way
	}
}

// bareSession connects and is accepted, with an invented name and without membership.
func bareSession(ctx context.Context, address string) (net.Conn, error) {
	network, addr, err := client.ParseAddress(address)
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(setupTime)); err == nil {
		err = greet(conn)
		if err == nil {
			return conn, conn.SetDeadline(time.Time{})
		}
		conn.Close() //nolint:errcheck // greet's error tells more
		return nil, err
	}
	return conn, err
}

// greet goes through the handshake, hello and choice at once.
func greet(conn net.Conn) error {
	hello := spread.Hello{Version: spread.Version}
	if _, err := conn.Write(spread.AppendChoice(hello.Append(nil), spread.MethodNull)); err != nil {
		return err
	}
	var buffer [512]byte
	in := buffer[:0]
	for {
		n, err := conn.Read(buffer[len(in):])
		in = buffer[:len(in)+n]
		_, list, parsed := spread.ParseMethods(in)
		if parsed == nil {
			_, _, parsed = spread.ParseVerdict(bytes.Clone(in[list:]), &hello)
		}
		if !errors.Is(parsed, spread.ErrMore) {
			return parsed
		}
		if err != nil {
			return err
		}
	}
}

// pair measures latency without and with stuck readers.
func (c *SessionsConfig) pair(ctx context.Context) (p Pair, err error) {
	if p.Without, err = c.latency(ctx, 0); err != nil {
		return p, err
	}
	p.With, err = c.latency(ctx, c.Stuck)
	return p, err
}

// latency runs one sender and one receiver, and readers that join their group and then do
// not read.
func (c *SessionsConfig) latency(ctx context.Context, stuck int) (Latency, error) {
	cfg := Config{
		Connect: []string{c.Connect}, Size: 1000, Senders: 1, Groups: 1, Service: membership.Agreed,
		Duration: c.Duration, WarmUp: c.Duration / 5, Rate: c.Messages, Window: DefaultWindow,
		Prefix: fmt.Sprintf("stuck-%d-%d", os.Getpid(), time.Now().UnixMilli()%1e6),
	}
	for range stuck {
		conn, err := client.Dial(ctx, c.Connect, client.Options{})
		if err != nil {
			return Latency{}, err
		}
		defer conn.Close()
		if err := conn.Join(ctx, cfg.groupName(0)); err != nil {
			return Latency{}, err
		}
	}
	r, err := Run(ctx, cfg)
	if err != nil {
		return Latency{}, err
	}
	return r.Latency, r.Err()
}
