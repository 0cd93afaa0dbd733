package simulate

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	mailKey  = "re_testtest"
	goodMail = `{"from":"Shop <shop@example.com>","to":["ann@example.com"],"subject":"Your licence","html":"<p>GD-1 &amp; more</p>","text":"GD-1",` +
		`"tags":[{"name":"order","value":"ord_1"}],"headers":{"X-Order":"ord_1"}}`
)

type mailer struct {
	*Resend
	URL string
}

func newMailer(t *testing.T, o ResendOptions) mailer {
	t.Helper()
	o.APIKey = mailKey
	r := NewResend(o)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	t.Cleanup(r.Close)
	return mailer{r, server.URL}
}

func (m mailer) send(t *testing.T, key, body string) answered {
	t.Helper()
	var headers []string
	if key != "" {
		headers = []string{"Idempotency-Key", key}
	}
	return do(t, http.DefaultClient, "POST", m.URL+"/emails", mailKey, body, headers...)
}

// errorName checks that body is in Resend's error form for status and returns the name.
func errorName(t *testing.T, got answered) string {
	t.Helper()
	var e struct {
		StatusCode    int
		Name, Message string
	}
	if err := json.Unmarshal([]byte(got.Body), &e); err != nil || e.StatusCode != got.Status || e.Message == "" {
		t.Errorf("answer %d %s is not an error of Resend", got.Status, got.Body)
	}
	return e.Name
}

func TestResendAcceptsAMail(t *testing.T) {
	t.Parallel()
	clk := newClock()
	m := newMailer(t, ResendOptions{Now: clk.Now})
	got := m.send(t, "key", goodMail)
	var sent struct{ ID string }
	if err := json.Unmarshal([]byte(got.Body), &sent); err != nil || got.Status != 200 || len(sent.ID) != 36 {
		t.Fatalf("answer = %d %s", got.Status, got.Body)
	}
	want := []Mail{{
		ID: sent.ID, IdempotencyKey: "key", From: "Shop <shop@example.com>", To: []string{"ann@example.com"}, Subject: "Your licence",
		HTML: "<p>GD-1 &amp; more</p>", Text: "GD-1", Headers: map[string]string{"X-Order": "ord_1"}, Tags: map[string]string{"order": "ord_1"},
		ReceivedAt: clk.Now(), Raw: []byte(goodMail), LastEvent: "delivered",
	}}
	if diff := cmp.Diff(m.Inbox("Ann <ANN@example.com>"), want); diff != "" {
		t.Errorf("inbox (-got +want):\n%s", diff)
	}
	if got := m.Inbox("bob@example.com"); len(got) != 0 {
		t.Errorf("inbox of another = %v", got)
	}
	var shown struct {
		Object, Text string
		LastEvent    string `json:"last_event"`
		Tags         []tag
	}
	one := do(t, http.DefaultClient, "GET", m.URL+"/emails/"+sent.ID, mailKey, "")
	if err := json.Unmarshal([]byte(one.Body), &shown); err != nil || shown.Object != "email" || shown.Text != "GD-1" ||
		shown.LastEvent != "delivered" || len(shown.Tags) != 1 {
		t.Errorf("retrieved = %s", one.Body)
	}
	if none := do(t, http.DefaultClient, "GET", m.URL+"/emails/none", mailKey, ""); none.Status != 404 || errorName(t, none) != "not_found" {
		t.Errorf("unknown mail = %d %s", none.Status, none.Body)
	}
	m.ResetInbox()
	if again := m.send(t, "key", goodMail); again.Body != got.Body || m.Count() != 0 || m.Calls() != 2 {
		t.Errorf("after a reset: %s, %d mails, %d calls; want a replay, 0 mails, 2 calls", again.Body, m.Count(), m.Calls())
	}
}

