// Package netem holds the scripts of this folder to what can be checked without a kernel
// that has netem; scripts/uml-test runs them.
package netem

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestScripts: every script parses, explains itself, and is in the README.
func TestScripts(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	scripts, err := filepath.Glob("*.sh")
	if err != nil || len(scripts) < 8 {
		t.Fatalf("%v %v", scripts, err)
	}
	for _, script := range scripts {
		if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", script, err, out)
		}
		if script == "lib.sh" {
			continue
		}
		if !strings.Contains(string(readme), "`"+script) {
			t.Errorf("%s is not in the README", script)
		}
		out, err := exec.Command("bash", script, "-h").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "  "+script) {
			t.Errorf("%s -h: %v\n%s", script, err, out)
		}
	}
}

// TestTutorial: the scripts that docs/rehearse.md calls are there.
func TestTutorial(t *testing.T) {
	text, err := os.ReadFile("../../docs/rehearse.md")
	if err != nil {
		t.Fatal(err)
	}
	called := 0
	for _, word := range strings.Fields(string(text)) {
		if strings.HasPrefix(word, "examples/netem/") && strings.HasSuffix(word, ".sh") {
			called++
			if _, err := os.Stat("../../" + word); err != nil {
				t.Error(err)
			}
		}
	}
	if called < 5 {
		t.Errorf("the tutorial calls %d scripts", called)
	}
}
