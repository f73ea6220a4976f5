//go:build linux

package scenario

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/internal/lockedbuf"
	"ringway/internal/netlab"
)

// repository is where the documentation's commands are meant to be typed.
const repository = "../.."

// A guide is a page of the documentation whose commands are run as they stand, on a
// machine of its own: a namespace with the addresses that the pages use.
type guide struct {
	*testing.T
	space  *netlab.Space
	folder string
	lines  []string // commands not run yet
}

func newGuide(t *testing.T) *guide {
	t.Helper()
	lab, err := netlab.New(fmt.Sprintf("docs%d", sites.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(); err != nil {
			t.Error(err)
		}
	})
	g := &guide{T: t, folder: t.TempDir()}
	lan, err := lab.Switch("lan")
	if err == nil {
		g.space, err = lab.Space("host")
	}
	if err == nil {
		_, err = lan.Plug(g.space, netip.MustParsePrefix("10.1.0.1/24"))
	}
	if err != nil {
		t.Fatal(err)
	}
	// The folder looks like the repository, with the program built: go's own commands
	// run there, all others here.
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"bin/ringway": ringway, "examples": filepath.Join(root, "examples")} {
		g.link(name, to)
	}
	return g
}

func (g *guide) link(name, to string) {
	g.Helper()
	path := filepath.Join(g.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		g.Fatal(err)
	}
	if err := os.Symlink(to, path); err != nil {
		g.Fatal(err)
	}
}

// fences are the pieces of a page that are commands.
var fences = regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$")

// open takes a page's commands.
func (g *guide) open(page string) {
	g.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "docs", page))
	if err != nil {
		g.Fatal(err)
	}
	for _, block := range fences.FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				g.lines = append(g.lines, line)
			}
		}
	}
}

// next returns the next command, which must begin like that: a page that says something
// else wants another test.
func (g *guide) next(begins string) string {
	g.Helper()
	if len(g.lines) == 0 || !strings.HasPrefix(g.lines[0], begins) {
		g.Fatalf("the page's next command is not %q: %q", begins, g.lines)
	}
	line := g.lines[0]
	g.lines = g.lines[1:]
	return line
}

// command returns a line for the shell of the guide's machine.
func (g *guide) command(line string) *exec.Cmd {
	cmd := exec.Command("sh", "-c", line) //nolint:gosec // the documentation's
	cmd.Dir = g.folder
	if strings.HasPrefix(line, "go ") {
		cmd.Dir = repository
	}
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(g.folder, "bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what the shell starts
	return cmd
}

// do runs a command to its end, which must be good.
func (g *guide) do(line string) string {
	g.Helper()
	var out lockedbuf.Buffer
	cmd := g.command(line)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := g.space.Start(cmd); err != nil {
		g.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		g.Fatalf("%s: %v\n%s", line, err, out.String())
	}
	return out.String()
}

// begin runs a command that goes on by itself, as in a terminal of its own; it is
// interrupted at the end of the test. The returned functions say what it has printed and
// type a line.
func (g *guide) begin(line string) (said func() string, types func(string)) {
	g.Helper()
	out := &lockedbuf.Buffer{}
	cmd := g.command(line)
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		g.Fatal(err)
	}
	if err := g.space.Start(cmd); err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) //nolint:errcheck // it may have ended
		_ = cmd.Wait()
		if g.Failed() {
			g.Logf("%s\n%s", line, out.String())
		}
	})
	return out.String, func(text string) {
		if _, err := in.Write([]byte(text + "\n")); err != nil {
			g.Error(err)
		}
	}
}

// wait polls until a command has said something.
func (g *guide) wait(what string, said func() string, again func()) {
	g.Helper()
	for end := time.Now().Add(2 * time.Minute); !strings.Contains(said(), what); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			g.Fatalf("waited in vain for %q", what)
		}
		if again != nil {
			again()
		}
	}
}

