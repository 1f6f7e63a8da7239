package e2e_test

import "syscall"

// diesWithParent makes the kernel end a process when the test binary is killed.
func diesWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
