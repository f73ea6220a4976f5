//go:build linux

package scenario

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// traceFolder is where the nodes write their traces.
func (s *Site) traceFolder() string { return filepath.Join(s.folder, "trace") }

// CheckTraces has `ringway trace check` judge what the nodes wrote. They must have
// ended, in order and after everything had arrived: a trace without an end is that of a
// crashed node.
func (s *Site) CheckTraces(ctx context.Context) error {
	files, err := os.ReadDir(s.traceFolder())
	if err != nil {
		return err
	}
	if len(files) < len(s.Nodes) {
		return fmt.Errorf("%d traces of %d nodes", len(files), len(s.Nodes))
	}
	return checkTraces(ctx, s.cfg.Binary, s.traceFolder())
}

// checkTraces has the program judge the traces of a run that ended quietly, which may be
// in several folders.
func checkTraces(ctx context.Context, binary string, folders ...string) error {
	args := append([]string{"trace", "check", "--one-clock", "--quiet-end"}, folders...)
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput() //nolint:gosec // what Build built
	if err != nil {
		return fmt.Errorf("ringway trace check: %w\n%s", err, out[:min(len(out), tailBytes)])
	}
	return nil
}
