package makegood

import (
	"fmt"
	"slices"
	"time"
)

// IncidentState says who has the next move.
type IncidentState string

const (
	IncidentOpen         IncidentState = "open"         // whoever is told: nobody has answered yet
	IncidentAcknowledged IncidentState = "acknowledged" // whoever answered, until AckedUntil
	IncidentResolved     IncidentState = "resolved"     // nobody
)

// Incident is the one record of a trouble: from the first red look, over who was told and whether it arrived, to its end.
// At most one incident of a key is open at a time.
//
// Its methods are the rules of telling. They are pure: time and ids come from the terms, and the store commits what they
// change in one transaction (state, time line, outbox), so a crash leaves all of it or nothing.
type Incident struct {
	ID        string
	Key       string // see FindingKey
	Check     string
	Subject   string
	Priority  Priority
	Title     string
	Detail    string // what was seen last
	Means     string
	DependsOn []string
	State     IncidentState
	Muted     string // why nobody is told of it for now; "" when people are
	Reopened  int    // how often it came back within ReopenWithin

	StartedAt  time.Time // the first red look
	OpenedAt   time.Time // when it was believed
	AckedAt    time.Time // the first acknowledgement; zero before
	AckedBy    string
	AckedUntil time.Time
	ResolvedAt time.Time
	ResolvedBy string

	ClimbedAt time.Time // from when the rungs of the ladder count
	Rung      int       // the next rung
	Round     int       // how often the ladder was climbed before
	NextAt    time.Time // when Tick has something to do; zero when it has not

	Notices  []Notice
	Timeline []Moment // in an amendment only what is new
}

// Moment is one line of an incident's time line.
type Moment struct {
	At    time.Time  `json:"at"`
	Kind  MomentKind `json:"kind"`
	Actor string     `json:"actor"`
	Text  string     `json:"text"`
}

// MomentKind says what happened at a moment. Stable: people filter by it.
type MomentKind string

const (
	MomentOpened       MomentKind = "opened"
	MomentChanged      MomentKind = "changed"  // what is seen, or its priority
	MomentReopened     MomentKind = "reopened" // it came back soon after its end
	MomentMuted        MomentKind = "muted"
	MomentUnmuted      MomentKind = "unmuted"
	MomentEscalated    MomentKind = "escalated" // a further rung, or the first one again
	MomentTold         MomentKind = "told"      // a channel accepted a notice
	MomentArrived      MomentKind = "arrived"   // its service says that it was delivered
	MomentNotTold      MomentKind = "not_told"  // an attempt failed
	MomentAcknowledged MomentKind = "acknowledged"
	MomentAckEnded     MomentKind = "acknowledgement_ended"
	MomentNote         MomentKind = "note"
	MomentHealing      MomentKind = "healing"      // an attempt began, or came further
	MomentHealed       MomentKind = "healed"       // it is verified from outside
	MomentNotHealed    MomentKind = "not_healed"   // an attempt did not help
	MomentHealRefused  MomentKind = "heal_refused" // nothing was done, and why
	MomentServed       MomentKind = "served"       // what became of those who waited
	MomentResolved     MomentKind = "resolved"
)

// IncidentTerms are what an incident's next state depends on beside the incident itself.
type IncidentTerms struct {
	Escalation Escalation
	Channels   []string // all there are: the last resort when a ladder reaches nobody
	Now        time.Time
	Actor      string // who is behind the change, for the time line
	Muted      string // why nobody is to be told of it now: a silence, a maintenance window, a dependency; "" when nothing is
	NewID      func(prefix string) string
}

// OpenIncident makes the record of a new finding, with the notices of the first rung.
func OpenIncident(f Finding, t IncidentTerms) *Incident {
	i := &Incident{
		ID: t.NewID(IncidentPrefix), Key: f.Key(), Check: f.Check, Subject: f.Subject, Priority: f.Priority, Title: f.Title,
		Detail: f.Detail, Means: f.Means, DependsOn: f.DependsOn, State: IncidentOpen, StartedAt: f.Since, OpenedAt: t.Now,
	}
	if i.StartedAt.IsZero() || i.StartedAt.After(t.Now) {
		i.StartedAt = t.Now
	}
	i.note(t, MomentOpened, f.Title+": "+f.Detail)
	i.climb(t)
	return i
}

