//go:build !linux

package e2e_test

import (
	"errors"
	"syscall"
)

// diesWithParent has no counterpart here: a killed test binary leaves its processes behind.
func diesWithParent() *syscall.SysProcAttr { return nil }

var errLinux = errors.New("small file systems are made on Linux only")

func mountMemory(string, int) error { return errLinux }

func unmount(string) error { return errLinux }

func roomOn(string) (int64, error) { return 0, errLinux }
