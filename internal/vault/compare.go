package vault

import (
	"fmt"
	"slices"
)

// Held is what a place has under a name, as far as the place shows it.
type Held struct {
	Name        string
	Fingerprint string // of the value, where it was read
	Readable    bool   // the value was read; without it, Fingerprint and Empty say nothing
	Empty       bool   // it has no value
}

// Gap is how a place differs from the truth in one name. Stable.
type Gap string

// The gaps. The healer may write the first three and no others.
const (
	Lacking     Gap = "missing" // needed, and not there
	Blank       Gap = "empty"   // there, and without a value
	Wrong       Gap = "wrong"   // there, with another value
	Unknown     Gap = "unknown" // there, and nobody can read whether it is right
	Extra       Gap = "extra"   // there, and nobody needs it
	InTruthOnly Gap = "in_truth_only"
	Nowhere     Gap = "not_in_truth" // needed, and the truth does not have it
)

// Difference is one name in which a place differs from the truth, in words. It never has a value in it.
type Difference struct {
	Name     string `json:"name"`
	What     Gap    `json:"what"`
	Sentence string `json:"sentence"`
}

// Compare says how a place differs from the truth: first in the order of needs, then by name what nobody needs. nil means that
// the place has everything that is needed, readable and right, and nothing else. An optional need may be missing on both sides.
func Compare(needs []Need, t Truth, held []Held) []Difference {
	there := map[string]Held{}
	for _, h := range held {
		there[h.Name] = h
	}
	var found []Difference
	needed := map[string]bool{}
	for _, n := range needs {
		if needed[n.Name] {
			continue
		}
		needed[n.Name] = true
		h, ok := there[n.Name]
		if what := compareNeed(n, t, h, ok); what != "" {
			found = append(found, difference(n.Name, what))
		}
	}
	for _, name := range sortedNames(there) {
		if !needed[name] {
			found = append(found, difference(name, Extra))
		}
	}
	for _, name := range sortedNames(t.Values) {
		if _, ok := there[name]; !ok && !needed[name] {
			found = append(found, difference(name, InTruthOnly))
		}
	}
	return found
}

// compareNeed returns "" when there is no difference. A value that was read and has no fingerprint contradicts itself, and
// counts as one that was not read.
func compareNeed(n Need, t Truth, h Held, isThere bool) Gap {
	v := t.Values[n.Name]
	switch {
	case v.Empty() && n.Optional && isThere:
		return Extra
	case v.Empty() && n.Optional:
		return ""
	case v.Empty():
		return Nowhere
	case !isThere && n.Optional:
		return InTruthOnly
	case !isThere:
		return Lacking
	case !h.Readable, !h.Empty && h.Fingerprint == "":
		return Unknown
	case h.Empty:
		return Blank
	case h.Fingerprint != v.Fingerprint():
		return Wrong
	}
	return ""
}

var gapSentences = map[Gap]string{
	Lacking:     "%s is needed and is not there.",
	Blank:       "%s is there and has no value.",
	Wrong:       "%s has another value there than in the source of truth.",
	Unknown:     "%s is there, and the place does not let its value be read, so only a run can show whether it is right.",
	Extra:       "%s is there, and nothing here needs it or knows it. It is left alone.",
	InTruthOnly: "%s is in the source of truth only. It is not required there.",
	Nowhere:     "%s is needed, and the source of truth does not have it. Put it there first.",
}

func difference(name string, what Gap) Difference {
	return Difference{name, what, fmt.Sprintf(gapSentences[what], shown(name))}
}

// ToWrite returns the names that a healer may write, in the order of the differences: what is missing, empty or wrong. What
// cannot be read is never written, because it may well be right.
func ToWrite(differences []Difference) []string {
	var names []string
	for _, d := range differences {
		if (d.What == Lacking || d.What == Blank || d.What == Wrong) && !slices.Contains(names, d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}
