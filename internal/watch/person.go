package watch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// What a person does to incidents. Everything leaves its line on the time line, with who it was.

// Acknowledge says that somebody looks after an incident, for a while; hold 0 is as long as its ladder says.
func (d *Desk) Acknowledge(ctx context.Context, id, by string, hold time.Duration) error {
	if hold < 0 || hold > holdMax {
		return makegood.Errorf(makegood.Invalid, "An acknowledgement holds for at most %v.", holdMax)
	}
	defer d.forget()
	return d.Store.AmendIncidents(ctx, []string{id}, func(i *makegood.Incident) error {
		return i.Acknowledge(d.terms(by, i.Muted), hold)
	})
}

// holdMax bounds an acknowledgement and a silence: whoever needs longer has decided not to be told.
const holdMax = 30 * 24 * time.Hour

// AcknowledgeMessage acknowledges all incidents that a channel was told of in a message, by its link. The link works once,
// and ends at expires. What is over already is left as it is; when all is, that is makegood.Conflict.
func (d *Desk) AcknowledgeMessage(ctx context.Context, channel, messageID, linkID string, expires time.Time) (ids []string, err error) {
	all, err := d.Store.IncidentsOfMessage(ctx, channel, messageID)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, makegood.Errorf(makegood.NotFound, "Nothing is known of this message any more.")
	}
	// Marked first: a crash in between leaves a used link and an incident that goes on telling, which is the safe side.
	if err := d.Store.UseLink(ctx, linkID, expires); err != nil {
		return nil, err
	}
	defer d.forget()
	err = d.Store.AmendIncidents(ctx, all, func(i *makegood.Incident) error {
		if i.State == makegood.IncidentResolved {
			return nil
		}
		if !slices.Contains(ids, i.ID) { // it may be called again
			ids = append(ids, i.ID)
		}
		return i.Acknowledge(d.terms("link:"+channel, i.Muted), 0)
	})
	if err == nil && len(ids) == 0 {
		return nil, makegood.Errorf(makegood.Conflict, "It is over already; nothing needs to be acknowledged.")
	}
	return ids, err
}

// Resolve ends an incident by hand. If it is still red at the next look it comes back.
func (d *Desk) Resolve(ctx context.Context, id, by, why string) error {
	if strings.TrimSpace(why) == "" {
		return makegood.Errorf(makegood.Invalid, "Say why it is over; the next person reads it.")
	}
	defer d.forget()
	return d.Store.AmendIncidents(ctx, []string{id}, func(i *makegood.Incident) error {
		i.Resolve(d.terms(by, i.Muted), why)
		return nil
	})
}

// Note adds a line to the time line.
func (d *Desk) Note(ctx context.Context, id, by, text string) error {
	if text = strings.TrimSpace(text); text == "" || len(text) > noteMax {
		return makegood.Errorf(makegood.Invalid, "A note has 1 to %d bytes.", noteMax)
	}
	return d.Store.AmendIncidents(ctx, []string{id}, func(i *makegood.Incident) error {
		i.Note(d.terms(by, i.Muted), text)
		return nil
	})
}

// HealLine adds a line about what was done to mend an incident, or why nothing was.
func (d *Desk) HealLine(ctx context.Context, id string, kind makegood.MomentKind, text string) error {
	return d.Store.AmendIncidents(ctx, []string{id}, func(i *makegood.Incident) error {
		i.Heal(d.terms("system:heal", i.Muted), kind, text)
		return nil
	})
}

// noteMax bounds a note, in bytes.
const noteMax = 4000

