package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Bounds of a feed that comes from a file.
const (
	maxLines     = 200_000
	maxFeedBytes = 64 << 20
	maxLineBytes = 128 << 10
)

// How fast a feed is published, all sites together: so that it takes about feedTime,
// within the rates at which latency is that of a federation that is not overloaded.
const (
	feedTime = 15 * time.Second
	lowRate  = 150  // messages a second
	highRate = 2000 //
)

// requestsPerSite is the length of the feed that the demo makes itself.
const requestsPerSite = 500

// ErrFeed says that a feed cannot be used.
var ErrFeed = errors.New("feed")

// A feed gives each site its lines, in order.
type feed interface {
	// next returns the next line of a site. It is called by one goroutine per site.
	next(ctx context.Context, site int) (line []byte, ok bool, err error)
	total() int
	what() string
	close()
}

func pace(lines int) float64 {
	return min(highRate, max(lowRate, float64(lines)/feedTime.Seconds()))
}

// A fileFeed deals out lines round robin.
type fileFeed struct {
	path  string
	lines [][]byte
	taken []int // lines given to each site
}

func openFeed(path string, sites int) (*fileFeed, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFeed, err)
	}
	defer file.Close()
	f := &fileFeed{path: path, taken: make([]int, sites)}
	in := bufio.NewScanner(io.LimitReader(file, maxFeedBytes+1))
	in.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	for size := 0; in.Scan(); {
		line := in.Bytes()
		if size += len(line) + 1; len(f.lines) == maxLines || size > maxFeedBytes {
			return nil, fmt.Errorf("%w %s: more than %d lines or %d MiB: give a shorter one", ErrFeed, path, maxLines, maxFeedBytes>>20)
		}
		f.lines = append(f.lines, []byte(string(line)))
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%w %s, line %d: %w", ErrFeed, path, len(f.lines)+1, err)
	}
	if len(f.lines) == 0 {
		return nil, fmt.Errorf("%w %s: has no lines", ErrFeed, path)
	}
	return f, nil
}

func (f *fileFeed) next(_ context.Context, site int) ([]byte, bool, error) {
	i := f.taken[site]*len(f.taken) + site
	if i >= len(f.lines) {
		return nil, false, nil
	}
	f.taken[site]++
	return f.lines[i], true, nil
}

func (f *fileFeed) total() int   { return len(f.lines) }
func (f *fileFeed) what() string { return fmt.Sprintf("%d lines of %s", len(f.lines), f.path) }
func (f *fileFeed) close()       {}

// A webFeed is a web server in each site: the demo asks for pages, and the servers'
// request logs are the feed.
type webFeed struct {
	servers []*webServer
	client  http.Client
}

type webServer struct {
	site    string
	address string
	server  *http.Server
	log     chan []byte // of capacity one: a request is made for each line
	made    int
	ended   sync.WaitGroup
}

// The pages, and what asks for them.
var (
	pages    = []string{"/", "/news", "/news/latest", "/about", "/images/map.png", "/orders?open=1", "/status", "/missing"}
	browsers = []string{"Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4)", "curl/8.9.1", "ringway-demo/1"}
)

func newWebFeed(names []string) (*webFeed, error) {
	f := &webFeed{client: http.Client{Timeout: askTime}}
	for _, name := range names {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			f.close()
			return nil, fmt.Errorf("web server of %s: %w", name, err)
		}
		s := &webServer{site: name, address: listener.Addr().String(), log: make(chan []byte, 1)}
		s.server = &http.Server{Handler: s, ReadTimeout: askTime, WriteTimeout: askTime}
		s.ended.Go(func() { _ = s.server.Serve(listener) }) // until close
		f.servers = append(f.servers, s)
	}
	return f, nil
}

// ServeHTTP answers and writes the request to the log, in the combined log format.
func (s *webServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, body := http.StatusOK, strings.Repeat(s.site+" ", 10+len(r.URL.Path)*7)
	if r.URL.Path == "/missing" {
		status, body = http.StatusNotFound, "not here\n"
	}
	w.WriteHeader(status)
	n, _ := io.WriteString(w, body)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	line := fmt.Sprintf("%s - - [%s] \"%s %s %s\" %d %d \"http://%s/\" %q", host, time.Now().Format("02/Jan/2006:15:04:05 -0700"),
		r.Method, r.URL.RequestURI(), r.Proto, status, n, s.site+".example", r.UserAgent())
	select {
	case s.log <- []byte(line):
	default: // a request that the demo did not make
	}
}

func (f *webFeed) next(ctx context.Context, site int) ([]byte, bool, error) {
	s := f.servers[site]
	if s.made == requestsPerSite {
		return nil, false, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+pages[(s.made*5+site)%len(pages)], nil)
	if err != nil {
		return nil, false, err
	}
	request.Header.Set("User-Agent", browsers[s.made%len(browsers)])
	s.made++
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, false, fmt.Errorf("web server of %s: %w", s.site, err)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, false, fmt.Errorf("web server of %s: %w", s.site, err)
	}
	select {
	case line := <-s.log:
		return line, true, nil
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
}

func (f *webFeed) total() int { return requestsPerSite * len(f.servers) }

func (f *webFeed) what() string {
	return fmt.Sprintf("the request logs of %d web servers, %d requests each", len(f.servers), requestsPerSite)
}

func (f *webFeed) close() {
	f.client.CloseIdleConnections()
	for _, s := range f.servers {
		s.server.Close()
		s.ended.Wait()
	}
}
