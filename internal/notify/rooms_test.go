package notify_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// over makes a channel of a kind over a pretend service, as its suite does.
func over(t *testing.T, kind string, h http.Handler) notify.Channel {
	t.Helper()
	c, err := suites()[kind].New(serve(t, h), client(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustSend(t *testing.T, c notify.Channel, m notify.Message) notify.Receipt {
	t.Helper()
	r, err := c.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNtfyMessage(t *testing.T) {
	t.Parallel()
	n := simulate.NewNtfy(options())
	c := over(t, "ntfy", n)
	for i, p := range makegood.Priorities() {
		m := alarm("msg" + string(p))
		m.Priority, m.Body = p, strings.Repeat("ä", 3000)
		mustSend(t, c, m)
		got := n.Messages()[i]
		if want := []int{5, 4, 3, 2}[i]; got.Priority != want || len(got.Message) > 3600 || got.SequenceID != m.ID || got.Click != m.Link {
			t.Errorf("%s: %+v, want priority %d, the id as sequence, and a short text", p, got, want)
		}
		want := simulate.NtfyAction{Action: "http", Label: "Acknowledge", URL: m.AckLink, Method: "POST", Clear: true}
		if len(got.Actions) != 2 || got.Actions[0] != want {
			t.Errorf("%s: actions = %+v, want %+v first", p, got.Actions, want)
		}
	}
	mustSend(t, c, end("msgend", notify.Earlier{MessageID: "msgP0", RemoteID: "x"}, notify.Earlier{MessageID: "msgP1", RemoteID: "y", Open: 1}))
	shown := n.Shown()
	if len(shown) != 4 || shown[0].Priority != 2 || shown[0].Tags[0] != "white_check_mark" || shown[1].Priority != 4 {
		t.Errorf("shown = %+v, want the end in the place of the first alarm, quietly", shown)
	}
}

// TestNtfyTest: a token that may only write is enough; a server that forgets is not.
func TestNtfyTest(t *testing.T) {
	t.Parallel()
	n := simulate.NewNtfy(options())
	n.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
		if r.Method == http.MethodGet {
			return http.StatusForbidden
		}
		return 0
	}})
	if err := over(t, "ntfy", n).Test(t.Context()); err != nil {
		t.Errorf("Test with a token that may only write = %v, want nil", err)
	}
	forgetful := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n.ServeHTTP(w, r)
		}
	})
	if e := failure(t, over(t, "ntfy", forgetful).Test(t.Context())); e.Reason != notify.ReasonServer {
		t.Errorf("Test of a server that forgets = %v, want server", e)
	}
	n.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
		if r.Method == http.MethodGet {
			return http.StatusInternalServerError
		}
		return 0
	}})
	if e := failure(t, over(t, "ntfy", n).Test(t.Context())); e.Reason != notify.ReasonServer || e.Doubt || e.Code != "50001" {
		t.Errorf("Test of a server that cannot be read = %+v, want server 50001 without doubt", e)
	}
}

func TestSlackRecolours(t *testing.T) {
	t.Parallel()
	s := simulate.NewSlack(options())
	c := over(t, "slack", s)
	m := alarm("msg1")
	m.Title = "<!channel> & <https://evil.example|here>"
	r := mustSend(t, c, m)
	got := s.Messages()[0]
	if got.Text != "&lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;" || got.MessageID != "msg1" || len(got.Buttons) != 2 || got.Buttons[0] != m.AckLink {
		t.Errorf("message = %+v, want escaped words, the id and two buttons", got)
	}
	mustSend(t, c, end("msg2", notify.Earlier{MessageID: "msg1", RemoteID: r.RemoteID}, notify.Earlier{MessageID: "m", RemoteID: simulate.SlackRoom + ":1.000001"},
		notify.Earlier{MessageID: "m", RemoteID: "nonsense"}))
	all := s.Messages()
	if len(all) != 2 || all[0].Color != "#2b8a3e" || all[0].Updates != 1 || len(all[0].Buttons) != 0 || all[1].Color != "#2b8a3e" {
		t.Errorf("channel = %+v, want the alarm green without buttons, and a new message", all)
	}
}

