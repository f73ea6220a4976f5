package topology

import (
	"slices"
	"strings"
	"testing"
)

// TestChanged: what differs is named, and nothing else; a site's change is none of its
// links.
func TestChanged(t *testing.T) {
	const base = `[federation]
name = "acme"
[[site]]
name = "lon"
[[site.node]]
name = "lon-1"
address = "10.1.0.1:4803"
gateway = "10.1.0.1:4810"
[[site]]
name = "fra"
[[site.node]]
name = "fra-1"
address = "10.2.0.1:4803"
gateway = "10.2.0.1:4810"
[[link]]
between = ["lon", "fra"]
[[group]]
match = "a.*"
scope = "site"
`
	parse := func(text string) *Topology {
		t.Helper()
		topo, err := Parse("t.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	for _, c := range []struct{ from, to, want string }{
		{"", "", ""},
		{"[[link]]", "\n# a comment\n[[link]]", ""},
		{`between = ["lon", "fra"]`, `between = ["lon", "fra"]` + "\ncost = 7", "link"},
		{"10.2.0.1:4810", "10.2.0.1:4900", "site"},
		{`name = "acme"`, `name = "acme"` + "\nprimary = true", "federation"},
		{"[federation]", "[timing]\nhello = \"2s\"\n[federation]", "timing"},
		{`match = "a.*"`, `match = "b.*"`, "group"},
		{"[federation]", "[access]\nmethods = [\"IP\"]\naddresses = [\"127.0.0.1\"]\n[federation]", "access"},
		{`between = ["lon", "fra"]`, `between = ["lon", "fra"]` + "\n[link.wan]\ndelay = \"9ms\"", "link"},
	} {
		if got := strings.Join(Changed(parse(base), parse(strings.Replace(base, c.from, c.to, 1))), " "); got != c.want {
			t.Errorf("%q in place of %q: %q, want %q", c.to, c.from, got, c.want)
		}
	}
	if all := Changed(parse(base), parse(base)); slices.Contains(all, "site") {
		t.Errorf("%v", all)
	}
}
