//go:build linux || darwin

package probe

import "syscall"

func statfs(path string) (room, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return room{}, err
	}
	size := uint64(s.Bsize)
	return room{free: uint64(s.Bavail) * size, total: uint64(s.Blocks) * size}, nil
}
