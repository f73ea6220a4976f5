package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"ringway/client"
	"ringway/membership"
)

// A batch of lines goes out with one write: those that wait in the input already, up to
// so many lines and bytes.
const (
	pubBatch      = 64
	pubBatchBytes = 256 << 10
)

// pubFlags are those of `pub`.
type pubFlags struct {
	connect, service, name string
	size, count            int
	rate                   float64
}

func newPub() *cobra.Command {
	var f pubFlags
	cmd := &cobra.Command{
		Use:   "pub --connect ADDR GROUP…",
		Short: "Send messages: each line of standard input, or generated ones",
		Long: `Send each line of standard input as a message to the groups. With --size, --count or
--rate, generate messages instead.

` + addressHelp,
		Args: args(1, membership.MaxGroups, "one GROUP to 100"),
		RunE: func(cmd *cobra.Command, groups []string) error { return f.run(cmd, groups) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.connect, "connect", "", "the node to connect to (default $RINGWAY_CONNECT)")
	flags.StringVar(&f.service, "service", "agreed", "unreliable, reliable, fifo, causal, agreed or safe")
	flags.StringVar(&f.name, "name", "", "private name (default: the node invents one)")
	flags.IntVar(&f.size, "size", 100, "bytes of each generated message")
	flags.IntVar(&f.count, "count", 0, "how many messages to generate (default: until interrupted)")
	flags.Float64Var(&f.rate, "rate", 0, "generated messages a second (default: as fast as it goes)")
	return cmd
}

func (f *pubFlags) run(cmd *cobra.Command, groups []string) error {
	service, err := membership.ParseService(f.service)
	if err != nil {
		return usage("pub: %v", err)
	}
	if f.size < 0 || f.size > client.MaxMessageBytes || f.count < 0 || f.rate < 0 || math.IsNaN(f.rate) {
		return usage("pub: --size, --count and --rate are not negative, and --size at most %d", client.MaxMessageBytes)
	}
	conn, err := connect(cmd, f.connect, client.Options{Name: f.name})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	go watch(ctx, conn, cancel)

	p := &publisher{conn: conn, message: client.Message{Service: service, Groups: groups}}
	generated := cmd.Flags().Changed("size") || cmd.Flags().Changed("count") || cmd.Flags().Changed("rate")
	if generated {
		err = p.generate(ctx, f.size, f.count, f.rate)
	} else {
		err = p.lines(ctx, cmd.InOrStdin())
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	} else if cmd.Context().Err() != nil {
		err = nil // interrupted: what was read is sent
	}
	if closed := conn.Close(); err == nil && closed != nil && cmd.Context().Err() == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("pub: after %d messages: %w", p.sent, err)
	}
	return nil
}

// connect dials the node that the flag or the environment names. Wrong usage is a
// usage error.
func connect(cmd *cobra.Command, address string, options client.Options) (*client.Conn, error) {
	address, err := fromEnv(cmd, "connect", address, "RINGWAY_CONNECT")
	if err != nil {
		return nil, err
	}
	if _, _, err := client.ParseAddress(address); err != nil {
		return nil, usage("%s: --connect: %v", cmd.Name(), err)
	}
	if err := credentials(&options); err != nil {
		return nil, usage("%s: %v", cmd.Name(), err)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), connectTime)
	defer cancel()
	conn, err := client.Dial(ctx, address, options)
	switch {
	case errors.Is(err, client.ErrTLS) && options.TLS == nil:
		err = fmt.Errorf("%w: set %s to the federation's ca.pem", err, envCA)
	case errors.Is(err, client.ErrMethod):
		err = fmt.Errorf("%w: %s names the file of a token, which `ringway keys token` makes", err, envTokenFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	return conn, nil
}

// Environment of commands that are clients.
const (
	envCA        = "RINGWAY_CA"         // ca.pem, for tls:// addresses
	envTokenFile = "RINGWAY_TOKEN_FILE" // of nodes that admit by method TOKEN
)

const addressHelp = `ADDR is HOST:PORT, PORT@HOST, PORT for the unix socket /tmp/PORT, unix:PATH, or
tls://HOST:PORT with RINGWAY_CA naming the federation's ca.pem. RINGWAY_TOKEN_FILE names a
file with the token for nodes that want one.`

// credentials adds what the environment has for connecting.
func credentials(options *client.Options) error {
	if path := os.Getenv(envCA); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", envCA, err)
		}
		if options.TLS, err = client.TLSConfig(pem, ""); err != nil {
			return fmt.Errorf("%s=%s: %w", envCA, path, err)
		}
	}
	if path := os.Getenv(envTokenFile); path != "" {
		token, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%s: %w", envTokenFile, err)
		}
		options.Token = string(bytes.TrimSpace(token))
	}
	return nil
}

