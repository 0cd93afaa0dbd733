//go:build !linux

package simulate

import "syscall"

func boxAttributes() *syscall.SysProcAttr { return nil }
