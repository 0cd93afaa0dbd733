package simulate

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestChannels: all services behind one handler, each under its prefix, and one log of what they took.
func TestChannels(t *testing.T) {
	t.Parallel()
	clock := newClock()
	c := NewChannels(TwilioOptions{AlertOptions: AlertOptions{Now: clock.Now}})
	server := httptest.NewServer(c)
	defer server.Close()
	defer c.Close()
	http1 := &http.Client{Transport: &http.Transport{}}
	discord := strings.TrimPrefix(DiscordWebhook, "https://discord.com")
	for _, tt := range []struct {
		path, key, body string
		status          int
	}{
		{"/ntfy/", NtfyToken, `{"topic":"a","title":"one","priority":5}`, 200},
		{"/slack/api/chat.postMessage", SlackToken, `{"channel":"C0SIMULATED","text":"two"}`, 200},
		{"/github/repos/shop/incidents/issues", GitHubToken, `{"title":"three"}`, 201},
		{"/pagerduty/v2/enqueue", "", `{"routing_key":"` + PagerDutyKey + `","event_action":"trigger","payload":{"summary":"four","source":"x","severity":"info"}}`, 202},
		{"/telegram/bot" + TelegramToken + "/sendMessage", "", `{"chat_id":"` + TelegramRoom + `","text":"five\nmore"}`, 200},
		{"/discord" + discord, "", `{"content":"six"}`, 204},
		{"/webhook/any", "", `{"type":"alert.opened"}`, 401},
		{"/nowhere/", "", `{}`, 404},
	} {
		if got := do(t, http1, "POST", server.URL+tt.path, tt.key, tt.body); got.Status != tt.status {
			t.Errorf("POST %s = %d %s, want %d", tt.path, got.Status, got.Body, tt.status)
		}
		clock.Advance(time.Second)
	}
	var log []Accepted
	if err := json.Unmarshal([]byte(do(t, http1, "GET", server.URL+"/log", "", "").Body), &log); err != nil {
		t.Fatal(err)
	}
	var titles []string
	for _, a := range log {
		titles = append(titles, a.Channel+" "+a.Kind+" "+a.Title)
		if a.At.IsZero() {
			t.Errorf("%+v has no time", a)
		}
	}
	if got, want := strings.Join(titles, ", "), "ntfy publish one, slack post two, github open three, pagerduty trigger four, telegram send five, discord post six"; got != want {
		t.Errorf("log = %s, want %s", got, want)
	}
	if !c.SetFaults("slack", AlertFaults{Fail: func(*http.Request) int { return 503 }}) || c.SetFaults("fax", AlertFaults{}) {
		t.Error("SetFaults does not know its services")
	}
	if got := do(t, http1, "POST", server.URL+"/slack/api/auth.test", SlackToken, "{}"); got.Status != 503 || !strings.Contains(got.Body, "internal_error") {
		t.Errorf("auth.test of a broken Slack = %d %s", got.Status, got.Body)
	}
}