// connectTime bounds connecting to a node, which is near.
const connectTime = 10 * time.Second

// watch reads a connection on which nothing but its end is of interest.
func watch(ctx context.Context, conn *client.Conn, cancel context.CancelCauseFunc) {
	for {
		event, err := conn.Receive(ctx)
		if rejected, ok := event.(*client.Rejected); ok {
			err = fmt.Errorf("the node's access rules refuse a message to %q", rejected.Groups)
		}
		if err != nil {
			if ctx.Err() == nil {
				cancel(err)
			}
			return
		}
	}
}

// A publisher sends messages that are alike but for their data.
type publisher struct {
	conn    sendBatcher
	message client.Message
	batch   []client.Message
	sent    int
}

// A sendBatcher is a *client.Conn, or a test's.
type sendBatcher interface {
	SendBatch(context.Context, []client.Message) error
	MaxMessage() int
}

func (p *publisher) add(data []byte) {
	m := p.message
	m.Data = data
	p.batch = append(p.batch, m)
}

func (p *publisher) flush(ctx context.Context) error {
	if len(p.batch) == 0 {
		return nil
	}
	err := p.conn.SendBatch(ctx, p.batch)
	if err == nil {
		p.sent += len(p.batch)
	}
	clear(p.batch)
	p.batch = p.batch[:0]
	return err
}

// lines sends each line of in without its end.
func (p *publisher) lines(ctx context.Context, in io.Reader) error {
	read := bufio.NewReaderSize(&interruptible{ctx: ctx, in: in}, pubBatchBytes)
	for number, bytesQueued := 1, 0; ; number++ {
		line, err := readLine(read, p.conn.MaxMessage())
		if errors.Is(err, io.EOF) {
			return p.flush(ctx)
		}
		if err != nil {
			// What came before the line in fault is good.
			return errors.Join(p.flush(ctx), fmt.Errorf("line %d: %w", number, err))
		}
		p.add(line)
		bytesQueued += len(line)
		if read.Buffered() > 0 && len(p.batch) < pubBatch && bytesQueued < pubBatchBytes {
			continue // more is there already
		}
		bytesQueued = 0
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
}

// readLine returns the next line, without its end, in memory of its own.
func readLine(in *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		body := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		switch {
		case len(body) > limit:
			return nil, fmt.Errorf("longer than %d bytes, the most that one message to this node takes", limit)
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return body, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// An interruptible reader ends when its context does, even while the reader below
// blocks: the goroutine left behind in Read ends with the program.
type interruptible struct {
	ctx  context.Context
	in   io.Reader
	went chan readResult
	buf  []byte
}

type readResult struct {
	n   int
	err error
}

func (r *interruptible) Read(p []byte) (int, error) {
	if r.went == nil {
		r.went = make(chan readResult, 1)
	}
	if cap(r.buf) < len(p) {
		r.buf = make([]byte, len(p))
	}
	buf := r.buf[:len(p)]
	go func() {
		n, err := r.in.Read(buf)
		r.went <- readResult{n, err}
	}()
	select {
	case result := <-r.went:
		return copy(p, buf[:result.n]), result.err
	case <-r.ctx.Done():
		return 0, io.EOF
	}
}

// generate sends count messages of size bytes, or until the context ends.
func (p *publisher) generate(ctx context.Context, size, count int, perSecond float64) error {
	if size > p.conn.MaxMessage() {
		return fmt.Errorf("--size %d: %w: this node takes at most %d bytes", size, client.ErrTooLarge, p.conn.MaxMessage())
	}
	limit := rate.NewLimiter(rate.Inf, 1)
	if perSecond > 0 {
		limit = rate.NewLimiter(rate.Limit(perSecond), 1)
	}
	batch := max(1, min(pubBatch, pubBatchBytes/max(size, 1)))
	if perSecond > 0 {
		batch = 1
	}
	data := make([]byte, batch*size)
	for number := 0; count == 0 || number < count; {
		if err := limit.Wait(ctx); err != nil {
			return err
		}
		for i := 0; i < batch && (count == 0 || number < count); i++ {
			p.add(numbered(data[i*size:(i+1)*size:(i+1)*size], number))
			number++
		}
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// numbered fills data with a message's number and dots.
func numbered(data []byte, number int) []byte {
	n := copy(data, strconv.Itoa(number)+" ")
	for i := range data[n:] {
		data[n+i] = '.'
	}
	return data
}