// TestSlackEndUnderTrouble: a colour that may not be changed now holds nothing up; trouble does, and tells nobody twice.
func TestSlackEndUnderTrouble(t *testing.T) {
	t.Parallel()
	s := simulate.NewSlack(options())
	c := over(t, "slack", s)
	r := mustSend(t, c, alarm("msg1"))
	updates := func(status int) {
		s.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "update") {
				return status
			}
			return 0
		}})
	}
	over := notify.Earlier{MessageID: "msg1", RemoteID: r.RemoteID}
	updates(http.StatusInternalServerError)
	_, err := c.Send(t.Context(), end("msg2", over))
	if e := failure(t, err); e.Reason != notify.ReasonServer || e.Doubt || len(s.Messages()) != 1 {
		t.Errorf("Send = %v, doubt %v, %d messages; want server, nothing told", e, e.Doubt, len(s.Messages()))
	}
	updates(http.StatusTooManyRequests)
	mustSend(t, c, end("msg2", over))
	if len(s.Messages()) != 2 {
		t.Errorf("%d messages, want the end told although the colour stays", len(s.Messages()))
	}
}

// TestSlackCodes: Slack says in words what others say by status.
func TestSlackCodes(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]notify.Reason{"invalid_auth": notify.ReasonAuth, "token_revoked": notify.ReasonAuth, "missing_scope": notify.ReasonAuth,
		"ratelimited": notify.ReasonRateLimit, "channel_not_found": notify.ReasonClient, "is_archived": notify.ReasonClient, "fatal_error": notify.ReasonServer} {
		c := over(t, "slack", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": code})
		}))
		_, err := c.Send(t.Context(), alarm("msg1"))
		e := failure(t, err)
		if e.Reason != want || e.Code != code || e.Status != 200 || e.Doubt != (want == notify.ReasonServer) {
			t.Errorf("%s: %+v, want %s", code, e, want)
		}
		if (e.RetryAfter == 7*time.Second) != (want == notify.ReasonRateLimit) {
			t.Errorf("%s: RetryAfter = %v", code, e.RetryAfter)
		}
	}
}

// TestNoSecretComesBack: a service that repeats our token where its code should be does not bring it into an error.
func TestNoSecretComesBack(t *testing.T) {
	t.Parallel()
	for kind, suite := range suites() {
		echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"ok": false, "error": r.Header.Get("Authorization") + r.URL.String(), "message": phone + address,
				"description": r.URL.Path, "name": address})
		})
		_, err := over(t, kind, echo).Send(t.Context(), alarm("msg1"))
		if err == nil {
			t.Errorf("%s: told by a refusal", kind)
			continue
		}
		for _, s := range suite.Secrets {
			if strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v, want no %q in it", kind, err, s)
			}
		}
	}
}

// TestGitHubAfterACrash: an issue whose answer was lost is found again by its mark, a comment too.
func TestGitHubAfterACrash(t *testing.T) {
	t.Parallel()
	g := simulate.NewGitHub(options())
	c := over(t, "github", g)
	lose := func() {
		g.SetFaults(simulate.AlertFaults{FailAfter: func(r *http.Request) int {
			if r.Method == http.MethodPost {
				return simulate.Abort
			}
			return 0
		}})
	}
	lose()
	_, err := c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); !e.Doubt || e.Reason != notify.ReasonNetwork {
		t.Fatalf("Send whose answer is lost = %v, doubt %v", e, e.Doubt)
	}
	g.SetFaults(simulate.AlertFaults{})
	r := mustSend(t, c, alarm("msg1"))
	if len(g.Issues()) != 1 || r.RemoteID != "1" {
		t.Fatalf("%d issues with receipt %+v, want one, found again", len(g.Issues()), r)
	}
	lose()
	if _, err := c.Send(t.Context(), alarm("msg2")); err == nil {
		t.Fatal("Send whose answer is lost succeeded")
	}
	g.SetFaults(simulate.AlertFaults{})
	if r := mustSend(t, c, alarm("msg2")); r.RemoteID != "1" || len(g.Issues()) != 1 || len(g.Issues()[0].Comments) != 1 {
		t.Errorf("receipt %+v, issues %+v; want the second message of the incident as one comment of the first issue", r, g.Issues())
	}
	lose()
	over := end("msg3", notify.Earlier{MessageID: "msg1", RemoteID: "1"}, notify.Earlier{MessageID: "msg2", RemoteID: "1"})
	if _, err := c.Send(t.Context(), over); err == nil {
		t.Fatal("Send whose answer is lost succeeded")
	}
	g.SetFaults(simulate.AlertFaults{})
	mustSend(t, c, over)
	if i := g.Issues()[0]; i.State != "closed" || len(i.Comments) != 2 {
		t.Errorf("issue = %+v, want it closed with one word of the end", i)
	}
	m := alarm("msg4")
	mustSend(t, c, m)
	if len(g.Issues()) != 2 {
		t.Errorf("%d issues, want a new one: that of before is closed", len(g.Issues()))
	}
	g.Delete(2)
	mustSend(t, c, end("msg5", notify.Earlier{MessageID: "msg4", RemoteID: "2"}))
}

