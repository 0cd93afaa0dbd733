package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
)

var composedAt = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

func about(n int, kind makegood.NoticeKind, p makegood.Priority) (makegood.Notice, makegood.Incident) {
	i := makegood.Incident{ID: fmt.Sprintf("inc%d", n), Check: "monitor", Subject: fmt.Sprintf("shop%d", n), Priority: p, Title: "It is down",
		Detail: "[STATUS] == 200 (503)", Means: "Nobody can pay.", State: makegood.IncidentOpen, StartedAt: composedAt.Add(-90 * time.Second)}
	if kind == makegood.NoticeResolved {
		i.State, i.ResolvedAt = makegood.IncidentResolved, composedAt.Add(-time.Second)
	}
	return makegood.Notice{ID: fmt.Sprintf("ntc%d", n), IncidentID: i.ID, Kind: kind, Priority: p, Group: "monitor"}, i
}

const wrongBody = `[STATUS] == 200 (503)
Since 02:58:30 UTC (1m30s).
For customers: Nobody can pay.
What to do: makegood runbook monitor
Record: makegood incidents show inc%d`

const overBody = `Over since 02:59:59 UTC, after 1m29s: It is down
Record: makegood incidents show inc%d`

func TestCompose(t *testing.T) {
	t.Parallel()
	many := func(from, n int, kind makegood.NoticeKind) (kinds []string) {
		for k := range n {
			kinds = append(kinds, fmt.Sprintf("%d %s P1", from+k, kind))
		}
		return kinds
	}
	body := func(format string, from, n int, sep, end string) string {
		var list []string
		for k := range n {
			list = append(list, fmt.Sprintf(format, from+k))
		}
		return strings.Join(list, sep) + end
	}
	for _, tt := range []struct {
		name, title, body string
		notices           []string
		kind              makegood.NoticeKind
		priority          makegood.Priority
		canAck            bool
	}{
		{"one", "P0 It is down (shop1)", body(wrongBody, 1, 1, "", ""), []string{"1 opened P0"}, makegood.NoticeOpened, makegood.P0, true},
		{"reminder", "P1 STILL: It is down (shop1)", body(wrongBody, 1, 1, "", ""), []string{"1 reminder P1"}, makegood.NoticeReminder, makegood.P1, true},
		{"told twice", "P1 It is down (shop1)", body(wrongBody, 1, 1, "", ""), []string{"1 opened P1", "1 opened P1"}, makegood.NoticeOpened, makegood.P1, true},
		{"over", "FIXED: It is down (shop1)", body(overBody, 1, 1, "", ""), []string{"1 resolved P1"}, makegood.NoticeResolved, makegood.P1, false},
		{"storm", "P1 1000 incidents, first: It is down (shop1)", body(wrongBody, 1, 5, "\n\n", "\n\n…and 995 more."), many(1, 1000, makegood.NoticeOpened), makegood.NoticeOpened, makegood.P1, true},
		{"the storm is over", "FIXED: 7 incidents", body(overBody, 1, 5, "\n", "\n…and 2 more are over."), many(1, 7, makegood.NoticeResolved), makegood.NoticeResolved, makegood.P1, false},
		{"mixed", "P0 1 incidents open, 1 fixed", fmt.Sprintf(wrongBody, 1) + "\n\n" + fmt.Sprintf(overBody, 2), []string{"1 reminder P0", "2 resolved P1"}, makegood.NoticeReminder, makegood.P0, true},
		{"a healed outage and its cause", "FIXED: It is down (shop2); P2 It is down (shop1)", fmt.Sprintf(wrongBody, 1) + "\n\n" + fmt.Sprintf(overBody, 2), []string{"1 opened P2", "2 resolved P0"}, makegood.NoticeOpened, makegood.P2, true},
		{"a healed storm and its cause", "FIXED: 2 incidents; P2 It is down (shop1)", fmt.Sprintf(wrongBody, 1) + "\n\n" + body(overBody, 2, 2, "\n", ""), []string{"1 opened P2", "2 resolved P0", "3 resolved P0"}, makegood.NoticeOpened, makegood.P2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var notices []makegood.Notice
			incidents := map[string]makegood.Incident{}
			for _, line := range tt.notices {
				var n int
				var kind, p string
				fmt.Sscanf(line, "%d %s %s", &n, &kind, &p)
				notice, i := about(n, makegood.NoticeKind(kind), makegood.Priority(p))
				notices = append(notices, notice)
				incidents[i.ID] = i
			}
			links := Links{Base: "https://watch.example", Key: secret.New("key")}
			m := compose("msg1", notices, incidents, links, "push", composedAt)
			if m.Title != tt.title || m.Body != tt.body {
				t.Errorf("title %q\nbody:\n%s\nwant %q\n%s", m.Title, m.Body, tt.title, tt.body)
			}
			if m.Kind != tt.kind || m.Priority != tt.priority || (m.AckLink != "") != tt.canAck || m.Link == "" {
				t.Errorf("kind %s, priority %s, links %q %q", m.Kind, m.Priority, m.Link, m.AckLink)
			}
		})
	}
	// What changed while it was on its way is said.
	opened, i := about(1, makegood.NoticeOpened, makegood.P0)
	_, over := about(1, makegood.NoticeResolved, makegood.P0)
	resolved, _ := about(1, makegood.NoticeResolved, makegood.P0)
	if m := compose("msg1", []makegood.Notice{opened}, map[string]makegood.Incident{"inc1": over}, Links{}, "push", composedAt); !strings.Contains(m.Body, "Over since 02:59:59 UTC.") {
		t.Errorf("an alarm of what is over says:\n%s", m.Body)
	}
	i.Subject = ""
	m := compose("msg1", []makegood.Notice{resolved, {IncidentID: "gone"}}, map[string]makegood.Incident{"inc1": i}, Links{}, "push", composedAt)
	if !strings.Contains(m.Body, "is back") || m.Link != "" || m.Title != "FIXED: It is down" {
		t.Errorf("the end of what is back: %q\n%s", m.Title, m.Body)
	}
	for d, want := range map[time.Duration]string{59 * time.Second: "59s", time.Hour + 61*time.Second: "1h01m"} {
		if got := ago(d); got != want {
			t.Errorf("ago(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	l := Links{Base: "https://watch.example", Key: secret.New("key")}
	token, _ := strings.CutPrefix(l.Acknowledge("push", "msg1", composedAt), "https://watch.example/ack/")
	p, err := l.Read(token, composedAt.Add(linkFor))
	if err != nil || p.Channel != "push" || p.MessageID != "msg1" || p.ID() != "ack/push/msg1" {
		t.Errorf("Read = %+v, %v", p, err)
	}
	other := Links{Base: l.Base, Key: secret.New("other")}
	body, signature, _ := strings.Cut(token, ".")
	ofMail, _ := strings.CutPrefix(l.Acknowledge("mail", "msg1", composedAt), "https://watch.example/ack/")
	mailBody, _, _ := strings.Cut(ofMail, ".")
	for _, tt := range []struct {
		name  string
		links Links
		token string
		after time.Duration
		want  makegood.Code
	}{
		{"expired", l, token, linkFor + time.Second, makegood.Conflict},
		{"of another key", other, token, 0, makegood.Forbidden},
		{"no key", Links{Base: l.Base}, token, 0, makegood.Forbidden},
		{"no signature", l, body, 0, makegood.Forbidden},
		{"empty signature", l, body + ".", 0, makegood.Forbidden},
		{"signature of another channel", l, mailBody + "." + signature, 0, makegood.Forbidden},
		{"cut", l, token[:len(token)-1], 0, makegood.Forbidden},
		{"signed rubbish", l, "!!." + l.sign("!!"), 0, makegood.Forbidden},
		{"signed, without an end", l, "YQBiAGM." + l.sign("YQBiAGM"), 0, makegood.Forbidden}, // a, b, c
		{"empty", l, "", 0, makegood.Forbidden},
	} {
		if _, err := tt.links.Read(tt.token, composedAt.Add(tt.after)); !errors.Is(err, tt.want) {
			t.Errorf("Read of a link that is %s = %v, want %s", tt.name, err, tt.want)
		}
	}
	if got := (Links{Base: l.Base}).Acknowledge("push", "msg1", composedAt); got != "" {
		t.Errorf("a link without a key: %s", got)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	now := composedAt
	fresh := func(id, group string, kind makegood.NoticeKind, p makegood.Priority, age time.Duration) makegood.Notice {
		return makegood.Notice{ID: id, Group: group, Kind: kind, Priority: p, State: makegood.NoticeQueued, CreatedAt: now.Add(-age)}
	}
	failed := func(n makegood.Notice, message string, doubt bool) makegood.Notice {
		n.MessageID, n.Attempts, n.Doubt = message, 1, doubt
		return n
	}
	page := func(id, group string, p makegood.Priority, age time.Duration) makegood.SentMessage {
		return makegood.SentMessage{ID: id, Group: group, IsAlarm: true, Priority: p, At: now.Add(-age), Accepted: true}
	}
	good := func(id, group string, age time.Duration) makegood.SentMessage {
		m := page(id, group, makegood.P0, age)
		m.IsAlarm = false
		return m
	}
	const o, over = makegood.NoticeOpened, makegood.NoticeResolved
	pace := Pace{Gather: time.Second, Bundle: 5 * time.Minute, Tiers: []Tier{{2, 15 * time.Minute}}}
	counting := pace
	counting.CountDoubt = true
	single := pace
	single.Tiers = []Tier{{1, 15 * time.Minute}}
	type notices = []makegood.Notice
	type messages = []makegood.SentMessage
	for _, tt := range []struct {
		name    string
		pace    Pace
		due     notices
		sent    messages
		want    string // ids
		message string
		limited int
		put     time.Duration // until when the first due is put off
	}{
		{"gathered", pace, notices{fresh("a", "m", o, "P0", 0)}, nil, "", "", 0, 0},
		{"gathered long enough", pace, notices{fresh("a", "m", o, "P0", time.Second), fresh("b", "m", o, "P0", 0)}, nil, "a b", "", 0, 0},
		{"made before the clock was set back", pace, notices{fresh("a", "m", o, "P0", -time.Hour)}, nil, "a", "", 0, 0},
		{"just paged", pace, notices{fresh("a", "m", o, "P0", time.Second)}, messages{page("1", "m", "P0", time.Minute)}, "", "", 0, 4 * time.Minute},
		{"paged before the clock was set back", pace, notices{fresh("a", "m", o, "P0", time.Second)}, messages{page("1", "m", "P0", -time.Hour)}, "a", "", 0, 0},
		{"another group", pace, notices{fresh("a", "m", o, "P0", time.Second)}, messages{page("1", "x", "P0", time.Minute)}, "a", "", 0, 0},
		{"graver passes, and takes others along", pace, notices{fresh("a", "m", o, "P0", time.Second), fresh("b", "m", o, "P1", 0)}, messages{page("1", "m", "P1", time.Minute)}, "a b", "", 0, 0},
		{"good news follows a page at once", pace, notices{fresh("a", "m", o, "P1", time.Second), fresh("b", "m", over, "P1", time.Second)}, messages{page("1", "m", "P1", time.Minute)}, "b", "", 0, 4 * time.Minute},
		{"good news follows good news later", pace, notices{fresh("b", "m", over, "P1", time.Second)}, messages{good("1", "m", time.Minute)}, "", "", 0, 4 * time.Minute},
		{"bad news follows good news at once", pace, notices{fresh("a", "m", o, "P1", time.Second)}, messages{good("1", "m", time.Minute)}, "a", "", 0, 0},
		{"said too much", pace, notices{fresh("a", "m", o, "P2", time.Second)}, messages{page("1", "x", "P0", time.Minute), page("2", "y", "P0", 2*time.Minute)}, "", "", 0, 13 * time.Minute},
		{"said too much, and somebody waits", pace, notices{fresh("a", "m", o, "P1", time.Second), fresh("b", "m", over, "P1", time.Second)}, messages{page("1", "x", "P0", time.Minute), page("2", "y", "P0", 2*time.Minute)}, "", "", 1, 0},
		{"the last message is kept for pages", pace, notices{fresh("a", "m", o, "P2", time.Second)}, messages{page("1", "x", "P0", time.Minute)}, "", "", 0, 14 * time.Minute},
		{"and for their end", pace, notices{fresh("b", "m", over, "P1", time.Second), fresh("a", "x", o, "P2", time.Second)}, messages{page("1", "y", "P0", time.Minute)}, "b", "", 0, 0},
		{"a page takes a note of its group along", pace, notices{fresh("a", "m", o, "P2", time.Second), fresh("b", "m", o, "P1", time.Second)}, messages{page("1", "x", "P0", time.Minute)}, "a b", "", 0, 0},
		{"a tier of one is not kept", single, notices{fresh("a", "m", o, "P2", time.Second)}, nil, "a", "", 0, 0},
		{"one message of two groups is one", pace, notices{fresh("a", "m", o, "P1", time.Second)}, messages{page("1", "x", "P0", time.Minute), page("1", "y", "P0", time.Minute)}, "a", "", 0, 0},
		{"what failed goes first, under its id", pace, notices{fresh("b", "x", o, "P0", time.Second), failed(fresh("a", "m", o, "P0", time.Second), "7", false)}, nil, "a", "7", 0, 0},
		{"what is graver passes what fails", pace, notices{fresh("b", "x", o, "P0", time.Second), failed(fresh("a", "m", o, "P1", time.Second), "7", false)}, nil, "b", "", 0, 0},
		{"what failed is not limited", pace, notices{failed(fresh("a", "m", o, "P1", time.Second), "7", true)}, messages{page("1", "x", "P0", time.Minute), page("2", "y", "P0", time.Minute)}, "a", "7", 0, 0},
		{"what is in doubt is, where doubt counts", counting, notices{failed(fresh("a", "m", o, "P1", time.Second), "7", true)}, messages{{ID: "7", Group: "m", At: now.Add(-time.Minute), Doubts: 2}}, "", "", 1, 0},
		{"and nowhere else", pace, notices{failed(fresh("a", "m", o, "P1", time.Second), "7", true)}, messages{{ID: "7", Group: "m", At: now.Add(-time.Minute), Doubts: 2}}, "a", "7", 0, 0},
		{"only a part of what failed is still needed", pace, notices{failed(fresh("a", "m", o, "P1", time.Second), "7", false), failed(fresh("b", "m", o, "P1", time.Second), "8", false)}, nil, "a", "7", 0, 0},
	} {
		due := slices.Clone(tt.due)
		c := tt.pace.choose(due, tt.sent, now)
		if got := strings.Join(c.ids, " "); got != tt.want || c.message != tt.message || len(c.limited) != tt.limited {
			t.Errorf("%s: told %q as %q, limited %d, want %q as %q, %d", tt.name, got, c.message, len(c.limited), tt.want, tt.message, tt.limited)
		}
		var put time.Duration
		if !due[0].NotBefore.IsZero() {
			put = due[0].NotBefore.Sub(now)
		}
		if put != tt.put {
			t.Errorf("%s: put off by %v, want %v", tt.name, put, tt.put)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	e := &Error{Channel: "slack", Reason: ReasonClient, Status: 404, Code: "no_channel", Err: errors.New("gone")}
	if got, want := e.Error(), "slack: client (status 404) no_channel: gone"; got != want || !errors.Is(e, e.Err) {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if got := len([]rune(textOf(errors.New(strings.Repeat("ä", 1000))))); got != errorTextMax {
		t.Errorf("textOf keeps %d characters, want %d", got, errorTextMax)
	}
	if !isDoubtful(errors.New("x")) || ReasonOf(errors.New("x")) != ReasonNetwork {
		t.Error("an error of its own is no network error in doubt")
	}
	if got := panicText(fmt.Errorf("token")); strings.Contains(got, "token") {
		t.Errorf("panicText = %q", got)
	}
	teller := NewTeller(Options{Metrics: telemetry.NewMetrics()})
	if got := teller.wait(&Error{RetryAfter: time.Hour}, 1); got != waitAskedMax {
		t.Errorf("wait = %v, want %v", got, waitAskedMax)
	}
}