// See learns what a finding of the same key says now. A resolved incident opens again; what has become graver ends an
// acknowledgement and is told from the first rung. It reports whether anything changed.
func (i *Incident) See(f Finding, t IncidentTerms) bool {
	isGraver := f.Priority.Graver(i.Priority)
	isBack := i.State == IncidentResolved
	if !isBack && !isGraver && f.Detail == i.Detail && f.Title == i.Title && slices.Equal(f.DependsOn, i.DependsOn) {
		return false
	}
	i.Title, i.Detail, i.Means, i.DependsOn = f.Title, f.Detail, f.Means, f.DependsOn
	if isGraver {
		i.note(t, MomentChanged, fmt.Sprintf("%s became %s: %s", i.Priority, f.Priority, f.Detail))
		i.Priority = f.Priority
	}
	if isBack {
		i.Reopened++
		i.ResolvedAt, i.ResolvedBy = time.Time{}, ""
		i.dropWaiting(func(n Notice) bool { return !n.IsAlarm() }) // whoever was told that it began still knows the truth
		i.note(t, MomentReopened, "It is back: "+f.Detail)
	}
	if isBack || isGraver {
		i.State = IncidentOpen
		i.climb(t)
	}
	return true
}

// climb begins the ladder anew.
func (i *Incident) climb(t IncidentTerms) {
	i.ClimbedAt, i.Rung, i.Round = t.Now, 0, 0
	i.Tick(t)
}

// Tick does what is due: it mutes or unmutes, ends an acknowledgement, tells the rungs whose time has come, and sets
// NextAt. Calling it early or twice changes nothing.
func (i *Incident) Tick(t IncidentTerms) {
	switch i.State {
	case IncidentResolved:
		i.NextAt = time.Time{}
		i.owe(t)
	case IncidentAcknowledged:
		if t.Now.Before(i.AckedUntil) {
			i.NextAt = i.AckedUntil
			return
		}
		i.State = IncidentOpen
		i.note(t, MomentAckEnded, "The acknowledgement of "+i.AckedBy+" ended and it is not over.")
		i.climb(t)
	case IncidentOpen:
		if !i.mute(t) {
			i.tell(t)
		}
	}
}

// mute follows what the terms say of muting, and reports whether nobody is to be told now.
func (i *Incident) mute(t IncidentTerms) bool {
	was := i.Muted
	i.Muted = t.Muted
	if i.Muted == "" {
		if was != "" { // from here on it counts as if it began now: nobody was listening before
			i.note(t, MomentUnmuted, "Not muted any more: "+was)
			i.ClimbedAt, i.Rung, i.Round = t.Now, 0, 0
		}
		return false
	}
	if was != i.Muted {
		i.note(t, MomentMuted, "Nobody is told: "+i.Muted)
	}
	i.dropWaiting(func(n Notice) bool { return n.IsAlarm() && n.State == NoticeQueued })
	i.NextAt = t.Now.Add(MuteRecheck)
	return true
}

// tell makes the notices of every rung whose time has come.
func (i *Incident) tell(t IncidentTerms) {
	l, ok := t.Escalation[i.Priority]
	if !ok || len(l.Rungs) == 0 {
		i.NextAt = time.Time{}
		return
	}
	for range RungsMax + 1 {
		if i.Rung >= len(l.Rungs) {
			last := i.ClimbedAt.Add(l.Rungs[len(l.Rungs)-1].After)
			if l.Repeat == 0 || i.Round+1 >= RoundsMax {
				i.NextAt = time.Time{}
				return
			}
			again := last.Add(l.Repeat)
			if t.Now.Before(again) {
				i.NextAt = again
				return
			}
			// A teller that slept through several rounds makes up for one of them, not for all at once.
			i.ClimbedAt, i.Rung, i.Round = again, 0, i.Round+1
			if t.Now.Sub(again) >= l.Repeat {
				i.ClimbedAt = t.Now
			}
		}
		due := i.ClimbedAt.Add(l.Rungs[i.Rung].After)
		if t.Now.Before(due) {
			i.NextAt = due
			return
		}
		i.step(t, l)
	}
	i.NextAt = t.Now // more rungs than a ladder has cannot be due at once; the next tick goes on
}

// step tells the channels of the next rung.
func (i *Incident) step(t IncidentTerms, l Ladder) {
	rung := l.Rungs[i.Rung]
	if i.Rung > 0 || i.Round > 0 {
		i.note(t, MomentEscalated, fmt.Sprintf("Nobody has answered: rung %d, round %d.", i.Rung+1, i.Round+1))
	}
	for _, channel := range rung.Channels {
		i.owed(t, channel, i.alarm())
	}
	i.Rung++
}

func (i *Incident) alarm() NoticeKind {
	if i.Rung > 0 || i.Round > 0 {
		return NoticeReminder
	}
	return NoticeOpened
}