func TestResendIdempotencyMatrix(t *testing.T) {
	t.Parallel()
	other := strings.Replace(goodMail, "Your licence", "Your key", 1)
	for _, tt := range []struct {
		name       string
		key, again string
		body       string
		after      time.Duration
		status     int
		errName    string
		mails      int
	}{
		{"same key, same payload", "k", "k", goodMail, 0, 200, "", 1},
		{"same key, same payload, just inside 24 h", "k", "k", goodMail, keyLifetime - time.Second, 200, "", 1},
		{"same key, same payload, after 24 h", "k", "k", goodMail, keyLifetime, 200, "", 2},
		{"same key, other payload", "k", "k", other, 0, 409, "invalid_idempotent_request", 1},
		{"same key, other payload, after 24 h", "k", "k", other, keyLifetime, 200, "", 2},
		{"other key, same payload", "k", "l", goodMail, 0, 200, "", 2},
		{"no key", "", "", goodMail, 0, 200, "", 2},
		{"longest key", "k", strings.Repeat("x", 256), goodMail, 0, 200, "", 2},
		{"key too long", "k", strings.Repeat("x", 257), goodMail, 0, 400, "invalid_idempotency_key", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clk := newClock()
			m := newMailer(t, ResendOptions{Now: clk.Now})
			first := m.send(t, tt.key, goodMail)
			clk.Advance(tt.after)
			second := m.send(t, tt.again, tt.body)
			if first.Status != 200 || second.Status != tt.status || len(m.Inbox("")) != tt.mails {
				t.Errorf("first %d, second %d %s, mails %d; want 200, %d, %d", first.Status, second.Status, second.Body, len(m.Inbox("")), tt.status, tt.mails)
			}
			if isReplay := first.Body == second.Body; isReplay != (tt.mails == 1 && tt.status == 200) {
				t.Errorf("first %s, second %s", first.Body, second.Body)
			}
			if tt.errName != "" && errorName(t, second) != tt.errName {
				t.Errorf("error = %s, want %s", second.Body, tt.errName)
			}
		})
	}
}

func TestResendConcurrentKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewResend(ResendOptions{APIKey: mailKey})
		r.SetFaults(ResendFaults{Latency: time.Second})
		client := &http.Client{Transport: Transport{r}}
		send := func() answered {
			return do(t, client, "POST", "http://resend.test/emails", mailKey, goodMail, "Idempotency-Key", "k")
		}
		first := make(chan answered)
		go func() { first <- send() }()
		synctest.Wait() // the first is asleep in its latency
		if second := send(); second.Status != 409 || errorName(t, second) != "concurrent_idempotent_requests" {
			t.Errorf("while in flight = %d %s", second.Status, second.Body)
		}
		if got, again := <-first, send(); got.Status != 200 || got.Body != again.Body || r.Count() != 1 {
			t.Errorf("first %d %s, again %s, %d mails", got.Status, got.Body, again.Body, r.Count())
		}
	})
}

func TestResendRefusals(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{Domains: []string{"example.com"}})
	for _, tt := range []struct {
		name, key, body string
		status          int
		want            string
	}{
		{"no key", "", goodMail, 401, "missing_api_key"},
		{"wrong key", "re_other", goodMail, 403, "invalid_api_key"},
		{"not JSON", mailKey, "from=a", 422, "validation_error"},
		{"no from", mailKey, `{"to":"a@example.com","subject":"s","text":"t"}`, 422, "missing_required_field"},
		{"no to", mailKey, `{"from":"a@example.com","subject":"s","text":"t"}`, 422, "missing_required_field"},
		{"no subject", mailKey, `{"from":"a@example.com","to":"a@example.com","text":"t"}`, 422, "missing_required_field"},
		{"no body", mailKey, `{"from":"a@example.com","to":"a@example.com","subject":"s","html":""}`, 422, "missing_required_field"},
		{"bad from", mailKey, `{"from":"shop","to":"a@example.com","subject":"s","text":"t"}`, 422, "invalid_from_address"},
		{"bad to", mailKey, `{"from":"a@example.com","to":"ann","subject":"s","text":"t"}`, 422, "validation_error"},
		{"bad tag", mailKey, `{"from":"a@example.com","to":"a@example.com","subject":"s","text":"t","tags":[{"name":"a b","value":"c"}]}`, 422, "validation_error"},
		{"foreign domain", mailKey, `{"from":"a@elsewhere.com","to":"a@example.com","subject":"s","text":"t"}`, 403, "validation_error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := do(t, http.DefaultClient, "POST", m.URL+"/emails", tt.key, tt.body, "Idempotency-Key", tt.name)
			if got.Status != tt.status || errorName(t, got) != tt.want {
				t.Errorf("answer = %d %s, want %d %s", got.Status, got.Body, tt.status, tt.want)
			}
			if mails := m.Count(); mails != 0 {
				t.Errorf("mails = %d, want 0", mails)
			}
		})
	}
}

