package stripe_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
)

// registered is a webhook endpoint as Stripe tells of it, changed by replacing one of its parts.
func registered(url string, change ...string) string {
	types := `"` + strings.Join(stripe.EventTypes(), `","`) + `"`
	e := fmt.Sprintf(`{"id":"we_1","object":"webhook_endpoint","api_version":null,"enabled_events":[%s],"livemode":false,"status":"enabled","url":%q}`, types, url)
	return strings.NewReplacer(change...).Replace(e)
}

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	const here = "https://shop.example/hooks/stripe"
	for _, tt := range []struct {
		name string
		data string // of the list
		want string // in the problems; "" is none
	}{
		{"good", registered(here), ""},
		{"good, in other words", registered("https://SHOP.example:443/hooks/stripe/"), ""},
		{"good, and everything is brought", registered(here, `"checkout.session.completed"`, `"*"`), ""},
		{"good, pinned to an old version", registered(here, "null", `"2019-05-16"`), ""},
		{"good, and another is not", registered("https://other.example/x") + "," + registered(here, "enabled\"", "disabled\"") + "," + registered(here), ""},
		{"none", "", "there is no webhook endpoint at all"},
		{"disabled", registered(here, `"enabled"`, `"disabled"`), "the webhook endpoint is disabled"},
		{"of the other mode", registered(here, `"livemode":false`, `"livemode":true`), "in live mode and the source in test mode"},
		{"a preview", registered(here, "null", `"2026-01-28.preview"`), "a preview of the API"},
		{"one type is missing", registered(here, `"refund.failed",`, ""), "does not bring refund.failed"},
		{"without encryption", registered("http://shop.example/hooks/stripe"), "none of the 1 webhook endpoints leads here; they lead to shop.example"},
		{"another path", registered("https://shop.example/hooks/other?secret=hidden"), "they lead to shop.example"},
		{"many others", strings.Join([]string{registered("https://a.example"), registered("https://b.example"), registered("https://c.example"), registered("https://d.example"),
			registered("https://e.example"), registered("https://f.example"), registered("no address")}, ","), "a.example, b.example, c.example, d.example, e.example, others"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/webhook_endpoints": body(`{"object":"list","data":[` + tt.data + `],"has_more":false}`)})
			problems, err := newStripe(t, a.URL, nil).CheckEndpoint(t.Context(), here)
			got := strings.Join(problems, "; ")
			if err != nil || (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) || strings.Contains(got, "hidden") {
				t.Errorf("CheckEndpoint = %q, %v, want %q in it", got, err, tt.want)
			}
		})
	}
}

// TestCheckEndpointPages: the list is read page by page and as the owner of the key, whose endpoints bring the events of
// connected accounts; it ends, whatever Stripe says.
func TestCheckEndpointPages(t *testing.T) {
	t.Parallel()
	const here = "https://shop.example/hooks/stripe"
	first := body(`{"data":[` + registered("https://other.example") + `],"has_more":true}`)
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/webhook_endpoints": func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("starting_after") != "we_1" {
			first(w, r)
			return
		}
		fmt.Fprintf(w, `{"data":[%s],"has_more":false}`, registered(here, "we_1", "we_2"))
	}})
	s := newStripe(t, a.URL, func(o *stripe.Options) { o.Account = "acct_1Connected" })
	if problems, err := s.CheckEndpoint(t.Context(), here); err != nil || len(problems) != 0 {
		t.Errorf("CheckEndpoint = %q, %v, want none: it is on the second page", problems, err)
	}
	if slices.ContainsFunc(a.requests(), func(r *http.Request) bool { return r.Header.Get("Stripe-Account") != "" }) {
		t.Error("the connected account was asked, which has no endpoints of ours")
	}
	endless := newAPI(t, map[string]http.HandlerFunc{"GET /v1/webhook_endpoints": first})
	if _, err := newStripe(t, endless.URL, nil).CheckEndpoint(t.Context(), here); !errors.Is(err, makegood.ProviderFailed) {
		t.Errorf("CheckEndpoint of a list without end = %v, want an error", err)
	}
}

// TestNotAllowed: a key that lacks a permission is told from one that is refused.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{401: false, 403: true, 500: false} {
		a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/webhook_endpoints": refusal(status, `{"error":{"type":"invalid_request_error"}}`)})
		_, err := newStripe(t, a.URL, nil).CheckEndpoint(t.Context(), "https://shop.example/hooks/stripe")
		if err == nil || errors.Is(err, provider.ErrNotAllowed) != want || want && !errors.Is(err, makegood.Unavailable) {
			t.Errorf("CheckEndpoint with status %d = %v, want ErrNotAllowed: %v", status, err, want)
		}
	}
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{"GET /v1/events": body(`{"data":[{"id":"evt_2"},{"id":"evt_1"}],"has_more":true}`)})
	got, err := newStripe(t, a.URL, nil).Delivered(t.Context(), now.Add(-1000))
	if err != nil || len(got) != 2 || string(got[0]) != `{"id":"evt_2"}` || len(a.requests()) != 1 {
		t.Errorf("Delivered = %q, %v in %d calls, want a page of two", got, err, len(a.requests()))
	}
	if q := a.requests()[0].URL.Query(); q.Get("delivery_success") != "true" || !slices.Equal(q["types[]"], stripe.EventTypes()) {
		t.Errorf("asked for %v, want what was delivered of the types that we read", q)
	}
}
