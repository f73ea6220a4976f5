package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"ringway/client"
)

// A stamp begins each message: its sender, its number, the time it was sent.
const stampBytes = 4 + 8 + 8

func putStamp(b []byte, sender int, seq uint64, at time.Duration) {
	binary.LittleEndian.PutUint32(b, uint32(sender))
	binary.LittleEndian.PutUint64(b[4:], seq)
	binary.LittleEndian.PutUint64(b[12:], uint64(at))
}

func readStamp(b []byte) (sender int, seq uint64, at time.Duration, ok bool) {
	if len(b) < stampBytes {
		return 0, 0, 0, false
	}
	return int(binary.LittleEndian.Uint32(b)), binary.LittleEndian.Uint64(b[4:]), time.Duration(binary.LittleEndian.Uint64(b[12:])), true
}

// batch is how many messages go out with one write at most, and batchBytes how much.
const (
	batch      = 64
	batchBytes = 256 << 10
)

// stall is how long a sender of unreliable messages waits for them; then they count as
// lost.
const stall = 200 * time.Millisecond

// A sender is one connection that sends.
type sender struct {
	run    *run
	conn   *client.Conn
	number int
	window uint64

	messages []client.Message // of a batch, reused
	sent     uint64           // owned by run, then by drain

	received atomic.Uint64 // numbers below have arrived or are lost; set by the receiver
	progress chan struct{} // of capacity one: received has grown
}

func newSender(r *run, conn *client.Conn, number int, group string) *sender {
	s := &sender{run: r, conn: conn, number: number, window: uint64(r.cfg.perSender()), progress: make(chan struct{}, 1)}
	size := r.cfg.Size
	s.messages = make([]client.Message, max(1, min(batch, int(s.window), batchBytes/size)))
	groups, memory := []string{group}, make([]byte, size*len(s.messages))
	for i := range s.messages {
		s.messages[i] = client.Message{Service: r.cfg.Service, Groups: groups, Data: memory[i*size : (i+1)*size]}
	}
	return s
}

// send sends until the measurement is over.
func (s *sender) send(ctx context.Context) error {
	until := s.run.receive.until
	start := s.run.now()
	for now := start; now < until && ctx.Err() == nil; now = s.run.now() {
		room := s.room()
		if room == 0 {
			s.wait(ctx)
			continue
		}
		n, wait := s.due(now-start, min(room, len(s.messages)))
		if n == 0 {
			pause(ctx, wait)
			continue
		}
		for i := range n {
			putStamp(s.messages[i].Data, s.number, s.sent, s.stampOf(now, start))
			s.sent++
		}
		if err := s.conn.SendBatch(ctx, s.messages[:n]); err != nil {
			return err
		}
	}
	return nil
}

// work sends, and ends the measurement if that fails.
func (s *sender) work(ctx context.Context, fail context.CancelCauseFunc) {
	if err := s.send(ctx); err != nil && ctx.Err() == nil {
		fail(fmt.Errorf("send by %s: %w", s.conn.Name(), err))
	}
}

// room returns how many messages the window lets go now.
func (s *sender) room() int { return int(s.window - (s.sent - s.received.Load())) }

// wait returns when the window may have opened.
func (s *sender) wait(ctx context.Context) {
	if guaranteed(s.run.cfg.Service) {
		select {
		case <-s.progress:
		case <-ctx.Done():
		}
		return
	}
	timer := time.NewTimer(stall)
	defer timer.Stop()
	select {
	case <-s.progress:
	case <-timer.C:
		s.received.Store(s.sent)
	case <-ctx.Done():
	}
}

// interval returns the time between two messages of this sender; 0: none.
func (s *sender) interval() float64 {
	if s.run.cfg.Rate == 0 {
		return 0
	}
	return float64(time.Second) * float64(s.run.cfg.Senders) / s.run.cfg.Rate
}

// due returns how many messages, at most limit, are due, and if none, how long to wait.
func (s *sender) due(elapsed time.Duration, limit int) (n int, wait time.Duration) {
	interval := s.interval()
	if interval == 0 {
		return limit, 0
	}
	next := time.Duration(float64(s.sent) * interval)
	if next > elapsed {
		return 0, next - elapsed
	}
	return min(limit, 1+int(float64(elapsed-next)/interval)), 0
}

// timerSlack is how late a sender's own timer may be without its counting.
const timerSlack = 2 * time.Millisecond

// stampOf returns the time of the message that is sent next (rule 2).
func (s *sender) stampOf(now, start time.Duration) time.Duration {
	if interval := s.interval(); interval > 0 {
		if due := start + time.Duration(float64(s.sent)*interval); now-due > timerSlack {
			return due
		}
	}
	return now
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// watch reads the sender's connection, on which nothing is expected but its end.
func (s *sender) watch(ctx context.Context, fail context.CancelCauseFunc) {
	for {
		if _, err := s.conn.Receive(ctx); err != nil {
			if ctx.Err() == nil {
				fail(fmt.Errorf("sender %s: %w", s.conn.Name(), err))
			}
			return
		}
	}
}
