package makegood_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

var incidentBegan = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// imagined is one incident in a time that is only imagined.
type imagined struct {
	*makegood.Incident
	now   time.Time
	e     makegood.Escalation
	muted string
	ids   int
}

var incidentChannels = []string{"mail", "push", "sms"}

func imagine(p makegood.Priority, e makegood.Escalation) *imagined {
	m := &imagined{now: incidentBegan, e: e}
	m.Incident = makegood.OpenIncident(found(p), m.terms())
	return m
}

func defaultLadders() makegood.Escalation {
	return makegood.DefaultEscalation(incidentChannels, []string{"push"})
}

func found(p makegood.Priority) makegood.Finding {
	return makegood.Finding{Check: "monitor", Subject: "shop", Priority: p, Title: "The shop is down", Detail: "[STATUS] == 200 (503)",
		Since: incidentBegan.Add(-10 * time.Second)}
}

func (m *imagined) terms() makegood.IncidentTerms {
	return makegood.IncidentTerms{Escalation: m.e, Channels: incidentChannels, Now: m.now, Actor: "test", Muted: m.muted,
		NewID: func(prefix string) string { m.ids++; return fmt.Sprintf("%s%06d", prefix, m.ids) }}
}

// waiting lists "channel kind" of what is to be sent.
func (m *imagined) waiting() []string {
	var list []string
	for _, n := range m.Notices {
		if n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending {
			list = append(list, n.Channel+" "+string(n.Kind))
		}
	}
	slices.Sort(list)
	return list
}

// accept lets every channel take what waits for it.
func (m *imagined) accept() {
	for k := range m.Notices {
		if m.Notices[k].State == makegood.NoticeQueued {
			m.Accepted(m.terms(), m.Notices[k].ID, "remote", false)
		}
	}
}

func (m *imagined) first(channel string) makegood.Notice {
	for _, n := range m.Notices {
		if n.Channel == channel && (n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending) {
			return n
		}
	}
	return makegood.Notice{}
}

func (m *imagined) wants(t *testing.T, when string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := m.waiting(); !slices.Equal(got, want) {
		t.Errorf("%s: %v wait, want %v", when, got, want)
	}
}

// Who is told of what when nobody answers, for six hours (SPEC B11).
func TestLadders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		priority makegood.Priority
		want     string // minute: channels; the first few moments
		moments  int
	}{
		{makegood.P0, "0s:mail,push,sms 5m0s:mail,push,sms 10m0s:mail,push,sms", 73},
		{makegood.P1, "0s:push 10m0s:mail,push,sms 40m0s:push 50m0s:mail,push,sms", 19},
		{makegood.P2, "0s:push 50m0s:mail,push,sms", 2},
		{makegood.P3, "", 0},
	} {
		t.Run(string(tt.priority), func(t *testing.T) {
			t.Parallel()
			m := imagine(tt.priority, defaultLadders())
			var got []string
			for m.now.Sub(incidentBegan) <= 6*time.Hour {
				var told []string
				for _, w := range m.waiting() {
					channel, _, _ := strings.Cut(w, " ")
					told = append(told, channel)
				}
				if len(told) > 0 {
					got = append(got, m.now.Sub(incidentBegan).String()+":"+strings.Join(told, ","))
				}
				m.accept()
				m.now = m.now.Add(10 * time.Second)
				m.Tick(m.terms())
			}
			if len(got) != tt.moments {
				t.Errorf("%s: people were told at %d moments, want %d: %v", tt.priority, len(got), tt.moments, got)
			}
			want := strings.Fields(tt.want)
			if len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
				t.Errorf("%s: told %v, want %v first", tt.priority, got, want)
			}
		})
	}
}

