package e2e

import "syscall"

// dieWithParent lets the kernel kill a child whose parent is gone: a test that is ended by its time limit runs no cleanup.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
