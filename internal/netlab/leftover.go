//go:build linux

package netlab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// prefix begins the name of every namespace that this package made.
const prefix = "rw-"

// maker begins the names of this process's namespaces.
var maker = sync.OnceValue(func() string {
	start, _ := startOf("self") // not to be had: 0, which no living process has
	return fmt.Sprintf("%s%d-%d-", prefix, os.Getpid(), start)
})

// startOf returns when a process was started, in clock ticks since the system was.
func startOf(pid string) (uint64, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, err
	}
	// What stands in front of the last parenthesis may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const place = 22 - 3 // the 22nd field, of those from the 3rd on
	if len(fields) <= place {
		return 0, fmt.Errorf("/proc/%s/stat has %d fields", pid, len(fields))
	}
	if string(fields[0]) == "Z" {
		return 0, fmt.Errorf("process %s has ended, which nobody has noticed yet: %w", pid, fs.ErrNotExist)
	}
	return strconv.ParseUint(string(fields[place]), 10, 64)
}

// Sweep removes the namespaces of makers that do not live any more, and kills what
// runs in them. New calls it.
func Sweep() error {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var faults []error
	for _, entry := range entries {
		if isLeftover(entry.Name()) {
			faults = append(faults, discard(entry.Name()))
		}
	}
	return errors.Join(faults...)
}

// isLeftover says whether this package made the namespace and its maker is dead.
func isLeftover(name string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	pid, rest, _ := strings.Cut(rest, "-")
	began, _, ok2 := strings.Cut(rest, "-")
	_, err := strconv.Atoi(pid)
	start, err2 := strconv.ParseUint(began, 10, 64)
	if !ok || !ok2 || err != nil || err2 != nil {
		return false
	}
	lives, err := startOf(pid)
	return errors.Is(err, fs.ErrNotExist) || err == nil && lives != start
}

// killTime bounds waiting for killed processes: they hold on to a namespace, and its
// interfaces would go on sending.
const killTime = 5 * time.Second

// discard kills what runs in a namespace and removes it. Another process may be about
// to do the same.
func discard(name string) error {
	path := filepath.Join(folder, name)
	if err := killAll(path); err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	if err := netns.DeleteNamed(name); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("remove network namespace %s: %w", name, err)
	}
	// What is not mounted is a plain file.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", name, err)
	}
	return nil
}

func killAll(path string) error {
	for deadline := time.Now().Add(killTime); ; time.Sleep(time.Millisecond) {
		pids, err := inside(path)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not die within %v", pids, killTime)
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have ended by itself
		}
	}
}

// inside lists the processes in a namespace, except this one and those that have
// ended and wait for their parents to notice.
func inside(path string) ([]int, error) {
	var want, have unix.Stat_t
	switch err := unix.Stat(path, &want); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// That of a process that has ended cannot be had.
		if unix.Stat(filepath.Join("/proc", p.Name(), "ns/net"), &have) == nil && have.Ino == want.Ino && have.Dev == want.Dev {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
