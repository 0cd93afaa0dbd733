//go:build !linux && !darwin

package probe

import "errors"

func statfs(string) (room, error) {
	return room{}, errors.New("room on a disk cannot be measured on this system")
}
