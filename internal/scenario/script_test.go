//go:build linux

package scenario

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var (
	scripts = flag.String("scripts", "scripts/*.txt", "scripts that TestScripts plays")
	keepAll = flag.Bool("keep.all", false, "with -keep: also of plays that hold")
)

// TestScripts plays scenarios in labs: each is a page in the folder scripts.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(*scripts)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts %s: %v", *scripts, err)
	}
	for _, file := range files {
		script, err := ReadScript(file)
		if err != nil {
			t.Error(err)
			continue
		}
		t.Run(script.Name, func(t *testing.T) {
			// A federation is enough for two cores.
			if !slow && len(script.topology.Sites) == 1 {
				t.Parallel()
			}
			stage := &Stage{Binary: ringway, Keep: *keep, Always: *keepAll, Say: t.Logf}
			if err := stage.Play(t.Context(), script); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWaitingScripts: scripts that do not hold yet, or take long, can be read at least.
func TestWaitingScripts(t *testing.T) {
	waiting, err1 := filepath.Glob("scripts/waiting/*.txt")
	long, err2 := filepath.Glob("scripts/long/*.txt")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(waiting, long...) {
		if _, err := ReadScript(file); err != nil {
			t.Error(err)
		}
	}
}

// TestReadScript: everything that is wrong with a script is said, with its line.
func TestReadScript(t *testing.T) {
	top, err := filepath.Abs("scripts/one-site.toml")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	rel, err := filepath.Rel(folder, top)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"":                                             "begin with lab FILE",
		"settle\nlab " + rel:                           ":1: settle: begin with lab FILE",
		"lab no.toml":                                  "no such file",
		"lab " + rel + "\ndance":                       ":2: dance: a script has no such word; it has chat, continue, crowd,",
		"lab " + rel + "\nkill":                        ":2: kill: want kill NODE|SITE…",
		"lab " + rel + "\nkill lon-9":                  ":2: kill: lon-9: no such site or node",
		"lab " + rel + "\nview lon-1 /":                ":2: view: want all, without A B, or parts",
		"lab " + rel + "\nview without x":              "x: no such site or node",
		"lab " + rel + "\nsettle\nchat 1ms":            ":3: chat: say it before anything happens",
		"lab " + rel + "\nchat often":                  "want a time, as 40ms",
		"lab " + rel + "\ngo 2h":                       "want a time of up to",
		"lab " + rel + "\nfiles lon-1 few":             "want a number of files",
		"lab " + rel + "\ndisk lon-1 big":              "want a size, as 256kb",
		"lab " + rel + "\ndisk x 1kb":                  "disk: x: no such node",
		"lab " + rel + "\nrepeat 3\nheal":              "a repeat has no end",
		"lab " + rel + "\nend":                         ":2: end: there is no repeat to end",
		"lab " + rel + "\nrepeat 2\nrepeat 2":          ":3: repeat: a repeat within a repeat",
		"lab " + rel + "\nrepeat often":                "want how often, as 20",
		"lab " + rel + "\nrepeat 999\nheal\nheal\nend": "999 × 2 lines are too many",
		"lab " + rel + "\nflap a-b 3 1s":               ":2: flap a-b 3 1s: want flap A-B TIMES DOWN UP",
		"lab " + rel + "\nflap a-b x 1s 1s":            "x: want how often",
		"lab " + rel + "\npath lon fra":                "fra: no such site",
		"lab " + rel + "\nsites lon /":                 "want all, or parts of sites",
		"lab " + rel + "\nstream lon-1 1e9":            "want messages a second, up to 20000",
		"lab " + rel + "\nstream lon-7 10":             "lon-7: no such node",
		"lab " + rel + "\nheal it\n# and\nsay":         ":4: say: a script has no such word",
	} {
		path := filepath.Join(folder, "script.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadScript(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
