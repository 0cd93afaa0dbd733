package vault

import (
	"maps"
	"time"

	"github.com/makegood/makegood/internal/secret"
)

// Judge says why a truth is not believed; nil means that it is. It tells all reasons at once: first of the whole, then by
// name what was lost, then in the order of needs. Whatever is in doubt is refused, because what is written from a wrong truth
// takes down what still runs.
//
// known is what was last found good, and mode the world of the place that would be written; "" does not care. A need that is
// optional may be missing or empty.
func Judge(t Truth, needs []Need, known Known, mode secret.Mode, now time.Time) []*Refusal {
	found := judgeAge(t, known)
	if mode != secret.AnyMode && t.Mode != secret.AnyMode && t.Mode != mode {
		found = append(found, refuse(OtherMode, "", "The source of truth was sealed for %s mode, and this place is in %s mode. Point the place to the other source.", t.Mode, mode))
	}
	if isEmpty(t) { // the rest would only repeat it for every name
		empty := refuse(Empty, "", "The source of truth has no value in it. Nothing is ever written from an empty one: look whether it is the right one, and put it back.")
		return append([]*Refusal{empty}, found...)
	}
	for _, name := range sortedNames(known.Fingerprints) {
		if t.Values[name].Empty() {
			found = append(found, refuse(Shrunken, name, "%s was in the source of truth and is not any more. Put it back; if it is meant to go, accept the source anew.", shown(name)))
		}
	}
	for _, n := range needs {
		found = append(found, judgeNeed(n, t, mode, now)...)
	}
	return found
}

func isEmpty(t Truth) bool {
	for _, v := range t.Values {
		if !v.Empty() {
			return false
		}
	}
	return true
}

// judgeAge finds a source that went back in time. One that cannot count has the serial 0, and so is older than any that can.
func judgeAge(t Truth, known Known) []*Refusal {
	switch {
	case t.Serial < known.Serial:
		return []*Refusal{refuse(Older, "", "The source of truth has the serial number %d, and %d was seen before: somebody put an old one back. Put back the newest.", t.Serial, known.Serial)}
	case t.Serial > 0 && t.Serial == known.Serial && !maps.Equal(Remember(t).Fingerprints, known.Fingerprints):
		return []*Refusal{refuse(Older, "", "The source of truth has the serial number %d as before, and other secrets: two were sealed from the same one. Find out which is right, and seal it again.", t.Serial)}
	}
	return nil
}

func judgeNeed(n Need, t Truth, mode secret.Mode, now time.Time) []*Refusal {
	v := t.Values[n.Name]
	if v.Empty() && n.Optional {
		return nil
	}
	if v.Empty() {
		return []*Refusal{refuse(Incomplete, n.Name, "%s is needed, and the source of truth does not have it. Put it there.", shown(n.Name))}
	}
	var found []*Refusal
	if !n.NotAfter.IsZero() && now.After(n.NotAfter) {
		found = append(found, refuse(OutOfDate, n.Name, "%s ended on %s. Make a new one, and put it there with its new date.", shown(n.Name), n.NotAfter.UTC().Format("2006-01-02 15:04 MST")))
	}
	if !n.Kind.Exists() {
		return append(found, refuse(BadSecret, n.Name, "%s is of a kind that does not exist, so nobody can tell whether it is good. Name its kind in the list of what is needed.", shown(n.Name)))
	}
	for _, p := range secret.Inspect(v, n.Kind, firstMode(n.Mode, mode, t.Mode)) {
		reason := BadSecret
		if p.Class == secret.WrongMode {
			reason = OtherMode
		}
		found = append(found, refuse(reason, n.Name, "%s in the source of truth %s (%s).", shown(n.Name), p.Sentence, p.Class))
	}
	return found
}

// firstMode is the mode of who says one first: the need, the place, the source.
func firstMode(modes ...secret.Mode) secret.Mode {
	for _, m := range modes {
		if m != secret.AnyMode {
			return m
		}
	}
	return secret.AnyMode
}

// Remember is what a later reading is compared with. Empty values are as if they were not there.
func Remember(t Truth) Known {
	known := Known{Serial: t.Serial, SealedAt: t.SealedAt, Fingerprints: map[string]string{}}
	for name, v := range t.Values {
		if !v.Empty() {
			known.Fingerprints[name] = v.Fingerprint()
		}
	}
	return known
}

// Setting is one variable as it should be. A host.Setting is made of it by conversion.
type Setting struct {
	Name  string
	Value secret.Value
}

// Settings returns the values of these names, in their order: all of them, or a *Refusal. It never returns an empty value, nor
// an empty list, because some places understand either as an order to delete.
func Settings(t Truth, names []string) ([]Setting, error) {
	if len(names) == 0 {
		return nil, refuse(Empty, "", "No name was asked for, so there is nothing to write.")
	}
	settings := make([]Setting, 0, len(names))
	for _, name := range names {
		v := t.Values[name]
		if v.Empty() {
			return nil, refuse(Incomplete, name, "%s is to be written, and the source of truth does not have it. Nothing is written.", shown(name))
		}
		settings = append(settings, Setting{name, v})
	}
	return settings, nil
}