func TestAcknowledgementExpires(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P0, defaultLadders())
	m.accept()
	if err := m.Acknowledge(m.terms(), 0); err != nil {
		t.Fatal(err)
	}
	if want := m.now.Add(30 * time.Minute); m.State != makegood.IncidentAcknowledged || !m.AckedUntil.Equal(want) || !m.NextAt.Equal(want) {
		t.Errorf("after the answer: %s until %v, next %v, want acknowledged until %v", m.State, m.AckedUntil, m.NextAt, want)
	}
	m.now = m.now.Add(30*time.Minute - time.Microsecond)
	m.Tick(m.terms())
	m.wants(t, "just before its end")
	m.now = m.now.Add(time.Microsecond)
	m.Tick(m.terms())
	m.wants(t, "at its end", "mail opened", "push opened", "sms opened")
	if err := m.Acknowledge(m.terms(), time.Hour); err != nil {
		t.Fatal(err)
	}
	m.wants(t, "answered before it was sent")
	if got := m.TimeToAcknowledge(); got != 0 {
		t.Errorf("TimeToAcknowledge() = %v, want that of the first answer, 0", got)
	}
	m.Resolve(m.terms(), "over")
	m.wants(t, "over", "mail resolved", "push resolved", "sms resolved")
	if err := m.Acknowledge(m.terms(), 0); makegood.CodeOf(err) != makegood.Conflict {
		t.Errorf("Acknowledge of what is over = %v, want conflict", err)
	}
	m.now = m.now.Add(time.Minute)
	m.Resolve(m.terms(), "again")
	if got, want := m.TimeToResolve(), 30*time.Minute+10*time.Second; got != want {
		t.Errorf("TimeToResolve() = %v, want %v", got, want)
	}
	if got := m.TimeToDetect(); got != 10*time.Second {
		t.Errorf("TimeToDetect() = %v, want 10s", got)
	}
	nobody := imagine(makegood.P3, defaultLadders())
	if nobody.TimeToAcknowledge() != 0 || nobody.TimeToResolve() != 0 {
		t.Error("an open incident has times of answer and end")
	}
	if err := nobody.Acknowledge(nobody.terms(), 0); err != nil || nobody.AckedUntil.Sub(nobody.now) != 24*time.Hour {
		t.Errorf("an answer to what no ladder tells: %v until %v, want a day", err, nobody.AckedUntil)
	}
}

func TestIncidentSees(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P1, defaultLadders())
	if m.See(found(makegood.P1), m.terms()) {
		t.Error("See of the same changed something")
	}
	if m.See(found(makegood.P2), m.terms()) || m.Priority != makegood.P1 {
		t.Error("See of something less grave changed something")
	}
	m.wants(t, "P1", "push opened")
	// What waits is as grave as the incident has become, and not held up by what was said of it before.
	if !m.See(found(makegood.P0), m.terms()) {
		t.Error("See of something graver changed nothing")
	}
	m.wants(t, "P0", "mail opened", "push opened", "sms opened")
	if got := m.first("push").Priority; got != makegood.P0 {
		t.Errorf("what waited for push is %s, want P0", got)
	}
	m.accept()
	m.Resolve(m.terms(), "over")
	m.now = m.now.Add(time.Minute)
	if !m.See(found(makegood.P0), m.terms()) || m.Reopened != 1 || !m.ResolvedAt.IsZero() {
		t.Errorf("it is back: reopened %d, resolved at %v", m.Reopened, m.ResolvedAt)
	}
	m.wants(t, "back before anybody heard of the end", "mail opened", "push opened", "sms opened")
	sending := imagine(makegood.P1, defaultLadders())
	sending.Notices[0].State = makegood.NoticeSending
	sending.See(found(makegood.P0), sending.terms())
	sending.wants(t, "graver while it is being told", "mail opened", "push opened", "push opened", "sms opened")
	if m := imagine(makegood.P3, nil); !m.NextAt.IsZero() || m.StartedAt != incidentBegan.Add(-10*time.Second) {
		t.Errorf("without a ladder: next %v, started %v", m.NextAt, m.StartedAt)
	}
	f := found(makegood.P3)
	f.Since = incidentBegan.Add(time.Hour)
	ahead := &imagined{now: incidentBegan}
	if i := makegood.OpenIncident(f, ahead.terms()); !i.StartedAt.Equal(incidentBegan) {
		t.Errorf("seen in the future: started %v, want now", i.StartedAt)
	}
}

