package demo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// maxUnderWay bounds what is published and not yet at every member.
const maxUnderWay = 2000

// progressEvery is how often progress is shown, and the bound looked at.
const progressEvery = 100 * time.Millisecond

// drainTime bounds the wait for what was published last.
const drainTime = 30 * time.Second

// publish publishes the feed from all sites at once and waits until every member has
// all of it.
func (d *demo) publish(ctx context.Context) error {
	total := d.feed.total()
	perSecond := pace(total)
	d.report.say("\nPublishing %s: a line a message, service agreed,\nround robin from a client in each site, %.0f messages a second.", d.feed.what(), perSecond)
	var published, delivered atomic.Int64
	group, inGroup := errgroup.WithContext(ctx)
	for site, p := range d.cast.publishers {
		s := &schedule{
			start: d.now(), offset: site, stride: d.cfg.Sites, perSecond: perSecond, now: d.now,
			full: func() bool { return published.Load()-delivered.Load() >= maxUnderWay },
		}
		group.Go(func() error {
			for {
				if err := s.wait(inGroup); err != nil {
					return err
				}
				line, ok, err := d.feed.next(inGroup, site)
				if err != nil || !ok {
					return err
				}
				if err := p.send(inGroup, feedGroup, line, d.now); err != nil {
					return err
				}
				published.Add(1)
			}
		})
	}
	watched := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(watched)
		d.watch(stop, &published, &delivered, total)
	}()
	err := group.Wait()
	if err == nil {
		drain, cancel := context.WithTimeoutCause(ctx, drainTime, fmt.Errorf("not all had come %v after the last was sent", drainTime))
		err = d.cast.awaitAll(drain)
		cancel()
	}
	close(stop)
	<-watched
	if err == nil {
		d.report.say("Every member has all %d messages, %.1f s after the start.", total, d.now().Seconds())
	}
	return err
}

// watch shows progress and tells the publishers how far the members are.
func (d *demo) watch(stop <-chan struct{}, published, delivered *atomic.Int64, total int) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	last := 0
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		delivered.Store(int64(d.cast.delivered()))
		// A line of progress each second is enough for a program; a person has the picture.
		if now := int(delivered.Load()); n%10 == 9 && now != last {
			last = now
			d.report.progress(progressJSON{Published: int(published.Load()), Delivered: now, Total: total})
		}
	}
}

// A schedule says when a publisher's lines are due.
type schedule struct {
	start          time.Duration
	offset, stride int // of its lines among all
	perSecond      float64
	now            func() time.Duration
	full           func() bool // too much is under way
	count          int
}

// wait returns when the next line is due and there is room for it.
func (s *schedule) wait(ctx context.Context) error {
	line := s.count*s.stride + s.offset
	s.count++
	due := s.start + time.Duration(float64(line)/s.perSecond*float64(time.Second))
	if err := sleep(ctx, due-s.now()); err != nil {
		return err
	}
	for s.full() {
		if err := sleep(ctx, progressEvery/10); err != nil {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx))
	}
}
