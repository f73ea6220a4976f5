//go:build linux

package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Resources is what a node's process uses.
type Resources struct {
	Goroutines int
	Resident   int64 // bytes of memory
}

// Resources asks the node's metrics.
func (o *operator) Resources(ctx context.Context) (Resources, error) {
	body, err := o.get(ctx, "/metrics")
	if err != nil {
		return Resources{}, err
	}
	found := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || name != "go_goroutines" && name != "process_resident_memory_bytes" {
			continue
		}
		if found[name], err = strconv.ParseFloat(value, 64); err != nil {
			return Resources{}, fmt.Errorf("metrics of %s: %w", o.node, err)
		}
	}
	if len(found) != 2 {
		return Resources{}, fmt.Errorf("metrics of %s: only %v of goroutines and memory", o.node, found)
	}
	return Resources{int(found["go_goroutines"]), int64(found["process_resident_memory_bytes"])}, nil
}
