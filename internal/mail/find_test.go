package mail_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/simulate"
)

// mailbox is a simulated Resend whose clock a test moves, and which counts the questions that it is asked.
type mailbox struct {
	*simulate.Resend
	URL   string
	mu    sync.Mutex
	at    time.Time
	asked []string
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	b := &mailbox{at: now}
	b.Resend = simulate.NewResend(simulate.ResendOptions{APIKey: resendKey, Now: b.now})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			b.mu.Lock()
			b.asked = append(b.asked, r.URL.RequestURI())
			b.mu.Unlock()
		}
		b.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { b.Close(); s.Close() })
	b.URL = s.URL
	return b
}

func (b *mailbox) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *mailbox) set(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = at
}

// accept has a mail accepted at a time.
func (b *mailbox) accept(t *testing.T, at time.Time, m mail.Message) string {
	t.Helper()
	b.set(at)
	receipt, err := resend(t, b.URL).Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return receipt.RemoteID
}

// another is a mail that differs from message by its key and by what change does.
func another(n int, change func(*mail.Message)) mail.Message {
	m := message()
	m.IdempotencyKey = fmt.Sprintf("other/%d", n)
	if change != nil {
		change(&m)
	}
	return m
}

// An answer was lost after the mail was accepted: it is found, as the mail that the customer has.
func TestFindAfterLostAnswer(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"an error": 500, "no answer": simulate.Hang, "hung up": simulate.Abort} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newMailbox(t)
			b.SetFaults(simulate.ResendFaults{FailAfter: func(int, *http.Request) int { return status }})
			r := resend(t, b.URL)
			if _, err := r.Send(t.Context(), message()); !errors.Is(err, mail.ErrUncertain) {
				t.Fatalf("Send = %v, want its end not known", err)
			}
			b.SetFaults(simulate.ResendFaults{})
			got, found, err := r.Find(t.Context(), message(), now)
			want := mail.Receipt{Via: "resend", RemoteID: b.Inbox("")[0].ID, AcceptedAt: now}
			if err != nil || !found || got != want {
				t.Errorf("Find = %+v, %v, %v, want %+v", got, found, err, want)
			}
		})
	}
}

// What is found is this mail and no other, and not finding it is certain.
func TestFind(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	since := now
	for _, tt := range []struct {
		name   string
		mails  func(t *testing.T, b *mailbox) (want string) // accepted, oldest first
		single int                                          // questions about one mail
	}{
		{"nothing was sent", func(*testing.T, *mailbox) string { return "" }, 0},
		{"it was sent", func(t *testing.T, b *mailbox) string { return b.accept(t, since.Add(time.Second), message()) }, 1},
		{"at that moment", func(t *testing.T, b *mailbox) string { return b.accept(t, since, message()) }, 1},
		{"their clock is an hour behind", func(t *testing.T, b *mailbox) string { return b.accept(t, since.Add(-time.Hour), message()) }, 1},
		{"an hour and a second before", func(t *testing.T, b *mailbox) string {
			b.accept(t, since.Add(-time.Hour-time.Second), message())
			return ""
		}, 0},
		{"their clock is ahead", func(t *testing.T, b *mailbox) string { return b.accept(t, since.Add(day), message()) }, 1},
		{"to another customer", func(t *testing.T, b *mailbox) string {
			b.accept(t, since, another(1, func(m *mail.Message) { m.To = "bob@example.com" }))
			return ""
		}, 0},
		{"about something else", func(t *testing.T, b *mailbox) string {
			b.accept(t, since, another(1, func(m *mail.Message) { m.Subject = "Your invoice" }))
			return ""
		}, 0},
		{"the same customer's other order", func(t *testing.T, b *mailbox) string {
			b.accept(t, since, another(1, func(m *mail.Message) { m.Text = strings.ReplaceAll(m.Text, "é", "è") + " Order ord_2." }))
			return ""
		}, 1},
		{"this one between two others", func(t *testing.T, b *mailbox) string {
			b.accept(t, since, another(1, func(m *mail.Message) { m.Text += " Order ord_2." }))
			id := b.accept(t, since.Add(time.Minute), message())
			b.accept(t, since.Add(2*time.Minute), another(2, func(m *mail.Message) { m.Text += " Order ord_3." }))
			return id
		}, 2},
		{"the address in other letters", func(t *testing.T, b *mailbox) string {
			return b.accept(t, since, another(1, func(m *mail.Message) { m.To = strings.ToUpper(m.To) }))
		}, 1},
		{"the text with blanks at its end", func(t *testing.T, b *mailbox) string {
			return b.accept(t, since, another(1, func(m *mail.Message) { m.Text += "\r\n\n" }))
		}, 1},
		{"twice: the newer one", func(t *testing.T, b *mailbox) string {
			b.accept(t, since, message())
			return b.accept(t, since.Add(time.Minute), another(1, nil))
		}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newMailbox(t)
			want := tt.mails(t, b)
			got, found, err := resend(t, b.URL).Find(t.Context(), message(), since)
			if err != nil || found != (want != "") || got.RemoteID != want {
				t.Errorf("Find = %+v, %v, %v, want %q", got, found, err, want)
			}
			single := 0
			for _, uri := range b.asked {
				if strings.HasPrefix(uri, "/emails/") {
					single++
				}
			}
			if single != tt.single {
				t.Errorf("asked %v, want %d questions about one mail", b.asked, tt.single)
			}
		})
	}
}

