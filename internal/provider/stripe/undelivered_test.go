package stripe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
)

// undelivered collects what Undelivered yields.
func undelivered(t *testing.T, s *stripe.Stripe, since time.Time) (bodies []string, err error) {
	t.Helper()
	for body, err := range s.Undelivered(t.Context(), since) {
		if err != nil {
			return bodies, err
		}
		bodies = append(bodies, string(body))
	}
	return bodies, nil
}

// TestUndelivered lets a shop be away for some of a simulated Stripe's events, and asks for them: each once, oldest first,
// as they were to be delivered.
func TestUndelivered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		before, away int // sales before and while the shop is away
	}{
		{"nothing was missed", 3, 0},
		{"a page", 1, 3},
		{"several pages", 2, 90},
		{"several pages, and no event before", 0, 90},
		{"a page, and no event before", 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)
			fake := simulate.NewStripe(simulate.StripeOptions{APIKey: apiKey, Now: func() time.Time { return clock }})
			t.Cleanup(fake.Close)
			server := httptest.NewServer(fake)
			t.Cleanup(server.Close)
			isAway := false
			shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if isAway {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			t.Cleanup(shop.Close)
			fake.AddWebhookEndpoint(shop.URL, oldSecret)
			sell := func(n int) {
				for range n {
					pay(t, fake, fake.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Product: "Exam", Currency: "usd", UnitAmount: 100}}}}).ID)
				}
				if err := fake.WaitIdle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			sell(tt.before)
			clock = clock.Add(time.Hour)
			since := clock
			isAway = true
			sell(tt.away)
			clock = clock.Add(time.Minute)

			s := newStripe(t, server.URL, func(o *stripe.Options) { o.Now = func() time.Time { return clock } })
			got, err := undelivered(t, s, since)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, e := range slices.Backward(fake.Events()) {
				if !e.IsDelivered() && slices.Contains(stripe.EventTypes(), e.Type) {
					want = append(want, string(e.Body))
				}
			}
			if len(want) != tt.away || !slices.Equal(got, want) {
				t.Errorf("Undelivered yields %d events, want %d, in the order in which they happened and byte by byte", len(got), tt.away)
			}
			if tt.away > 0 {
				for body, err := range s.Undelivered(t.Context(), since) { // a caller may stop
					if err != nil || string(body) != want[0] {
						t.Errorf("the first of Undelivered = %s, %v; want the oldest", body, err)
					}
					break
				}
			}
		})
	}
}

func TestUndeliveredReachesBack30Days(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": body(`{"object":"list","data":[],"has_more":false}`)})
	if got, err := undelivered(t, newStripe(t, a.URL, nil), time.Time{}); err != nil || len(got) != 0 {
		t.Errorf("Undelivered = %q, %v; want nothing", got, err)
	}
	want := fmt.Sprint(now.Add(-30 * 24 * time.Hour).Unix())
	for _, r := range a.requests() {
		q := r.URL.Query()
		if got := q.Get("created[gte]") + q.Get("created[lt]"); got != want {
			t.Errorf("asked %s, want events since %s, 30 days ago", r.URL.RawQuery, want)
		}
	}
}

// TestUndeliveredInOneCall: what fits on a page needs no second call, because it is asked for every minute.
func TestUndeliveredInOneCall(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": body(`{"object":"list","data":[{"id":"evt_2"},{"id":"evt_1"}],"has_more":false}`)})
	got, err := undelivered(t, newStripe(t, a.URL, nil), now.Add(-time.Hour))
	if want := []string{`{"id":"evt_1"}`, `{"id":"evt_2"}`}; err != nil || !slices.Equal(got, want) || len(a.requests()) != 1 {
		t.Errorf("Undelivered = %q, %v in %d calls; want %q in one", got, err, len(a.requests()), want)
	}
}

// TestUndeliveredOfAConnectedAccount: our question names the account, and each event comes as the webhook would bring it.
func TestUndeliveredOfAConnectedAccount(t *testing.T) {
	t.Parallel()
	const event = `{"id":"evt_1","object":"event","livemode":false,"type":"refund.updated","data":{"object":{"id":"re_x","status":"succeeded","amount":1,"currency":"usd","charge":"ch_x"}}}`
	named := strings.Replace(event, `{"id":"evt_1"`, `{"account":"acct_1Connected","id":"evt_2"`, 1)
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("ending_before") != "" || r.URL.Query().Get("created[lt]") != "" {
			fmt.Fprint(w, `{"data":[]}`)
			return
		}
		fmt.Fprintf(w, `{"data":[%s,%s]}`, named, event)
	}})
	s := newStripe(t, a.URL, func(o *stripe.Options) { o.Account = "acct_1Connected" })
	got, err := undelivered(t, s, now.Add(-time.Hour))
	if err != nil || len(got) != 2 || got[1] != named {
		t.Fatalf("Undelivered = %q, %v; want two events", got, err)
	}
	for _, body := range got {
		e := s.Identify([]byte(body))
		if r, err := s.Interpret(t.Context(), e); err != nil || len(r.Facts) != 1 || e.Account != "acct_1Connected" || !json.Valid([]byte(body)) {
			t.Errorf("%s is of account %q and gives %+v, %v; want a fact of the connected account", body, e.Account, r, err)
		}
	}
	for _, r := range a.requests() {
		if r.Header.Get("Stripe-Account") != "acct_1Connected" {
			t.Errorf("%s was asked without the connected account", r.URL)
		}
	}
}

// TestUndeliveredStops at the first error, and at a list that never ends.
func TestUndeliveredStops(t *testing.T) {
	t.Parallel()
	page := func(more bool, ids ...string) string {
		var all []string
		for _, id := range ids {
			all = append(all, fmt.Sprintf(`{"id":%q}`, id))
		}
		return fmt.Sprintf(`{"has_more":%v,"data":[%s]}`, more, strings.Join(all, ","))
	}
	answers := func(anchor, wanted, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch q := r.URL.Query(); {
			case q.Has("created[lt]"):
				anchor(w, r)
			case q.Get("ending_before") == "evt_2":
				next(w, r)
			default:
				wanted(w, r)
			}
		}
	}
	trouble := refusal(500, `{"error":{"type":"api_error"}}`)
	first, anchor := body(page(true, "evt_2", "evt_1")), body(page(true, "evt_0"))
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   int
	}{
		{"at once", trouble, 0},
		{"after the anchor", answers(anchor, trouble, trouble), 0},
		{"after a page", answers(anchor, first, trouble), 2},
		{"at a page that comes again", answers(anchor, first, first), 4},
		{"on the way down", answers(body(page(false)), first, trouble), 0},
		{"at more that is nothing", answers(anchor, body(page(true)), trouble), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": tt.answer})
			got, err := undelivered(t, newStripe(t, a.URL, nil), now.Add(-time.Hour))
			if len(got) != tt.want || !errors.Is(err, makegood.ProviderFailed) {
				t.Errorf("Undelivered = %q, %v; want %d events and an error", got, err, tt.want)
			}
		})
	}
}
