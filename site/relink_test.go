package site

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"ringway/client"
	"ringway/internal/freeport"
	"ringway/topology"
)

// TestLinksAreReadAgain: a link that the changed file has is made while the nodes run, one
// that it has no longer is closed, and clients notice nothing but shorter and longer ways.
func TestLinksAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fed.toml")
	var text strings.Builder
	text.WriteString("[federation]\nname = \"test\"\n[timing]\nhello = \"400ms\"\n")
	for _, name := range []string{"lon", "fra", "nyc"} {
		fmt.Fprintf(&text, "[[site]]\nname = %q\ntransport = \"unicast\"\n[[site.node]]\nname = \"%s-1\"\naddress = \"%v\"\nadmin = \"%v\"\ngateway = \"%v\"\n", name, name, freeport.For(t), freeport.For(t), freeport.For(t))
	}
	write := func(links ...[2]string) {
		t.Helper()
		all := text.String()
		for _, l := range links {
			all += fmt.Sprintf("[[link]]\nbetween = [%q, %q]\ncost = 10\n", l[0], l[1])
		}
		if err := os.WriteFile(path+".new", []byte(all), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write([2]string{"lon", "fra"}, [2]string{"fra", "nyc"})
	topo, err := topology.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	f := run(t, topo, nil)
	f.ready()
	a, b := f.dial("lon-1", "a"), f.dial("nyc-1", "b")
	join(t, "g", 2, a, b)
	way := func(want ...string) {
		t.Helper()
		f.eventually(fmt.Sprint("the way ", want), func() bool {
			for _, r := range f.status("lon-1").Routes {
				if r.Site == "nyc" {
					return slices.Equal(r.Path, want)
				}
			}
			return false
		})
		send(t, a, client.Agreed, fmt.Sprint(want), "g")
		if got := messages(t, b, 1); got[0] != a.Name()+":"+fmt.Sprint(want) {
			t.Errorf("got %v", got)
		}
	}
	way("lon-1", "fra-1", "nyc-1")
	write([2]string{"lon", "fra"}, [2]string{"fra", "nyc"}, [2]string{"nyc", "lon"})
	way("lon-1", "nyc-1")
	write([2]string{"lon", "fra"}, [2]string{"fra", "nyc"})
	way("lon-1", "fra-1", "nyc-1")
	// The way changes as soon as one end of a link has read the file.
	f.eventually("two reloads and one link", func() bool {
		s := f.status("lon-1")
		return s.Counters["topology_reloads"] >= 2 && len(s.Links) == 1
	})
}

// TestWhatChangesLaterIsSaid: parts that count from the next start are named, and what may
// change at once does; the folder of another file of tokens is watched, too.
func TestWhatChangesLaterIsSaid(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path, tokens := filepath.Join(dir, "fed.toml"), filepath.Join(elsewhere, "secrets")
	write := func(file, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	head := fmt.Sprintf("[federation]\nname = \"test\"\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \"%v\"\nadmin = \"%v\"\n", freeport.For(t), freeport.For(t))
	write(path, head)
	write(tokens, topology.Token{Hash: topology.HashToken([]byte("one")), Client: "*"}.String()+"\n")
	topo, err := topology.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	said := &lines{}
	reload := make(chan struct{})
	n, count := startWith(t, Config{Topology: topo, Node: topo.Sites[0].Nodes[0], Reload: reload, Log: slog.New(slog.NewTextHandler(said, nil))})
	eventually(t, "the node", func() bool { return count() != nil })
	reload <- struct{}{}
	eventually(t, "the answer to a SIGHUP", func() bool { return said.has("nothing has changed") })

	write(path, head+"[timing]\nhello = \"1s\"\n[access]\nmethods = [\"TOKEN\"]\ntokens = \""+tokens+"\"\n")
	eventually(t, "what counts later", func() bool { return said.has("parts=[timing]") && said.has("methods=[TOKEN]") })
	hello := func() byte {
		verdict, err := rawHello(rawDial(t, n.Clients[0].Address), "a", "TOKEN ", tokenChoice("two"))
		if err != nil {
			t.Fatal(err)
		}
		return verdict
	}
	if v := hello(); v != 0xf7 {
		t.Fatalf("verdict %d", v)
	}
	write(tokens, topology.Token{Hash: topology.HashToken([]byte("two")), Client: "*"}.String()+"\n")
	eventually(t, "the new token to count", func() bool { return hello() == 1 })
}

// TestTokensChangeBeforeTheyAreWatched: tokens that are replaced between being read and the
// watch over their folder count all the same.
func TestTokensChangeBeforeTheyAreWatched(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	path, tokens := filepath.Join(dir, "fed.toml"), filepath.Join(elsewhere, "secrets")
	write := func(file, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	token := func(secret string) string {
		return topology.Token{Hash: topology.HashToken([]byte(secret)), Client: "*"}.String() + "\n"
	}
	head := fmt.Sprintf("[federation]\nname = \"test\"\n[[site]]\nname = \"lan\"\n[[site.node]]\nname = \"n1\"\naddress = \"%v\"\nadmin = \"%v\"\n", freeport.For(t), freeport.For(t))
	write(path, head)
	write(tokens, token("one"))
	topo, err := topology.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	// What the node says when the first tokens are in force is the moment.
	var once sync.Once
	log := slog.New(slog.NewTextHandler(hook(func(line []byte) {
		if bytes.Contains(line, []byte("rules of access are in force")) {
			once.Do(func() { write(tokens, token("two")) })
		}
	}), nil))
	n, count := startWith(t, Config{Topology: topo, Node: topo.Sites[0].Nodes[0], Log: log})
	eventually(t, "the node", func() bool { return count() != nil })
	write(path, head+"[access]\nmethods = [\"TOKEN\"]\ntokens = \""+tokens+"\"\n")
	eventually(t, "the new token to count", func() bool {
		verdict, err := rawHello(rawDial(t, n.Clients[0].Address), "a", "TOKEN ", tokenChoice("two"))
		return err == nil && verdict == 1
	})
}

// A hook is told each line of a log as it is written.
type hook func(line []byte)

func (h hook) Write(line []byte) (int, error) {
	h(line)
	return len(line), nil
}
