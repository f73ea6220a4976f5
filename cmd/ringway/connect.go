package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ringway/client"
)

// A connection has the flags of commands that are clients.
type connection struct {
	connect               string
	ca, federation, token string
	giveUp                time.Duration
}

// Environment of commands that are clients.
const (
	envCA        = "RINGWAY_CA"         // ca.pem, for tls:// addresses
	envTokenFile = "RINGWAY_TOKEN_FILE" // of nodes that admit by method TOKEN
)

const addressHelp = `ADDR is HOST:PORT, PORT@HOST, PORT for the unix socket /tmp/PORT, unix:PATH, or
tls://HOST:PORT with --ca naming the federation's ca.pem. --token-file names a file with the
token for nodes that want one.`

// connectTime bounds the first connecting: nodes are near.
const connectTime = 10 * time.Second

// flags adds those of every client.
func (c *connection) flags(flags *pflag.FlagSet) {
	flags.StringVar(&c.ca, "ca", "", "for tls://: the federation's ca.pem (default $"+envCA+")")
	flags.StringVar(&c.federation, "federation", "", "for tls://: the name that the node's certificate must have (default: any of that authority)")
	flags.StringVar(&c.token, "token-file", "", "file with the token to show (default $"+envTokenFile+")")
}

// comeBack adds those of clients that connect again.
func (c *connection) comeBack(flags *pflag.FlagSet) {
	flags.StringVar(&c.connect, "connect", "", "nodes, with commas between: the first that answers, and another when it is lost (default $RINGWAY_CONNECT)")
	flags.DurationVar(&c.giveUp, "give-up", 30*time.Second, "how long to try to come back after a loss; 0: for ever")
	c.flags(flags)
}

// addresses returns the nodes that the flag or the environment names. Wrong usage is a
// usage error.
func (c *connection) addresses(cmd *cobra.Command) ([]string, error) {
	value, err := fromEnv(cmd, "connect", c.connect, "RINGWAY_CONNECT")
	if err != nil {
		return nil, err
	}
	list := strings.Split(value, ",")
	for _, a := range list {
		if _, _, err := client.ParseAddress(a); err != nil {
			return nil, usage("%s: --connect: %v", title(cmd), err)
		}
	}
	return list, nil
}

// open connects to one of the nodes, and again when that is lost.
func (c *connection) open(cmd *cobra.Command, options client.Options) (*client.Session, error) {
	addresses, err := c.addresses(cmd)
	if err != nil {
		return nil, err
	}
	if c.giveUp < 0 {
		return nil, usage("%s: --give-up %v: want a time, or 0 for ever", title(cmd), c.giveUp)
	}
	if err := c.credentials(&options); err != nil {
		return nil, usage("%s: %v", title(cmd), err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), connectTime)
	defer cancel()
	session, err := client.Open(ctx, addresses, client.SessionOptions{Options: options, GiveUp: c.giveUp})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", title(cmd), withNextStep(err, &options))
	}
	return session, nil
}

// withNextStep adds what to do, where that is known.
func withNextStep(err error, options *client.Options) error {
	switch {
	case errors.Is(err, client.ErrTLS) && options.TLS == nil:
		return fmt.Errorf("%w: --ca, or %s, names the federation's ca.pem", err, envCA)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%w: no node listens there: start one, or name another with --connect", err)
	case errors.Is(err, client.ErrMethod):
		return fmt.Errorf("%w: --token-file, or %s, names the file of a token, which `ringway keys token` makes", err, envTokenFile)
	}
	return err
}

// credentials adds what flags and environment have for connecting.
func (c *connection) credentials(options *client.Options) error {
	from := func(flag, value, variable string) (name, path string) {
		if value != "" {
			return flag, value
		}
		return variable, os.Getenv(variable)
	}
	if name, path := from("--ca", c.ca, envCA); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if options.TLS, err = client.TLSConfig(pem, c.federation); err != nil {
			return fmt.Errorf("%s %s: %w", name, path, err)
		}
	}
	if name, path := from("--token-file", c.token, envTokenFile); path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		options.Token = string(bytes.TrimSpace(token))
	}
	return nil
}

// watch reads a session on which nothing but its losses and its end are of interest.
func watch(ctx context.Context, cmd *cobra.Command, session *client.Session, cancel context.CancelCauseFunc) {
	for {
		event, err := session.Receive(ctx)
		switch event := event.(type) {
		case *client.Gap:
			sayGap(cmd, event)
		case *client.Rejected:
			err = fmt.Errorf("the node's access rules refuse a message to %q", event.Groups)
		}
		if err != nil {
			if ctx.Err() == nil {
				cancel(err)
			}
			return
		}
	}
}

// sayGap tells that the connection was lost and is back.
func sayGap(cmd *cobra.Command, gap *client.Gap) {
	fmt.Fprintf(cmd.ErrOrStderr(), "ringway: %s: the connection was lost for %v: %v; it is back as %s, and messages may be missing\n",
		title(cmd), gap.Down.Round(time.Millisecond), gap.Cause, gap.Name)
}
