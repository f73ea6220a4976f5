package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ringway/internal/admin"
)

func sampleStatus() admin.Status {
	return admin.Status{
		Node: "lon-1", Site: "lon", Federation: "acme", Version: "v1", UptimeS: 3661.5,
		Ring: admin.Ring{State: admin.Operational, Members: []string{"lon-1", "lon-2"}, Configured: 3, LANMode: "multicast", Rotations: 4, Sent: 5, Received: 6, Resent: 1},
		View: admin.View{ID: "7.00ab", Members: []string{"fra", "lon"}, Configured: 2, Complete: true},
		Links: []admin.Link{
			{Peer: "fra-1", Site: "fra", State: "up", RTT: 40.25, Jitter: 0.5, Loss: 0.001, Sent: 2048, Received: 100, Waiting: 3, WaitingBytes: 5 << 10},
			{Peer: "nyc-1", Site: "nyc", State: "down", Reason: "no answer"},
		},
		Routes:  []admin.Route{{Site: "fra", Cost: 20.1, Path: []string{"lon-1", "fra-1"}}, {Site: "nyc"}},
		Streams: []admin.Stream{{Origin: "fra", Position: 12, Lag: 3, LagMS: 41}},
		Logs: []admin.Log{
			{Origin: "lon", Own: true, First: 7, Next: 9, Bytes: 4096, Subscribers: []admin.Subscriber{{Gateway: "fra-1", Next: 8, Lag: 1}}},
			{Origin: "fra", Importing: true, First: 10, Next: 12, From: "fra-1", Resumes: 2},
		},
		Joins: []admin.JoinWait{{Group: "quotes", Clients: 2, WaitedMS: 2500, Sites: []admin.SiteWait{
			{Site: "fra", Bytes: 128 << 10, Records: 7}, {Site: "nyc", Bytes: 0}}}},
		Export: admin.Export{Position: 9, Stable: 7, UnstableBytes: 3 << 20},
		Groups: 2, Clients: 3,
		Sessions: []admin.Session{{Name: "#a\x1b[2J#lon-1", Address: "10.0.0.9:5", Groups: 1, Received: 8, Delivered: 9}},
	}
}

const wantStatus = `node        lon-1 in site lon of federation acme: ready
version     v1, up 1h1m1s
certificate none: peers are not verified
ring        operational, 2 of 3 nodes: lon-1 lon-2
            4 token rotations, packets: 5 sent, 6 received, 1 retransmitted, by multicast
federation  complete, 2 of 2 sites: fra lon
view        7.00ab
export      record 9, held everywhere up to 7, 3.0 MiB not yet
groups      2
clients     3

LINK   SITE  STATE            RTT      JITTER  LOSS   SENT     RECEIVED  WAITING
fra-1  fra   up               40.2 ms  0.5 ms  0.10%  2.0 KiB  100 B     3 (5.0 KiB)
nyc-1  nyc   down: no answer  0.0 ms   0.0 ms  0.00%  0 B      0 B       -

TO   COST     PATH
fra  20.1 ms  lon-1 fra-1
nyc  -        unreachable

STREAM OF  POSITION  LAG        BEHIND   SLOW
fra        12        3 records  41.0 ms  0.0 ms

JOIN WAITS  CLIENTS  FOR  UNDER WAY TO IT  MISSING OF IT  SINCE
quotes      2        fra  128.0 KiB        7 records      2500.0 ms
quotes      2        nyc  0 B              0 records      2500.0 ms

LOG OF  RECORDS   KEPT     FROM       RESUMED  TO
lon     7 to 9    4.0 KiB  this site  0        fra-1 (1 behind)
fra     10 to 12  0 B      fra-1      2

CLIENT                 FROM        GROUPS  QUEUED  IN  OUT  SINCE
"#a\x1b[2J#lon-1"      10.0.0.9:5  1       0 B     8   9    0s
and 2 more
`

// squeeze removes what only lines up columns.
func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestStatusText(t *testing.T) {
	s := sampleStatus()
	var b bytes.Buffer
	if err := writeStatus(&b, &s); err != nil {
		t.Fatal(err)
	}
	if got, want := squeeze(b.String()), squeeze(wantStatus); got != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), wantStatus)
	}
	s.View.Complete = false
	s.Counters = map[string]uint64{"merge_faults": 3}
	b.Reset()
	writeStatus(&b, &s)
	if !strings.Contains(b.String(), "not ready: not every site") || !strings.Contains(b.String(), "not complete, 2 of 2") ||
		!strings.Contains(b.String(), "broke the protocol 3 times") {
		t.Errorf("got\n%s", b.String())
	}
}

func TestStatusOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			http.Error(w, "no", http.StatusNotFound)
			return
		}
		json.NewEncoder(w).Encode(sampleStatus())
	}))
	defer server.Close()
	code, out, errs := ringway(t, "", nil, "status", "--admin", server.URL)
	if code != 0 || !strings.HasPrefix(out, "node ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	code, out, _ = ringway(t, "", nil, "status", "--json", "--admin", server.Listener.Addr().String())
	var s admin.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil || s.Node != "lon-1" || strings.Count(out, "\n") != 1 {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

func TestStatusOfSomethingElse(t *testing.T) {
	for body, want := range map[string]string{"": "503", "hello": "not a node's status"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if body == "" {
				http.Error(w, "stuck", http.StatusServiceUnavailable)
			}
			w.Write([]byte(body))
		}))
		code, _, errs := ringway(t, "", nil, "status", "--admin", server.Listener.Addr().String())
		server.Close()
		if code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %s", body, code, errs)
		}
	}
}
