package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a Source whose answer a test sets.
type fake struct {
	status Status
	asked  atomic.Int64
	block  chan struct{} // if set, answers wait for it
}

func (f *fake) Status() Status {
	f.asked.Add(1)
	if f.block != nil {
		<-f.block
	}
	return f.status
}

func good() Status {
	return Status{
		Node: "lon-1", Site: "lon", Federation: "acme", Version: "v1", UptimeS: 2,
		Ring:     Ring{State: Operational, Members: []string{"lon-1", "lon-2"}, Configured: 2, Sent: 7},
		View:     View{ID: "1.a", Members: []string{"fra", "lon"}, Configured: 2, Complete: true},
		Links:    []Link{{Peer: "fra-1", Site: "fra", State: "up", RTT: 40, Loss: 0.01, Waiting: 3, WaitingBytes: 500}},
		Routes:   []Route{{Site: "fra", Cost: 20, Path: []string{"lon-1", "fra-1"}}, {Site: "nyc"}},
		Streams:  []Stream{{Origin: "fra", Position: 9}},
		Logs:     []Log{{Origin: "fra", Instance: "1", Next: 9, Resumes: 1}, {Origin: "fra", Instance: "2", Next: 3, Resumes: 1}},
		Counters: map[string]uint64{"sessions_refused": 3},
	}
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestPages(t *testing.T) {
	f := &fake{status: good()}
	h := NewHandler(f, NewRegistry(f))
	for _, test := range []struct {
		path string
		code int
		want string
	}{
		{"/healthz", 200, "ok\n"},
		{"/readyz", 200, "ready\n"},
		{"/status", 200, `"members":["lon-1","lon-2"],"configured":2`},
		{"/", 200, `<script src="dashboard.js">`},
		{"/dashboard.js", 200, "textContent"},
		{"/dashboard.css", 200, "color-scheme"},
		{"/metrics", 200, `ringway_link_rtt_seconds{peer="fra-1",site="fra"} 0.04`},
		{"/metrics", 200, `ringway_link_control_messages_waiting{peer="fra-1",site="fra"} 3`},
		{"/metrics", 200, `ringway_link_control_bytes_waiting{peer="fra-1",site="fra"} 500`},
		{"/status", 200, `"control_messages_waiting":3,"control_bytes_waiting":500`},
		{"/metrics", 200, "ringway_sessions_refused_total 3"},
		{"/metrics", 200, `ringway_log_next{origin="fra"} 9`},
		{"/metrics", 200, `ringway_log_resumes{origin="fra"} 2`},
		{"/metrics", 200, "go_goroutines"},
		{"/nothing", 404, "not found"},
		{"/../etc/passwd", 404, ""},
	} {
		code, body := get(t, h, test.path)
		if code != test.code && (test.path != "/../etc/passwd" || code/100 == 2) || !strings.Contains(body, test.want) {
			t.Errorf("%s: %d, want %d with %q:\n%.300s", test.path, code, test.code, test.want, body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/status", strings.NewReader("x")))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST /status: %d", w.Code)
	}
}

func TestStatusHasListsAndRoundTrips(t *testing.T) {
	f := &fake{status: Status{Node: "n", Sessions: make([]Session, MaxSessionsListed+5), Clients: MaxSessionsListed + 5}}
	_, body := get(t, NewHandler(f, NewRegistry(f)), "/status")
	if strings.Contains(body, "null") || strings.Count(body, "\n") != 1 {
		t.Errorf("want one line without null: %.300s", body)
	}
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || len(s.Sessions) != MaxSessionsListed || s.Clients != MaxSessionsListed+5 || s.Version == "" {
		t.Errorf("got %d sessions (%v)", len(s.Sessions), err)
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	for why, spoil := range map[string]func(*Status){
		"draining":       func(s *Status) { s.Draining = true },
		"ring":           func(s *Status) { s.Ring.State = "gather" },
		"site's state":   func(s *Status) { s.View.Learning = true },
		"not every site": func(s *Status) { s.View.Complete = false },
	} {
		f := &fake{status: good()}
		spoil(&f.status)
		h := NewHandler(f, NewRegistry(f))
		if code, body := get(t, h, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, why) {
			t.Errorf("%s: %d %s", why, code, body)
		}
		if code, _ := get(t, h, "/healthz"); code != http.StatusOK {
			t.Errorf("%s: not healthy", why)
		}
	}
}

func TestManyAskersAskTheSourceOnce(t *testing.T) {
	f := &fake{status: good(), block: make(chan struct{})}
	c := newCache(f.Status, time.Hour)
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			if s, ok := c.get(t.Context()); !ok || s.Node != "lon-1" {
				t.Error("no answer")
			}
		})
	}
	close(f.block)
	asking.Wait()
	if n := f.asked.Load(); n != 1 {
		t.Errorf("the source was asked %d times", n)
	}
}

func TestStuckSourceIsNotHealthy(t *testing.T) {
	f := &fake{status: good(), block: make(chan struct{})}
	h := NewHandler(f, NewRegistry(f))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for range 3 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil).WithContext(ctx))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("got %d", w.Code)
		}
	}
	if n := f.asked.Load(); n > 1 {
		t.Errorf("a stuck source was asked %d times at once", n)
	}
	close(f.block)
	deadline := time.Now().Add(30 * time.Second)
	for {
		if code, _ := get(t, h, "/healthz"); code == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("does not recover")
		}
	}
}

// serve runs a real server and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	f := &fake{status: good()}
	s, err := Listen("127.0.0.1:0", f, NewRegistry(f), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func TestGarbageOnThePort(t *testing.T) {
	address := serve(t)
	for name, bytes := range map[string][]byte{
		"binary":         {0, 1, 2, 0xff, 0x16, 3, 1, '\n', '\n'},
		"no such method": []byte("BREW /coffee HTTP/1.1\r\nHost: x\r\n\r\n"),
		"large header":   []byte("GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 2*maxHeaderBytes) + "\r\n\r\n"),
		"large body":     []byte("GET /status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("b", 64<<10)),
		"cut off":        []byte("GET /sta"),
		"spread client":  bytes.Repeat([]byte{0x80, 0, 0, 0x80}, 12),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.Write(bytes)
			conn.(*net.TCPConn).CloseWrite()
			conn.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Error("the connection stays open")
			}
			if answer, err := http.Get("http://" + address + "/healthz"); err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("afterwards: %v", err)
			} else {
				answer.Body.Close()
			}
		})
	}
}

func TestSlowClientsDoNotKeepOthersOut(t *testing.T) {
	address := serve(t)
	for range maxConnections - 1 { // each says a little and then nothing
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("GET / HT"))
	}
	answer, err := http.Get("http://" + address + "/readyz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("got %v", err)
	}
	answer.Body.Close()
}

func TestAddressInUse(t *testing.T) {
	address := serve(t)
	if _, err := Listen(address, &fake{}, NewRegistry(&fake{}), nil); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}
