package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store"
)

// moment is one line of an order's time line. Kind is for programs and stable: event.received, step.started, step.done, or
// the action of an audit entry, such as license.issued. What is for people.
type moment struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`
	What string    `json:"what"`
}

// timeline is everything that is known to have happened to an order, in the order of our clock.
func timeline(ctx context.Context, s *store.Store, o makegood.Order) ([]moment, error) {
	events, err := s.Events(ctx, store.EventFilter{OrderID: o.ID})
	if err != nil {
		return nil, err
	}
	entries, err := s.AuditOf(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	var line []moment
	for _, e := range slices.Backward(events) { // they come newest first
		line = append(line, moment{e.ReceivedAt, "event.received", fmt.Sprintf("event %s arrived and was kept (%s)", e.Type, e.ProviderID)})
	}
	for _, e := range entries {
		line = append(line, moment{e.At, e.Action, entryText(e)})
	}
	for _, step := range o.Steps {
		if !step.IntentAt.IsZero() {
			line = append(line, moment{step.IntentAt, "step.started", stepName(step.Name) + " about to be sent"})
		}
		if !step.DoneAt.IsZero() {
			line = append(line, moment{step.DoneAt, "step.done",
				fmt.Sprintf("%s accepted by %s (%s), %s attempt", stepName(step.Name), takerOf(step.Name), step.Receipt, ordinal(step.Attempts))})
		}
	}
	slices.SortStableFunc(line, func(a, b moment) int { return cmp.Compare(a.At.UnixMicro(), b.At.UnixMicro()) })
	return line, nil
}

// entryText is an audit entry for people.
func entryText(e makegood.Entry) string {
	change := e.After
	if e.Before != "" {
		change = e.Before + " → " + e.After
	}
	switch e.Action {
	case "order.payment":
		return "payment: " + change
	case "order.fulfillment":
		return "fulfilment: " + change
	case "license.issued":
		return "licence " + e.After + " issued"
	case "step.owed":
		return stepName(e.After) + " owed to " + owedTo(e.After)
	case "stock.moved":
		return "stock: " + e.After
	case "order.made_good":
		return "made good by " + byWhom(e) + ": " + change
	case "step.again":
		return stepName(e.After) + " asked for once more by " + byWhom(e) + ", was " + e.Before
	case "dead_letter.retried":
		return "dead letter " + e.Target + " done again by " + byWhom(e)
	case "dead_letter.discarded":
		return "dead letter " + e.Target + " discarded by " + byWhom(e) + strings.TrimPrefix(e.After, string(makegood.DeadDiscarded))
	}
	if noun, verb, ok := strings.Cut(e.Action, "."); ok && noun == "license" {
		return "licence " + verb + ", was " + e.Before
	}
	return e.Action + " " + change
}

// byWhom is the person or the part of the program behind an entry.
func byWhom(e makegood.Entry) string { return strings.TrimPrefix(e.Actor, "operator:") }

// stepName is what people call an effect.
func stepName(name string) string {
	switch {
	case name == makegood.EffectEmail:
		return "e-mail"
	case makegood.IsTelling(name):
		return "application " + strings.TrimPrefix(name, "forward:")
	}
	return name
}

// owedTo is who waits for a step, and takerOf who takes it from us.
func owedTo(step string) string {
	if makegood.IsTelling(step) {
		return "the listener"
	}
	return "the customer"
}

func takerOf(step string) string {
	if makegood.IsTelling(step) {
		return "the listener"
	}
	return "the mail service"
}

func ordinal(n int) string {
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			return fmt.Sprintf("%dst", n)
		case 2:
			return fmt.Sprintf("%dnd", n)
		case 3:
			return fmt.Sprintf("%drd", n)
		}
	}
	return fmt.Sprintf("%dth", n)
}

// printTimeline shows each moment with the time since the first.
func printTimeline(w io.Writer, line []moment) {
	if len(line) == 0 {
		return
	}
	fmt.Fprintf(w, "\nTime line, from %s UTC\n", line[0].At.UTC().Format("2006-01-02 15:04:05.000"))
	for _, m := range line {
		fmt.Fprintf(w, "  %9s  %s\n", "+"+short(m.At.Sub(line[0].At)), oneLine(m.What))
	}
}
