package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/admin"
)

// statusTime bounds a request; maxStatusBytes an answer. watchEvery is how often
// --watch asks.
const (
	statusTime     = 5 * time.Second
	maxStatusBytes = 16 << 20
	watchEvery     = time.Second
)

// statusFlags are those of `status`.
type statusFlags struct {
	admin       string
	json, watch bool
}

func newStatus() *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use:   "status --admin ADDR",
		Short: "Print what a node knows: ring, view, links, routes, streams, clients",
		Args:  args(0, 0, "none"),
		RunE:  func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.admin, "admin", "", "the node's admin address, HOST:PORT (default $RINGWAY_ADMIN)")
	flags.BoolVar(&f.json, "json", false, "one JSON object per line")
	flags.BoolVar(&f.watch, "watch", false, "again every second")
	return cmd
}

func (f *statusFlags) run(cmd *cobra.Command) error {
	address, err := adminAddress(cmd, f.admin)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	for first := true; ; first = false {
		raw, err := fetchStatus(cmd.Context(), address)
		if interrupted(cmd.Context()) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("status: %s: %w", address, err)
		}
		if err := f.print(out, raw, first); err != nil || !f.watch {
			return err
		}
		select {
		case <-time.After(watchEvery):
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// adminAddress returns the address that the flag or the environment names.
func adminAddress(cmd *cobra.Command, flag string) (string, error) {
	address, err := fromEnv(cmd, "admin", flag, "RINGWAY_ADMIN")
	if err != nil {
		return "", err
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	if !strings.Contains(address, ":") || strings.Contains(address, "/") {
		return "", usage("%s: --admin %s: want HOST:PORT", title(cmd), address)
	}
	return address, nil
}

// interrupted says whether the user has seen enough.
func interrupted(ctx context.Context) bool { return ctx.Err() != nil }

// print writes an answer; on a terminal, --watch writes over the one before.
func (f *statusFlags) print(out io.Writer, raw []byte, first bool) error {
	if f.json {
		var line bytes.Buffer
		if err := json.Compact(&line, raw); err != nil {
			return fmt.Errorf("status: the answer is not JSON: %w", err)
		}
		line.WriteByte('\n')
		_, err := out.Write(line.Bytes())
		return err
	}
	var s admin.Status
	if err := json.Unmarshal(raw, &s); err != nil {
		return fmt.Errorf("status: the answer is not a node's status: %w", err)
	}
	switch {
	case f.watch && isTerminal(out):
		fmt.Fprint(out, "\x1b[H\x1b[2J")
	case !first:
		fmt.Fprintln(out)
	}
	return writeStatus(out, &s)
}

// adminClient speaks to admin ports directly: a proxy of the environment is for the world
// outside.
var adminClient = &http.Client{Transport: &http.Transport{}}

// fetchStatus asks a node.
func fetchStatus(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return nil, err
	}
	answer, err := adminClient.Do(request)
	if err != nil {
		var inner interface{ Unwrap() error }
		if errors.As(err, &inner) {
			err = inner.Unwrap() // without the method and the URL
		}
		return nil, fmt.Errorf("no answer: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxStatusBytes))
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %.200q: is it a node's admin address?", answer.Status, bytes.TrimSpace(body))
	}
	return body, nil
}
