package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// asProgram makes the test binary behave as ringway itself, so that tests see real
// processes and their exit codes.
const asProgram = "RINGWAY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	for _, variable := range []string{"RINGWAY_TOPOLOGY", "RINGWAY_CONNECT", "RINGWAY_ADMIN", envCA, envTokenFile, demoFault} {
		os.Unsetenv(variable)
	}
	os.Exit(m.Run())
}

// patience bounds every wait.
const patience = 60 * time.Second

// command returns a process of ringway's, which ends with the test.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.WaitDelay = patience // who is done may take a moment to have its output read
	return cmd
}

// ringway runs a command to its end.
func ringway(t *testing.T, stdin string, environment []string, args ...string) (code int, out, errs string) {
	t.Helper()
	cmd := command(t, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	cmd.Env = append(cmd.Env, environment...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodTopology = `[federation]
name = "one"
[[site]]
name = "lan"
  [[site.node]]
  name = "n1"
  address = "127.0.0.1:24001"
`

const exposedTopology = `[federation]
name = "one"
[[site]]
name = "lan"
  [[site.node]]
  name = "n1"
  address = "192.0.2.1:24001"
`

const badTopology = `[federation]
name = "one"
colour = "red"
[[site]]
name = "lan"
  [[site.node]]
  name = "n1"
  address = "127.0.0.1"
`

func TestExitCodesAndErrors(t *testing.T) {
	good, bad, exposed := write(t, "good.toml", goodTopology), write(t, "bad.toml", badTopology), write(t, "exposed.toml", exposedTopology)
	for _, test := range []struct {
		args string
		code int
		errs string // that stderr must have
	}{
		{"version", 0, ""},
		{"--help", 0, ""},
		{"demo --help", 0, ""},
		{"help", 0, ""},
		{"help keys issue", 0, ""},
		{"help nothing", 2, "ringway: help: nothing: no such command: "},
		{"help keys nothing", 2, "`ringway keys --help`"},
		{"trace", 2, "ringway trace check"},
		{"trace bogus", 2, "ringway: trace: bogus: no such command: want check"},
		{"trace check", 2, "ringway: trace check: 0 arguments: "},
		{"trace check --most 0 .", 2, "--most 0"},
		{"bench sessoins", 2, "ringway: bench: sessoins: no such command: want joins, sessions"},
		{"bench joins", 2, "ringway: bench joins: no --connect: "},
		{"bench sessions --connect tls://127.0.0.1:1", 2, "no TLS"},
		{"check " + good, 0, ""},
		{"check --json " + good, 0, ""},
		{"", 2, "Usage:"},
		{"dance", 2, "ringway: dance: no such command: "},
		{"version now", 2, "ringway: version: "},
		{"keys token", 2, "no --client"},
		{"groups", 2, "ringway: groups: no --connect: "},
		{"members --connect h:1", 2, "want one GROUP"},
		{"keys token --client [", 1, "ringway: keys token: client "},
		{"check", 2, "ringway: check: no FILE: "},
		{"check /no/such/file", 2, "no such file"},
		{"check " + bad, 2, "bad.toml:8: "},
		{"check --colour " + good, 2, "ringway: check: unknown flag: --colour: "},
		{"check --from-spread " + write(t, "spread.conf", "Spread_Segment 239.1.1.1 { a 10.0.0.1 }\nWindow = 9\n"), 0, ""},
		{"check --from-spread " + write(t, "bad.conf", "\nColour = red\n"), 2, "bad.conf:2: "},
		{"check --from-spread /no/such/file", 2, "no such file"},
		{"check --from-spread x " + good, 2, "leave "},
		{"check --one-site " + good, 2, "go with --from-spread"},
		{"node", 2, "ringway: node: no --topology: "},
		{"node --topology " + good, 2, "ringway: node: no --name: "},
		{"node --topology " + good + " --name n9", 2, "ringway: node n9: "},
		{"node --topology " + bad + " --name n1", 2, "bad.toml:3: "},
		{"node --topology " + good + " --name n1 --log-format xml", 2, "--log-format xml: want text or json"},
		{"node --topology " + good + " --name n1 --dial n1", 2, "want NODE=HOST:PORT"},
		{"node --topology " + good + " --name n1 --dial n1=h:1", 2, "no gateway n1"},
		{"node --topology " + exposed + " --name n1", 2, "ringway keys init"},
		{"pub", 2, "ringway: pub: 0 arguments: "},
		{"pub g", 2, "ringway: pub: no --connect: "},
		{"pub g --connect nonsense", 2, "ringway: pub: --connect: "},
		{"pub g --connect 127.0.0.1:1", 1, "connection refused: no node listens there"},
		{"pub g --connect 127.0.0.1:1 --service best", 2, "ringway: pub: service "},
		{"pub g --connect 127.0.0.1:1 --size -1", 2, "not negative"},
		{"sub", 2, "ringway: sub: 0 arguments: "},
		{"sub g", 2, "ringway: sub: no --connect: "},
		{"sub g --connect 127.0.0.1:1", 1, "connection refused"},
		{"sub g --connect 127.0.0.1:1 --count -1", 2, "--count -1"},
		{"status", 2, "ringway: status: no --admin: "},
		{"status --admin here", 2, "want HOST:PORT"},
		{"status --admin 127.0.0.1:1", 1, "ringway: status: 127.0.0.1:1: no answer: "},
		{"top", 2, "ringway: top: no --admin: "},
		{"top --admin here", 2, "ringway: top: --admin here: want HOST:PORT"},
		{"top --admin 127.0.0.1:1", 1, "127.0.0.1:1: no answer: "},
		{"bench", 2, "ringway: bench: no --connect: "},
		{"bench --connect 127.0.0.1:1 --size 3", 2, "ringway: bench: size 3: "},
		{"bench --connect 127.0.0.1:1 --duration 1s", 1, "connection refused"},
		{"keys", 2, "want init, issue, renew, revoke, show or token"},
		{"keys issue --all", 2, "ringway: keys issue: no --topology: "},
		{"keys lose", 2, "ringway: keys: lose: "},
		{"keys init", 2, "no --federation"},
		{"keys issue --topology " + good, 2, "want --all, or the names"},
		{"keys issue --topology " + good + " --dir /no/such/folder --all", 1, "ringway keys init"},
		{"demo --sites 1", 2, "ringway: demo: --sites 1: "},
		{"demo --feed /no/such/file", 2, "ringway: demo: feed: "},
	} {
		t.Run(strings.ReplaceAll(test.args, "/", "|"), func(t *testing.T) {
			t.Parallel()
			code, out, errs := ringway(t, "", nil, strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(errs, test.errs) || test.code == 0 && (errs != "" || out == "") {
				t.Errorf("exit code %d, want %d with %q\nstdout: %.300s\nstderr: %s", code, test.code, test.errs, out, errs)
			}
			if test.code != 0 && test.args != "" {
				for line := range strings.Lines(errs) {
					if !strings.HasPrefix(line, "ringway: ") || !strings.HasSuffix(line, "\n") {
						t.Errorf("not of the form `ringway: what: why`: %q", line)
					}
				}
				if out != "" {
					t.Errorf("stdout has %q", out)
				}
			}
		})
	}
}

func TestEveryFaultOfAFileIsALine(t *testing.T) {
	_, _, errs := ringway(t, "", nil, "check", write(t, "bad.toml", badTopology))
	if strings.Count(errs, "\n") != 2 || !strings.Contains(errs, "bad.toml:3: ") || !strings.Contains(errs, "bad.toml:8: ") {
		t.Errorf("got\n%s", errs)
	}
}

// TestFromSpread moves a configuration of Spread's, as docs/from-spread.md says.
func TestFromSpread(t *testing.T) {
	conf := write(t, "spread.conf", "Spread_Segment 10.1.0.255:4803 {\n\tlon-1 10.1.0.1\n\tlon-2 10.1.0.2\n}\n"+
		"Spread_Segment 10.2.0.255:4803 {\n\tfra-1 10.2.0.1\n}\nEventPriority = INFO\n")
	code, out, errs := ringway(t, "", nil, "check", "--from-spread", conf, "--federation", "acme")
	if code != 0 || !strings.Contains(out, "#    8  EventPriority = INFO\n") {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
	code, out, errs = ringway(t, "", nil, "check", write(t, "acme.toml", out))
	if code != 0 || !strings.HasPrefix(out, "federation acme: 2 sites, 3 nodes, 1 link\n") {
		t.Fatalf("%d\n%s%s", code, out, errs)
	}
}

func TestDefaultsFromTheEnvironment(t *testing.T) {
	good := write(t, "good.toml", goodTopology)
	for _, test := range []struct{ variable, args, errs string }{
		{"RINGWAY_TOPOLOGY=" + good, "node --name n9", "ringway: node n9: "},
		{"RINGWAY_TOPOLOGY=" + good, "check", ""},
		{"RINGWAY_CONNECT=127.0.0.1:1", "sub g", "127.0.0.1:1"},
		{"RINGWAY_CONNECT=127.0.0.1:1", "bench --duration 1s", "127.0.0.1:1"},
		{"RINGWAY_ADMIN=127.0.0.1:1", "status", "127.0.0.1:1"},
		{"RINGWAY_CA=/no/such/file", "sub g --connect tls://127.0.0.1:1", "RINGWAY_CA: "},
		{"RINGWAY_CA=" + good, "sub g --connect tls://127.0.0.1:1", "no certificate in PEM"},
		{"RINGWAY_TOKEN_FILE=/no/such/file", "pub g --connect 127.0.0.1:1", "RINGWAY_TOKEN_FILE: "},
	} {
		if _, _, errs := ringway(t, "", []string{test.variable}, strings.Fields(test.args)...); !strings.Contains(errs, test.errs) || test.errs == "" && errs != "" {
			t.Errorf("%s ringway %s: %s", test.variable, test.args, errs)
		}
	}
}
