package simulate

import "syscall"

// boxAttributes let the kernel kill a child whose parent is gone: a drill that is killed runs no clean-up.
func boxAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
