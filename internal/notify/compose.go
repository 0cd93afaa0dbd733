package notify

import (
	"fmt"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// Titles and bodies are read on a lock screen at three in the morning: what happened, since when, what it means for
// customers, what to do, one link.

// listedMax is how many incidents a message names; of the others it gives the number.
const listedMax = 5

// compose puts notices of one channel into words. incidents are those they are about, by id.
func compose(id string, notices []makegood.Notice, incidents map[string]makegood.Incident, links Links, channel string, now time.Time) Message {
	m := Message{ID: id, Kind: makegood.NoticeResolved, Priority: makegood.P3, At: now}
	var wrong, over []makegood.Incident
	seen := map[string]bool{}
	for _, n := range notices {
		i, ok := incidents[n.IncidentID]
		if !ok || seen[n.IncidentID+string(side(n))] {
			continue
		}
		seen[n.IncidentID+string(side(n))] = true
		m.Incidents = append(m.Incidents, i.ID)
		if n.Priority.Graver(m.Priority) {
			m.Priority = n.Priority
		}
		if !n.IsAlarm() {
			over = append(over, i)
			continue
		}
		wrong = append(wrong, i)
		if m.Kind == makegood.NoticeResolved || n.Kind == makegood.NoticeOpened {
			m.Kind = n.Kind
		}
	}
	m.Title = titleOf(m, wrong, over)
	m.Body = bodyOf(wrong, over, links, now)
	m.Link = links.Acknowledge(channel, id, now)
	if len(wrong) > 0 {
		m.AckLink = m.Link
	}
	return m
}

// side tells what is wrong from what is over.
func side(n makegood.Notice) makegood.NoticeKind {
	if n.IsAlarm() {
		return makegood.NoticeOpened
	}
	return makegood.NoticeResolved
}

func titleOf(m Message, wrong, over []makegood.Incident) string {
	name := func(i makegood.Incident) string {
		if i.Subject == "" || strings.Contains(i.Title, i.Subject) {
			return i.Title
		}
		return i.Title + " (" + i.Subject + ")"
	}
	switch {
	case len(wrong) == 1 && len(over) == 0 && m.Kind == makegood.NoticeReminder:
		return fmt.Sprintf("%s STILL: %s", wrong[0].Priority, name(wrong[0]))
	case len(wrong) == 1 && len(over) == 0:
		return fmt.Sprintf("%s %s", wrong[0].Priority, name(wrong[0]))
	case len(wrong) == 0 && len(over) == 1:
		return fmt.Sprintf("FIXED: %s", name(over[0]))
	case len(wrong) == 0:
		return fmt.Sprintf("FIXED: %d incidents", len(over))
	case len(over) == 0:
		return fmt.Sprintf("%s %d incidents, first: %s", m.Priority, len(wrong), name(wrong[0]))
	}
	return fmt.Sprintf("%s %d incidents open, %d fixed", m.Priority, len(wrong), len(over))
}

func bodyOf(wrong, over []makegood.Incident, links Links, now time.Time) string {
	var b strings.Builder
	for k, i := range wrong {
		if k == listedMax {
			fmt.Fprintf(&b, "…and %d more.\n\n", len(wrong)-listedMax)
			break
		}
		fmt.Fprintf(&b, "%s\n", i.Detail)
		fmt.Fprintf(&b, "Since %s UTC (%s).\n", i.StartedAt.UTC().Format("15:04:05"), ago(now.Sub(i.StartedAt)))
		if i.State == makegood.IncidentResolved { // it ended while this was on its way
			fmt.Fprintf(&b, "Over since %s UTC.\n", i.ResolvedAt.UTC().Format("15:04:05"))
		}
		if i.Means != "" {
			fmt.Fprintf(&b, "For customers: %s\n", i.Means)
		}
		fmt.Fprintf(&b, "What to do: makegood runbook %s\nRecord: %s\n\n", i.Check, links.Command("incidents show "+i.ID))
	}
	for k, i := range over {
		if k == listedMax {
			fmt.Fprintf(&b, "…and %d more are over.\n", len(over)-listedMax)
			break
		}
		if i.State != makegood.IncidentResolved { // it came back while this was on its way
			fmt.Fprintf(&b, "It was over and is back: %s\nRecord: %s\n", i.Title, links.Command("incidents show "+i.ID))
			continue
		}
		fmt.Fprintf(&b, "Over since %s UTC, after %s: %s\n", i.ResolvedAt.UTC().Format("15:04:05"), ago(i.TimeToResolve()), i.Title)
		fmt.Fprintf(&b, "Record: %s\n", links.Command("incidents show "+i.ID))
	}
	return strings.TrimSpace(b.String())
}

// ago writes a span as people say it.
func ago(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
