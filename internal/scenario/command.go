//go:build linux

package scenario

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"ringway/internal/netlab"
)

// Main is the main function of a benchmark in namespaces: it runs as root of namespaces of
// its own, until it is done or interrupted, and exits with 1 and the error if there is one.
func Main(name string, run func(context.Context) error) {
	if code, done := netlab.Elevate(); done {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		stop()
		os.Exit(1)
	}
}