func TestResendFaultsBeforeAccepting(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{})
	script := []struct {
		status int
		name   string
		want   string
	}{
		{429, "", "rate_limit_exceeded"}, {429, "daily_quota_exceeded", "daily_quota_exceeded"},
		{429, "monthly_quota_exceeded", "monthly_quota_exceeded"}, {500, "", "application_error"}, {503, "", "application_error"},
	}
	m.SetFaults(ResendFaults{FailSend: func(n int, _ *http.Request) (int, string) {
		if n > len(script) {
			return 0, ""
		}
		return script[n-1].status, script[n-1].name
	}})
	for _, step := range script {
		got := m.send(t, "k", goodMail)
		if got.Status != step.status || errorName(t, got) != step.want {
			t.Errorf("answer = %d %s, want %d %s", got.Status, got.Body, step.status, step.want)
		}
		if isLimited := got.Status == 429; isLimited != (got.Header.Get("Retry-After") != "" && got.Header.Get("Ratelimit-Remaining") == "0") {
			t.Errorf("headers of a %d = %v", got.Status, got.Header)
		}
	}
	if got := m.send(t, "k", goodMail); got.Status != 200 || m.Count() != 1 {
		t.Errorf("afterwards = %d, %d mails", got.Status, m.Count())
	}
}

func TestResendAnswerLostAfterAccepting(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{})
	m.SetFaults(ResendFaults{FailAfter: func(n int, _ *http.Request) int { return map[int]int{1: 500}[n] }})
	if got := m.send(t, "k", goodMail); got.Status != 500 || m.Count() != 1 {
		t.Errorf("lost answer = %d, %d mails; want 500 and the mail accepted", got.Status, m.Count())
	}
	if got := m.send(t, "k", goodMail); got.Status != 200 || m.Count() != 1 || !strings.Contains(got.Body, m.Inbox("")[0].ID) {
		t.Errorf("again = %d %s, %d mails; want the id of the first", got.Status, got.Body, m.Count())
	}
	hanging := &http.Client{Timeout: 50 * time.Millisecond}
	m.SetFaults(ResendFaults{FailAfter: func(int, *http.Request) int { return Hang }})
	r, _ := http.NewRequestWithContext(t.Context(), "POST", m.URL+"/emails", strings.NewReader(goodMail))
	r.Header.Set("Authorization", "Bearer "+mailKey)
	if response, err := hanging.Do(r); err == nil {
		t.Errorf("answer = %d, want none", response.StatusCode)
	}
	if m.Count() != 2 {
		t.Errorf("mails after the time-out = %d, want 2", m.Count())
	}
}

func TestResendRateLimit(t *testing.T) {
	t.Parallel()
	clk := newClock()
	m := newMailer(t, ResendOptions{Now: clk.Now})
	m.SetFaults(ResendFaults{RatePerSecond: 2})
	for i, want := range []int{200, 200, 429} {
		got := m.send(t, "", goodMail)
		if got.Status != want || got.Header.Get("Ratelimit-Limit") != "2" {
			t.Errorf("call %d = %d with %v, want %d", i+1, got.Status, got.Header, want)
		}
	}
	clk.Advance(time.Second)
	if got := m.send(t, "", goodMail); got.Status != 200 {
		t.Errorf("a second later = %d", got.Status)
	}
}

func TestResendBounces(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{})
	m.SetFaults(ResendFaults{BounceAddresses: map[string]bool{"ann@example.com": true}})
	if got := m.send(t, "", goodMail); got.Status != 200 {
		t.Fatalf("answer = %d", got.Status)
	}
	mail := m.Inbox("ann@example.com")[0]
	if mail.LastEvent != "bounced" {
		t.Errorf("last event = %s, want bounced", mail.LastEvent)
	}
	if !m.SetLastEvent(mail.ID, "complained") || m.Inbox("")[0].LastEvent != "complained" || m.SetLastEvent("none", "x") {
		t.Error("SetLastEvent did not")
	}
}

