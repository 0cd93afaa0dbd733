package mail_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

const resendKey = "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya"

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func resend(t *testing.T, baseURL string) *mail.Resend {
	t.Helper()
	client := outbound.New(outbound.Options{AllowPrivate: true, Timeout: 200 * time.Millisecond})
	t.Cleanup(client.CloseIdle)
	r, err := mail.NewResend(client, baseURL, secret.New(resendKey), clock)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// recorded keeps what the pretend Resend was sent.
type recorded struct {
	mu     sync.Mutex
	bodies []string
	header http.Header
	target string
}

func (rec *recorded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.bodies, rec.header, rec.target = append(rec.bodies, string(b)), r.Header, r.Method+" "+r.URL.String()
	io.WriteString(w, `{"id":"49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}`)
}

func TestResendSends(t *testing.T) {
	t.Parallel()
	rec := new(recorded)
	s := httptest.NewServer(rec)
	t.Cleanup(s.Close)
	r := resend(t, s.URL+"/")
	var got mail.Receipt
	for range 20 { // maps are walked in another order each time
		var err error
		if got, err = r.Send(t.Context(), message()); err != nil {
			t.Fatal(err)
		}
	}
	if want := (mail.Receipt{Via: "resend", RemoteID: "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794", AcceptedAt: now}); got != want {
		t.Errorf("Send = %+v, want %+v", got, want)
	}
	if rec.target != "POST /emails" {
		t.Errorf("target = %s, want POST /emails", rec.target)
	}
	for name, want := range map[string]string{"Authorization": "Bearer " + resendKey, "Idempotency-Key": "licence/ord_1/0", "Content-Type": "application/json"} {
		if got := rec.header.Get(name); got != want {
			t.Errorf("header %s = %q, want %q", name, got, want)
		}
	}
	for _, body := range rec.bodies {
		if body != rec.bodies[0] {
			t.Fatalf("body = %s, want the same bytes as before: %s", body, rec.bodies[0])
		}
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(rec.bodies[0]), &sent); err != nil {
		t.Fatal(err)
	}
	m := message()
	want := map[string]any{
		"from": m.From, "to": []any{m.To}, "reply_to": m.ReplyTo, "subject": m.Subject, "text": m.Text, "html": m.HTML,
		"headers": map[string]any{"X-A": "1", "X-B": "2", "List-Id": "<x.shop.example>"},
		"tags": []any{
			map[string]any{"name": "a", "value": "1"}, map[string]any{"name": "kind", "value": "licence"},
			map[string]any{"name": "order", "value": "ord_1"}, map[string]any{"name": "z", "value": "2"},
		},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// answering returns a pretend Resend that always gives the same answer, with the customer's address and our key in it.
func answering(t *testing.T, status int, name, retryAfter string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"statusCode":%d,"name":%q,"message":"%s may not have %s"}`, status, name, customer, resendKey)
	}))
	t.Cleanup(s.Close)
	return s
}

func checkPrivate(t *testing.T, err error) {
	t.Helper()
	for _, private := range []string{customer, "smith", "Zq7Tn3", smtpPassword, resendKey, "GD-ABCD"} {
		if strings.Contains(fmt.Sprintf("%v %+v %s", err, err, makegood.MessageOf(err)), private) {
			t.Errorf("error = %v, want no %s in it", err, private)
		}
	}
}

func TestResendErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status     int
		name       string
		retryAfter string
		permanent  bool
		snooze     time.Duration
		is         error // or nil
		isNot      error
	}{
		{400, "invalid_idempotency_key", "", true, 0, nil, mail.ErrConfiguration},
		{400, "validation_error", "", true, 0, nil, mail.ErrUncertain},
		{401, "missing_api_key", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{401, "restricted_api_key", "", false, 0, makegood.Unavailable, mail.ErrUncertain},
		{403, "invalid_api_key", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{403, "validation_error", "", false, 0, makegood.Unavailable, mail.ErrUncertain},
		{404, "not_found", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{405, "method_not_allowed", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{308, "", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{409, "invalid_idempotent_request", "", true, 0, mail.ErrPayloadChanged, mail.ErrUncertain},
		{409, "concurrent_idempotent_requests", "", false, 3 * time.Second, mail.ErrUncertain, mail.ErrPayloadChanged},
		{409, "some_new_conflict", "", false, 0, nil, mail.ErrPayloadChanged},
		{413, "too_large", "", true, 0, nil, mail.ErrUncertain},
		{422, "missing_required_field", "", true, 0, nil, mail.ErrConfiguration},
		{422, "invalid_parameter", "", true, 0, nil, mail.ErrConfiguration},
		{422, "invalid_from_address", "", true, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{422, "some_new_name", "", true, 0, nil, mail.ErrConfiguration},
		{429, "rate_limit_exceeded", "", false, 2 * time.Second, nil, mail.ErrQuota},
		{429, "rate_limit_exceeded", "7", false, 7 * time.Second, nil, mail.ErrQuota},
		{429, "rate_limit_exceeded", "0", false, time.Second, nil, mail.ErrQuota},
		{429, "daily_quota_exceeded", "", false, time.Hour, mail.ErrQuota, mail.ErrUncertain},
		{429, "monthly_quota_exceeded", "600", false, 10 * time.Minute, mail.ErrQuota, mail.ErrUncertain},
		{451, "security_error", "", false, 0, mail.ErrConfiguration, mail.ErrUncertain},
		{408, "", "", false, 0, mail.ErrUncertain, mail.ErrConfiguration},
		{500, "application_error", "", false, 0, mail.ErrUncertain, mail.ErrConfiguration},
		{503, "ann_at_" + customer, "30", false, 0, mail.ErrUncertain, mail.ErrConfiguration},
		{200, "accepted_without_id", "", false, 0, mail.ErrUncertain, mail.ErrConfiguration},
	} {
		t.Run(fmt.Sprintf("%d %s %s", tt.status, tt.name, tt.retryAfter), func(t *testing.T) {
			t.Parallel()
			_, err := resend(t, answering(t, tt.status, tt.name, tt.retryAfter).URL).Send(t.Context(), message())
			if err == nil {
				t.Fatal("Send succeeded, want an error")
			}
			if got := isPermanent(err); got != tt.permanent {
				t.Errorf("Send = %v, permanent = %v, want %v", err, got, tt.permanent)
			}
			if got := snoozed(err); got != tt.snooze {
				t.Errorf("Send = %v, snoozed for %v, want %v", err, got, tt.snooze)
			}
			if tt.is != nil && !errors.Is(err, tt.is) || errors.Is(err, tt.isNot) {
				t.Errorf("Send = %v, want %v and not %v", err, tt.is, tt.isNot)
			}
			checkPrivate(t, err)
		})
	}
}

func TestResendTransportErrors(t *testing.T) {
	t.Parallel()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for _, tt := range []struct {
		name, url string
		uncertain bool
	}{
		{"time-out after sending", slow.URL, true},
		{"port closed", "http://" + closed.Addr().String(), false},
		{"unknown name", "http://makegood.invalid", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := resend(t, tt.url).Send(t.Context(), message())
			if err == nil || isPermanent(err) || snoozed(err) != 0 || errors.Is(err, mail.ErrConfiguration) {
				t.Errorf("Send = %v, want an error that is tried again", err)
			}
			if got := errors.Is(err, mail.ErrUncertain); got != tt.uncertain {
				t.Errorf("Send = %v, uncertain = %v, want %v", err, got, tt.uncertain)
			}
			checkPrivate(t, err)
		})
	}
}

func TestResendSendsNothingUnsendable(t *testing.T) {
	t.Parallel()
	rec := new(recorded)
	s := httptest.NewServer(rec)
	t.Cleanup(s.Close)
	for name, m := range unsendable {
		if _, err := resend(t, s.URL).Send(t.Context(), m); !isPermanent(err) {
			t.Errorf("Send with %s = %v, want a permanent error", name, err)
		}
	}
	if got := len(rec.bodies); got != 0 {
		t.Errorf("%d requests, want none", got)
	}
}

func TestResendCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		name   string
		want   error
	}{
		{200, "", nil},
		{401, "restricted_api_key", nil}, // a key that may only send is what we advise
		{401, "missing_api_key", mail.ErrConfiguration},
		{403, "invalid_api_key", mail.ErrConfiguration},
	} {
		err := resend(t, answering(t, tt.status, tt.name, "").URL).Check(t.Context())
		if !errors.Is(err, tt.want) {
			t.Errorf("Check answered %d %s = %v, want %v", tt.status, tt.name, err, tt.want)
		}
	}
	rec := new(recorded)
	s := httptest.NewServer(rec)
	t.Cleanup(s.Close)
	if err := resend(t, s.URL).Check(t.Context()); err != nil || rec.target != "GET /domains" || rec.bodies[0] != "" {
		t.Errorf("Check = %v with %s %v, want nil with GET /domains", err, rec.target, rec.bodies)
	}
	if err := resend(t, "http://makegood.invalid").Check(t.Context()); err == nil {
		t.Error("Check of an unknown host = nil, want an error")
	}
}

func TestNewResendRefuses(t *testing.T) {
	t.Parallel()
	client := outbound.New(outbound.Options{})
	for _, tt := range []struct{ name, url, key string }{
		{"empty key", "", ""},
		{"key with a line break", "", resendKey + "\n"},
		{"key with a blank", "", " " + resendKey},
		{"other scheme", "ftp://api.resend.com", resendKey},
		{"no host", "https:///x", resendKey},
		{"userinfo", "https://a:b@api.resend.com", resendKey},
		{"query", "https://api.resend.com?x=1", resendKey},
		{"no URL", "://", resendKey},
	} {
		_, err := mail.NewResend(client, tt.url, secret.New(tt.key), clock)
		if !errors.Is(err, makegood.Invalid) {
			t.Errorf("NewResend with %s = %v, want %v", tt.name, err, makegood.Invalid)
		}
		checkPrivate(t, err)
	}
	if _, err := mail.NewResend(client, "", secret.Value{}, clock); !strings.Contains(fmt.Sprint(err), "is empty") {
		t.Errorf("NewResend with an empty key = %v, want it to say so", err)
	}
	r, err := mail.NewResend(client, "", secret.New(resendKey), clock)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.RemembersFor(), 24*time.Hour; got != want {
		t.Errorf("RemembersFor() = %v, want %v", got, want)
	}
	if got := fmt.Sprintf("%v %+v %#v", r, r, *r); strings.Contains(got, resendKey) {
		t.Errorf("printed = %s, want no key", got)
	}
}
