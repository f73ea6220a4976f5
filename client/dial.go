package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"ringway/internal/spread"
	"ringway/membership"
)

// Options say how to connect.
type Options struct {
	// Name is the private name asked for, at most 10 bytes of '$' to '~'. Empty: the
	// node invents one.
	Name string
	// Membership asks for views, transitions and Left events.
	Membership bool
	// Priority is Spread's connection priority; nodes of Ringway's ignore it.
	Priority bool
	// Dial connects instead of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds connecting and handshake, as far as the context does not. Zero: 30 s.
	Timeout time.Duration
}

// defaultTimeout is for a node far away, or one that starts.
const defaultTimeout = 30 * time.Second

// ParseAddress turns what Spread's clients take into a network and an address.
func ParseAddress(address string) (network, addr string, err error) {
	port := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	switch at := strings.IndexByte(address, '@'); {
	case strings.HasPrefix(address, "unix:"):
		return "unix", strings.TrimPrefix(address, "unix:"), nil
	case port(address):
		return "unix", "/tmp/" + address, nil
	case at >= 0 && port(address[:at]) && at+1 < len(address):
		return "tcp", net.JoinHostPort(address[at+1:], address[:at]), nil
	}
	if host, p, err := net.SplitHostPort(address); err == nil && host != "" && port(p) {
		return "tcp", address, nil
	}
	return "", "", fmt.Errorf("address %q: want PORT (unix socket /tmp/PORT), PORT@HOST, HOST:PORT or unix:PATH", address)
}

// Dial connects to a node. A refusal is a *RefusedError.
func Dial(ctx context.Context, address string, opts Options) (*Conn, error) {
	network, addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	if len(opts.Name) > membership.MaxPrivateName || !spread.LegalName([]byte(opts.Name)) {
		return nil, fmt.Errorf("private name %q: want at most %d characters of '$' to '~'", opts.Name, membership.MaxPrivateName)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(opts.Timeout, defaultTimeout))
	defer cancel()
	conn, err := connect(ctx, network, addr, opts, true)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Code == spread.Refused {
		// A daemon that does not know large messages refuses the method that asks
		// for them; one that refuses this client does so again.
		conn, err = connect(ctx, network, addr, opts, false)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
}

// A RefusedError is a node's refusal of a connection.
type RefusedError struct {
	Code int8 // as in the protocol, for example -6: the name is in use
	err  error
}

func (e *RefusedError) Error() string { return e.err.Error() }

// Unwrap returns what the code means, as an error.
func (e *RefusedError) Unwrap() error { return e.err }

// NameInUse says that another session of the node has the name that was asked for, or
// had it until a moment ago: its departure may still be on its way round the ring.
func (e *RefusedError) NameInUse() bool { return e.Code == spread.NameInUse }

func connect(ctx context.Context, network, addr string, opts Options, large bool) (*Conn, error) {
	dial := opts.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c, err := shake(ctx, conn, opts, large)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// shake performs the handshake.
func shake(ctx context.Context, conn net.Conn, opts Options, large bool) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(past) }) //nolint:errcheck // a dead connection fails by itself
	private, err := negotiate(conn, opts, large)
	if !stop() {
		return nil, ctx.Err() // the deadline is past, or about to be
	}
	if err != nil {
		return nil, err
	}
	return newConn(conn, private, large), nil
}

func negotiate(conn net.Conn, opts Options, large bool) (private string, err error) {
	hello := spread.Hello{Version: spread.Version, Membership: opts.Membership, Priority: opts.Priority, Name: opts.Name}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return "", err
	}
	if err := answer(conn, func(b []byte) error {
		_, _, err := spread.ParseMethods(b)
		return err
	}); err != nil {
		return "", err
	}
	methods := []string{spread.MethodNull}
	if large {
		methods = append(methods, spread.MethodRingway)
	}
	if _, err := conn.Write(spread.AppendChoice(nil, methods...)); err != nil {
		return "", err
	}
	err = answer(conn, func(b []byte) error {
		private, _, err = spread.ParseVerdict(b, &hello)
		return err
	})
	return private, err
}

// answer reads until parse is content. It takes byte for byte: what follows an answer
// is not its to read, and answers are short.
func answer(conn net.Conn, parse func([]byte) error) error {
	var b []byte
	for {
		b = append(b, 0)
		if _, err := io.ReadFull(conn, b[len(b)-1:]); err != nil {
			return err
		}
		err := parse(b)
		if errors.Is(err, spread.ErrMore) {
			continue
		}
		var refused *spread.CodeError
		if errors.As(err, &refused) {
			return &RefusedError{refused.Code, refused}
		}
		return err
	}
}
