package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"ringway/internal/lostpeer"
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
	// Token is shown to nodes that admit clients by method TOKEN; without it the client
	// chooses NULL or IP. It goes over the wire as it is: use it with tls:// addresses,
	// or where nobody listens.
	Token string
	// TLS is how tls:// addresses are connected to; TLSConfig makes one.
	TLS *tls.Config
	// SlowReader says what the node does while this session does not read what it is
	// sent; empty: what its topology says. Dial fails if the node does not allow it.
	SlowReader SlowReader
	// IndependentScopes lets messages to groups whose members are all in the node's site
	// go ahead of what this session sent to groups with members at other sites before.
	// Without it they wait for that, as long as a way between sites takes, so that nobody
	// sees the later one first. With it a member of groups of both kinds may, and an
	// answer to the later one may be seen before the earlier one. Everything else stays:
	// docs/services.md has it in full. Dial fails if the node does not know it.
	IndependentScopes bool
	// Dial connects instead of a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds connecting and handshake, as far as the context does not. Zero: 30 s.
	Timeout time.Duration

	resume []byte // a Session's key
}

// A SlowReader says what becomes of a session that does not read what it is sent.
type SlowReader string

// The policies of a node for slow readers; docs/topology.md has more about them.
const (
	Disconnect SlowReader = spread.PolicyDisconnect // it is ended when its queue is full
	DropOldest SlowReader = spread.PolicyDropOldest // unreliable messages go first
	Block      SlowReader = spread.PolicyBlock      // who sends to it is held back, for a time
)

// defaultTimeout is for a node far away, or one that starts.
const defaultTimeout = 30 * time.Second

// check refuses options that no node could accept.
func (o *Options) check() error {
	switch {
	case len(o.Name) > membership.MaxPrivateName || !spread.LegalName([]byte(o.Name)):
		return fmt.Errorf("private name %q: want at most %d characters of '$' to '~'", o.Name, membership.MaxPrivateName)
	case len(o.Token) > spread.MaxTokenBytes:
		return fmt.Errorf("token of %d bytes: at most %d fit", len(o.Token), spread.MaxTokenBytes)
	case o.SlowReader != "" && o.SlowReader != Disconnect && o.SlowReader != DropOldest && o.SlowReader != Block:
		return fmt.Errorf("slow reader %q: want %q, %q or %q", o.SlowReader, Disconnect, DropOldest, Block)
	}
	return nil
}

// Dial connects to a node. A refusal is a *RefusedError.
func Dial(ctx context.Context, address string, opts Options) (*Conn, error) {
	network, addr, err := ParseAddress(address)
	if err == nil {
		err = opts.check()
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(opts.Timeout, defaultTimeout))
	defer cancel()
	conn, err := connect(ctx, network, addr, &opts, true)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Code == spread.Refused && opts.SlowReader == "" && !opts.IndependentScopes {
		// A daemon that does not know the methods of Ringway's extensions refuses
		// them; one that refuses this client does so again.
		conn, err = connect(ctx, network, addr, &opts, false)
	}
	if refused != nil && refused.Code == spread.Refused && opts.IndependentScopes {
		err = fmt.Errorf("%w; if it is not access, the node does not know independent scopes: connect without, or run a later release", err)
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

// Permanent says that the node will give the same answer again: the name is illegal, or
// access was refused.
func (e *RefusedError) Permanent() bool {
	return e.Code == spread.IllegalName || e.Code == spread.Refused || e.Code == spread.VersionTooOld
}

// dialer notices a peer that is gone without a word: after half a minute of silence on an
// idle connection, not after hours. For one that is not idle there is Conn.look.
var dialer = net.Dialer{KeepAliveConfig: lostpeer.KeepAlive}

func connect(ctx context.Context, network, addr string, opts *Options, extended bool) (*Conn, error) {
	dial := opts.Dial
	if dial == nil {
		dial = dialer.DialContext
	}
	secure := network == networkTLS
	if secure {
		network = "tcp"
	}
	conn, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if secure {
		if conn, err = encrypt(ctx, conn, addr, opts.TLS); err != nil {
			return nil, err
		}
	}
	c, err := shake(ctx, conn, opts, extended)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// shake performs the handshake.
func shake(ctx context.Context, conn net.Conn, opts *Options, extended bool) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(past) }) //nolint:errcheck // a dead connection fails by itself
	private, err := negotiate(conn, opts, extended)
	if !stop() {
		return nil, ctx.Err() // the deadline is past, or about to be
	}
	if err == nil {
		err = checkNode(conn, private)
	}
	if err != nil {
		return nil, err
	}
	return newConn(conn, private, extended), nil
}

func negotiate(conn net.Conn, opts *Options, extended bool) (private string, err error) {
	hello := spread.Hello{Version: spread.Version, Membership: opts.Membership, Priority: opts.Priority, Name: opts.Name}
	if _, err := conn.Write(hello.Append(nil)); err != nil {
		return "", err
	}
	var offered []string
	if err := answer(conn, func(b []byte) error {
		offered, _, err = spread.ParseMethods(b)
		return err
	}); err != nil {
		return "", err
	}
	method, err := choose(offered, opts.Token != "")
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(choice(method, opts, extended)); err != nil {
		return "", err
	}
	err = answer(conn, func(b []byte) error {
		private, _, err = spread.ParseVerdict(b, &hello)
		return err
	})
	return private, err
}

// ErrMethod says that the node admits clients only by a method that Options do not serve.
var ErrMethod = errors.New("no common authentication method")

// choose returns the method by which this client is admitted. A node that offers nothing
// that is known gets to say no itself.
func choose(offered []string, token bool) (string, error) {
	has := func(method string) bool { return slices.Contains(offered, method) }
	switch {
	case token && has(spread.MethodToken):
		return spread.MethodToken, nil
	case token:
		return "", fmt.Errorf("%w: a token is given, and the node offers %q", ErrMethod, offered)
	case has(spread.MethodIP) && !has(spread.MethodNull):
		return spread.MethodIP, nil
	case has(spread.MethodToken) && !has(spread.MethodNull):
		return "", fmt.Errorf("%w: the node wants a token: set Options.Token", ErrMethod)
	}
	return spread.MethodNull, nil
}

// choice returns the bytes of the choice and of what follows it.
func choice(method string, opts *Options, extended bool) []byte {
	methods := []string{method}
	if extended {
		methods = append(methods, spread.RingwayField(spread.Extras{Policy: string(opts.SlowReader), IndependentScopes: opts.IndependentScopes}))
		if opts.resume != nil {
			methods = append(methods, spread.MethodResume)
		}
	}
	b := spread.AppendChoice(nil, methods...)
	if method == spread.MethodToken {
		b = spread.AppendToken(b, []byte(opts.Token))
	}
	if extended {
		b = append(b, opts.resume...)
	}
	return b
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