func TestGitHubText(t *testing.T) {
	t.Parallel()
	g := simulate.NewGitHub(options())
	m := alarm("msg1")
	m.Body = "ask @everybody about #1 <!-- makegood:msg9 -->"
	mustSend(t, over(t, "github", g), m)
	i := g.Issues()[0]
	if strings.Contains(i.Body, "@everybody") || strings.Contains(i.Body, "#1") || strings.Contains(i.Body, "makegood:msg9 -->") && strings.Contains(i.Body, "<!-- makegood:msg9") {
		t.Errorf("body = %q, want no mentions and no foreign marks", i.Body)
	}
	if !strings.Contains(i.Body, "<!-- makegood:msg1 -->") || strings.Join(i.Labels, " ") != "makegood P1" {
		t.Errorf("issue = %+v, want mark and labels", i)
	}
}

// TestGitHubLimits: GitHub says "too often" in four ways, and 403 also means what it says.
func TestGitHubLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		header map[string]string
		want   notify.Reason
		wait   time.Duration
	}{
		{"second limit", 403, map[string]string{"Retry-After": "60"}, notify.ReasonRateLimit, time.Minute},
		{"first limit", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1785758520"}, notify.ReasonRateLimit, 2 * time.Minute},
		{"reset passed", 403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, notify.ReasonRateLimit, time.Second},
		{"no reset", 429, map[string]string{"X-RateLimit-Remaining": "0"}, notify.ReasonRateLimit, 30 * time.Second},
		{"in a day", 429, map[string]string{"Retry-After": "86400"}, notify.ReasonRateLimit, time.Hour},
		{"429 alone", 429, nil, notify.ReasonRateLimit, 30 * time.Second},
		{"forbidden", 403, map[string]string{"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "1785758520"}, notify.ReasonAuth, 0},
		{"issues are off", 410, nil, notify.ReasonClient, 0},
		{"moved", 301, nil, notify.ReasonClient, 0},
	} {
		c := over(t, "github", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range tt.header {
				w.Header().Set(name, value)
			}
			w.WriteHeader(tt.status)
		}))
		_, err := c.Send(t.Context(), alarm("msg1"))
		if e := failure(t, err); e.Reason != tt.want || e.RetryAfter != tt.wait || e.Doubt {
			t.Errorf("%s: %v after %v, doubt %v; want %s after %v", tt.name, e, e.RetryAfter, e.Doubt, tt.want, tt.wait)
		}
	}
}

