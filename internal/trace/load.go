package trace

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"ringway/internal/evs"
)

// Unnamed is in the numbers of messages whose sender's node crashed before it knew how
// the site had numbered them.
const Unnamed = 1 << 62

// ErrNoTrace says that there is nothing to check.
var ErrNoTrace = errors.New("no trace")

// Load reads trace files; of a folder, all its *.jsonl. Messages have the numbers that
// their senders gave them, and the traces of one machine are on one clock.
func Load(paths []string) ([]evs.Trace, error) {
	files, err := find(paths)
	if err != nil {
		return nil, err
	}
	traces, err := loadFiles(files)
	if err != nil {
		return nil, err
	}
	if len(traces) == 0 {
		return nil, fmt.Errorf("%w in %s: start nodes with --trace FOLDER", ErrNoTrace, strings.Join(paths, ", "))
	}
	slices.SortFunc(traces, func(a, b evs.Trace) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Boot, b.Boot)) })
	for i := 1; i < len(traces); i++ {
		if traces[i].Node == traces[i-1].Node && traces[i].Boot == traces[i-1].Boot {
			return nil, fmt.Errorf("two traces of one life of node %s: name each file once", traces[i].Node)
		}
	}
	align(traces)
	Resolve(traces)
	return traces, nil
}

// loadFiles reads the files, as many at once as there are processors: most of the time
// goes into their JSON.
func loadFiles(files []string) ([]evs.Trace, error) {
	traces := make([]evs.Trace, len(files))
	var readers errgroup.Group
	readers.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range files {
		readers.Go(func() (err error) {
			if traces[i], err = loadFile(name); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	if err := readers.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(traces, func(t evs.Trace) bool { return len(t.Events) == 0 }), nil
}

func find(paths []string) ([]string, error) {
	var files []string
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%w: %s does not exist", ErrNoTrace, p)
		case err != nil:
			return nil, err
		case !info.IsDir():
			files = append(files, p)
			continue
		}
		inside, err := filepath.Glob(filepath.Join(p, "*.jsonl"))
		if err != nil {
			return nil, err
		}
		files = append(files, inside...)
	}
	return files, nil
}

func loadFile(name string) (t evs.Trace, err error) {
	file, err := os.Open(name)
	if err != nil {
		return t, err
	}
	defer file.Close()
	whole, err := untorn(file)
	if err != nil {
		return t, err
	}
	if t.Events, err = evs.Decode(whole); err != nil || len(t.Events) == 0 {
		return t, err
	}
	first := &t.Events[0]
	t.Node, t.Boot = first.Node, first.Boot
	for i := range t.Events {
		if e := &t.Events[i]; e.Node != t.Node || e.Boot != t.Boot {
			return t, fmt.Errorf("line %d is of node %s, boot %d; line 1 of node %s, boot %d: one file a life", i+1, e.Node, e.Boot, t.Node, t.Boot)
		}
	}
	t.Start = first.T - first.At // by the wall clock, until align knows better
	return t, nil
}

// untorn leaves out a last line without an end, which a killed node writes.
func untorn(file *os.File) (io.Reader, error) {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	end := size
	for back := int64(4096); end > 0; back *= 2 {
		from := max(0, size-back)
		tail := make([]byte, size-from)
		if _, err := file.ReadAt(tail, from); err != nil {
			return nil, err
		}
		if at := bytes.LastIndexByte(tail, '\n'); at >= 0 {
			end = from + int64(at) + 1
			break
		}
		if from == 0 {
			end = 0
		}
	}
	return bufio.NewReader(io.NewSectionReader(file, 0, end)), nil
}

// Resolve gives messages the numbers that their senders gave them, and takes out the
// events that say which.
func Resolve(traces []evs.Trace) {
	named := map[evs.Message]uint64{}
	for _, t := range traces {
		for i := range t.Events {
			if e := &t.Events[i]; e.Kind == evs.Named {
				named[e.Msg] = e.N
			}
		}
	}
	for i := range traces {
		t := &traces[i]
		kept := t.Events[:0]
		for _, e := range t.Events {
			switch e.Kind {
			case evs.Named:
				continue
			case evs.Send, evs.Cast, evs.Reject, evs.Dlv:
				if n, ok := named[e.Msg]; ok {
					e.Msg.Seq = n
				} else {
					e.Msg.Seq |= Unnamed
				}
			}
			kept = append(kept, e)
		}
		t.Events = kept
	}
}
