package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"ringway/internal/testnode"
)

func TestMain(m *testing.M) { testnode.Main(m) }

func TestCheckSessions(t *testing.T) {
	good := SessionsConfig{Sessions: 1, Messages: 1, Duration: time.Second}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*SessionsConfig){
		"sessions 0":   func(c *SessionsConfig) { c.Sessions = 0 },
		"stuck 1001":   func(c *SessionsConfig) { c.Stuck = maxStuck + 1 },
		"pairs -1":     func(c *SessionsConfig) { c.Pairs = -1 },
		"rates":        func(c *SessionsConfig) { c.Rate = -1 },
		"and duration": func(c *SessionsConfig) { c.Duration = 0 },
	} {
		c := good
		spoil(&c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// TestSessions connects a few, beside stuck readers, and looks at the figures' shape.
func TestSessions(t *testing.T) {
	f := testnode.Start(t, testnode.Site{Name: "lan", Nodes: 1})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := RunSessions(ctx, SessionsConfig{
		Connect: f.Address("lan-1"), Sessions: 200, Pairs: 1, Stuck: 2, Duration: time.Second, Messages: 500,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sessions != 200 || r.PerS <= 0 || r.Connect.P50 <= 0 || len(r.Pairs) != 1 || r.Pairs[0].With.P50 <= 0 || r.Pairs[0].Without.P50 <= 0 {
		t.Errorf("%+v", r)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || strings.Count(text.String(), "\n") != 3 {
		t.Errorf("%v\n%s", err, text.String())
	}
}
