//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// elevated tells a program that Elevate has started it.
const elevated = "RINGWAY_NETLAB_ELEVATED"

// Elevate lets a program that is not root make networks: it runs the program again,
// with the same arguments, as root of a user namespace, and returns its exit code and
// done. It does nothing for root. Call it before anything else, as in
//
//	func TestMain(m *testing.M) {
//		if code, done := netlab.Elevate(); done {
//			os.Exit(code)
//		}
//		os.Exit(m.Run())
//	}
//
// Where the system does not let ordinary users make user namespaces, it returns not
// done, and New will say what is missing.
func Elevate() (code int, done bool) {
	if os.Getenv(elevated) != "" {
		if err := ownRun(); err != nil {
			fmt.Fprintf(os.Stderr, "netlab: a folder for network namespaces: %v\n", err)
			return 1, true
		}
		return 0, false
	}
	if os.Geteuid() == 0 {
		return 0, false
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:gosec // this program
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), elevated+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, false
	}
	err := cmd.Wait()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &failed) && failed.ExitCode() >= 0:
		return failed.ExitCode(), true
	}
	fmt.Fprintf(os.Stderr, "netlab: %v\n", err)
	return 1, true
}

// ownRun mounts a /run that belongs to this process and its children alone: the
// system's is not theirs to write to.
func ownRun() error {
	os.Unsetenv(elevated)
	if err := syscall.Mount("", "/", "", syscall.MS_PRIVATE|syscall.MS_REC, ""); err != nil {
		return fmt.Errorf("keep mounts to this process: %w", err)
	}
	if err := syscall.Mount("netlab", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount on /run: %w", err)
	}
	return nil
}
