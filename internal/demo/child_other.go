//go:build !linux

package demo

import "syscall"

// childAttributes leaves the children in the demo's process group, so that what ends
// the group ends them too.
func childAttributes() *syscall.SysProcAttr { return nil }
