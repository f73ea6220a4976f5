package topology

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/BurntSushi/toml"
)

// maxFileBytes bounds a topology file: 64 sites of 128 nodes, described at length,
// take less than half of it.
const maxFileBytes = 4 << 20

// Load reads and validates the topology file at path. If anything is wrong, the error
// is a *Faults that says everything that is wrong.
func Load(path string) (*Topology, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, wholeFile(path, err)
	}
	return read(path, data, true)
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// One byte more than allowed is enough for Parse to see that it is too much.
	return io.ReadAll(io.LimitReader(file, maxFileBytes+1))
}

// wholeFile makes a fault of an error that concerns no line.
func wholeFile(path string, cause error) error {
	reason := cause
	var pathError *fs.PathError
	if errors.As(cause, &pathError) {
		reason = pathError.Err
	}
	c := collector{path: path, faults: []Fault{{
		Path: path, Cause: cause,
		Message: fmt.Sprintf("cannot read the topology: %v", reason),
	}}}
	return c.err()
}

// Parse validates a topology file that was read already. The path is for messages,
// and the certs folder is relative to its folder. If anything is wrong, the error is
// a *Faults that says everything that is wrong. It reads no other file: not the one of
// the tokens either.
func Parse(path string, data []byte) (*Topology, error) { return read(path, data, false) }

func read(path string, data []byte, files bool) (*Topology, error) {
	c := &collector{path: path}
	if path == "" {
		c.path = "topology"
	}
	tree, lines := decode(c, data)
	if err := c.err(); err != nil {
		return nil, err
	}
	r := &reader{collector: c, lines: lines, files: files}
	t := r.topology(path, tree)
	if err := c.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// decode turns the file into maps and slices, and indexes its lines. What it finds
// wrong is the one fault reported: nothing after it would mean what it says.
func decode(c *collector, data []byte) (map[string]any, *lineIndex) {
	if len(data) > maxFileBytes {
		c.add(0, "the file is larger than %d MiB, which no federation needs", maxFileBytes>>20)
		return nil, nil
	}
	lines, excess := indexLines(data)
	if excess != nil {
		c.add(excess.line, "%s", excess.message)
		return nil, nil
	}
	tree, err := unmarshal(string(data))
	if err == nil {
		return tree, lines
	}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		c.add(max(syntax.Position.Line, 1), "not TOML: %s", syntax.Message)
	} else {
		c.add(0, "not TOML: %v", err)
	}
	return nil, nil
}

// unmarshal decodes TOML. A panic of the decoder on some strange file is the file's
// fault: it must not bring down a node that reloads.
func unmarshal(text string) (tree map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the decoder gave up: %v", r)
		}
	}()
	_, err = toml.Decode(text, &tree)
	return tree, err
}
