//go:build race

package heal_test

// underRace is that the race detector makes everything ten times slower.
const underRace = true
