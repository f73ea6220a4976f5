package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ringway/internal/admin"
	"ringway/internal/relay"
)

// Times of a fleet's life.
const (
	readyTime = 30 * time.Second      // for the federation to form; it takes about 2 s
	readyPoll = 50 * time.Millisecond //
	stopTime  = 4 * time.Second       // for a node to leave in order
	askTime   = 1 * time.Second       // for an answer of a node's admin port
	logTail   = 2 << 10               // bytes of each log that are shown on failure
)

// A fleet is the running nodes and the links between them.
type fleet struct {
	plan        *plan
	program     string
	environment []string
	nodes       []*child
	links       []link
	off         atomic.Uint32 // sites that are cut off
}

// A link is a relay to a gateway, for the gateways of another site.
type link struct {
	between sites
	relay   *relay.Relay
}

// A child is a node's process.
type child struct {
	planNode
	cmd  *exec.Cmd
	dial []string
	log  string // file
	done chan struct{}
	err  error // after done
}

// launch starts the relays, then the nodes.
func launch(p *plan, program string, environment []string) (*fleet, error) {
	f := &fleet{plan: p, program: program, environment: environment}
	for s := range p.sites {
		dial, err := f.link(s)
		if err != nil {
			f.stop()
			return nil, err
		}
		for _, n := range p.sites[s].nodes {
			c, err := f.start(n, dial)
			if err != nil {
				f.stop()
				return nil, err
			}
			f.nodes = append(f.nodes, c)
		}
	}
	return f, nil
}

// link makes a relay to every gateway of every other site, for those of site s to dial.
// Which of two gateways dials the other is theirs to decide.
func (f *fleet) link(s int) (dial []string, err error) {
	for peer, site := range f.plan.sites {
		if peer == s {
			continue
		}
		for i, n := range site.nodes {
			seed := uint64((s*MaxSites+peer)*nodesPerSite + i)
			r, err := relay.New("127.0.0.1:0", n.gateway, linkProfile(s, peer), seed)
			if err != nil {
				return nil, err
			}
			f.links = append(f.links, link{siteSet(s, peer), r})
			dial = append(dial, fmt.Sprintf("%s=%v", n.name, r.Addr()))
		}
	}
	return dial, nil
}

// start starts a node. The log of its former life, if any, goes on.
func (f *fleet) start(n planNode, dial []string) (*child, error) {
	c := &child{planNode: n, dial: dial, log: filepath.Join(f.plan.dir, n.name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{"node", "--topology", f.plan.topology, "--name", n.name}
	for _, d := range dial {
		args = append(args, "--dial", d)
	}
	c.cmd = exec.Command(f.program, args...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Env = append(os.Environ(), f.environment...)
	c.cmd.SysProcAttr = childAttributes()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node %s: %w", n.name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

// cutOff cuts every link between these sites and others, and heals all other links.
func (f *fleet) cutOff(off sites) {
	f.off.Store(uint32(off))
	for _, l := range f.links {
		l.relay.SetDown(f.isCut(l.between))
	}
}

// isCut says whether the link between two sites is cut.
func (f *fleet) isCut(between sites) bool {
	off := sites(f.off.Load())
	return between&off != 0 && between&^off != 0
}

// kill ends a node with SIGKILL and waits until it is gone.
func (f *fleet) kill(name string) error {
	c := f.nodes[f.index(name)]
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill node %s: %w", name, err)
	}
	<-c.done
	c.err = errKilled
	return nil
}

// restart starts a killed node again and waits until it takes part.
func (f *fleet) restart(ctx context.Context, name string) error {
	i := f.index(name)
	c, err := f.start(f.nodes[i].planNode, f.nodes[i].dial)
	if err != nil {
		return err
	}
	f.nodes[i] = c
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("it was started again %v ago", readyTime))
	defer cancel()
	return c.ready(ctx)
}

func (f *fleet) index(name string) int {
	return slices.IndexFunc(f.nodes, func(c *child) bool { return c.name == name })
}

// ready waits until every node is in its ring and in the view of all sites.
func (f *fleet) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for _, c := range f.nodes {
		if err := c.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *child) ready(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		why := c.state(ctx)
		if why == "" {
			return nil
		}
		select {
		case <-tick.C:
		case <-c.done:
			return fmt.Errorf("node %s: %w", c.name, errors.Join(errEnded, c.err))
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				return &errLate{c.name, why}
			}
			return fmt.Errorf("node %s is not ready: %s: %w", c.name, why, context.Cause(ctx))
		}
	}
}

// errEnded says that a child ended by itself.
var errEnded = errors.New("ended by itself")

// errKilled says that the demo killed a child.
var errKilled = errors.New("killed")

// state returns what the node lacks to be ready, or nothing.
func (c *child) state(ctx context.Context) string {
	s, err := c.status(ctx)
	if err != nil {
		return err.Error()
	}
	if ready, why := s.Ready(); !ready {
		return why
	}
	if len(s.Ring.Members) < nodesPerSite {
		return fmt.Sprintf("only %v in the ring", s.Ring.Members)
	}
	return ""
}

func (c *child) status(ctx context.Context) (*admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%v/status", c.admin), nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status answers %s", answer.Status)
	}
	var s admin.Status
	return &s, json.NewDecoder(answer.Body).Decode(&s)
}

// ended returns the nodes that ended by themselves.
func (f *fleet) ended() error {
	var errs []error
	for _, c := range f.nodes {
		select {
		case <-c.done:
			if errors.Is(c.err, errKilled) {
				continue
			}
			errs = append(errs, fmt.Errorf("node %s: %w", c.name, errors.Join(errEnded, c.err)))
		default:
		}
	}
	return errors.Join(errs...)
}

// stop ends the nodes, then the relays, and waits for them.
func (f *fleet) stop() {
	var stopping sync.WaitGroup
	for _, c := range f.nodes {
		stopping.Go(c.stop)
	}
	stopping.Wait()
	for _, l := range f.links {
		l.relay.Close()
	}
}

func (c *child) stop() {
	// The process is ours and was not waited for before done is closed, so its id
	// cannot be another's.
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTime)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// showLogs writes the end of every node's log.
func (f *fleet) showLogs(w io.Writer) {
	for _, c := range f.nodes {
		data, err := os.ReadFile(c.log)
		if err != nil {
			continue
		}
		if len(data) > logTail {
			data = data[len(data)-logTail:]
			data = data[bytes.IndexByte(data, '\n')+1:]
		}
		fmt.Fprintf(w, "\n== end of the log of %s\n%s", c.name, data)
	}
}