func TestResendBatchAndList(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{})
	post := func(body string) answered {
		return do(t, http.DefaultClient, "POST", m.URL+"/emails/batch", mailKey, body, "Idempotency-Key", "b"+strconv.Itoa(len(body)))
	}
	if got := post("[" + goodMail + "," + `{"to":"x"}` + "]"); got.Status != 422 || m.Count() != 0 {
		t.Errorf("half a batch = %d, %d mails; want all or nothing", got.Status, m.Count())
	}
	if got := post("[" + goodMail + "," + goodMail + "]"); got.Status != 200 || strings.Count(got.Body, `"id"`) != 2 || m.Count() != 2 {
		t.Errorf("batch = %d %s", got.Status, got.Body)
	}
	newest := m.Inbox("")[1].ID
	got := do(t, http.DefaultClient, "GET", m.URL+"/emails?limit=1", mailKey, "")
	if got.Status != 200 || !strings.Contains(got.Body, newest) || !strings.Contains(got.Body, `"has_more":true`) {
		t.Errorf("list = %d %s", got.Status, got.Body)
	}
	rest := do(t, http.DefaultClient, "GET", m.URL+"/emails?after="+newest, mailKey, "")
	if strings.Contains(rest.Body, newest) || !strings.Contains(rest.Body, `"has_more":false`) {
		t.Errorf("rest = %s", rest.Body)
	}
}

func TestResendKeepsNewBodiesOnly(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{BodyBytesMax: int64(len(goodMail))})
	none := newMailer(t, ResendOptions{BodyBytesMax: -1})
	for range 2 {
		m.send(t, "", goodMail)
		none.send(t, "", goodMail)
	}
	got := m.Inbox("")
	if len(got) != 2 || got[0].Text != "" || got[0].Subject != "Your licence" || got[1].Text != "GD-1" {
		t.Errorf("inbox = %+v", got)
	}
	if got := none.Inbox(""); len(got) != 2 || got[1].Raw != nil || got[1].Tags["order"] != "ord_1" {
		t.Errorf("inbox without bodies = %+v", got)
	}
}

func TestResendPages(t *testing.T) {
	t.Parallel()
	m := newMailer(t, ResendOptions{})
	m.send(t, "key-1", strings.Replace(goodMail, "Your licence", "Your <licence>", 1))
	inbox := do(t, http.DefaultClient, "GET", m.URL+"/", "", "")
	mail := do(t, http.DefaultClient, "GET", m.URL+"/inbox/"+m.Inbox("")[0].ID, "", "")
	for _, tt := range []struct{ page, want string }{
		{inbox.Body, "Your &lt;licence&gt;"}, {inbox.Body, "ann@example.com"}, {mail.Body, "<iframe sandbox"},
		{mail.Body, `srcdoc="&lt;p&gt;GD-1 &amp;amp; more&lt;/p&gt;"`}, {mail.Body, "<pre>GD-1</pre>"}, {mail.Body, "key-1"},
	} {
		if !strings.Contains(tt.page, tt.want) {
			t.Errorf("the page lacks %q:\n%s", tt.want, tt.page)
		}
	}
	if got := do(t, http.DefaultClient, "GET", m.URL+"/inbox/none", "", ""); got.Status != 404 {
		t.Errorf("unknown mail = %d", got.Status)
	}
}

// BenchmarkResend is 100,000 mails when run with -benchtime=100000x.
func BenchmarkResend(b *testing.B) {
	r := NewResend(ResendOptions{APIKey: mailKey, BodyBytesMax: -1})
	client := &http.Client{Transport: Transport{r}}
	body := strings.Replace(goodMail, "GD-1 ", strings.Repeat("x", 8000), 1)
	b.ReportAllocs()
	for i := range b.N {
		req, _ := http.NewRequest("POST", "http://resend.test/emails", strings.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+mailKey)
		req.Header.Set("Idempotency-Key", strconv.Itoa(i))
		response, err := client.Do(req)
		if err != nil || response.StatusCode != 200 {
			b.Fatal(response, err)
		}
	}
}

// BenchmarkPay is one order at Stripe: session, payment and three deliveries over loopback.
func BenchmarkPay(b *testing.B) {
	s := NewStripe(StripeOptions{})
	defer s.Close()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	s.AddWebhookEndpoint(server.URL, testSecret)
	b.ReportAllocs()
	for b.Loop() {
		session := s.CreateSession(oneExam())
		if err := s.Pay(session.ID, ann); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.WaitDelivered(b.Context()); err != nil {
		b.Fatal(err)
	}
}
