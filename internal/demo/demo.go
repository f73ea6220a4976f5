package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Config says what to show.
type Config struct {
	Program     string   // runs a node as `PROGRAM node …`
	Environment []string // more of it for the nodes
	Feed        string   // file; empty: web servers of the demo's own
	Sites       int
	Keep        bool // running until interrupted, and the temporary folder
	JSON        bool
	Terminal    bool      // Out is one
	Fault       string    // injected into the comparison, by a test: swap or drop
	Out, Err    io.Writer // report; logs of nodes when something fails
}

// ErrNotHeld says that a check failed.
var ErrNotHeld = errors.New("not everything held")

// promisedTime is how long a demo may take until everything is compared, which is one of its
// checks; a good one takes half of it. wholeTime ends one that hangs.
const (
	promisedTime = time.Minute
	wholeTime    = 4 * time.Minute
)

// startTries is how often the nodes are started: somebody may take a port between its
// being found free and a node's opening it.
const startTries = 3

// Run runs a demo. The error is ErrNotHeld, or says what went wrong.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Sites < MinSites || cfg.Sites > MaxSites {
		return fmt.Errorf("%d sites: want %d to %d", cfg.Sites, MinSites, MaxSites)
	}
	report := newReporter(cfg.Out, cfg.JSON, cfg.Terminal)
	started := time.Now()
	for i, patience := range patiences {
		last := i == len(patiences)-1
		err := run(ctx, cfg, report, patience, started, last)
		busy := busyCause(err)
		if last || busy == nil {
			return err
		}
		report.again(busy, patiences[i+1])
	}
	return nil // not reached: there is a patience
}

// run shows everything once. If it is not the last attempt and the machine is too busy for
// it, nothing of it is kept.
func run(ctx context.Context, cfg Config, report *reporter, patience patience, started time.Time, last bool) (err error) {
	interrupted := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, wholeTime, fmt.Errorf("the demo took more than %v", wholeTime))
	defer cancel()
	d := &demo{cfg: cfg, started: started, began: time.Now(), report: report, patience: patience}
	if d.feed, err = d.openFeed(); err != nil {
		return err
	}
	defer d.feed.close()
	defer func() { err = errors.Join(err, d.cleanUp(err, !last && busyCause(err) != nil)) }()
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := d.show(ctx); err != nil || !cfg.Keep {
		return err
	}
	d.report.running(d.plan)
	<-interrupted.Done()
	return nil
}

// A demo is one run.
type demo struct {
	cfg      Config
	started  time.Time // the first attempt
	began    time.Time // this one
	report   *reporter
	patience patience
	feed     feed
	dir      string
	plan     *plan
	fleet    *fleet
	cast     *cast
}

func (d *demo) now() time.Duration { return time.Since(d.began) }

func (d *demo) openFeed() (feed, error) {
	if d.cfg.Feed != "" {
		return openFeed(d.cfg.Feed, d.cfg.Sites)
	}
	return newWebFeed(siteNames[:d.cfg.Sites])
}

// start makes a plan and starts its nodes, again with other ports if some were taken.
func (d *demo) start(ctx context.Context) error {
	var err error
	if d.dir, err = os.MkdirTemp("", "ringway-demo-"); err != nil {
		return err
	}
	group, err := newGroup(0)
	if err != nil {
		return err
	}
	unicast := !multicastWorks(group)
	for try := 1; ; try++ {
		dir := fmt.Sprintf("%s/%d", d.dir, try)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if d.plan, err = newPlan(dir, d.cfg.Sites, unicast, d.patience); err != nil {
			return err
		}
		if try == 1 {
			d.report.start(d.plan, dir)
		}
		if d.fleet, err = launch(d.plan, d.cfg.Program, d.cfg.Environment); err != nil {
			return err
		}
		if err = d.fleet.ready(ctx); err == nil {
			return nil
		}
		if try == startTries || !d.portTaken() {
			return err
		}
		d.report.say("A port was taken by somebody else just now: starting again with others.")
		d.fleet.stop()
	}
}

// portTaken says whether a node ended because its port was in use.
func (d *demo) portTaken() bool {
	for _, c := range d.fleet.nodes {
		log, err := os.ReadFile(c.log)
		if err == nil && strings.Contains(string(log), "address already in use") {
			return true
		}
	}
	return false
}

