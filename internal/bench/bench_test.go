package bench

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"ringway/client"
)

func config() Config {
	return Config{Connect: []string{"h:1"}, Size: 100, Senders: 2, Groups: 1, Service: client.Agreed, Duration: time.Second, Window: 64}
}

func TestCheck(t *testing.T) {
	good := config()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Config){
		"size 19":     func(c *Config) { c.Size = stampBytes - 1 },
		"senders 0":   func(c *Config) { c.Senders = 0 },
		"senders 257": func(c *Config) { c.Senders = MaxSenders + 1 },
		"groups 0":    func(c *Config) { c.Groups = 0 },
		"window 0":    func(c *Config) { c.Window = 0 },
		"no address":  func(c *Config) { c.Connect = nil },
		"duration":    func(c *Config) { c.Duration = 0 },
		"rate":        func(c *Config) { c.Rate = -1 },
		"no service":  func(c *Config) { c.Service = 0 },
	} {
		c := config()
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestWindowIsSharedAndBoundedInBytes(t *testing.T) {
	for _, test := range []struct{ window, size, senders, want int }{
		{64, 100, 2, 32},
		{64, 100, 64, 1},
		{1, 100, 8, 1},
		{2048, 1 << 20, 1, 4},
		{2048, 64 << 20, 1, 1},
	} {
		c := Config{Window: test.window, Size: test.size, Senders: test.senders}
		if got := c.perSender(); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

func TestStamp(t *testing.T) {
	b := make([]byte, stampBytes)
	putStamp(b, 3, 1<<40, 5*time.Second)
	if sender, seq, at, ok := readStamp(b); sender != 3 || seq != 1<<40 || at != 5*time.Second || !ok {
		t.Errorf("got %d %d %v %v", sender, seq, at, ok)
	}
	if _, _, _, ok := readStamp(b[:stampBytes-1]); ok {
		t.Error("a short message has a stamp")
	}
}

func testRun(c Config) *run {
	r := &run{cfg: c, began: time.Now()}
	r.receive = newReceiver(r, nil)
	r.receive.until = time.Hour
	for i := range c.Senders {
		r.senders = append(r.senders, newSender(r, nil, i, "g"))
	}
	return r
}

func TestPacing(t *testing.T) {
	c := config()
	c.Rate = 2000 // a sender each millisecond
	s := testRun(c).senders[0]
	if n, _ := s.due(0, 10); n != 1 {
		t.Errorf("at the start %d are due", n)
	}
	s.sent = 1
	if n, wait := s.due(250*time.Microsecond, 10); n != 0 || wait != 750*time.Microsecond {
		t.Errorf("early: %d due, wait %v", n, wait)
	}
	if n, _ := s.due(3500*time.Microsecond, 10); n != 3 {
		t.Errorf("late: %d due, want those of 1, 2 and 3 ms", n)
	}
	if n, _ := s.due(time.Second, 10); n != 10 {
		t.Errorf("very late: %d due, want the limit", n)
	}
	if at := s.stampOf(time.Second, 0); at != time.Millisecond {
		t.Errorf("a message that was held back is stamped %v, want its due time", at)
	}
	if at := s.stampOf(1500*time.Microsecond, 0); at != 1500*time.Microsecond {
		t.Errorf("a message that is a little late is stamped %v", at)
	}
}

func TestCountAndResult(t *testing.T) {
	c := config()
	r := testRun(c)
	in := r.receive
	in.from, in.until = 100*time.Millisecond, 1100*time.Millisecond
	next := make([]uint64, c.Senders)
	message := func(sender int, seq uint64, at time.Duration) *client.Message {
		data := make([]byte, c.Size)
		putStamp(data, sender, seq, at)
		return &client.Message{Data: data}
	}
	in.count(message(0, 0, 0), 50*time.Millisecond, next)                                  // warm-up
	in.count(message(0, 1, 99*time.Millisecond), 101*time.Millisecond, next)               // sent in warm-up: no latency
	in.count(message(0, 2, 200*time.Millisecond), 203*time.Millisecond, next)              // measured
	in.count(message(1, 1, 300*time.Millisecond), 305*time.Millisecond, next)              // its number 0 is missing
	in.count(message(1, 2, 300*time.Millisecond), 1200*time.Millisecond, next)             // after the end
	in.count(message(9, 0, 0), 300*time.Millisecond, next)                                 // a stranger
	in.count(&client.Message{Data: []byte("somebody else's")}, 300*time.Millisecond, next) // likewise
	r.senders[0].sent, r.senders[1].sent = 3, 3

	result := r.result()
	if result.Messages != 3 || result.PerS != 3 || result.Lost != 1 || result.Disorder != 1 || result.Latency.Max < 5000 || result.Latency.Max > 5010 {
		t.Errorf("got %+v", result)
	}
	if err := result.Err(); err == nil || !strings.Contains(err.Error(), "1 messages of service agreed did not arrive") {
		t.Errorf("got error %v", err)
	}
	result.Service = client.Unreliable.String()
	if err := result.Err(); err != nil {
		t.Errorf("unreliable messages may be lost: %v", err)
	}

	var text bytes.Buffer
	if err := result.WriteText(&text); err != nil || !strings.Contains(text.String(), "throughput   3 messages/s") {
		t.Errorf("text (%v):\n%s", err, text.String())
	}
	line, err := json.Marshal(result)
	if err != nil || !strings.HasPrefix(string(line), `{"type":"bench","connect":["h:1"],"size":100,`) || !strings.Contains(string(line), `"latency_us":{"p50":`) {
		t.Errorf("JSON (%v): %s", err, line)
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	s := testRun(config()).senders[0]
	if n := testing.AllocsPerRun(100, func() {
		for i := range s.messages {
			putStamp(s.messages[i].Data, s.number, s.sent, s.stampOf(time.Second, 0))
		}
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// TestJoining: any view of a group ends the wait for it, and nothing else does.
func TestJoining(t *testing.T) {
	waits := joining{"a": true, "b": true}
	for _, step := range []struct {
		event client.Event
		left  int
	}{
		{&client.Message{Groups: []string{"a"}}, 2},
		{&client.View{Group: "a", Cause: client.ByNetwork}, 1}, // the join met a change of the network
		{&client.View{Group: "a", Cause: client.ByJoin}, 1},    // somebody else's
		{&client.View{Group: "c", Cause: client.ByJoin}, 1},
		{&client.View{Group: "b", Cause: client.ByJoin}, 0},
	} {
		if waits.saw(step.event); len(waits) != step.left {
			t.Errorf("%d groups to go after %+v, want %d", len(waits), step.event, step.left)
		}
	}
}
