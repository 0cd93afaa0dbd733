package watch

import (
	"fmt"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// Postmortem is a draft in Markdown of what there is to say of an incident: everything that is known is filled in, and what
// only people know is asked.
func Postmortem(i *makegood.Incident) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	title := i.Title
	if i.Subject != "" {
		title += " (" + i.Subject + ")"
	}
	line("# %s: %s\n", i.OpenedAt.UTC().Format("2006-01-02"), title)
	line("Incident %s, %s, check `%s`.\n", i.ID, i.Priority, i.Check)
	line("## What happened\n\n%s\n", i.Detail)
	line("## What it meant for customers\n\n%s\n", orAsk(i.Means, "Who noticed it, and how?"))
	line("How many waited, and for how long?\n")
	line("## Times (UTC)\n\n| | |\n|---|---|")
	line("| began | %s |", at(i.StartedAt))
	line("| detected | %s, after %s |", at(i.OpenedAt), ago(i.TimeToDetect()))
	line("| first accepted notice | %s |", firstTold(i))
	if i.AckedAt.IsZero() {
		line("| acknowledged | never |")
	} else {
		line("| acknowledged | %s, after %s, by %s |", at(i.AckedAt), ago(i.TimeToAcknowledge()), i.AckedBy)
	}
	if i.ResolvedAt.IsZero() {
		line("| resolved | not yet |")
	} else {
		line("| resolved | %s, after %s, by %s |", at(i.ResolvedAt), ago(i.TimeToResolve()), i.ResolvedBy)
	}
	line("| came back | %d times |\n", i.Reopened)
	line("## Time line\n")
	for _, m := range i.Timeline {
		line("- %s %s (%s)", at(m.At), strings.ReplaceAll(m.Text, "\n", " "), m.Actor)
	}
	line("\n## Why it happened\n\nWhat was the cause? What was the cause of that?\n")
	line("## What went well, what did not\n\nWas it found by us or by a customer? Was the right person told? Did the runbook `%s` help?\n", i.Check)
	line("## What we change\n\n- [ ] …")
	return b.String()
}

func firstTold(i *makegood.Incident) string {
	var first makegood.Notice
	for _, n := range i.Notices {
		if n.IsAlarm() && !n.SentAt.IsZero() && (first.SentAt.IsZero() || n.SentAt.Before(first.SentAt)) {
			first = n
		}
	}
	if first.SentAt.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%s over %s, %s after it was detected", at(first.SentAt), first.Channel, ago(first.SentAt.Sub(i.OpenedAt)))
}

func at(t time.Time) string { return t.UTC().Format("15:04:05") }

func ago(d time.Duration) string { return d.Round(100 * time.Millisecond).String() }

func orAsk(s, question string) string {
	if s == "" {
		return question
	}
	return s
}
