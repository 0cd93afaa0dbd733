//go:build !linux

package simulate

import "syscall"

func DiesWithUs() *syscall.SysProcAttr { return nil }