func TestMuted(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P0, defaultLadders())
	push := m.first("push")
	m.Accepted(m.terms(), push.ID, "", true)
	m.muted = "maintenance"
	m.Tick(m.terms())
	m.wants(t, "muted")
	if !m.NextAt.Equal(m.now.Add(makegood.MuteRecheck)) {
		t.Errorf("muted: next look at %v", m.NextAt)
	}
	m.Resolve(m.terms(), "over")
	m.wants(t, "over while muted", "push resolved")
	m.now = m.now.Add(time.Minute)
	m.See(found(makegood.P0), m.terms())
	m.wants(t, "back while muted")
	m.muted = ""
	m.now = m.now.Add(time.Minute)
	m.Tick(m.terms())
	m.wants(t, "not muted any more", "mail opened", "push opened", "sms opened")
	// What fails while it is muted is not tried on.
	m.muted = "silence"
	m.Notices[len(m.Notices)-1].State = makegood.NoticeSending
	last := m.Notices[len(m.Notices)-1]
	m.Tick(m.terms())
	m.NotTold(m.terms(), last.ID, "503", time.Second, false)
	m.wants(t, "failed while muted")
}

// A channel that fails costs the seconds of its failure and not those for which the next rung would have waited.
func TestNextRungGoesAtOnce(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P1, defaultLadders())
	m.now = m.now.Add(6 * time.Second)
	m.NotTold(m.terms(), m.first("push").ID, "timeout", time.Second, true)
	m.wants(t, "the quiet one failed", "mail reminder", "push opened", "sms reminder")
	m.now = m.now.Add(time.Second)
	m.NotTold(m.terms(), m.first("push").ID, "timeout", time.Second, true)
	m.wants(t, "and again", "mail reminder", "push opened", "sms reminder")
	if n := m.first("push"); n.Doubts != 2 || !n.Doubt || !n.DoubtedAt.Equal(m.now) || n.Attempts != 2 {
		t.Errorf("after two doubtful attempts: %+v", n)
	}
	m.Resolve(m.terms(), "over")
	m.wants(t, "over: push may have been told", "push resolved")

	// A ladder of one rung with one channel: the others are the last resort.
	one := imagine(makegood.P2, makegood.Escalation{makegood.P2: {Rungs: []makegood.Rung{{Channels: []string{"sms"}}}, AckFor: time.Hour}})
	one.NotTold(one.terms(), one.first("sms").ID, "401", time.Second, false)
	one.wants(t, "the only one failed", "mail reminder", "push reminder", "sms opened")
	one.NotTold(one.terms(), "ntc-unknown", "401", time.Second, true) // nothing
	one.Accepted(one.terms(), "ntc-unknown", "", false)

	// What the service says afterwards counts as well.
	after := imagine(makegood.P1, defaultLadders())
	push := after.first("push").ID
	after.Accepted(after.terms(), push, "remote", false)
	after.Undelivered(after.terms(), push, "no such device")
	after.wants(t, "it did not arrive", "mail reminder", "push reminder", "sms reminder")
	after.Undelivered(after.terms(), push, "again") // nothing
	after.Resolve(after.terms(), "over")
	after.wants(t, "nobody was told")
	after.Delivered(after.terms(), push) // after all
	after.Delivered(after.terms(), push)
	after.Accepted(after.terms(), push, "late", false)
	after.wants(t, "it arrived after all", "push resolved")
	for range 5 {
		if n := after.first("push"); n.ID != "" {
			after.Accepted(after.terms(), n.ID, "remote", false)
			after.Undelivered(after.terms(), n.ID, "no such device")
		}
	}
	after.wants(t, "the end cannot be delivered") // three times and no more
	if n := len(after.Notices); n != 7 {
		t.Errorf("%d notices, want 7: the end was told three times", n)
	}
}

