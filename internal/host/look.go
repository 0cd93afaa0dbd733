package host

import (
	"cmp"
	"slices"
	"strings"

	"github.com/makegood/makegood/internal/secret"
)

// faults says which fault each class of corruption is; what is not here is Broken. Of several, the one that stands first
// names the diagnosis: what was pasted twice usually has a line break between, and what has a strange character in its
// beginning looks like another kind.
var faults = []struct {
	class secret.Class
	fault Fault
}{
	{secret.Empty, Missing},
	{secret.Missing, Missing},
	{secret.Doubled, Doubled},
	{secret.Newline, LineFeed}, // or what lineBreak makes of it
	{secret.BOM, ByteOrderMark},
	{secret.NBSP, NoBreakSpace},
	{secret.Quotes, Quoted},
	{secret.BearerPrefix, Prefixed},
	{secret.TooShort, Cut},
	{secret.Control, Broken},
	{secret.WrongKind, WrongKind},
}

// Look diagnoses a credential of that kind by its look alone, without asking anybody; nil means that nothing is wrong with
// it. The fault is the gravest, and the sentence tells all that was found, so that one visit to page mends everything. It
// never has any part of the credential in it. It panics on a kind that does not exist, as secret.Inspect does.
func Look(v secret.Value, kind secret.Kind, page string) *Diagnosis {
	problems := secret.Inspect(v, kind, secret.AnyMode)
	if len(problems) == 0 {
		return nil
	}
	slices.SortStableFunc(problems, func(a, b secret.Problem) int { return cmp.Compare(rank(a.Class), rank(b.Class)) })
	var told []string
	for _, p := range problems {
		told = append(told, sentence(v, p))
	}
	return &Diagnosis{Fault: fault(v, problems[0].Class), Sentence: strings.Join(told, " "), Page: page}
}

func rank(c secret.Class) int {
	for i, f := range faults {
		if f.class == c {
			return i
		}
	}
	return len(faults)
}

func fault(v secret.Value, c secret.Class) Fault {
	if c == secret.Newline {
		return lineBreak(v.Reveal())
	}
	if i := rank(c); i < len(faults) {
		return faults[i].fault
	}
	return Broken
}

// lineBreak tells the three kinds of line break apart, because each is made by another program and mended elsewhere.
func lineBreak(s string) Fault {
	switch {
	case strings.Contains(s, "\r\n"):
		return CarriageLineFeed
	case strings.Contains(s, "\n"):
		return LineFeed
	}
	return CarriageReturn
}

// sentence makes a full sentence of a problem; where the class alone does not say what to do, in words of our own.
func sentence(v secret.Value, p secret.Problem) string {
	switch fault(v, p.Class) {
	case Missing:
		return "There is no credential: its variable or file is empty. Make one and put it there."
	case LineFeed:
		return "The credential contains a line feed (LF, \\n), which echo and editors put at the end. Save it without, for example with printf %s."
	case CarriageReturn:
		return "The credential contains a carriage return (CR, \\r), half of a line end of Windows. Save it with line ends of Unix, or copy it anew."
	case CarriageLineFeed:
		return "The credential contains a line end of Windows (CRLF, \\r\\n). Save it with line ends of Unix and without one at the end."
	}
	return "The credential " + p.Sentence + "."
}
