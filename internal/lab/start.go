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
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netns"

	"ringway/internal/netlab"
)

// Times of a lab's life.
const (
	upTime   = 30 * time.Second // for a server to have made everything; it takes a second
	downTime = 20 * time.Second // for it to have removed everything
	pollTime = 20 * time.Millisecond
)

// readyLine is what a server prints when the lab is up.
const readyLine = "ready"

// Start starts a server for a lab in the background and returns the lab's home.
func Start(c Config) (home string, err error) {
	if home, err = Home(c.Topology); err != nil {
		return "", err
	}
	if _, err := Call(home, Request{Command: "status"}); !errors.Is(err, ErrNotUp) {
		return "", fmt.Errorf("the lab of %s is up already: `ringway lab down %s` ends it", c.Topology, c.Topology)
	}
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", allow(err)
	}
	program, err := os.Executable()
	if err != nil {
		return "", err
	}
	path, err := filepath.Abs(c.Topology)
	if err != nil {
		return "", err
	}
	args := []string{"lab", "serve", path, "--folder", c.Folder}
	if c.Emulate {
		args = append(args, "--emulate")
	}
	cmd := exec.Command(program, args...) //nolint:gosec // this program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return home, await(cmd, home)
}

// await starts a server and waits until it is ready, or has failed.
func await(cmd *exec.Cmd, home string) error {
	logFile := filepath.Join(home, "server.log")
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := notePID(home, cmd.Process.Pid); err != nil {
		return err
	}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n') // without a line it has ended
		ready <- strings.TrimSpace(line) == readyLine
	}()
	select {
	case ok := <-ready:
		if ok {
			return cmd.Process.Release()
		}
	case <-time.After(upTime):
		cmd.Process.Kill() //nolint:errcheck // it may have ended
	}
	if err := cmd.Wait(); err == nil {
		return errors.New("its server ended")
	}
	text, err := os.ReadFile(logFile)
	if err != nil {
		return err
	}
	return errors.New(strings.TrimPrefix(strings.TrimSpace(string(text)), "ringway: "))
}

func allow(err error) error {
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w: a lab needs root", err)
	}
	return err
}

// ServeUntilDown makes a lab and serves it until it is taken down or the context ends.
// It says so on ready when the lab is up.
func ServeUntilDown(ctx context.Context, c Config, ready io.Writer) (err error) {
	home, err := Home(c.Topology)
	if err != nil {
		return err
	}
	if c.Folder == "" {
		c.Folder = home
	}
	if c.Folder, err = filepath.Abs(c.Folder); err != nil {
		return err
	}
	if c.Binary, err = os.Executable(); err != nil {
		return err
	}
	if err := notePID(home, os.Getpid()); err != nil {
		return err
	}
	l, err := New(c)
	if err != nil {
		return err
	}
	s, err := Serve(l, home)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	// Whoever wanted the lab may have been killed: then nobody wants it.
	signal.Ignore(syscall.SIGPIPE)
	if _, err := fmt.Fprintln(ready, readyLine); err != nil {
		s.listen.Close()
		return errors.Join(fmt.Errorf("nobody waits for the lab: %w", err), l.Close())
	}
	return s.Run(ctx.Done())
}

func notePID(home string, pid int) error {
	return os.WriteFile(filepath.Join(home, "pid"), []byte(strconv.Itoa(pid)), 0o600)
}

// Up returns the homes of the labs that are up.
func Up() (homes []string, err error) {
	all, err := filepath.Glob(filepath.Join(runFolder, "*", "control.sock"))
	if err != nil {
		return nil, err
	}
	for _, socket := range all {
		home := filepath.Dir(socket)
		if _, err := Call(home, Request{Command: "status"}); err == nil {
			homes = append(homes, home)
		}
	}
	return homes, nil
}

// Down ends a lab and waits until everything is gone. Of one whose server was killed it
// removes what is left.
func Down(home string) error {
	pid, _ := os.ReadFile(filepath.Join(home, "pid")) // absent: it was never up
	_, err := Call(home, Request{Command: "down"})
	switch {
	case errors.Is(err, ErrNotUp):
		if err := end(string(pid)); err != nil {
			return err
		}
	case err != nil:
		return err
	default:
		if err := gone(string(pid)); err != nil {
			return fmt.Errorf("the lab's server: %w; see %s", err, filepath.Join(home, "server.log"))
		}
	}
	os.Remove(socketOf(home))
	os.Remove(filepath.Join(home, "pid"))
	return Sweep()
}

// end ends a server that is still making its lab: it has a process, but no socket yet.
func end(pid string) error {
	if !alive(pid) {
		return nil
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return nil //nolint:nilerr // no process of ours
	}
	switch command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n)); {
	case err != nil:
		return nil //nolint:nilerr // it has ended
	case strings.Contains(string(command), "lab\x00serve"):
		if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
			return err
		}
	case len(command) > 0:
		return nil // it has ended, and another has its number
	}
	return gone(pid) // without a command line, it is about to end
}

// gone waits until a process that was told to end has done so.
func gone(pid string) error {
	for end := time.Now().Add(downTime); alive(pid); time.Sleep(pollTime) {
		if time.Now().After(end) {
			return fmt.Errorf("process %s does not end", pid)
		}
	}
	return nil
}

// alive says whether a process is there, and not only its remains. Its first thread may have
// ended before the others, which still hold its files and sockets open.
func alive(pid string) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if pid == "" || err != nil {
		return false
	}
	if _, rest, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(rest, "Z") {
		return true
	}
	threads, err := os.ReadDir(filepath.Join("/proc", pid, "task"))
	return err == nil && len(threads) > 1
}

// Sweep removes the namespaces of servers that were killed.
func Sweep() error { return netlab.Sweep() }

// Exec replaces this process by a command in a node's namespace.
func Exec(space string, command []string) error {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	ns, err := netns.GetFromName(space)
	if err != nil {
		return fmt.Errorf("namespace %s: %w", space, err)
	}
	if err := netns.Set(ns); err != nil {
		return allow(fmt.Errorf("enter namespace %s: %w", space, err))
	}
	return syscall.Exec(path, command, os.Environ()) //nolint:gosec // what the user asked for
}