func TestLimitedAndUnserved(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P1, defaultLadders())
	until := m.now.Add(15 * time.Minute)
	push := m.first("push").ID
	m.Limited(m.terms(), push, until)
	m.wants(t, "push has said too much", "mail reminder", "push opened", "sms reminder")
	if n := m.first("push"); !n.NotBefore.Equal(until) {
		t.Errorf("limited until %v, want %v", n.NotBefore, until)
	}
	lines := len(m.Timeline)
	m.Limited(m.terms(), push, until)
	if len(m.Timeline) != lines {
		t.Error("the same limit is told twice")
	}

	gone := imagine(makegood.P1, defaultLadders())
	gone.Unserved(gone.terms(), gone.first("push").ID)
	gone.wants(t, "push is not configured any more", "mail reminder", "push reminder", "sms reminder")

	over := imagine(makegood.P1, defaultLadders())
	over.accept()
	over.Resolve(over.terms(), "over")
	end := over.first("push").ID
	over.Unserved(over.terms(), end)
	over.wants(t, "the end waits for the channel to come back", "push resolved")
	over.now = over.now.Add(25 * time.Hour)
	over.Unserved(over.terms(), end)
	over.wants(t, "but not for ever")
	over.Unserved(over.terms(), end)
}

func TestNoticesEnd(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P1, defaultLadders())
	push := m.first("push").ID
	m.now = m.now.Add(makegood.NoticePatience + time.Second)
	m.NotTold(m.terms(), push, "503", time.Second, false)
	if n := m.Notices[0]; n.State != makegood.NoticeFailed {
		t.Errorf("after three days the notice is %s, want failed", n.State)
	}
	for _, state := range []makegood.IncidentState{makegood.IncidentAcknowledged, makegood.IncidentResolved} {
		m := imagine(makegood.P1, defaultLadders())
		push := m.first("push").ID
		m.Notices[0].State = makegood.NoticeSending
		if state == makegood.IncidentResolved {
			m.Resolve(m.terms(), "over")
		} else if err := m.Acknowledge(m.terms(), 0); err != nil {
			t.Fatal(err)
		}
		m.NotTold(m.terms(), push, "503", time.Second, false)
		m.wants(t, "failed when it was "+string(state))
	}
	// An incident that is told of for days grows slowly, and goes on being told of.
	full := imagine(makegood.P0, defaultLadders())
	for len(full.Notices) < makegood.NoticesMax {
		full.Notices = append(full.Notices, makegood.Notice{ID: "x", Channel: "mail", Kind: makegood.NoticeReminder, State: makegood.NoticeAccepted, CreatedAt: full.now})
	}
	if !full.IsFull() {
		t.Error("it is not full")
	}
	full.accept()
	n := len(full.Notices)
	for range 6 * 12 {
		full.now = full.now.Add(5 * time.Minute)
		full.Tick(full.terms())
		full.accept()
	}
	if got := (len(full.Notices) - n) / 3; got < 5 || got > 7 {
		t.Errorf("a full incident told each channel %d times in six hours, want about once an hour", got)
	}
	full.Resolve(full.terms(), "over")
	full.wants(t, "a full incident is over", "mail resolved", "push resolved", "sms resolved")
	flapping := imagine(makegood.P2, nil)
	for range makegood.ReopenedMax {
		flapping.Resolve(flapping.terms(), "over")
		flapping.See(found(makegood.P2), flapping.terms())
	}
	if !flapping.IsFull() || imagine(makegood.P2, nil).IsFull() {
		t.Error("an incident that came back fifty times is not full, or a new one is")
	}
	flapping.Note(flapping.terms(), "why does it flap?")
}

// A ladder may change under an incident that climbs it: rungs go, rungs come, all of them go.
func TestLadderChanges(t *testing.T) {
	t.Parallel()
	m := imagine(makegood.P0, makegood.Escalation{makegood.P0: {Rungs: []makegood.Rung{
		{0, []string{"push"}}, {time.Minute, []string{"mail"}}, {2 * time.Minute, []string{"sms"}}}, Repeat: 5 * time.Minute, AckFor: time.Minute}})
	m.now = m.now.Add(time.Minute)
	m.Tick(m.terms())
	m.accept()
	m.e = defaultLadders()
	m.now = m.now.Add(5 * time.Minute)
	m.Tick(m.terms())
	m.wants(t, "a shorter ladder", "mail reminder", "push reminder", "sms reminder")
	m.accept()
	m.e = makegood.Escalation{}
	m.now = m.now.Add(time.Hour)
	m.Tick(m.terms())
	m.wants(t, "no ladder")
	if !m.NextAt.IsZero() {
		t.Errorf("no ladder: next at %v", m.NextAt)
	}
	m.Resolve(m.terms(), "over")
	m.Tick(m.terms())
	m.wants(t, "over", "mail resolved", "push resolved", "sms resolved")
}