func TestGitHubTest(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"full_name":"a/b","has_issues":true}`:                              "",
		`{"full_name":"a/b","has_issues":true,"permissions":{"push":true}}`:  "",
		`{"full_name":"a/b","has_issues":true,"permissions":{"pull":true}}`:  "no_write_permission",
		`{"full_name":"a/b","has_issues":false,"permissions":{"push":true}}`: "issues_disabled",
		`{"full_name":"a/b","has_issues":true,"archived":true}`:              "archived",
	} {
		err := over(t, "github", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })).Test(t.Context())
		if want == "" && err != nil || want != "" && failure(t, err).Code != want {
			t.Errorf("Test of %s = %v, want %q", body, err, want)
		}
	}
}

func TestPagerDuty(t *testing.T) {
	t.Parallel()
	p := simulate.NewPagerDuty(options())
	c := over(t, "pagerduty", p)
	for i, priority := range makegood.Priorities() {
		m := alarm("msg" + string(priority))
		m.Priority, m.Incidents = priority, []string{"inc" + string(priority), "inc9"}
		mustSend(t, c, m)
		m.ID += "again" // a reminder is another line of the same alert
		mustSend(t, c, m)
		a := p.Alerts()[i]
		if want := []string{"critical", "error", "warning", "info"}[i]; a.Severity != want || a.DedupKey != m.Incidents[0] || len(p.Alerts()) != i+1 || len(a.Links) != 2 {
			t.Errorf("alert = %+v, want severity %s, the first incident as key and two links", a, want)
		}
	}
	calls := p.Calls()
	mustSend(t, c, end("msg9"))
	mustSend(t, c, end("msg9", notify.Earlier{MessageID: "msgP0", RemoteID: "incP0", Open: 1}))
	if p.Calls() != calls {
		t.Errorf("%d calls to resolve nothing, want none", p.Calls()-calls)
	}
	// More than PagerDuty takes at once: the repetition goes on where it ended.
	var earlier []notify.Earlier
	for _, a := range p.Alerts() {
		earlier = append(earlier, notify.Earlier{MessageID: "of " + a.DedupKey, RemoteID: a.DedupKey})
	}
	var left atomic.Int64
	p.SetFaults(simulate.AlertFaults{Fail: func(*http.Request) int {
		if left.Add(-1) < 0 {
			return http.StatusTooManyRequests
		}
		return 0
	}})
	tries := 0
	for {
		left.Store(1)
		tries++
		_, err := c.Send(t.Context(), end("msg9", earlier...))
		if err == nil {
			break
		}
		if e := failure(t, err); e.Reason != notify.ReasonRateLimit || e.Doubt || tries > 10 {
			t.Fatalf("try %d = %v, want rate_limit without doubt, and an end", tries, e)
		}
	}
	for _, a := range p.Alerts() {
		if a.Status != "resolved" {
			t.Errorf("%s is %s, want it resolved", a.DedupKey, a.Status)
		}
	}
	p.SetFaults(simulate.AlertFaults{})
	if err := c.Test(t.Context()); err != nil || len(p.Alerts()) != 4 || len(p.Changes()) != 1 {
		t.Errorf("Test = %v with %d alerts and %d changes, want one change and no alert", err, len(p.Alerts()), len(p.Changes()))
	}
}

// TestPagerDutyRuleSets: a key of a rule set is tested without a change event.
func TestPagerDutyRuleSets(t *testing.T) {
	t.Parallel()
	var paths []string
	server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"status":"success"}`))
	}))
	c, err := notify.NewPagerDuty(notify.PagerDutyOptions{Base: server, Key: secret.New("R" + strings.Repeat("0", 31)), Source: "shop", HTTP: client(t), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Test(t.Context()); err != nil || len(paths) != 1 || paths[0] != "/v2/enqueue" {
		t.Errorf("Test = %v over %v", err, paths)
	}
}

// TestTelegramWithoutPublicLinks: buttons that Telegram refuses become text.
func TestTelegramWithoutPublicLinks(t *testing.T) {
	t.Parallel()
	s := simulate.NewTelegram(options())
	c := over(t, "telegram", s)
	m := alarm("msg1")
	m.AckLink, m.Priority = "http://localhost:8080/a/1", makegood.P3
	r := mustSend(t, c, m)
	got := s.Messages()
	if len(got) != 1 || len(got[0].Buttons) != 0 || !strings.Contains(got[0].Text, m.AckLink) || r.RemoteID != "1" || !got[0].Silent {
		t.Errorf("chat = %+v, want one silent message with the link in its text", got)
	}
	mustSend(t, c, alarm("msg2"))
	if got := s.Messages()[1]; len(got.Buttons) != 2 || strings.Contains(got.Text, "https://") || got.Silent {
		t.Errorf("message = %+v, want two buttons", got)
	}
	mustSend(t, c, end("msg3"))
	if got := s.Messages()[2]; !strings.HasPrefix(got.Text, "✅") {
		t.Errorf("message = %+v, want a green mark", got)
	}
	s.SetFaults(simulate.AlertFaults{RetryAfter: 17 * time.Second, Fail: func(*http.Request) int { return http.StatusTooManyRequests }})
	_, err := c.Send(t.Context(), m)
	if e := failure(t, err); e.RetryAfter != 17*time.Second || e.Code != "429" {
		t.Errorf("Send = %+v, want a wait of 17 s", e)
	}
	s.SetFaults(simulate.AlertFaults{Fail: func(*http.Request) int { return http.StatusForbidden }})
	_, err = c.Send(t.Context(), m)
	if e := failure(t, err); e.Reason != notify.ReasonClient {
		t.Errorf("Send of a bot that was blocked = %v, want client", e)
	}
}

func TestDiscord(t *testing.T) {
	t.Parallel()
	d := simulate.NewDiscord(options())
	c := over(t, "discord", d)
	r := mustSend(t, c, alarm("msg1"))
	if got := d.Messages()[0]; !strings.Contains(got.Description, "[Acknowledge](https://shop.example/a/1)") || got.Color != 0xE8590C {
		t.Errorf("message = %+v, want a link and the colour of P1", got)
	}
	mustSend(t, c, end("msg2", notify.Earlier{MessageID: "msg1", RemoteID: r.RemoteID}, notify.Earlier{MessageID: "m0", RemoteID: "112345678900000099"}, notify.Earlier{MessageID: "m", RemoteID: "x"}))
	if got := d.Messages(); len(got) != 2 || got[0].Edits != 1 || got[0].Color != 0x2B8A3E {
		t.Errorf("channel = %+v, want the alarm green", got)
	}
	d.SetFaults(simulate.AlertFaults{Fail: func(*http.Request) int { return http.StatusTooManyRequests }})
	_, err := c.Send(t.Context(), alarm("msg3"))
	if e := failure(t, err); e.RetryAfter != 3250*time.Millisecond {
		t.Errorf("RetryAfter = %v, want 3.25 s", e.RetryAfter)
	}
	d.SetFaults(simulate.AlertFaults{})
	d.Remove()
	_, err = c.Send(t.Context(), alarm("msg3"))
	if e := failure(t, err); e.Reason != notify.ReasonClient || e.Code != "10015" {
		t.Errorf("Send by a webhook that is gone = %+v, want client 10015", e)
	}
	if e := failure(t, c.Test(t.Context())); e.Code != "10015" {
		t.Errorf("Test of a webhook that is gone = %+v", e)
	}
}

func TestWebhookBody(t *testing.T) {
	t.Parallel()
	w := simulate.NewWebhook(options())
	c := over(t, "webhook", w)
	mustSend(t, c, alarm("msg1"))
	mustSend(t, c, end("msg2", notify.Earlier{MessageID: "msg1", RemoteID: "msg1"}))
	if err := c.Test(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.Deliveries()
	want := []string{
		`{"type":"alert.opened","timestamp":"2026-08-03T12:00:00Z","data":{"id":"msg1","priority":"P1","title":"Webhooks arrive late","body":"the oldest waits for 7 minutes",` +
			`"link":"https://shop.example/i/1","ack_link":"https://shop.example/a/1","incidents":["inc1"]}}`,
		`{"type":"alert.resolved","timestamp":"2026-08-03T12:00:00Z","data":{"id":"msg2","priority":"P1","title":"Over: webhooks arrive","body":"the oldest waits for 7 minutes",` +
			`"link":"https://shop.example/i/1","incidents":["inc1"],"earlier":[{"id":"msg1","open":0}]}}`,
	}
	for i := range want {
		if string(got[i].Body) != want[i] || got[i].ID != "msg"+string(rune('1'+i)) {
			t.Errorf("delivery %d = %s under %s, want %s", i, got[i].Body, got[i].ID, want[i])
		}
	}
	if len(got) != 3 || got[2].Type != "alert.test" {
		t.Errorf("deliveries = %+v, want a test last", got)
	}
}

// TestPrivateAddress: without leave, a channel does not reach into the house.
func TestPrivateAddress(t *testing.T) {
	t.Parallel()
	var hits atomic.Int64
	server := serve(t, counted(simulate.NewWebhook(options()), &hits))
	c, err := notify.NewWebhook(notify.WebhookOptions{URL: server, Secret: secret.New(simulate.WebhookSecret), HTTP: outbound.New(outbound.Options{}), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Reason != notify.ReasonClient || e.Doubt || hits.Load() != 0 {
		t.Errorf("Send to loopback = %v, doubt %v, %d requests; want client and none", e, e.Doubt, hits.Load())
	}
}

// TestQuestionsLeaveNoDoubt: a question that breaks off has told nobody.
func TestQuestionsLeaveNoDoubt(t *testing.T) {
	t.Parallel()
	for _, fault := range []int{simulate.Abort, http.StatusInternalServerError} {
		g := simulate.NewGitHub(options())
		g.SetFaults(simulate.AlertFaults{Fail: func(*http.Request) int { return fault }})
		_, err := over(t, "github", g).Send(t.Context(), alarm("msg1"))
		if e := failure(t, err); e.Doubt {
			t.Errorf("Send whose first question met %d = %v in doubt, want none: nothing was written yet", fault, e)
		}
	}
	long := over(t, "github", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat("x", outbound.DefaultBodyBytesMax+1)))
	}))
	_, err := long.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Doubt || e.Status != 200 || e.Reason != notify.ReasonServer {
		t.Errorf("Send whose first question had a long answer = %+v, want server without doubt", e)
	}
}

