//go:build linux

package netem

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Prioritize has the kernel run all threads of this process before those of ordinary
// processes, which fill the machine of a laboratory: a link that waits for them measures
// the machine. All threads, since Go's hand work to each other.
//
// Call it in a process that is an engine and nothing else. Where it is not allowed, it
// returns an error, and links are less exact.
func Prioritize() error {
	// A thread that starts meanwhile inherits from one that has it already, or is seen
	// in the next round.
	for done := map[int]bool{}; ; {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("own threads: %w", err)
		}
		news := false
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], news = true, true
			if err := prioritize(id); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("real-time priority: %w: links will be late when the machine is busy", err)
			}
		}
		if !news {
			return nil
		}
	}
}

// prioritize takes the lowest real-time priority, or what comes next.
func prioritize(thread int) error {
	realTime := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	err := unix.SchedSetAttr(thread, &realTime, 0)
	if errors.Is(err, unix.EPERM) && unix.Setpriority(unix.PRIO_PROCESS, thread, -20) == nil {
		return nil
	}
	return err
}
