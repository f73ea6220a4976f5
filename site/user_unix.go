//go:build unix

package site

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// becomeUser gives up root for good: the process goes on as that user, with the user's
// own group and no other.
func becomeUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return fmt.Errorf("user %s: %w", name, err)
	}
	switch {
	case uid == 0:
		return fmt.Errorf("user %s: is root: name one that may do less", name)
	case os.Geteuid() == uid:
		return nil // nothing to give up
	case os.Geteuid() != 0:
		return fmt.Errorf("user %s: only root can become another user: start the node as %s instead", name, name)
	}
	// Groups first: afterwards there is no right to change them.
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"groups", func() error { return syscall.Setgroups([]int{gid}) }},
		{"group", func() error { return syscall.Setgid(gid) }},
		{"user", func() error { return syscall.Setuid(uid) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("user %s: cannot change %s: %w", name, step.what, err)
		}
	}
	if syscall.Setuid(0) == nil {
		return fmt.Errorf("user %s: the process could become root again", name)
	}
	return nil
}
