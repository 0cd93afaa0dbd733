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
	fixed := makegood.P3 // the gravest that is over
	var wrong, over []makegood.Incident
	seen := map[string]bool{}
	for _, n := range notices {
		i, ok := incidents[n.IncidentID]
		if !ok || seen[n.IncidentID+string(side(n))] {
			continue
		}
		seen[n.IncidentID+string(side(n))] = true
		m.Incidents = append(m.Incidents, i.ID)
		if !n.IsAlarm() {
			over, fixed = append(over, i), gravest(fixed, n.Priority)
			continue
		}
		wrong, m.Priority = append(wrong, i), gravest(m.Priority, n.Priority)
		if m.Kind == makegood.NoticeResolved || n.Kind == makegood.NoticeOpened {
			m.Kind = n.Kind
		}
	}
	if len(wrong) == 0 { // else it is as grave as what is wrong still: nobody is woken by what is over
		m.Priority = fixed
	}
	m.Title = titleOf(m, wrong, over, fixed)
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

func gravest(a, b makegood.Priority) makegood.Priority {
	if b.Graver(a) {
		return b
	}
	return a
}

// titleOf begins with what matters most. When what is over is graver than what is wrong still, that is the good news: whoever was
// woken by it must not read it behind a note about its cause.
func titleOf(m Message, wrong, over []makegood.Incident, fixed makegood.Priority) string {
	name := func(i makegood.Incident) string {
		if i.Subject == "" || strings.Contains(i.Title, i.Subject) {
			return i.Title
		}
		return i.Title + " (" + i.Subject + ")"
	}
	some := func(list []makegood.Incident) string {
		if len(list) == 1 {
			return name(list[0])
		}
		return fmt.Sprintf("%d incidents", len(list))
	}
	switch {
	case len(wrong) == 1 && len(over) == 0 && m.Kind == makegood.NoticeReminder:
		return fmt.Sprintf("%s STILL: %s", wrong[0].Priority, name(wrong[0]))
	case len(wrong) == 1 && len(over) == 0:
		return fmt.Sprintf("%s %s", wrong[0].Priority, name(wrong[0]))
	case len(wrong) == 0:
		return "FIXED: " + some(over)
	case len(over) == 0:
		return fmt.Sprintf("%s %d incidents, first: %s", m.Priority, len(wrong), name(wrong[0]))
	case fixed.Graver(m.Priority):
		return fmt.Sprintf("FIXED: %s; %s %s", some(over), m.Priority, some(wrong))
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
