//go:build linux

package scenario

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A disk is a small file system that nobody else sees: it is mounted nowhere, and reached
// through this process's open files. It vanishes with the process, however that ends.
type disk struct {
	root   *os.File
	folder string
}

func newDisk(size int64) (*disk, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a tmpfs: %w: it needs root, and Linux 5.2", err)
	}
	defer unix.Close(fs)
	mount := -1
	if err = unix.FsconfigSetString(fs, "size", strconv.FormatInt(size, 10)); err == nil {
		if err = unix.FsconfigCreate(fs); err == nil {
			mount, err = unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make a tmpfs of %d bytes: %w", size, err)
	}
	return &disk{root: os.NewFile(uintptr(mount), "disk"), folder: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), mount)}, nil
}

// errRoom says that a disk is not full.
var errRoom = errors.New("there is room on the disk")

// full returns nil if not one more page fits.
func (d *disk) full() error {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.root.Fd()), &s); err != nil {
		return err
	}
	if s.Bavail > 0 {
		return fmt.Errorf("%w: %d of %d pages", errRoom, s.Bavail, s.Blocks)
	}
	return nil
}

func (d *disk) close() error { return d.root.Close() }