// Whatever happens in whatever order: who was told that it began is told that it is over, nobody else is, nothing waits for
// ever, and nothing is said again that the channel knows.
func TestWhoIsToldOfTheBeginningIsToldOfTheEnd(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 5))
		m := imagine(makegood.Priorities()[r.IntN(3)], defaultLadders())
		believes := map[string]makegood.NoticeKind{} // what each channel heard last
		log := []string{}
		for range 60 {
			log = append(log, randomly(r, m, believes))
		}
		// It goes quiet: it is over, the channels work, and the dead are found dead.
		m.muted = ""
		m.Resolve(m.terms(), "over")
		for range 10 {
			m.now = m.now.Add(2 * time.Minute)
			m.Tick(m.terms())
			for k := range m.Notices {
				if n := m.Notices[k]; n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending {
					if _, told := believes[n.Channel]; !told && !n.IsAlarm() {
						t.Errorf("seed %d: %s hears of the end and never heard of the beginning", seed, n.Channel)
					}
					hears(believes, n)
					m.Accepted(m.terms(), n.ID, "", false)
				}
			}
		}
		for channel, kind := range believes {
			if kind != makegood.NoticeResolved {
				t.Errorf("seed %d: the last word that %s has is %s", seed, channel, kind)
			}
		}
		for _, n := range m.Notices {
			if n.State == makegood.NoticeQueued || n.State == makegood.NoticeSending {
				t.Errorf("seed %d: waits for ever: %+v", seed, n)
			}
		}
		if t.Failed() {
			for _, n := range m.Notices {
				t.Logf("%+v", n)
			}
			for _, x := range m.Timeline {
				t.Logf("%s %s", x.Kind, x.Text)
			}
			t.Fatalf("%v", log)
		}
	}
}

func hears(believes map[string]makegood.NoticeKind, n makegood.Notice) {
	kind := makegood.NoticeOpened
	if !n.IsAlarm() {
		kind = makegood.NoticeResolved
	}
	believes[n.Channel] = kind
}

// randomly does one thing to an incident.
func randomly(r *rand.Rand, m *imagined, believes map[string]makegood.NoticeKind) string {
	m.now = m.now.Add(time.Duration(r.Int64N(int64(4 * time.Minute))))
	switch what := r.IntN(10); what {
	case 0:
		m.See(found(makegood.Priorities()[r.IntN(3)]), m.terms())
		return "see"
	case 1:
		m.Resolve(m.terms(), "over")
		return "resolve"
	case 2:
		_ = m.Acknowledge(m.terms(), 0) // of what is over it is refused
		return "acknowledge"
	case 3:
		m.muted = []string{"", "maintenance"}[r.IntN(2)]
		m.Tick(m.terms())
		return "mute " + m.muted
	case 4:
		m.Tick(m.terms())
		return "tick"
	}
	// A teller, which takes a notice and says how it ended, or dies.
	k := r.IntN(len(m.Notices) + 1)
	if k == len(m.Notices) {
		return "nothing"
	}
	n := &m.Notices[k]
	id, what := n.ID, r.IntN(8)
	switch {
	case n.State == makegood.NoticeQueued && what < 4:
		n.State, n.MessageID = makegood.NoticeSending, "msg"
		return "claim " + id
	case n.MessageID == "" || n.State == makegood.NoticeQueued:
		return "nothing"
	case (n.State == makegood.NoticeSending || n.State == makegood.NoticeDropped && !n.IsAlarm()) && what == 4:
		hears(believes, *n)
		m.Accepted(m.terms(), id, "", r.IntN(2) == 0)
		return "accepted " + id
	case n.State == makegood.NoticeSending && what == 5:
		m.NotTold(m.terms(), id, "503", time.Second, false)
		return "failed " + id
	case n.State == makegood.NoticeSending && what == 6:
		hears(believes, *n)
		m.NotTold(m.terms(), id, "timeout", time.Second, true)
		return "doubt " + id
	case n.State == makegood.NoticeSending && what == 7:
		m.Limited(m.terms(), id, m.now.Add(time.Minute))
		return "limited " + id
	}
	return "nothing"
}
