package e2e_test

import (
	"fmt"
	"syscall"
)

// diesWithParent makes the kernel end a process when the test binary is killed.
func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// mountMemory mounts a file system of so many MiB that is kept in memory.
func mountMemory(dir string, mebibytes int) error {
	if err := syscall.Mount("narrowcast", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mebibytes)); err != nil {
		return fmt.Errorf("mount a file system: %w", err)
	}
	return nil
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }

// roomOn is how many bytes a file system has left.
func roomOn(dir string) (int64, error) {
	var fs syscall.Statfs_t
	err := syscall.Statfs(dir, &fs)
	return int64(fs.Bavail) * fs.Bsize, err
}
