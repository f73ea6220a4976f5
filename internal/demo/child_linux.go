package demo

import "syscall"

// childAttributes has the kernel end a child when this process dies, and keeps a
// terminal's Ctrl-C from it: the demo ends its children itself.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
