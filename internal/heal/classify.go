package heal

import (
	"slices"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/vault"
)

// Evidence is what is known when a fault is to be named.
type Evidence struct {
	Survey host.Survey
	// Differences are between the truth and the place.
	Differences []vault.Difference
	// Wrong are names that the program itself reports with another value than the truth.
	Wrong []string
	// Written are names that we have written lately and that no start has taken up since, so they have had no effect.
	Written []string
	// Felt is that something is red that people feel, and not only the list of names.
	Felt bool
	// Needs are what the place must have.
	Needs []vault.Need
	// What the place can do.
	Writes, Starts bool
}

// Classify names the fault, and the variables that have to be written. It acts on evidence alone: that something is red says
// that people feel it, and never what it is.
//
//   - Variables are missing, empty, or known to be wrong: that is it, whatever else is red. Felt or not decides whether the
//     program has to be started again.
//   - Nothing is missing, something is felt, and we have put variables back that no start has taken up: they are missing still
//     where it counts.
//   - Nothing is missing and the place says that the program does not run, or that what runs was started before the variables were
//     there, and people feel it: it has to be started again.
//   - Workers do nothing although there is work: they are stuck.
//   - The place has no variables that we know of, and something is felt: a place that mends itself may try.
//   - Anything else is unknown: a provider's outage looks like this, and no variable mends it.
func Classify(e Evidence) (fault makegood.HealFault, names []string) {
	if e.Writes {
		names = vault.ToWrite(e.Differences)
		for _, n := range e.Wrong {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
	}
	if e.Writes && e.Starts && (e.Felt || e.Survey.Down != "") {
		names = slices.Concat(names, e.Written)
		slices.Sort(names)
		names = slices.Compact(names)
	}
	switch {
	case len(names) > 0 && (e.Felt || e.Survey.Down != ""):
		return makegood.FaultSecretMissing, names
	case len(names) > 0:
		return makegood.FaultSecretDrift, names
	case e.Starts && e.Survey.Stuck:
		return makegood.FaultWorkersStuck, nil
	case e.Starts && e.Survey.Down != "", e.Starts && e.Felt && isPending(e):
		return makegood.FaultStopped, nil
	case e.Starts && !e.Writes && e.Felt && len(e.Survey.Variables) == 0 && e.Survey.Elsewhere:
		return makegood.FaultElsewhere, nil
	}
	return makegood.FaultUnknown, nil
}

// isPending reports whether what runs was started without a variable that it needs and that is there by now: an attempt that was
// interrupted, or a person, wrote it and started nothing.
func isPending(e Evidence) bool {
	return slices.ContainsFunc(e.Needs, func(n vault.Need) bool { return slices.Contains(e.Survey.Pending, n.Name) })
}