// A busy shop: the mail is pages back, and the search ends where the time before it begins.
func TestFindPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                 string
		before, after, pages int // mails accepted long before and after it; pages that are asked for
		sent                 bool
	}{
		{"on the third page", 0, 250, 3, true},
		{"the last of a page", 0, 99, 1, true},
		{"the first of the next", 0, 100, 2, true},
		{"it is not there, and that is all", 0, 250, 3, false},
		{"it is not there, and what is older does not count", 500, 150, 2, false},
		{"a full page, and no more", 0, 100, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newMailbox(t)
			fill := func(from, n int, at time.Time) {
				b.set(at)
				for i := range n {
					body := fmt.Sprintf(`{"from":"a@shop.example","to":["c%d@example.com"],"subject":"s","text":"t"}`, from+i)
					req := httptest.NewRequest("POST", "/emails", strings.NewReader(body))
					req.Header.Set("Authorization", "Bearer "+resendKey)
					b.ServeHTTP(httptest.NewRecorder(), req)
				}
			}
			fill(0, tt.before, now.Add(-48*time.Hour))
			want := ""
			if tt.sent {
				want = b.accept(t, now, message())
			}
			fill(tt.before, tt.after, now.Add(time.Hour))
			got, found, err := resend(t, b.URL).Find(t.Context(), message(), now)
			if err != nil || found != tt.sent || got.RemoteID != want {
				t.Errorf("Find = %+v, %v, %v, want %q", got, found, err, want)
			}
			pages := 0
			for _, uri := range b.asked {
				if strings.HasPrefix(uri, "/emails?") {
					pages++
				}
			}
			if pages != tt.pages {
				t.Errorf("asked for %d pages, want %d: %v", pages, tt.pages, b.asked)
			}
		})
	}
}

// However much was sent, and whatever the list says of its end, a search ends.
func TestFindIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		page  string
		asked int
		cant  bool
	}{
		{"pages without end", `{"has_more":true,"data":[{"id":"m1","to":["x@example.com"],"subject":"s","created_at":"2026-03-01T12:00:00Z"}]}`, 30, true},
		{"empty pages that promise more", `{"has_more":true,"data":[]}`, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; w.Write([]byte(tt.page)) }))
			t.Cleanup(s.Close)
			_, found, err := resend(t, s.URL).Find(t.Context(), message(), now)
			if found || errors.Is(err, mail.ErrCannotLook) != tt.cant || (err != nil) != tt.cant || asked != tt.asked {
				t.Errorf("Find = %v, %v after %d pages, want that it cannot be told: %v, after %d", found, err, asked, tt.cant, tt.asked)
			}
		})
	}
}

