package testnode

import (
	"testing"

	"ringway/client"
)

func TestMain(m *testing.M) { Main(m) }

// TestNodes starts a site, kills a node and starts it again; clients reach what lives.
func TestNodes(t *testing.T) {
	f := Start(t, Site{Name: "lon", Nodes: 2})
	f.Kill("lon-2")
	f.Start("lon-2")
	f.Ready()
	for _, name := range []string{"lon-1", "lon-2"} {
		c, err := client.Dial(t.Context(), f.Address(name), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if c.Node() != name {
			t.Errorf("got %s, want %s", c.Node(), name)
		}
		c.Close()
	}
}