// Silence keeps people from being told of incidents whose key fits a pattern, for a while.
func (d *Desk) Silence(ctx context.Context, pattern, reason, by string, hold time.Duration) (makegood.Silence, error) {
	switch {
	case strings.TrimSpace(pattern) == "" || len(pattern) > 200:
		return makegood.Silence{}, makegood.Errorf(makegood.Invalid, "Say which incidents: a key such as monitor/shop, or a pattern such as monitor/*.")
	case strings.TrimSpace(reason) == "" || len(reason) > noteMax:
		return makegood.Silence{}, makegood.Errorf(makegood.Invalid, "Say why; the next person reads it.")
	case hold <= 0 || hold > holdMax:
		return makegood.Silence{}, makegood.Errorf(makegood.Invalid, "A silence has an end, at most %v from now.", holdMax)
	}
	now := d.Now()
	s := makegood.Silence{ID: d.NewID(makegood.SilencePrefix), Pattern: pattern, From: now, Until: now.Add(hold), Reason: reason, By: by}
	if err := d.Store.AddSilence(ctx, s); err != nil {
		return s, err
	}
	d.forget()
	return s, d.hush(ctx, s)
}

// hush mutes what is open and covered by a new silence. The timers would do so when they are due, but what waits to be sent
// would be sent until then. A crash before it is over leaves that.
func (d *Desk) hush(ctx context.Context, s makegood.Silence) error {
	keys, err := d.Store.OpenIncidents(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if !makegood.MatchKey(s.Pattern, key) {
			continue
		}
		err := d.Store.ChangeIncident(ctx, key, func(i *makegood.Incident) (*makegood.Incident, error) {
			if i == nil || i.State == makegood.IncidentResolved {
				return nil, nil
			}
			i.Tick(d.terms(s.By, silencedBy(s)))
			return i, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// EndSilence ends a silence now.
func (d *Desk) EndSilence(ctx context.Context, id, by string) error {
	defer d.forget()
	return d.Store.EndSilence(ctx, id, by)
}

// Silences lists what is muted, maintenance windows included.
func (d *Desk) Silences(ctx context.Context) ([]makegood.Silence, error) { return d.silences(ctx) }

// Arrived learns what a channel's service says afterwards of a message that it took: that it arrived, or, with why, that it
// did not. A message that nobody knows is makegood.NotFound.
func (d *Desk) Arrived(ctx context.Context, channel, remoteID string, arrived bool, why string) error {
	notices, err := d.Store.NoticesByRemoteID(ctx, channel, remoteID)
	if err != nil {
		return err
	}
	if len(notices) == 0 {
		return makegood.Errorf(makegood.NotFound, "Nothing was sent under this id.")
	}
	var ids []string
	of := map[string][]string{}
	for _, n := range notices {
		ids = append(ids, n.IncidentID)
		of[n.IncidentID] = append(of[n.IncidentID], n.ID)
	}
	return d.Store.AmendIncidents(ctx, ids, func(i *makegood.Incident) error {
		for _, notice := range of[i.ID] {
			if arrived {
				i.Delivered(d.terms("channel:"+channel, i.Muted), notice)
			} else {
				i.Undelivered(d.terms("channel:"+channel, i.Muted), notice, why)
			}
		}
		return nil
	})
}

// Preview says what people would be told of an incident of a priority while nobody answers, for a time: the very rules, in
// a time that is only imagined.
func Preview(f makegood.Finding, e makegood.Escalation, channels []string, muted string, begin time.Time, within time.Duration) []makegood.Notice {
	n := 0
	newID := func(prefix string) string { n++; return fmt.Sprintf("%s%06d", prefix, n) }
	t := makegood.IncidentTerms{Escalation: e, Channels: channels, Now: begin, Actor: "preview", Muted: muted, NewID: newID}
	i := makegood.OpenIncident(f, t)
	var told []makegood.Notice
	for range previewSteps {
		for k := range i.Notices {
			if notice := i.Notices[k]; notice.State == makegood.NoticeQueued {
				told = append(told, notice)
				i.Accepted(t, notice.ID, "", false)
			}
		}
		if i.NextAt.IsZero() || i.NextAt.Sub(begin) > within || muted != "" {
			break
		}
		t.Now = i.NextAt
		i.Tick(t)
	}
	return told
}

// previewSteps bounds a preview.
const previewSteps = 1000
