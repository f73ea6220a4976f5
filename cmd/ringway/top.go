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
		Short: "Watch a node live in a terminal; q ends it",
		Long: `Watch a node live in a terminal: ring, view, links with RTT and loss, streams and their
lag, clients. Arrows, Page Up and Down, Home and End (or k, j, space, b, g, G) move in what
is longer than the screen; q or Ctrl-C ends it. A node that does not answer is asked again.

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
			keys, restore := readKeys(cmd.InOrStdin())
			defer restore()
			return top(cmd, address, out, keys)
		},
	}
	cmd.Flags().StringVar(&address, "admin", "", "the node's admin address, HOST:PORT (default $RINGWAY_ADMIN)")
	return cmd
}

// top paints until the command's context ends, or a key says so.
func top(cmd *cobra.Command, address string, out io.Writer, keys <-chan key) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var p pager
	for ask := true; ; {
		if ask {
			raw, err := fetchStatus(cmd.Context(), address)
			if interrupted(cmd.Context()) {
				return nil
			}
			p.lines = statusLines(raw, err)
		}
		p.columns, p.rows = screenSize(out)
		if _, err := out.Write(p.frame(address)); err != nil {
			return fmt.Errorf("top: write: %w", err)
		}
		select {
		case <-tick.C:
			ask = true
		case k := <-keys:
			if ask = false; !p.press(k) {
				return nil
			}
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// statusLines returns a node's answer as text.
func statusLines(raw []byte, err error) []string {
	var text bytes.Buffer
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
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}