// TestGettingStarted types docs/getting-started.md, and docs/from-spread.md where that
// makes the file that the other page takes for given.
func TestGettingStarted(t *testing.T) {
	t.Parallel()
	g := newGuide(t)
	g.open("from-spread.md")
	spreadConf := filepath.Join(g.folder, "spread.conf")
	if err := os.WriteFile(spreadConf, []byte("Spread_Segment 239.192.7.9:4803 {\n  lon-1 10.1.0.1\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.do(strings.Replace(g.next("ringway check --from-spread /etc/spread.conf"), "/etc/spread.conf", spreadConf, 1))
	// The check before there are certificates; then those, and a token.
	for _, begins := range []string{"ringway check acme.toml", "ringway keys init", "ringway keys issue", "ringway keys token"} {
		g.do(g.next(begins))
	}
	if len(g.lines) > 0 {
		t.Errorf("from-spread.md has commands that were not run: %q", g.lines)
	}

	g.lines = nil
	g.open("getting-started.md")
	build := g.next("go build -o bin/ringway ./cmd/ringway")
	g.do(strings.Replace(build, "bin/ringway", filepath.Join(g.folder, "built"), 1))
	g.do(g.next("bin/ringway check"))
	g.begin(g.next("bin/ringway node"))
	g.begin(g.next("bin/ringway node"))
	sub := g.next("bin/ringway sub")
	pub := g.next("date | bin/ringway pub")
	g.ready("127.1.0.1:4820", "127.2.0.1:4820")
	said, _ := g.begin(sub)
	g.wait("1 member after join", said, nil)
	g.do(pub)
	g.wait(fmt.Sprint(time.Now().Year()), said, nil)

	// The same authority as before: the page's own would be in the way.
	if err := os.Rename(filepath.Join(g.folder, "certs"), filepath.Join(g.folder, "certs.old")); err != nil {
		t.Fatal(err)
	}
	g.do(g.next("ringway keys init"))
	g.do(g.next("ringway keys issue"))

	ann, annTypes := g.begin(g.next("go run ./examples/chat"))
	bob, _ := g.begin(g.next("go run ./examples/chat"))
	g.wait("bob", ann, nil)
	annTypes("a cup of tea")
	g.wait("a cup of tea", bob, nil)

	// Over TLS, with the listener that the page's sentence has.
	file := filepath.Join(g.folder, "acme.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	with := regexp.MustCompile(`clients = \[.*\]`).ReplaceAllString(string(text), `clients = ["tls://10.1.0.1:4806"]`)
	if err := os.WriteFile(file, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	g.begin("ringway node --topology acme.toml --name lon-1")
	g.ready("127.0.0.1:4805")
	secret, _ := g.begin(g.next("RINGWAY_CA=certs/ca.pem ringway sub"))
	g.wait("a message over TLS", secret, func() {
		g.do("echo a message over TLS | RINGWAY_CA=certs/ca.pem ringway pub --connect tls://10.1.0.1:4806 news")
	})
	if len(g.lines) > 0 {
		t.Errorf("getting-started.md has commands that were not run: %q", g.lines)
	}
}

// ready waits until nodes say so.
func (g *guide) ready(admins ...string) {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), 2*time.Minute)
	defer cancel()
	for _, a := range admins {
		for {
			out, err := func() ([]byte, error) {
				cmd := g.command("ringway status --admin " + a)
				var out lockedbuf.Buffer
				cmd.Stdout = &out
				if err := g.space.Start(cmd); err != nil {
					return nil, err
				}
				err := cmd.Wait()
				return []byte(out.String()), err
			}()
			if err == nil && regexp.MustCompile(`(?m)^node .*: ready$`).Match(out) {
				break
			}
			if ctx.Err() != nil {
				g.Fatalf("%s is not ready: %v\n%s", a, err, out)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// inline are commands within sentences, with placeholders: the program must have them.
var inline = regexp.MustCompile("`(?:bin/)?ringway ([a-z -]+[a-z])([^`]*)`")

// TestCommandsInTheDocsExist: each subcommand and flag that a page for users names.
func TestCommandsInTheDocsExist(t *testing.T) {
	help := map[string]string{}
	for _, page := range []string{"getting-started.md", "from-spread.md", "client-protocol.md", "spread.md", "services.md", "topology.md", "security.md", "operations.md"} {
		text, err := os.ReadFile(filepath.Join(repository, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range inline.FindAllStringSubmatch(string(text), -1) {
			words, _, _ := strings.Cut(m[1], " -")
			words = strings.Join(slices.DeleteFunc(strings.Fields(words), func(w string) bool { return strings.Contains(w, ".") }), " ")
			if _, known := help[words]; !known {
				out, err := exec.Command(ringway, append(strings.Fields(words), "--help")...).CombinedOutput() //nolint:gosec // our program
				if err != nil {
					t.Errorf("%s: %s: %v", page, m[0], err)
				}
				help[words] = string(out)
			}
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[0], -1) {
				if !strings.Contains(help[words], flag) {
					t.Errorf("%s: %s: there is no %s", page, m[0], flag)
				}
			}
		}
	}
	if len(help) < 5 {
		t.Errorf("only %d commands were found", len(help))
	}
}
