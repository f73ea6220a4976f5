package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"ringway/client"
)

// ErrUsage is wrapped by errors about the command line; the exit code is 2 then.
var ErrUsage = errors.New("usage")

// Usage returns an error about the command line.
func Usage(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUsage}, args...)...)
}

// A Program is one example's; it ends when its context does.
type Program func(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) error

// Main runs a program as main does: until it ends, or SIGINT or SIGTERM comes.
func Main(name string, run Program) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, context.Canceled):
	case errors.Is(err, ErrUsage):
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Connection has the flags that say how to connect.
type Connection struct {
	addresses, ca, federation, tokenFile string
}

// Flags returns a set of flags that has those of the connection.
func Flags(name string) (*flag.FlagSet, *Connection) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	c := &Connection{}
	flags.StringVar(&c.addresses, "connect", os.Getenv("RINGWAY_CONNECT"), "nodes: HOST:PORT, PORT@HOST, PORT, unix:PATH or tls://HOST:PORT, with commas between")
	flags.StringVar(&c.ca, "ca", os.Getenv("RINGWAY_CA"), "for tls://: the federation's ca.pem")
	flags.StringVar(&c.federation, "federation", "", "for tls://: the federation's name, if it must be that one")
	flags.StringVar(&c.tokenFile, "token-file", os.Getenv("RINGWAY_TOKEN_FILE"), "file with the token of this client")
	return flags, c
}

// Parse parses a command line. Wrong ones are usage errors.
func Parse(flags *flag.FlagSet, args []string) error {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		var b strings.Builder
		flags.SetOutput(&b)
		flags.PrintDefaults()
		return fmt.Errorf("%w: the flags are\n%s", ErrUsage, b.String())
	case err != nil:
		return Usage("%v: -help lists the flags", err)
	}
	return nil
}

// Open connects. Attempts that fail later are told to log.
func (c *Connection) Open(ctx context.Context, name string, log io.Writer) (*client.Session, error) {
	if c.addresses == "" {
		return nil, Usage("no -connect: name a node, as in -connect 127.0.0.1:4803, or set RINGWAY_CONNECT")
	}
	options := client.SessionOptions{
		Options: client.Options{Name: name, Membership: true},
		Retry:   func(address string, err error) { fmt.Fprintf(log, "%s: %v\n", address, err) },
	}
	if c.ca != "" {
		pem, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, Usage("-ca: %v", err)
		}
		if options.TLS, err = client.TLSConfig(pem, c.federation); err != nil {
			return nil, Usage("-ca %s: %v", c.ca, err)
		}
	}
	if c.tokenFile != "" {
		token, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return nil, Usage("-token-file: %v", err)
		}
		options.Token = strings.TrimSpace(string(token))
	}
	return client.Open(ctx, strings.Split(c.addresses, ","), options)
}