// TestAlertRefusals: what each service says of a wrong credential, something unknown, and nonsense.
func TestAlertRefusals(t *testing.T) {
	t.Parallel()
	const issues = "/repos/shop/incidents/issues"
	discord := strings.TrimPrefix(DiscordWebhook, "https://discord.com")
	telegram := "/bot" + TelegramToken
	for _, tt := range []struct {
		name              string
		handler           http.Handler
		method, path, key string
		body              string
		status            int
		says              string
	}{
		{"ntfy token", NewNtfy(AlertOptions{}), "POST", "/", "wrong", `{"topic":"a"}`, 401, `"code":40101`},
		{"ntfy read token", NewNtfy(AlertOptions{}), "GET", "/a/json?poll=1&since=0", "wrong", ``, 401, `"code":40101`},
		{"ntfy nonsense", NewNtfy(AlertOptions{}), "POST", "/", "", `x`, 400, `"code":40017`},
		{"ntfy topic", NewNtfy(AlertOptions{}), "POST", "/", "", `{"topic":"a/b"}`, 400, `"code":40009`},
		{"ntfy priority", NewNtfy(AlertOptions{}), "POST", "/", "", `{"topic":"a","priority":6}`, 400, `"code":40007`},
		{"ntfy sequence", NewNtfy(AlertOptions{}), "POST", "/", "", `{"topic":"a","sequence_id":"a b"}`, 400, `sequence`},
		{"ntfy actions", NewNtfy(AlertOptions{}), "POST", "/", "", `{"topic":"a","actions":[{},{},{},{}]}`, 400, `"code":40018`},
		{"ntfy since", NewNtfy(AlertOptions{}), "GET", "/a/json?poll=1&since=x", "", ``, 400, `"code":40008`},
		{"ntfy page", NewNtfy(AlertOptions{}), "GET", "/a/b/c", "", ``, 404, `"code":40401`},
		{"slack token", NewSlack(AlertOptions{}), "POST", "/api/auth.test", "wrong", `{}`, 200, `"invalid_auth"`},
		{"slack post token", NewSlack(AlertOptions{}), "POST", "/api/chat.postMessage", "wrong", `{}`, 200, `"invalid_auth"`},
		{"slack nonsense", NewSlack(AlertOptions{}), "POST", "/api/chat.postMessage", SlackToken, `x`, 200, `"invalid_json"`},
		{"slack room", NewSlack(AlertOptions{}), "POST", "/api/chat.postMessage", SlackToken, `{"channel":"C1"}`, 200, `"channel_not_found"`},
		{"slack text", NewSlack(AlertOptions{}), "POST", "/api/chat.postMessage", SlackToken, `{"channel":"C0SIMULATED"}`, 200, `"no_text"`},
		{"slack method", NewSlack(AlertOptions{}), "POST", "/api/x", SlackToken, `{}`, 200, `"unknown_method"`},
		{"slack update", NewSlack(AlertOptions{}), "POST", "/api/chat.update", SlackToken, `{"channel":"C0SIMULATED","text":"a","ts":"1.1"}`, 200, `"message_not_found"`},
		{"slack update token", NewSlack(AlertOptions{}), "POST", "/api/chat.update", "wrong", `{}`, 200, `"invalid_auth"`},
		{"twilio token", NewTwilio(TwilioOptions{}), "GET", "/2010-04-01/Accounts/" + TwilioAccount + ".json", "wrong", ``, 401, `"code":20003`},
		{"twilio page", NewTwilio(TwilioOptions{}), "GET", "/x", "", ``, 404, `"code":20404`},
		{"github token", NewGitHub(AlertOptions{}), "GET", issues, "wrong", ``, 401, `Bad credentials`},
		{"github repository", NewGitHub(AlertOptions{}), "GET", "/repos/a/b", GitHubToken, ``, 404, `Not Found`},
		{"github page", NewGitHub(AlertOptions{}), "GET", "/x", GitHubToken, ``, 404, `Not Found`},
		{"github title", NewGitHub(AlertOptions{}), "POST", issues, GitHubToken, `{}`, 422, `Validation Failed`},
		{"github state", NewGitHub(AlertOptions{}), "PATCH", issues + "/1", GitHubToken, `{"state":"x"}`, 422, `Validation Failed`},
		{"github issue", NewGitHub(AlertOptions{}), "PATCH", issues + "/1", GitHubToken, `{"state":"closed"}`, 404, `Not Found`},
		{"github comment", NewGitHub(AlertOptions{}), "POST", issues + "/1/comments", GitHubToken, `{}`, 422, `Validation Failed`},
		{"pagerduty key", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `{"routing_key":"x"}`, 400, `Invalid routing key`},
		{"pagerduty nonsense", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `x`, 400, `JSON`},
		{"pagerduty action", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `{"routing_key":"` + PagerDutyKey + `","event_action":"x"}`, 400, `event_action`},
		{"pagerduty severity", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `{"routing_key":"` + PagerDutyKey + `","event_action":"trigger"}`, 400, `severity`},
		{"pagerduty dedup key", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `{"routing_key":"` + PagerDutyKey + `","dedup_key":"` + strings.Repeat("x", 256) + `"}`, 400, `dedup_key`},
		{"pagerduty summary", NewPagerDuty(AlertOptions{}), "POST", "/v2/enqueue", "", `{"routing_key":"` + PagerDutyKey + `","payload":{"summary":"` + strings.Repeat("x", 1025) + `"}}`, 400, `summary`},
		{"pagerduty change", NewPagerDuty(AlertOptions{}), "POST", "/v2/change/enqueue", "", `{"routing_key":"` + PagerDutyKey + `"}`, 400, `summary`},
		{"telegram token", NewTelegram(AlertOptions{}), "POST", "/bot1:x/getMe", "", `{}`, 401, `"ok":false`},
		{"telegram method", NewTelegram(AlertOptions{}), "POST", telegram + "/x", "", `{}`, 404, `"error_code":404`},
		{"telegram nonsense", NewTelegram(AlertOptions{}), "POST", telegram + "/sendMessage", "", `x`, 400, `parse`},
		{"telegram chat", NewTelegram(AlertOptions{}), "POST", telegram + "/sendMessage", "", `{"chat_id":"1","text":"a"}`, 400, `chat not found`},
		{"telegram text", NewTelegram(AlertOptions{}), "POST", telegram + "/sendMessage", "", `{"chat_id":"` + TelegramRoom + `"}`, 400, `empty`},
		{"telegram length", NewTelegram(AlertOptions{}), "POST", telegram + "/sendMessage", "", `{"chat_id":"` + TelegramRoom + `","text":"` + strings.Repeat("x", 4097) + `"}`, 400, `too long`},
		{"discord wrong token", NewDiscord(AlertOptions{}), "GET", discord[:len(discord)-1], "", ``, 401, `50027`},
		{"discord empty", NewDiscord(AlertOptions{}), "POST", discord, "", `{}`, 400, `50035`},
		{"discord title", NewDiscord(AlertOptions{}), "POST", discord, "", `{"embeds":[{"title":"` + strings.Repeat("x", 257) + `"}]}`, 400, `50035`},
		{"discord message", NewDiscord(AlertOptions{}), "PATCH", discord + "/messages/1", "", `{"content":"a"}`, 404, `10008`},
		{"discord edit", NewDiscord(AlertOptions{}), "PATCH", discord + "/messages/1", "", `{}`, 400, `50035`},
		{"discord method", NewDiscord(AlertOptions{}), "DELETE", discord, "", ``, 405, `405`},
		{"webhook unsigned", NewWebhook(AlertOptions{}), "POST", "/", "", `{}`, 401, `Unauthorized`},
		{"webhook get", NewWebhook(AlertOptions{}), "GET", "/", "", ``, 400, `Bad Request`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.path, strings.NewReader(tt.body))
			if tt.key != "" {
				r.Header.Set("Authorization", "Bearer "+tt.key)
			}
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, r)
			body, err := io.ReadAll(w.Body)
			if err != nil || w.Code != tt.status || !strings.Contains(string(body), tt.says) {
				t.Errorf("%s %s = %d %s, want %d with %s", tt.method, tt.path, w.Code, body, tt.status, tt.says)
			}
		})
	}
}

// TestPagerDutyDedups: one alert for each key while it is open; a resolve of nothing is dropped.
func TestPagerDutyDedups(t *testing.T) {
	t.Parallel()
	p := NewPagerDuty(AlertOptions{})
	send := func(action, key string) {
		body := `{"routing_key":"` + PagerDutyKey + `","event_action":"` + action + `","dedup_key":"` + key + `","payload":{"summary":"a","source":"b","severity":"error"}}`
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/v2/enqueue", strings.NewReader(body)))
		if w.Code != http.StatusAccepted {
			t.Fatalf("%s = %d %s", action, w.Code, w.Body)
		}
	}
	for _, action := range []string{"resolve", "trigger", "trigger", "resolve", "resolve", "trigger"} {
		send(action, "k")
	}
	send("trigger", "")
	got := p.Alerts()
	if len(got) != 3 || got[0].Triggers != 2 || got[0].Status != "resolved" || got[1].Status != "triggered" || got[2].DedupKey == "" {
		t.Errorf("alerts = %+v, want the first resolved after two triggers, a second open, and one with a key of its own", got)
	}
}
