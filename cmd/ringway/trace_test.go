package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTraceCheckOneClock: the wall clock was set back by 10 ms between the starts of two
// nodes. What one sent 1 ms before the other got it was still sent before, as long as both
// say by what clock of their machine they began.
func TestTraceCheckOneClock(t *testing.T) {
	const wall = 1_790_000_000_000_000_000 // 2026-09-21T14:13:20Z
	for _, x := range []struct {
		name             string
		sender, receiver string // what their start has
		flags            string
		want             string
	}{
		{"one machine", `,"up":5000000000,"machine":"m"`, `,"up":5000000000,"machine":"m"`, "--one-clock", "all hold"},
		{"older traces", ``, ``, "--one-clock", "before it was sent"},
		{"one older trace", `,"up":5000000000,"machine":"m"`, ``, "--one-clock", "before it was sent"},
		{"it was booted between", `,"up":5000000000,"machine":"m"`, `,"up":5000000000,"machine":"m2"`, "--one-clock", "before it was sent"},
		{"clocks are not compared", ``, ``, "", "all hold"},
	} {
		t.Run(x.name, func(t *testing.T) {
			folder := t.TempDir()
			for node, lines := range map[string][]string{
				"a": {
					fmt.Sprintf(`{"t":0,"ev":"start","T":%d%s,`, wall, x.sender),
					`{"t":1000000,"ev":"connect","client":"c","group":"#c#a",`,
					`{"t":20000000,"ev":"submit","msg":["c",1],"groups":["g"],"svc":"reliable",`,
					`{"t":20100000,"ev":"named","msg":["c",7],"n":1,`,
					`{"t":90000000,"ev":"stop",`,
				},
				"b": {
					fmt.Sprintf(`{"t":0,"ev":"start","T":%d%s,`, wall-10_000_000, x.receiver),
					`{"t":1000000,"ev":"connect","client":"d","group":"#d#b",`,
					`{"t":2000000,"ev":"join","client":"d","group":"g",`,
					`{"t":21000000,"ev":"dlv","client":"d","msg":["c",7],`,
					`{"t":90000000,"ev":"stop",`,
				},
			} {
				text := ""
				for _, line := range lines {
					text += line + fmt.Sprintf(`"node":%q,"boot":1}`, node) + "\n"
				}
				if err := os.WriteFile(filepath.Join(folder, node+"-1.jsonl"), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			code, out, errs := ringway(t, "", nil, append([]string{"trace", "check"}, append(strings.Fields(x.flags), folder)...)...)
			if !strings.Contains(out, x.want) || (code == 0) != (x.want == "all hold") {
				t.Errorf("exit code %d, want %q in\n%s%s", code, x.want, out, errs)
			}
		})
	}
}
