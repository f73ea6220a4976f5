package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ringway/internal/freeport"
	"ringway/internal/lockedbuf"
)

// loopbackNode writes a topology of one node, with or without certificates, in a folder
// that other users can read.
func loopbackNode(t *testing.T, certs bool) (dir, file string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ringway-user")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "[federation]\nname = \"one\"\n"
	if certs {
		text += "certs = \"certs\"\n"
	}
	text += fmt.Sprintf("[[site]]\nname = \"lon\"\ntransport = \"unicast\"\n  [[site.node]]\n  name = \"n1\"\n  address = %q\n", freeport.For(t).String())
	file = filepath.Join(dir, "t.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if certs {
		keysDo(t, 0, "init", "--dir", filepath.Join(dir, "certs"), "--federation", "one")
		keysDo(t, 0, "issue", "--dir", filepath.Join(dir, "certs"), "--topology", file, "--all")
	}
	return dir, file
}

// startNode starts a node and waits until its log says something, or it has ended.
func startNode(t *testing.T, say string, args ...string) (cmd *exec.Cmd, log string) {
	t.Helper()
	var out lockedbuf.Buffer
	cmd = exec.Command(os.Args[0], append([]string{"node"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // its log is what counts
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		<-ended
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			return cmd, out.String()
		default:
		}
		if strings.Contains(out.String(), say) {
			return cmd, out.String()
		}
	}
	t.Fatalf("the node did not say %q:\n%s", say, out.String())
	return nil, ""
}

// TestNodeGivesUpRoot: with --user a node that root started ends up with no right left.
func TestNodeGivesUpRoot(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and a user nobody")
	}
	dir, file := loopbackNode(t, true)
	// The key is root's: nobody could not read it again.
	_, log := startNode(t, "never", "--topology", file, "--name", "n1", "--user", "nobody")
	if !strings.Contains(log, "as user nobody") || !strings.Contains(log, "n1-key.pem") {
		t.Errorf("a key that the user cannot read: %s", log)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	if err := os.Chown(filepath.Join(dir, "certs", "n1-key.pem"), uid, gid); err != nil {
		t.Fatal(err)
	}
	cmd, _ := startNode(t, "node is up", "--topology", file, "--name", "n1", "--user", "nobody")
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Skip("no /proc")
	}
	for _, thread := range threads {
		status, err := os.ReadFile(thread)
		if err != nil {
			continue // it has ended
		}
		for what, want := range map[string]string{"Uid": nobody.Uid, "Gid": nobody.Gid} {
			line := regexp.MustCompile(`(?m)^` + what + `:\s+(.*)$`).FindSubmatch(status)
			if got := strings.Fields(string(line[1])); strings.Join(got, " ") != strings.Repeat(want+" ", 3)+want {
				t.Errorf("%s: %s %s, want %s", thread, what, line[1], want)
			}
		}
		if groups := regexp.MustCompile(`(?m)^Groups:\s+(.*)$`).FindSubmatch(status); strings.TrimSpace(string(groups[1])) != nobody.Gid {
			t.Errorf("%s: groups %s", thread, groups[1])
		}
	}
}

func TestNodeDoesNotBecomeRoot(t *testing.T) {
	_, file := loopbackNode(t, false)
	for who, want := range map[string]string{"root": "is root", "no-such-user-here": "user no-such-user-here"} {
		if _, log := startNode(t, "never", "--topology", file, "--name", "n1", "--user", who); !strings.Contains(log, want) {
			t.Errorf("--user %s: %s", who, log)
		}
	}
}

// TestSecretsAreNotLogged: a node with keys and tokens logs none of them, at start, when
// it reads them again, and when they are wrong.
func TestSecretsAreNotLogged(t *testing.T) {
	dir, file := loopbackNode(t, true)
	key := filepath.Join(dir, "certs", "n1-key.pem")
	text, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(text), "\n")[1]
	_, log := startNode(t, "node is up", "--topology", file, "--name", "n1", "--log-format", "json")
	// A key that is spoiled in one place: the error must not show the rest.
	if err := os.WriteFile(key, bytes.Replace(text, []byte("PRIVATE"), []byte("PIRATE"), 2), 0o600); err != nil {
		t.Fatal(err)
	}
	_, wrong := startNode(t, "never", "--topology", file, "--name", "n1")
	if !strings.Contains(wrong, "n1-key.pem") {
		t.Errorf("no error names the file: %s", wrong)
	}
	for _, out := range []string{log, wrong} {
		if strings.Contains(out, secret) || strings.Contains(out, secret[8:40]) {
			t.Errorf("the key is in the log:\n%s", out)
		}
	}
}
