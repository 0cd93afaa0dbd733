package secret

import (
	"maps"
	"slices"
)

// Kinds lists every kind once, sorted.
func Kinds() []Kind { return slices.Sorted(maps.Keys(shapes)) }
