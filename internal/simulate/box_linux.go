package simulate

import "syscall"

// DiesWithUs lets the kernel kill a child whose parent is gone: a drill that is killed runs no clean-up.
func DiesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
