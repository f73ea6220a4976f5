package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
)

// demoFeed is small, so that the demo takes seconds; some lines are equal.
func demoFeed(t *testing.T) string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "GET /page/%d HTTP/1.1\n", i/2)
	}
	return write(t, "feed.log", b.String())
}

// objects returns the demo's output by type: of the attempt that counts.
func objects(t *testing.T, out string) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kind, _ := object["type"].(string)
		if kind == "again" { // too busy a machine; all begins anew
			t.Logf("the demo began again: %v", object["why"])
			clear(all)
			continue
		}
		all[kind] = append(all[kind], object)
	}
	return all
}

// TestDemo is the main job: three sites of two nodes as real processes, one cut off and
// back, a gateway killed. With --keep all goes on until it is interrupted, and the folder
// stays.
func TestDemo(t *testing.T) {
	var out, errs lockedbuf.Buffer
	demo := command(t, "demo", "--feed", demoFeed(t), "--json", "--keep")
	demo.Stdout, demo.Stderr = &out, &errs
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = demo.Wait()
		close(ended)
	}()
	const demoPatience = 3 * time.Minute // it takes half a minute when nobody else is busy
	running := func() bool {
		select {
		case <-ended:
			return true
		default:
			return strings.Contains(out.String(), `{"type":"running",`)
		}
	}
	for end := time.Now().Add(demoPatience); !running() && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	_ = demo.Process.Signal(os.Interrupt)
	<-ended
	if code := demo.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), errs.String())
	}
	all := objects(t, out.String())
	for kind, want := range map[string]int{"start": 1, "ready": 1, "cut": 1, "kill": 1, "latency": 9, "local_latency": 1, "check": 8, "result": 1, "running": 1} {
		if n := len(all[kind]); n != want {
			t.Errorf("%d objects of type %s, want %d", n, kind, want)
		}
	}
	for _, check := range all["check"] {
		if check["ok"] != true {
			t.Errorf("%v", check)
		}
	}
	if r := all["result"]; len(r) != 1 || r[0]["ok"] != true || r[0]["members"] != 7.0 {
		t.Errorf("result %v", r)
	}
	if len(all["start"]) != 1 {
		t.Fatalf("start %v", all["start"])
	}
	folder, _ := all["start"][0]["folder"].(string)
	if _, err := os.Stat(folder); folder == "" || err != nil {
		t.Errorf("the folder is %q, %v", folder, err)
	}
	if err := os.RemoveAll(folder); err != nil {
		t.Error(err)
	}
}

// TestDemoNoticesFaults injects a fault into what one member received.
func TestDemoNoticesFaults(t *testing.T) {
	code, out, errs := ringway(t, "", []string{demoFault + "=drop"}, "demo", "--sites", "2", "--feed", demoFeed(t), "--json")
	all := objects(t, out)
	if code != 1 || len(all["result"]) != 1 || all["result"][0]["ok"] != false || !strings.Contains(errs, "not everything held") {
		t.Errorf("exit code %d, result %v\n%s", code, all["result"], errs)
	}
	if len(all["start"]) != 1 {
		t.Fatalf("start %v", all["start"])
	}
	if folder, _ := all["start"][0]["folder"].(string); folder == "" {
		t.Error("no folder")
	} else if _, err := os.Stat(folder); err == nil {
		t.Errorf("%s was left behind", folder)
	}
}

// TestByHand is what the README shows: a node, a subscriber, a publisher, status,
// bench, and an orderly end.
func TestByHand(t *testing.T) {
	address, adminAddress := freeport.For(t).String(), freeport.For(t).String()
	file := write(t, "one.toml", fmt.Sprintf("[federation]\nname = \"hand\"\n[[site]]\nname = \"lan\"\n  [[site.node]]\n  name = \"n1\"\n  address = %q\n  admin = %q\n", address, adminAddress))
	var log lockedbuf.Buffer
	node := command(t, "node", "--topology", file, "--name", "n1", "--log-format", "json")
	node.Stderr = &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }()
	eventually(t, "the node", &log, func() bool {
		code, out, _ := ringway(t, "", nil, "status", "--admin", adminAddress)
		return code == 0 && strings.Contains(out, ": ready")
	})

	var received lockedbuf.Buffer
	sub := command(t, "sub", "--connect", address, "--membership", "--json", "--count", "2", "news")
	sub.Stdout = &received
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the join", &received, func() bool { return strings.Contains(received.String(), `"type":"view"`) })
	eventually(t, "status to count the client's groups", &received, func() bool {
		_, out, _ := ringway(t, "", nil, "status", "--admin", adminAddress, "--json")
		return strings.Contains(out, `"groups":1,"queued_bytes"`)
	})
	if code, out, errs := ringway(t, "", nil, "groups", "--connect", address, "--json", "n*"); code != 0 || out != `{"type":"group","group":"news","members":1,"sites":1,"complete":true}`+"\n" {
		t.Errorf("groups: %d %s%s", code, out, errs)
	}
	if code, out, errs := ringway(t, "", nil, "members", "--connect", address, "news"); code != 0 || !strings.HasSuffix(out, "#n1\n") || strings.Count(out, "\n") != 1 {
		t.Errorf("members: %d %s%s", code, out, errs)
	}
	if code, _, errs := ringway(t, "one\ntwo\nthree\n", nil, "pub", "--connect", address, "--name", "me", "news"); code != 0 {
		t.Fatalf("pub: %d %s", code, errs)
	}
	if err := sub.Wait(); err != nil {
		t.Fatalf("sub: %v\n%s", err, received.String())
	}
	for i, data := range []string{"one", "two"} {
		want := fmt.Sprintf(`{"type":"message","seq":%d,"sender":"#me#n1","groups":["news"],"service":"agreed","mess_type":0,"data":%q}`, i+1, data)
		if !strings.Contains(received.String(), want) {
			t.Errorf("sub did not print %s:\n%s", want, received.String())
		}
	}

	code, out, errs := ringway(t, "", nil, "bench", "--connect", address, "--duration", "300ms", "--senders", "2", "--groups", "2", "--json")
	if code != 0 || !strings.Contains(out, `"lost":0,"out_of_order":0}`) {
		t.Errorf("bench: %d\n%s%s", code, out, errs)
	}

	node.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the node's end: %v\n%s", err, log.String())
		}
	case <-time.After(patience):
		t.Error("the node does not end")
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, seen fmt.Stringer, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s; seen:\n%s", what, seen)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