// owed adds a notice, unless the same is waiting already: what has not left yet need not be said twice. What waits and was
// less grave becomes as grave as the incident is, and is due now; what is being sent cannot, and a graver one follows it.
func (i *Incident) owed(t IncidentTerms, channel string, kind NoticeKind) {
	for k := range i.Notices {
		n := &i.Notices[k]
		if n.Channel != channel || !n.isWaiting() || n.IsAlarm() != (kind != NoticeResolved) {
			continue
		}
		if !i.Priority.Graver(n.Priority) {
			return
		}
		if n.State == NoticeQueued {
			n.Priority, n.NotBefore = i.Priority, t.Now
			return
		}
	}
	if kind != NoticeResolved && len(i.Notices) >= NoticesMax && i.spokeSince(channel, t.Now.Add(-noticeBeyondMax)) {
		return
	}
	i.Notices = append(i.Notices, Notice{ID: t.NewID(NoticePrefix), IncidentID: i.ID, Channel: channel, Kind: kind,
		Priority: i.Priority, Group: i.Check, Span: i.Reopened, Round: i.Round, Rung: i.Rung, State: NoticeQueued, NotBefore: t.Now,
		CreatedAt: t.Now})
}

// noticeBeyondMax is how often a channel is told of an incident that has NoticesMax already: rarely, but never not at all.
const noticeBeyondMax = time.Hour

// spokeSince reports whether a channel was to be told that the incident is open after a time.
func (i *Incident) spokeSince(channel string, since time.Time) bool {
	return slices.ContainsFunc(i.Notices, func(n Notice) bool {
		return n.Channel == channel && n.IsAlarm() && n.CreatedAt.After(since)
	})
}

// IsFull reports whether an incident that comes back should be a record of its own: one that flaps for days would grow
// without an end, and every change of it loads all of its notices.
func (i *Incident) IsFull() bool { return i.Reopened >= ReopenedMax || len(i.Notices) >= NoticesMax/2 }

// Acknowledge stops the ladder for a while: somebody knows. Answering again makes the while longer. hold is for how long;
// 0 is what the ladder says.
func (i *Incident) Acknowledge(t IncidentTerms, hold time.Duration) error {
	if i.State == IncidentResolved {
		return Errorf(Conflict, "Incident %s is over since %s.", i.ID, i.ResolvedAt.Format(time.RFC3339))
	}
	if hold == 0 {
		hold = t.Escalation[i.Priority].AckFor
	}
	if hold == 0 {
		hold = ackForMissing
	}
	i.State, i.AckedBy, i.AckedUntil = IncidentAcknowledged, t.Actor, t.Now.Add(hold)
	if i.AckedAt.IsZero() {
		i.AckedAt = t.Now
	}
	i.NextAt = i.AckedUntil
	i.dropWaiting(func(n Notice) bool { return n.IsAlarm() && n.State == NoticeQueued })
	i.note(t, MomentAcknowledged, fmt.Sprintf("Acknowledged until %s.", i.AckedUntil.UTC().Format(time.RFC3339)))
	return nil
}

// ackForMissing is how long an acknowledgement holds of an incident that no ladder tells.
const ackForMissing = 24 * time.Hour

// Resolve ends the incident: why is what is seen now, or what a person says. Everybody who was told that it began is owed
// the word that it is over, whatever was muted meanwhile. Resolving again changes nothing.
func (i *Incident) Resolve(t IncidentTerms, why string) {
	if i.State == IncidentResolved {
		return
	}
	i.State, i.ResolvedAt, i.ResolvedBy, i.NextAt, i.Muted = IncidentResolved, t.Now, t.Actor, time.Time{}, ""
	i.dropWaiting(func(n Notice) bool { return n.IsAlarm() && n.State == NoticeQueued })
	i.note(t, MomentResolved, why)
	i.owe(t)
}

// owe makes the notices of the end for every channel that has told of the beginning and not of the end. What is still on
// its way counts once it has arrived.
func (i *Incident) owe(t IncidentTerms) {
	for _, channel := range i.told() {
		i.owed(t, channel, NoticeResolved)
	}
}

// told lists the channels that think the incident is open, each once.
func (i *Incident) told() []string {
	var channels []string
	span, ended := map[string]int{}, map[string]int{}
	for _, n := range i.Notices {
		switch {
		case n.IsAlarm() && n.HasTold():
			if _, ok := span[n.Channel]; !ok {
				channels = append(channels, n.Channel)
			}
			span[n.Channel] = max(span[n.Channel], n.Span)
		case !n.IsAlarm() && n.State != NoticeDropped:
			ended[n.Channel] = max(ended[n.Channel], n.Span+1)
		}
	}
	return slices.DeleteFunc(channels, func(c string) bool { return ended[c] > span[c] })
}

