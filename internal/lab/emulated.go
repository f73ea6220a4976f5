//go:build linux

package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ringway/internal/netem"
	"ringway/internal/netlab"
)

// emulated is a wan by internal/netem, for kernels without tc netem. The emulator is a
// process of its own: within the lab's, packets would wait for its other goroutines.
type emulated struct {
	client *netem.Client
	cmd    *exec.Cmd
	slow   error         // it could not get the priority that it needs
	ended  chan struct{} // closed when the process has ended
	err    error         // how, then
}

// engineTime is how long the emulator's process may take to start; it takes a few
// milliseconds.
const engineTime = 10 * time.Second

// newEmulated starts an emulator. It runs in the namespace of a router, with which the
// kernel, the next lab or "down" ends it if this process cannot.
func newEmulated(binary, folder string, router *netlab.Space) (wan, error) {
	client, file, err := netem.Pair()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	e := &emulated{client: client, ended: make(chan struct{}), cmd: exec.Command(binary, "lab", "engine")} //nolint:gosec // this program
	if err := e.start(file, folder, router); err != nil {
		return nil, errors.Join(fmt.Errorf("link emulator: %w", err), client.Close())
	}
	return e, nil
}

func (e *emulated) start(control *os.File, folder string, router *netlab.Space) error {
	logFile := filepath.Join(folder, "log", "engine.log")
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	out, said, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	e.cmd.ExtraFiles, e.cmd.Stdout, e.cmd.Stderr = []*os.File{control}, said, log
	err = router.Start(e.cmd)
	said.Close()
	if err != nil {
		return err
	}
	go func() {
		e.err = e.cmd.Wait()
		close(e.ended)
	}()
	if err := out.SetReadDeadline(time.Now().Add(engineTime)); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	word, why, _ := strings.Cut(strings.TrimSpace(line), ": ")
	if err != nil || word != readyLine {
		e.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-e.ended
		return fmt.Errorf("its process did not start: %w: see %s", errors.Join(err, e.err), logFile)
	}
	if why != "" {
		e.slow = errors.New(why)
	}
	return nil
}

// ServeEngine is an emulator until the lab that started it has gone, or wants it no
// more. It says on ready that it is there, and what it lacks.
func ServeEngine(ctx context.Context, ready io.Writer) error {
	conn, err := netem.Inherited()
	if err != nil {
		return err
	}
	engine, err := netem.New(netem.Options{})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	line := readyLine
	if err := netem.Prioritize(); err != nil {
		line += ": " + err.Error()
	}
	if _, err := fmt.Fprintln(ready, line); err != nil {
		return errors.Join(err, conn.Close(), engine.Close())
	}
	netem.Serve(ctx, conn, engine)
	return engine.Close()
}

// dead says that the emulator's process has ended, and how.
func (e *emulated) dead() error {
	select {
	case <-e.ended:
		return fmt.Errorf("the link emulator has ended (%v), and no link carries anything: take the lab down and up again", e.cmd.ProcessState)
	default:
		return nil
	}
}

// told completes an error of the emulator: if it has ended, that is the cause.
func (e *emulated) told(err error) error {
	if !errors.Is(err, netem.ErrGone) {
		return err
	}
	// Its socket closes a moment before its process has ended.
	select {
	case <-e.ended:
		return e.dead()
	case <-time.After(endTime):
		return err
	}
}

// endTime is how long a process that has closed its files takes to be gone.
const endTime = 200 * time.Millisecond

func (e *emulated) kind() string { return "emulated" }

func (e *emulated) fault() error {
	if dead := e.dead(); dead != nil {
		return dead
	}
	return e.slow
}

// close ends the emulator, and with it all links.
func (e *emulated) close() error {
	e.client.Close()
	select {
	case <-e.ended:
		return nil
	case <-time.After(stopTime):
		return errors.Join(errors.New("the link emulator does not end: it is killed"), e.cmd.Process.Kill())
	}
}

func (e *emulated) connect(l *linkPlan, a, b *netlab.Space, p netem.Profile) error {
	return e.told(e.client.Connect(netem.Link{Profile: p,
		A: netem.End{Site: l.a.Name, Space: a.Path(), Interface: l.b.Name},
		B: netem.End{Site: l.b.Name, Space: b.Path(), Interface: l.a.Name}}))
}

func (e *emulated) change(a, b, settings string, oneWay bool) error {
	if oneWay {
		return e.told(e.client.ChangeOneWay(a, b, settings))
	}
	return e.told(e.client.Change(a, b, settings))
}

func (e *emulated) down(a, b string, cut bool) error { return e.told(e.client.SetDown(a, b, cut)) }

// status is empty if the emulator has ended: then there are no links.
func (e *emulated) status() []netem.Direction {
	all, err := e.client.Status()
	if err != nil {
		return nil
	}
	return all
}
