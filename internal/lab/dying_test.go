//go:build linux

package lab

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// firstThreadEnds names the variable that makes this program lose its first thread.
const firstThreadEnds = "RINGWAY_TEST_FIRST_THREAD_ENDS"

func init() {
	if os.Getenv(firstThreadEnds) == "" {
		return
	}
	go func() { // in another thread
		runtime.LockOSThread()
		os.Stdin.Read(make([]byte, 1)) // until it is closed
		os.Exit(0)
	}()
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
}

// TestAliveWithoutFirstThread: a process whose first thread has ended before the others counts as
// there: its sockets are open until the last one ends.
func TestAliveWithoutFirstThread(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), firstThreadEnds+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pid := strconv.Itoa(cmd.Process.Pid)
	waitFor(t, "the first thread's end", func() bool { return stateOf(t, pid) == 'Z' })
	if !alive(pid) {
		t.Error("it counts as ended while a thread of it lives")
	}
	in.Close()
	waitFor(t, "the end of all threads", func() bool { return !alive(pid) })
}

func stateOf(t *testing.T, pid string) byte {
	t.Helper()
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	for i := len(stat) - 1; ; i-- { // behind the name, which may have brackets
		if stat[i] == ')' {
			return stat[i+2]
		}
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

// TestServerDiesWhenAsked: a server that is killed while it is asked leaves a lab that is not up.
func TestServerDiesWhenAsked(t *testing.T) {
	home := t.TempDir()
	listen, err := net.Listen("unix", socketOf(home))
	if err != nil {
		t.Fatal(err)
	}
	defer listen.Close()
	for _, read := range []int{0, 1000} { // a request that was not read resets the connection
		go func() {
			if conn, err := listen.Accept(); err == nil {
				conn.Read(make([]byte, read))
				conn.Close()
			}
		}()
		if _, err := Call(home, Request{Command: "status"}); !errors.Is(err, ErrNotUp) {
			t.Errorf("asked, and %d bytes of it read: %v", read, err)
		}
	}
}