// TestRetryAfterHasALimit: nobody silences an alarm for a day, and 503 may ask for a wait too.
func TestRetryAfterHasALimit(t *testing.T) {
	t.Parallel()
	for status, header := range map[int]string{http.StatusTooManyRequests: "86400", http.StatusServiceUnavailable: "3600"} {
		c := over(t, "ntfy", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", header)
			w.WriteHeader(status)
		}))
		_, err := c.Send(t.Context(), alarm("msg1"))
		if e := failure(t, err); e.RetryAfter != time.Hour {
			t.Errorf("RetryAfter of %d with %s s = %v, want an hour", status, header, e.RetryAfter)
		}
	}
}

// TestLongMessages: whatever the length, it is told; every pretend service has the limits of the real one.
func TestLongMessages(t *testing.T) {
	t.Parallel()
	for kind, suite := range suites() {
		s := suite.Start(t)
		m := alarm("msg1")
		m.Title, m.Body = strings.Repeat("Ünglück ", 500), strings.Repeat("ä€🚨 ", 30_000)
		mustSend(t, over(t, kind, s.Handler), m)
		if s.Told() != 1 {
			t.Errorf("%s: told %d times, want once", kind, s.Told())
		}
	}
	d := simulate.NewDiscord(options())
	m := alarm("msg1")
	m.Title = strings.Repeat("ü", 300)
	mustSend(t, over(t, "discord", d), m)
	if got := d.Messages()[0].Title; got != strings.Repeat("ü", 249)+"…" {
		t.Errorf("title of %d characters, want 250 of which the last shows the cut", len([]rune(got)))
	}
}

