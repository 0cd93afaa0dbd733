package notify_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

func alarm(id string) notify.Message {
	return notify.Message{ID: id, Priority: makegood.P1, Kind: makegood.NoticeOpened, Title: "Webhooks arrive late", Body: "the oldest waits for 7 minutes",
		Link: "https://shop.example/i/1", AckLink: "https://shop.example/a/1", Incidents: []string{"inc1"}, At: now}
}

func end(id string, earlier ...notify.Earlier) notify.Message {
	m := alarm(id)
	m.Kind, m.Title, m.AckLink, m.Earlier = makegood.NoticeResolved, "Over: webhooks arrive", "", earlier
	return m
}

// serve starts a pretend service.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestSMSText(t *testing.T) {
	t.Parallel()
	twilio := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options()})
	c := newSMS(t, twilio, nil, phone)
	for i, tt := range []struct {
		name   string
		change func(*notify.Message)
		want   string
	}{
		{"all of it", func(*notify.Message) {}, "Webhooks arrive late\nthe oldest waits for 7 minutes\nhttps://shop.example/a/1"},
		{"nothing to acknowledge", func(m *notify.Message) { m.AckLink = "" }, "Webhooks arrive late\nthe oldest waits for 7 minutes\nhttps://shop.example/i/1"},
		{"no links, no body", func(m *notify.Message) { m.AckLink, m.Link, m.Body = "", "", "" }, "Webhooks arrive late"},
		{"no emoji, plain quotes", func(m *notify.Message) {
			m.Title, m.Body, m.AckLink, m.Link = "🚨 “Kasse” – größer…", "", "", ""
		}, `"Kasse" - größer...`},
		{"another alphabet", func(m *notify.Message) { m.Title, m.Body, m.AckLink, m.Link = "Кasse", "", "", "" }, "?asse"},
		{"cut, with the whole link", func(m *notify.Message) { m.Body = strings.Repeat("x", 1000) },
			"Webhooks arrive late\n" + strings.Repeat("x", 306-25-21-3) + "...\nhttps://shop.example/a/1"},
		{"cut where letters count twice", func(m *notify.Message) { m.Body, m.AckLink, m.Link = strings.Repeat("{", 1000), "", "" },
			"Webhooks arrive late\n" + strings.Repeat("{", (306-21-3)/2) + "..."},
		{"a link without room", func(m *notify.Message) { m.AckLink = "https://shop.example/" + strings.Repeat("a", 300) }, "Webhooks arrive late\nthe oldest waits for 7 minutes"},
	} {
		m := alarm("msg" + string(rune('a'+i)))
		tt.change(&m)
		if _, err := c.Send(t.Context(), m); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := twilio.Messages()[i].Body; got != tt.want {
			t.Errorf("%s: text = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func newSMS(t *testing.T, twilio *simulate.Twilio, skipped func(int, *notify.Error), to ...string) *notify.SMS {
	t.Helper()
	c, err := notify.NewSMS(notify.SMSOptions{Base: serve(t, twilio), Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken), From: "+15005550006",
		To: to, Skipped: skipped, HTTP: client(t), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSMSToSeveral: a number that is refused for good does not make the others count for nothing, and is told of.
func TestSMSToSeveral(t *testing.T) {
	t.Parallel()
	twilio := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options()})
	var skipped []string
	c := newSMS(t, twilio, func(position int, why *notify.Error) {
		skipped = append(skipped, string(rune('0'+position))+" "+why.Code)
	},
		phone, simulate.TwilioInvalid, simulate.TwilioOptedOut, "+4915112345679")
	r, err := c.Send(t.Context(), alarm("msg1"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(skipped)
	if got, want := strings.Join(skipped, ", "), "2 21211, 3 21610"; got != want {
		t.Errorf("skipped = %s, want %s", got, want)
	}
	if got := len(strings.Split(r.RemoteID, ",")); got != 2 || len(twilio.Messages()) != 2 {
		t.Errorf("receipt %q for %d messages, want two", r.RemoteID, len(twilio.Messages()))
	}
	lonely := newSMS(t, twilio, nil, simulate.TwilioOptedOut)
	_, err = lonely.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Reason != notify.ReasonClient || e.Code != "21610" || e.Status != 400 || e.Doubt {
		t.Errorf("Send to nobody who wants it = %+v, want 21610", e)
	}
}

// TestSMSGoesOn: the repetition after a failure goes only to whom it has not reached.
func TestSMSGoesOn(t *testing.T) {
	t.Parallel()
	const other = "+4915112345679"
	twilio := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options()})
	c := newSMS(t, twilio, nil, phone, other)
	twilio.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
		if r.ParseForm() == nil && r.PostForm.Get("To") == other {
			return http.StatusTooManyRequests
		}
		return 0
	}})
	_, err := c.Send(t.Context(), alarm("msg1"))
	if e := failure(t, err); e.Reason != notify.ReasonRateLimit || !e.Doubt || e.Code != "20429" {
		t.Errorf("Send = %+v, want rate_limit, in doubt because somebody was told", e)
	}
	twilio.SetFaults(simulate.AlertFaults{})
	if _, err := c.Send(t.Context(), alarm("msg1")); err != nil {
		t.Fatal(err)
	}
	var to []string
	for _, m := range twilio.Messages() {
		to = append(to, m.To)
	}
	if len(to) != 2 || to[0] != phone || to[1] != other {
		t.Errorf("wrote to %v, want each once", to)
	}
}

// TestSMSPrefersHope: of several failures the one counts that a repetition may cure.
func TestSMSPrefersHope(t *testing.T) {
	t.Parallel()
	const other = "+4915112345679"
	for _, to := range [][]string{{simulate.TwilioOptedOut, other}, {other, simulate.TwilioOptedOut}} {
		twilio := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options()})
		twilio.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
			if r.ParseForm() == nil && r.PostForm.Get("To") == other {
				return http.StatusInternalServerError
			}
			return 0
		}})
		_, err := newSMS(t, twilio, nil, to...).Send(t.Context(), alarm("msg1"))
		if e := failure(t, err); e.Reason != notify.ReasonServer || !e.Doubt {
			t.Errorf("Send = %+v, want server, in doubt", e)
		}
	}
}
