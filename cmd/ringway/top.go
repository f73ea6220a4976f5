package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ringway/internal/admin"
)

// Control sequences of terminals: another screen without a cursor, and back; the top left
// corner; the rest of a line, and of the screen.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeCursor  = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func newTop() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use:   "top --admin ADDR",
		Short: "Watch a node live in a terminal; Ctrl-C ends it",
		Long: `Watch a node live in a terminal: ring, view, links with RTT and loss, streams and their
lag, clients. A node that does not answer is asked again. Ctrl-C ends it.

Into a pipe it prints the status once, as text; status --watch and --json print it again and
again.`,
		Args: args(0, 0, "none"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := adminAddress(cmd, address)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if !isTerminal(out) {
				return (&statusFlags{admin: address}).run(cmd)
			}
			fmt.Fprint(out, enterScreen)
			defer fmt.Fprint(out, leaveScreen)
			return top(cmd, address, out)
		},
	}
	cmd.Flags().StringVar(&address, "admin", "", "the node's admin address, HOST:PORT (default $RINGWAY_ADMIN)")
	return cmd
}

// top paints until the command's context ends.
func top(cmd *cobra.Command, address string, out io.Writer) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		raw, err := fetchStatus(cmd.Context(), address)
		if interrupted(cmd.Context()) {
			return nil
		}
		if _, err := out.Write(frame(address, raw, err)); err != nil {
			return fmt.Errorf("top: write: %w", err)
		}
		select {
		case <-tick.C:
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// frame returns a screenful, painted over the one before so that nothing flickers.
func frame(address string, raw []byte, err error) []byte {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s  %s  Ctrl-C ends\n\n", address, time.Now().Format(time.TimeOnly))
	var s admin.Status
	if err == nil && json.Unmarshal(raw, &s) != nil {
		err = errors.New("the answer is not a node's status")
	}
	if err == nil {
		err = writeStatus(&text, &s)
	}
	if err != nil {
		fmt.Fprintf(&text, "no status: %v; asking again\n", err)
	}
	return []byte(homeCursor + strings.ReplaceAll(text.String(), "\n", clearLine+"\r\n") + clearBelow)
}
