//go:build !linux

package e2e_test

import "syscall"

// diesWithParent has no counterpart here: a killed test binary leaves its processes behind.
func diesWithParent() *syscall.SysProcAttr { return nil }