// dropWaiting gives up what need not be said any more. A doubtful one stays doubtful: somebody may have been told.
func (i *Incident) dropWaiting(which func(Notice) bool) {
	for k := range i.Notices {
		if n := &i.Notices[k]; n.isWaiting() && which(*n) {
			n.State = NoticeDropped
		}
	}
}

// Accepted records that a channel's service took a notice. If the incident is over meanwhile, the word of its end is owed
// now.
func (i *Incident) Accepted(t IncidentTerms, notice, remoteID string, delivered bool) {
	n := i.notice(notice)
	if n == nil || n.State == NoticeDelivered {
		return
	}
	n.State, n.SentAt, n.RemoteID, n.Error = NoticeAccepted, t.Now, remoteID, ""
	i.note(t, MomentTold, fmt.Sprintf("%s accepted it (%s).", n.Channel, n.Kind))
	if n.IsAlarm() {
		i.heard(t, n)
	}
	if delivered {
		i.Delivered(t, notice)
	}
}

// heard learns that a channel was told that something is wrong, or may have been. That may be late: a teller that died had the
// notice while the incident ended, and the word of the end, or of an earlier one, came before it.
func (i *Incident) heard(t IncidentTerms, n *Notice) {
	n.Span = i.Reopened
	if i.State == IncidentResolved {
		i.owed(t, n.Channel, NoticeResolved)
	}
}

// Delivered records that a service says that a notice arrived.
func (i *Incident) Delivered(t IncidentTerms, notice string) {
	n := i.notice(notice)
	if n == nil || n.State == NoticeDelivered {
		return
	}
	n.State, n.ArrivedAt = NoticeDelivered, t.Now
	i.note(t, MomentArrived, fmt.Sprintf("%s says that it arrived (%s).", n.Channel, n.Kind))
	if i.State == IncidentResolved { // it may have said before that it did not
		i.owe(t)
	}
}

// NotTold records a failed attempt. The notice is tried again after wait, until its patience ends; doubt is whether
// somebody may have been told after all. When nobody else was reached by this rung, the next one goes at once: a broken
// channel must not cost the minutes for which the next rung would have waited.
func (i *Incident) NotTold(t IncidentTerms, notice, why string, wait time.Duration, doubt bool) {
	n := i.notice(notice)
	if n == nil {
		return
	}
	if doubt {
		n.Doubt, n.DoubtedAt = true, t.Now
		n.Doubts++
		if n.IsAlarm() {
			i.heard(t, n)
			n = i.notice(notice) // what is owed is in the same list
		}
	}
	if !n.isWaiting() {
		return
	}
	n.State, n.Error = NoticeQueued, why
	n.Attempts++
	n.NotBefore = t.Now.Add(wait)
	first := n.Attempts == 1
	if t.Now.Sub(n.CreatedAt) > NoticePatience {
		n.State = NoticeFailed
	}
	if first || n.State == NoticeFailed { // further failures say nothing new; the notice has its last error and their number
		i.note(t, MomentNotTold, fmt.Sprintf("%s could not be told (%s): %s", n.Channel, n.Kind, why))
	}
	isAlarm, round, rung := n.IsAlarm(), n.Round, n.Rung
	switch {
	case i.State == IncidentResolved:
		if isAlarm && n.State == NoticeQueued {
			n.State = NoticeDropped
		}
		i.owe(t)
	case i.State == IncidentAcknowledged || i.Muted != "":
		if isAlarm && n.State == NoticeQueued {
			n.State = NoticeDropped
		}
	case isAlarm && first:
		i.hasten(t, round, rung)
	}
}

// Limited records that a channel may not speak before a time, because it has said too much lately. As with one that is
// broken, the next rung does not wait for it.
func (i *Incident) Limited(t IncidentTerms, notice string, until time.Time) {
	n := i.notice(notice)
	if n == nil || !n.isWaiting() || n.State == NoticeSending && t.Now.Before(n.LeaseUntil) || !n.NotBefore.Before(until) {
		return
	}
	n.State, n.NotBefore = NoticeQueued, until
	i.note(t, MomentNotTold, fmt.Sprintf("%s has said too much lately and waits until %s (%s).", n.Channel,
		until.UTC().Format(time.RFC3339), n.Kind))
	if n.IsAlarm() && i.State == IncidentOpen && i.Muted == "" {
		i.hasten(t, n.Round, n.Rung)
	}
}