// TestGitHubArchived: a repository that was archived takes no issue, and says so when it is tested.
func TestGitHubArchived(t *testing.T) {
	t.Parallel()
	g := simulate.NewGitHub(options())
	g.Archive()
	c := over(t, "github", g)
	if e := failure(t, c.Test(t.Context())); e.Code != "archived" || e.Reason != notify.ReasonClient {
		t.Errorf("Test = %+v, want archived", e)
	}
	_, err := c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Status != 403 || e.Doubt {
		t.Errorf("Send = %+v, want 403 without doubt", e)
	}
}

// TestGitHubPartlyOver: an issue that told of two messages stays open while one of them is.
func TestGitHubPartlyOver(t *testing.T) {
	t.Parallel()
	g := simulate.NewGitHub(options())
	c := over(t, "github", g)
	mustSend(t, c, alarm("msg1"))
	mustSend(t, c, alarm("msg2"))
	mustSend(t, c, end("msg3", notify.Earlier{MessageID: "msg1", RemoteID: "1"}, notify.Earlier{MessageID: "msg2", RemoteID: "1", Open: 1}))
	if i := g.Issues()[0]; i.State != "open" || len(i.Comments) != 2 {
		t.Errorf("issue = %+v, want it open with two comments", i)
	}
}

// TestWebhookSecrets: a listener with another secret, or another clock, does not believe us.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]notify.WebhookOptions{
		"secret": {Secret: secret.New("whsec_" + strings.Repeat("QUJD", 10)), Now: clock},
		"clock":  {Secret: secret.New(simulate.WebhookSecret), Now: func() time.Time { return now.Add(-6 * time.Minute) }},
	} {
		o.URL, o.HTTP = serve(t, simulate.NewWebhook(options())), client(t)
		c, err := notify.NewWebhook(o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Send(t.Context(), alarm("msg1"))
		if e := failure(t, err); e.Reason != notify.ReasonAuth || e.Doubt {
			t.Errorf("Send with another %s = %v, want auth", name, e)
		}
	}
}