// What cannot be told is no "not found", and only what can never be told is ErrCannotLook.
func TestFindTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		cannot bool
		want   error
		snooze time.Duration
	}{
		{"a key that may only send", 401, `{"name":"restricted_api_key","message":"This API key is restricted to only send emails"}`, true, nil, 0},
		{"a wrong key", 403, `{"name":"invalid_api_key","message":"ann@example.com"}`, false, mail.ErrConfiguration, 0},
		{"down", 500, `{"name":"application_error"}`, false, mail.ErrUncertain, 0},
		{"limited", 429, `{"name":"rate_limit_exceeded"}`, false, nil, 0}, // no snooze: one that never counts would never end
		{"no list", 200, `[]`, false, nil, 0},
		{"no JSON", 200, `<html>`, false, nil, 0},
		{"moved", 302, ``, false, mail.ErrConfiguration, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				w.Write([]byte(tt.body))
			}))
			t.Cleanup(s.Close)
			_, found, err := resend(t, s.URL).Find(t.Context(), message(), now)
			if found || err == nil || errors.Is(err, mail.ErrCannotLook) != tt.cannot || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("Find = %v, %v, want an error that is %v; cannot look: %v", found, err, tt.want, tt.cannot)
			}
			var snooze *makegood.Snooze
			if errors.As(err, &snooze) != (tt.snooze > 0) || snooze != nil && snooze.For != tt.snooze {
				t.Errorf("Find = %v, want a snooze of %v", err, tt.snooze)
			}
			if err != nil && (strings.Contains(err.Error(), "ann@example.com") || strings.Contains(err.Error(), resendKey)) {
				t.Errorf("error %v shows an address or the key", err)
			}
		})
	}
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	if _, found, err := resend(t, dead.URL).Find(t.Context(), message(), now); found || err == nil || errors.Is(err, mail.ErrCannotLook) {
		t.Errorf("Find where nobody answers = %v, %v, want an error worth a retry", found, err)
	}
}

// Resend writes its times in several ways. What is older than the search ends it in each of them; one that cannot be read
// ends nothing.
func TestFindTimes(t *testing.T) {
	t.Parallel()
	m := message()
	for _, tt := range []struct {
		layout string // of a time.Time
		ends   bool
	}{
		{"2006-01-02T15:04:05.000Z07:00", true},
		{"2006-01-02T15:04:05.000000+00:00", true},
		{"2006-01-02T15:04:05Z07:00", true},
		{"2006-01-02 15:04:05.000000+00", true},
		{"2006-01-02 15:04:05+00", true},
		{"2006-01-02 15:04:05.999999+00:00", true},
		{"Mon Jan _2 2006", false},
		{"", false},
	} {
		t.Run(tt.layout, func(t *testing.T) {
			t.Parallel()
			old := now.Add(-90 * time.Minute)
			at := old
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				one := fmt.Sprintf(`{"id":"m1","to":[%q],"subject":%q,"text":%q,"created_at":%q}`, m.To, m.Subject, m.Text, at.Format(tt.layout))
				if r.URL.Path == "/emails" {
					one = `{"data":[` + one + `]}`
				}
				w.Write([]byte(one))
			}))
			t.Cleanup(s.Close)
			if _, found, err := resend(t, s.URL).Find(t.Context(), m, now); err != nil || found == tt.ends {
				t.Errorf("a mail of %s before the search: found %v, %v, want that it ends the search: %v", at.Format(tt.layout), found, err, tt.ends)
			}
			at = now.Add(123456 * time.Microsecond)
			got, found, err := resend(t, s.URL).Find(t.Context(), m, now)
			if off := at.Sub(got.AcceptedAt); err != nil || !found || tt.ends && (off < 0 || off >= time.Second || got.AcceptedAt.Location() != time.UTC) {
				t.Errorf("a mail of %s: %+v, %v, %v, want it found and its time", at.Format(tt.layout), got, found, err)
			}
		})
	}
}
