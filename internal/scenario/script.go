//go:build linux

package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringway/topology"
)

// A Script is a scenario in a lab, as text. doc.go has its words.
type Script struct {
	Name string

	path     string
	topology *topology.Topology
	disks    map[string]int64
	every    time.Duration // each client sends
	untraced bool
	steps    []step
	repeats  int // times that the lines from repeated on come; 0: not in a repeat
	repeated int
}

// A step is a line of a script.
type step struct {
	line int
	text string
	word *word
	args []string
}

// maxScript bounds a script, which is about a page.
const maxScript = 64 << 10

// labChatEvery is how often each client sends in a lab: its sites share the machine.
const labChatEvery = 40 * time.Millisecond

// ReadScript reads a script and says everything that is wrong with it.
func ReadScript(path string) (*Script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(text) > maxScript {
		return nil, fmt.Errorf("%s: a script has at most %d bytes", path, maxScript)
	}
	base := filepath.Base(path)
	s := &Script{Name: strings.TrimSuffix(base, filepath.Ext(base)), path: path, disks: map[string]int64{}, every: labChatEvery}
	var faults []error
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			if err := s.add(i+1, fields); err != nil {
				faults = append(faults, fmt.Errorf("%s:%d: %w", path, i+1, err))
			}
		}
	}
	if s.topology == nil && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: it says not where it plays: begin with lab FILE", path))
	}
	if s.repeats > 0 && len(faults) == 0 {
		faults = append(faults, fmt.Errorf("%s: a repeat has no end", path))
	}
	return s, errors.Join(faults...)
}

// maxSteps bounds a script with everything that it repeats.
const maxSteps = 1000

// beginRepeat says that the lines up to the end come several times.
func (s *Script) beginRepeat(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 1 || n > maxSteps {
		return fmt.Errorf("%s: want how often, as 20", args[0])
	}
	if s.repeats > 0 {
		return errors.New("a repeat within a repeat: end the first one")
	}
	s.repeats, s.repeated = n, len(s.steps)
	return nil
}

func (s *Script) endRepeat([]string) error {
	lines := s.steps[s.repeated:]
	if s.repeats == 0 {
		return errors.New("there is no repeat to end")
	}
	if s.repeated+len(lines)*s.repeats > maxSteps {
		return fmt.Errorf("%d × %d lines are too many: a script does at most %d", s.repeats, len(lines), maxSteps)
	}
	s.steps, s.repeats = append(s.steps, slices.Repeat(lines, s.repeats-1)...), 0
	return nil
}

// add adds a line.
func (s *Script) add(line int, fields []string) error {
	name, args := fields[0], fields[1:]
	w := words[name]
	switch {
	case w == nil:
		return fmt.Errorf("%s: a script has no such word; it has %s", name, strings.Join(wordList(), ", "))
	case len(args) < w.min || w.max >= 0 && len(args) > w.max:
		return fmt.Errorf("%s: want %s", strings.Join(fields, " "), strings.TrimSpace(name+" "+w.args))
	case s.topology == nil && name != "lab":
		return fmt.Errorf("%s: begin with lab FILE", name)
	case w.setting != nil && len(s.steps) > 0:
		return fmt.Errorf("%s: say it before anything happens", name)
	case w.setting != nil:
		return w.setting(s, args)
	}
	if w.block != nil {
		if err := w.block(s, args); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	if w.check != nil {
		if err := w.check(s, args); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	s.steps = append(s.steps, step{line: line, text: strings.Join(fields, " "), word: w, args: args})
	return nil
}

// names returns the nodes that a name stands for: itself, or a site's.
func (s *Script) names(name string) ([]string, error) {
	var nodes []string
	for _, site := range s.topology.Sites {
		for _, n := range site.Nodes {
			if name == n.Name || name == site.Name || name == "all" {
				nodes = append(nodes, n.Name)
			}
		}
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%s: no such site or node in %s", name, s.topology.Path)
	}
	return nodes, nil
}

// parts reads "all", "without A B" or "A B / C D".
func (s *Script) parts(args []string) (parts [][]string, err error) {
	without := args[0] == "without"
	if without {
		args = args[1:]
	}
	var part []string
	for _, arg := range append(args, "/") {
		if arg == "/" {
			if len(part) == 0 {
				return nil, errors.New("want all, without A B, or parts like A B / C")
			}
			parts, part = append(parts, part), nil
			continue
		}
		nodes, err := s.names(arg)
		if err != nil {
			return nil, err
		}
		part = append(part, nodes...)
	}
	if !without {
		return parts, nil
	}
	all, err := s.names("all")
	return [][]string{slices.DeleteFunc(all, func(n string) bool { return slices.Contains(slices.Concat(parts...), n) })}, err
}

// nodes reads names of nodes or sites.
func (s *Script) nodes(args []string) (all []string, err error) {
	for _, arg := range args {
		nodes, err := s.names(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, nodes...)
	}
	return all, nil
}

// setLab loads the topology: a file next to the script, or one of the examples.
func (s *Script) setLab(args []string) error {
	path := filepath.Join(filepath.Dir(s.path), args[0])
	t, err := topology.Load(path)
	if err != nil {
		return err
	}
	s.topology = t
	return nil
}

// setDisk gives a node a small disk.
func (s *Script) setDisk(args []string) error {
	if _, ok := s.topology.Node(args[0]); !ok {
		return fmt.Errorf("disk: %s: no such node in %s", args[0], s.topology.Path)
	}
	var kb int64
	if _, err := fmt.Sscanf(args[1], "%dkb", &kb); err != nil || kb <= 0 || kb > 1<<20 || fmt.Sprintf("%dkb", kb) != args[1] {
		return fmt.Errorf("disk: %s: want a size, as 256kb", args[1])
	}
	s.disks[args[0]] = kb << 10
	return nil
}

// setChat says how often each client sends.
func (s *Script) setChat(args []string) (err error) {
	if s.every, err = time.ParseDuration(args[0]); err != nil || s.every <= 0 {
		return fmt.Errorf("chat: %s: want a time, as 40ms", args[0])
	}
	return nil
}

// setUntraced lets nodes write no traces.
func (s *Script) setUntraced([]string) error {
	s.untraced = true
	return nil
}
