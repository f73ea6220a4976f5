package admin

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// freshFor is how long an answer of the source serves: many pollers cost the node's
// event loop no more than one.
const freshFor = 50 * time.Millisecond

// patience is how long a request waits for the source. A node whose event loop does
// not answer for so long is not healthy.
const patience = 2 * time.Second

//go:embed dashboard.html dashboard.css dashboard.js
var assets embed.FS

// NewHandler returns the handler of a node's admin port: /status, /metrics, /healthz,
// /readyz and the dashboard at /.
func NewHandler(source Source, metrics prometheus.Gatherer) http.Handler {
	h := &handler{statuses: newCache(source.Status, freshFor)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", h.status)
	mux.HandleFunc("GET /healthz", h.healthy)
	mux.HandleFunc("GET /readyz", h.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, // a scrape asks every collector
		Timeout:             patience,
	}))
	mux.Handle("GET /{$}", page("dashboard.html", "text/html; charset=utf-8"))
	mux.Handle("GET /dashboard.css", page("dashboard.css", "text/css; charset=utf-8"))
	mux.Handle("GET /dashboard.js", page("dashboard.js", "text/javascript; charset=utf-8"))
	return guard(mux)
}

type handler struct{ statuses *cache }

// guard sets what every answer has and drops bodies, for which nothing here asks.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:")
		header.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, 0)
		next.ServeHTTP(w, r)
	})
}

func page(name, contentType string) http.Handler {
	data, err := assets.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(data)
	})
}

func (h *handler) status(w http.ResponseWriter, r *http.Request) {
	status, ok := h.get(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status) // who asked may be gone
}

func (h *handler) healthy(w http.ResponseWriter, r *http.Request) {
	if _, ok := h.get(w, r); ok {
		plain(w, http.StatusOK, "ok")
	}
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	status, ok := h.get(w, r)
	if !ok {
		return
	}
	if ready, why := status.Ready(); !ready {
		plain(w, http.StatusServiceUnavailable, why)
		return
	}
	plain(w, http.StatusOK, "ready")
}

// get returns a fresh status, or answers that there is none.
func (h *handler) get(w http.ResponseWriter, r *http.Request) (*Status, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	status, ok := h.statuses.get(ctx)
	if !ok {
		plain(w, http.StatusServiceUnavailable, "the node's event loop does not answer")
	}
	return status, ok
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n"))
}

// A cache asks a source at most once at a time and shares the answer. It is safe for
// concurrent use.
type cache struct {
	source func() Status
	fresh  time.Duration

	mu     sync.Mutex
	last   *Status
	at     time.Time
	asking chan struct{} // closed when the answer is there; nil: nobody asks
}

func newCache(source func() Status, fresh time.Duration) *cache {
	return &cache{source: source, fresh: fresh}
}

// get returns a status that is not older than c.fresh, unless the context ends first.
func (c *cache) get(ctx context.Context) (*Status, bool) {
	c.mu.Lock()
	if c.last != nil && time.Since(c.at) < c.fresh {
		defer c.mu.Unlock()
		return c.last, true
	}
	if c.asking == nil {
		c.asking = make(chan struct{})
		go c.ask(c.asking)
	}
	asking := c.asking
	c.mu.Unlock()

	select {
	case <-asking:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.last, c.last != nil
	case <-ctx.Done():
		return nil, false
	}
}

// ask lives until the source answers: a stuck source costs one goroutine, not one for
// each request.
func (c *cache) ask(done chan struct{}) {
	status := c.source()
	complete(&status)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.at, c.asking = &status, time.Now(), nil
	close(done)
}

// complete says which program this is, turns nil lists into empty ones, which are easier on whoever reads the
// JSON, and holds the bound on sessions.
func complete(s *Status) {
	if s.Version == "" {
		s.Version = ProgramVersion()
	}
	if len(s.Sessions) > MaxSessionsListed {
		s.Sessions = s.Sessions[:MaxSessionsListed]
	}
	notNil(&s.Ring.Members)
	notNil(&s.View.Members)
	notNil(&s.Links)
	notNil(&s.Routes)
	notNil(&s.Streams)
	notNil(&s.Logs)
	for i := range s.Logs {
		notNil(&s.Logs[i].Subscribers)
	}
	notNil(&s.Sessions)
	notNil(&s.Joins)
	for i := range s.Joins {
		notNil(&s.Joins[i].Sites)
	}
	for i := range s.Routes {
		notNil(&s.Routes[i].Path)
	}
	if s.Counters == nil {
		s.Counters = map[string]uint64{}
	}
}

func notNil[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}
