package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"ringway/client"
	"ringway/membership"
)

// Config says what to measure.
type Config struct {
	Connect  []string // addresses; the last one receives, the others send (one: both)
	Size     int      // bytes of data
	Senders  int
	Groups   int // sender i sends to group i modulo Groups; the receiver is in all
	Service  client.Service
	Duration time.Duration // measured
	WarmUp   time.Duration // before that
	Rate     float64       // messages a second, of all senders together; 0: as fast as it goes
	Window   int           // messages under way, of all senders together

	Options client.Options // how to connect: TLS, Token

	Prefix string // of the groups' names; "": one of this process and time
}

// Limits of a Config.
const (
	MaxSenders = 256
	MaxGroups  = 10_000
	MaxWindow  = 1 << 20
)

// DefaultWindow is enough to fill a ring on a LAN.
const DefaultWindow = 2048

// maxWindowBytes bounds what is under way, whatever the window: it stays below what a
// node queues for a receiver.
const maxWindowBytes = 4 << 20

// setupTime bounds connecting and joining, and drainTime waiting for the last messages.
const (
	setupTime = 30 * time.Second
	drainTime = 10 * time.Second
)

// Check says what is wrong with a Config.
func (c *Config) Check() error {
	between := func(name string, v, low, high int) error {
		if v < low || v > high {
			return fmt.Errorf("%s %d: want %d to %d", name, v, low, high)
		}
		return nil
	}
	err := errors.Join(
		between("size", c.Size, stampBytes, membership.MaxMessageBytes),
		between("senders", c.Senders, 1, MaxSenders),
		between("groups", c.Groups, 1, MaxGroups),
		between("window", c.Window, 1, MaxWindow),
	)
	switch {
	case len(c.Connect) == 0:
		err = errors.Join(err, errors.New("no address to connect to"))
	case c.Duration <= 0 || c.WarmUp < 0 || c.Rate < 0:
		err = errors.Join(err, errors.New("duration must be positive, warm-up and rate not negative"))
	case !c.Service.Valid():
		err = errors.Join(err, fmt.Errorf("%v is no service", c.Service))
	}
	return err
}

func (c *Config) groupName(i int) string { return fmt.Sprintf("%s-%d", c.Prefix, i) }

// perSender returns the window of one sender.
func (c *Config) perSender() int {
	total := min(c.Window, max(1, maxWindowBytes/c.Size))
	return max(1, total/c.Senders)
}

// Run measures.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, began: time.Now()}
	if r.cfg.Prefix == "" {
		r.cfg.Prefix = fmt.Sprintf("bench-%d-%d", os.Getpid(), r.began.UnixMilli()%1e6)
	}
	defer r.close()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// A run is one measurement.
type run struct {
	cfg     Config
	began   time.Time
	receive *receiver
	senders []*sender
}

func (r *run) now() time.Duration { return time.Since(r.began) }

func (r *run) close() {
	for _, s := range r.senders {
		s.conn.Close()
	}
	if r.receive != nil {
		r.receive.conn.Close()
	}
}

// asMember adds that views are wanted.
func asMember(o client.Options) client.Options {
	o.Membership = true
	return o
}

// connect opens all sessions and waits until the receiver is in all groups.
func (r *run) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, setupTime)
	defer cancel()
	groups := make([]string, r.cfg.Groups)
	for i := range groups {
		groups[i] = r.cfg.groupName(i)
	}
	last := len(r.cfg.Connect) - 1
	conn, err := client.Dial(ctx, r.cfg.Connect[last], asMember(r.cfg.Options))
	if err != nil {
		return err
	}
	r.receive = newReceiver(r, conn)
	if err := r.receive.join(ctx, groups); err != nil {
		return err
	}
	for i := range r.cfg.Senders {
		address := r.cfg.Connect[i%max(1, last)]
		conn, err := client.Dial(ctx, address, r.cfg.Options)
		if err != nil {
			return err
		}
		r.senders = append(r.senders, newSender(r, conn, i, groups[i%len(groups)]))
	}
	return nil
}

// measure lets the senders go for the warm-up and the duration, then waits until
// everything has arrived.
func (r *run) measure(ctx context.Context) (*Result, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r.receive.from = r.now() + r.cfg.WarmUp
	r.receive.until = r.receive.from + r.cfg.Duration

	var receiving, sending, watching sync.WaitGroup
	receiving.Go(func() { r.receive.work(ctx, fail) })
	for _, s := range r.senders {
		sending.Go(func() { s.work(ctx, fail) })
		watching.Go(func() { s.watch(ctx, fail) })
	}
	sending.Wait()
	r.drain(ctx)
	cause := context.Cause(ctx)
	fail(errDone)
	receiving.Wait()
	watching.Wait()
	if cause != nil {
		return nil, cause
	}
	return r.result(), nil
}

// errDone ends the goroutines of a run that went well.
var errDone = errors.New("done")

// drain waits until the receiver has everything that was sent.
func (r *run) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	for _, s := range r.senders {
		for s.received.Load() < s.sent {
			select {
			case <-s.progress:
			case <-ctx.Done():
				return
			}
			if !guaranteed(r.cfg.Service) {
				return // what was lost will not come
			}
		}
	}
}

// guaranteed says whether every message must arrive.
func guaranteed(s client.Service) bool { return s >= client.Reliable }
