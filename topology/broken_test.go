package topology

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"

	"ringway/membership"
)

var update = flag.Bool("update", false, "rewrite testdata")

const brokenFile = "testdata/broken.txt"

// A brokenCase is one file of testdata/broken.txt and its faults.
type brokenCase struct{ name, text, faults string }

func readBroken(tb testing.TB) (head string, cases []brokenCase) {
	tb.Helper()
	data, err := os.ReadFile(brokenFile)
	if err != nil {
		tb.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(data), "\n== ")
	for _, section := range strings.Split(rest, "\n== ") {
		name, body, _ := strings.Cut(section, "\n")
		text, faults, ok := strings.Cut(body, "--\n")
		if !ok {
			tb.Fatalf("%s: no -- after the file", name)
		}
		cases = append(cases, brokenCase{name, text, strings.TrimSpace(faults)})
	}
	return head, cases
}

func TestBroken(t *testing.T) {
	head, cases := readBroken(t)
	rewritten := head
	for _, c := range cases {
		topology, err := Parse("fed.toml", []byte(c.text))
		if err == nil || topology != nil {
			t.Errorf("%s: was accepted", c.name)
			continue
		}
		if got := err.Error(); got != c.faults && !*update {
			t.Errorf("%s:\n%s\ngot:\n%s\nwant:\n%s", c.name, numberLines(c.text), got, c.faults)
		}
		rewritten += fmt.Sprintf("\n== %s\n%s--\n%v\n", c.name, c.text, err)
	}
	if *update {
		if err := os.WriteFile(brokenFile, []byte(rewritten), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func numberLines(text string) string {
	var b strings.Builder
	for i, line := range slices.Collect(strings.Lines(text)) {
		fmt.Fprintf(&b, "%3d %s", i+1, line)
	}
	return b.String()
}

// TestFaultsComeTogether has a fault of each kind in one file.
func TestFaultsComeTogether(t *testing.T) {
	_, err := Parse("fed.toml", []byte(`[federation]
name = "Acme"
colour = "red"

[[site]]
name = "lon"
  [[site.node]]
  name = "lon-1"
  address = "10.1.0.1"

[[site]]
name = "lon"
  [[site.node]]
  name = "lon-1"
  address = "10.1.0.2:4803"

[[link]]
between = ["lon", "nyc"]
  [link.wan]
  loss = "200%"

[timing]
hello = 100
`))
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatalf("%T is not a *Faults", err)
	}
	var lines []int
	for _, fault := range faults.Faults() {
		lines = append(lines, fault.Line)
		if fault.Path != "fed.toml" || fault.Message == "" {
			t.Errorf("fault without path or message: %+v", fault)
		}
	}
	if want := []int{2, 3, 5, 9, 11, 12, 14, 18, 20, 23}; !slices.Equal(lines, want) {
		t.Errorf("faults on lines %v, want %v:\n%v", lines, want, err)
	}
	var multi *multierror.Error
	if !errors.As(err, &multi) || len(multi.Errors) != len(lines) {
		t.Errorf("no multierror of %d errors in %v", len(lines), err)
	}
	var fault Fault
	if !errors.As(err, &fault) || fault.Line != 2 {
		t.Errorf("errors.As finds %+v, want the first fault", fault)
	}
}

func TestTooManyFaults(t *testing.T) {
	var b strings.Builder
	b.WriteString("[federation]\nname = \"acme\"\n")
	for i := range 3 * maxFaults {
		fmt.Fprintf(&b, "[[group]]\nmatch = \"[%d\"\n", i)
	}
	_, err := Parse("", []byte(b.String()))
	var faults *Faults
	if !errors.As(err, &faults) {
		t.Fatal(err)
	}
	list := faults.Faults()
	if last := list[len(list)-1]; len(list) != maxFaults+1 || !strings.Contains(last.Message, "more faults") {
		t.Errorf("%d faults, the last %v", len(list), last)
	}
}

func TestLimits(t *testing.T) {
	var many strings.Builder
	many.WriteString("[federation]\nname = \"acme\"\n")
	for s := range membership.MaxSites + 1 {
		fmt.Fprintf(&many, "[[site]]\nname = \"s%d\"\n[[site.node]]\nname = \"n%d\"\naddress = \"10.0.%d.1:4803\"\ngateway = \"10.1.%d.1:4804\"\n", s, s, s, s)
	}
	many.WriteString("[[site]]\nname = \"large\"\ntransport = \"unicast\"\n")
	many.WriteString("[[site.node]]\nname = \"first\"\naddress = \"10.3.0.1:4803\"\ngateway = \"10.3.0.1:4900\"\n")
	for n := range membership.MaxSiteNodes {
		fmt.Fprintf(&many, "[[site.node]]\nname = \"large-%d\"\naddress = \"10.2.%d.1:4803\"\n", n, n)
	}
	_, err := Parse("fed.toml", []byte(many.String()))
	const want = `fed.toml:387: site "s64": one site too many: 66 sites, at most 64 make a federation
fed.toml:781: site "large": node "large-127": one node too many: 129 nodes, at most 128 make a site`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	for name, text := range map[string]string{
		"groups": "[federation]\nname = \"a\"\n[[site]]\nname = \"s\"\n[[site.node]]\nname = \"n\"\naddress = \"10.0.0.1:1\"\n" +
			strings.Repeat("[[group]]\nmatch = \"*\"\n", maxRules+1),
		"rules": "[federation]\nname = \"a\"\n[[site]]\nname = \"s\"\n[[site.node]]\nname = \"n\"\naddress = \"10.0.0.1:1\"\n" +
			strings.Repeat("[[access.allow]]\nclient = \"*\"\n", maxRules+1),
	} {
		if _, err := Parse("fed.toml", []byte(text)); err == nil || !strings.Contains(err.Error(), "one ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	_, err := Load("testdata/none.toml")
	if !errors.Is(err, os.ErrNotExist) || err.Error() != "testdata/none.toml: cannot read the topology: no such file or directory" {
		t.Errorf("missing file: %v", err)
	}
	if _, err = Load("testdata"); err == nil || err.Error() != "testdata: cannot read the topology: is a directory" {
		t.Errorf("folder: %v", err)
	}
	var faults *Faults
	if !errors.As(err, &faults) || len(faults.Faults()) != 1 {
		t.Errorf("%T is not a *Faults with one fault", err)
	}
	large := t.TempDir() + "/large.toml"
	if err := os.WriteFile(large, make([]byte, maxFileBytes+1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("large file: %v", err)
	}
}
