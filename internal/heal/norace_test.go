//go:build !race

package heal_test

const underRace = false
