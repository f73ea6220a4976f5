package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

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
	connection
	service, name string
	size, count   int
	rate          float64
	independent   bool
}

func newPub() *cobra.Command {
	var f pubFlags
	cmd := &cobra.Command{
		Use:   "pub --connect ADDR[,ADDR…] GROUP…",
		Short: "Send messages: each line of standard input, or generated ones",
		Long: `Send each line of standard input as a message to the groups. With --size, --count or
--rate, generate messages instead. When the connection is lost, pub goes on over another
one, and says so: what went out just before may be lost, and is not sent again.

` + addressHelp,
		Args: args(1, membership.MaxGroups, "one GROUP to 100"),
		RunE: func(cmd *cobra.Command, groups []string) error { return f.run(cmd, groups) },
	}
	flags := cmd.Flags()
	f.connection.comeBack(flags)
	flags.StringVar(&f.service, "service", "agreed", "unreliable, reliable, fifo, causal, agreed or safe")
	flags.StringVar(&f.name, "name", "", "private name (default: the node invents one)")
	flags.BoolVar(&f.independent, "independent-scopes", false, "do not let messages within the site wait for earlier ones to other sites")
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
	conn, err := f.open(cmd, client.Options{Name: f.name, IndependentScopes: f.independent})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	go watch(ctx, cmd, conn, cancel)

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