// cleanUp ends what runs, shows the nodes' logs if something went wrong with them, and
// removes the folder unless it is to be kept. Of an attempt that does not count, nothing is.
func (d *demo) cleanUp(err error, void bool) error {
	if d.cast != nil {
		d.cast.close()
	}
	if d.fleet != nil {
		err = errors.Join(err, d.fleet.ended())
		d.fleet.stop()
		if err != nil && !void && !errors.Is(err, context.Canceled) && d.cfg.Fault == "" {
			d.fleet.showLogs(d.cfg.Err)
		}
	}
	switch {
	case d.dir == "":
	case d.cfg.Keep && !void:
		d.report.say("\nTopology, certificates and logs: %s", d.plan.dir)
	default:
		return os.RemoveAll(d.dir)
	}
	return nil
}

// show is the demo proper, once the nodes run.
func (d *demo) show(ctx context.Context) error {
	var err error
	if d.cast, err = gather(ctx, d.plan, d.now); err != nil {
		return err
	}
	d.report.ready(d.now(), d.cast.all())
	stopPicture := d.showPicture()
	defer stopPicture()
	ctx, cancel := d.cast.watchOver(ctx)
	defer cancel()
	feed, isolation, strike, err := d.acts(ctx)
	if apart := apartCause(ctx); apart != nil {
		return apart
	}
	if err != nil {
		return err
	}
	if err := d.fleet.ended(); err != nil {
		return err
	}
	stopPicture()

	histories := d.cast.histories()
	d.report.latencies(d.plan, latencies(histories, d.cast.publishers, feed, d.cfg.Sites))
	d.report.local(d.plan.sites[0].name, isolation.then)
	d.report.say("\nWhat must hold:")
	return d.judge(histories, append(isolation.checks(d.plan), strike.checks()...))
}

// acts are what is shown, with how much of the feed each publisher sent.
func (d *demo) acts(ctx context.Context) (feed []int, i *isolation, s *strike, err error) {
	if err := d.publish(ctx); err != nil {
		return nil, nil, nil, err
	}
	feed = d.cast.sentEach()
	i, s, err = d.breakThings(ctx)
	return feed, i, s, err
}

// breakThings is the part in which everybody speaks all the time, a site is cut off and
// a gateway killed. In the end everybody living has everything.
func (d *demo) breakThings(ctx context.Context) (*isolation, *strike, error) {
	talk := d.cast.talk(ctx, d.plan)
	defer talk.stop()
	isolation, err := d.isolate(ctx)
	if err != nil {
		return nil, nil, err
	}
	strike, err := d.strike(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := talk.end(); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, drainTime, fmt.Errorf("not all had come %v after the last was sent", drainTime))
	defer cancel()
	return isolation, strike, d.cast.awaitAll(ctx)
}

// judge compares what the members received and reports every check.
func (d *demo) judge(histories []history, more []check) error {
	if err := inject(d.cfg.Fault, histories); err != nil {
		return err
	}
	ok := true
	checks := append(compare(histories, d.cast.publishers), more...)
	checks = append(checks, timeCheck(d.now(), time.Since(d.started), d.feed.total()))
	for _, c := range checks {
		d.report.check(c)
		ok = ok && c.OK
	}
	d.report.result(ok, d.cast.sent(), len(histories), d.now())
	if !ok {
		return ErrNotHeld
	}
	return nil
}

// timeCheck holds an attempt to the promised time. One before it that did not count, because the
// machine was too busy, is not held against it, but said; nor is a feed that is longer than what
// is published in feedTime.
func timeCheck(took, whole time.Duration, lines int) check {
	feed := time.Duration(float64(lines) / pace(lines) * float64(time.Second))
	bound := promisedTime + max(0, feed-feedTime)
	detail := fmt.Sprintf("%.1f s of %.0f", took.Seconds(), bound.Seconds())
	if before := whole - took; before > time.Second {
		detail += fmt.Sprintf(", after %.1f s that did not count", before.Seconds())
	}
	return check{"within a minute", took < bound, detail}
}