// Unserved records that a notice is due over a channel that is not configured any more. That something is wrong is told over
// others; the word of an end is kept for a while, in case the channel comes back.
func (i *Incident) Unserved(t IncidentTerms, notice string) {
	n := i.notice(notice)
	if n == nil || !n.isWaiting() {
		return
	}
	if !n.IsAlarm() && t.Now.Sub(n.CreatedAt) < unservedPatience {
		n.State, n.NotBefore = NoticeQueued, t.Now.Add(unservedAgain)
		return
	}
	n.Doubt = n.Doubt || n.State == NoticeSending // whoever sent it never said how it ended
	n.State, n.Error = NoticeFailed, "the channel is not configured any more"
	i.note(t, MomentNotTold, fmt.Sprintf("%s could not be told (%s): %s", n.Channel, n.Kind, n.Error))
	if n.IsAlarm() && i.State == IncidentOpen && i.Muted == "" {
		i.hasten(t, n.Round, n.Rung)
	}
}

// How long the word of an end is kept for a channel that is gone, and how often it is looked whether it is back.
const (
	unservedPatience = 24 * time.Hour
	unservedAgain    = time.Minute
)

// hasten climbs on because a rung failed, unless somebody of it was reached or may be about to be.
func (i *Incident) hasten(t IncidentTerms, round, rung int) {
	for _, n := range i.Notices {
		if n.IsAlarm() && n.Round == round && n.Rung == rung && n.Span == i.Reopened &&
			(n.State == NoticeAccepted || n.State == NoticeDelivered || n.State == NoticeSending) {
			return
		}
	}
	l := t.Escalation[i.Priority]
	if round == i.Round && rung == i.Rung-1 && i.Rung < len(l.Rungs) {
		// The rungs above keep their distance to this one.
		i.ClimbedAt = t.Now.Add(-l.Rungs[i.Rung].After)
		i.Tick(t)
		return
	}
	for _, channel := range t.Channels {
		if !slices.ContainsFunc(i.Notices, func(n Notice) bool {
			return n.IsAlarm() && n.Channel == channel && n.Round == round && n.Span == i.Reopened
		}) {
			i.owed(t, channel, NoticeReminder)
		}
	}
}

// Undelivered records that a service took a notice and says afterwards that it did not arrive.
func (i *Incident) Undelivered(t IncidentTerms, notice, why string) {
	n := i.notice(notice)
	if n == nil || n.State != NoticeAccepted {
		return
	}
	n.State, n.Error = NoticeFailed, why
	i.note(t, MomentNotTold, fmt.Sprintf("%s says that it did not arrive (%s): %s", n.Channel, n.Kind, why))
	switch {
	case n.IsAlarm() && i.State == IncidentOpen && i.Muted == "":
		i.hasten(t, n.Round, n.Rung)
	case !n.IsAlarm() && i.State == IncidentResolved && i.endings(n.Channel) < endingsMax:
		i.owed(t, n.Channel, NoticeResolved)
	}
}

// endingsMax is how often a channel is told of one end while its service says that it did not arrive.
const endingsMax = 3

// endings counts how often a channel was to be told of the latest end.
func (i *Incident) endings(channel string) int {
	n := 0
	for _, x := range i.Notices {
		if x.Channel == channel && !x.IsAlarm() && x.Span == i.Reopened && x.State != NoticeDropped {
			n++
		}
	}
	return n
}

// Note adds what a person has to say.
func (i *Incident) Note(t IncidentTerms, text string) { i.note(t, MomentNote, text) }

// Heal adds a line about what was done to mend it, or why nothing was.
func (i *Incident) Heal(t IncidentTerms, kind MomentKind, text string) { i.note(t, kind, text) }

func (i *Incident) notice(id string) *Notice {
	for k := range i.Notices {
		if i.Notices[k].ID == id {
			return &i.Notices[k]
		}
	}
	return nil
}

func (i *Incident) note(t IncidentTerms, kind MomentKind, text string) {
	i.Timeline = append(i.Timeline, Moment{At: t.Now, Kind: kind, Actor: t.Actor, Text: text})
}

// TimeToDetect is from the first red look until the incident was believed.
func (i *Incident) TimeToDetect() time.Duration { return i.OpenedAt.Sub(i.StartedAt) }

// TimeToAcknowledge is from when it was believed until somebody answered; 0 while nobody has.
func (i *Incident) TimeToAcknowledge() time.Duration {
	if i.AckedAt.IsZero() {
		return 0
	}
	return i.AckedAt.Sub(i.OpenedAt)
}

// TimeToResolve is from the first red look until its end; 0 while it is open.
func (i *Incident) TimeToResolve() time.Duration {
	if i.ResolvedAt.IsZero() {
		return 0
	}
	return i.ResolvedAt.Sub(i.StartedAt)
}
