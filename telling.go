package makegood

import (
	"fmt"
	"strconv"
	"strings"
)

// tellingPrefix begins the names of the steps that tell the owner's application how an order stands: forward:shop is the
// first that the destination shop hears of the order, forward:shop:2 the second.
const tellingPrefix = "forward:"

// TellingStep names the n-th telling, from 1, of an order to a destination.
func TellingStep(destination string, n int) string {
	if n == 1 {
		return tellingPrefix + destination
	}
	return fmt.Sprintf("%s%s:%d", tellingPrefix, destination, n)
}

// IsTelling reports whether a step tells how the order stands, and gives nothing.
func IsTelling(step string) bool { return strings.HasPrefix(step, tellingPrefix) }

// EffectOf is the name of the effect that brings a step about: of forward:shop:2 it is forward:shop.
func EffectOf(step string) string {
	if destination, _, ok := cutTelling(step); ok {
		return tellingPrefix + destination
	}
	return step
}

// cutTelling splits the name of a telling.
func cutTelling(step string) (destination, ordinal string, ok bool) {
	rest, ok := strings.CutPrefix(step, tellingPrefix)
	destination, ordinal, _ = strings.Cut(rest, ":")
	return destination, ordinal, ok
}

// TellingOrdinal is the n of TellingStep.
func TellingOrdinal(step string) int {
	_, ordinal, _ := cutTelling(step)
	n, err := strconv.Atoi(ordinal)
	if err != nil {
		return 1
	}
	return n
}
