package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
)

// counterfoils are the store behind a desk, as far as these tests need one: one order, one letter, and the audit.
type counterfoils struct {
	desk.Store
	actors []string
	again  []desk.Again
	sel    []desk.Selection
	err    error
}

func (c *counterfoils) FindOrders(_ context.Context, quoted string) ([]makegood.Order, error) {
	if quoted != "ann@example.com" {
		return nil, c.err
	}
	o := paidOrder()
	o.Steps, o.Licenses = nil, nil // a listing is without them
	return []makegood.Order{o}, c.err
}

func (c *counterfoils) Order(_ context.Context, id string) (makegood.Order, error) {
	if id != "ord1" {
		return makegood.Order{}, makegood.Errorf(makegood.NotFound, "There is no order %q.", id)
	}
	return paidOrder(), nil
}

func (c *counterfoils) AmendOrder(_ context.Context, a makegood.Amendment) (makegood.Order, error) {
	c.actors = append(c.actors, a.Actor)
	return paidOrder(), nil
}

func (c *counterfoils) Revive(_ context.Context, _, actor string) error {
	c.actors = append(c.actors, actor)
	return nil
}

func (c *counterfoils) Letters(_ context.Context, s desk.Selection, _ int) ([]makegood.DeadLetter, error) {
	c.sel = append(c.sel, s)
	return []makegood.DeadLetter{{ID: "dlq1"}}, nil
}

func (c *counterfoils) Retry(_ context.Context, _ string, how desk.Again) (bool, error) {
	c.actors, c.again = append(c.actors, how.Actor), append(c.again, how)
	return true, nil
}

func (c *counterfoils) Discard(_ context.Context, id, actor, _ string) (bool, error) {
	c.actors = append(c.actors, actor)
	return id == "dlq1", nil
}

func (c *counterfoils) Record(_ context.Context, actor string, _ makegood.Entry) error {
	c.actors = append(c.actors, actor)
	return nil
}

// lister is a source without events that could not be delivered.
type lister struct {
	provider.Source
	since *time.Time
}

func (l lister) Undelivered(_ context.Context, since time.Time) iter.Seq2[[]byte, error] {
	*l.since = since
	return func(func([]byte, error) bool) {}
}

func adminOf(c *counterfoils) (*api.Admin, *time.Time) {
	since := &time.Time{}
	d := &desk.Desk{Store: c, Sources: map[string]provider.Source{"stripe": lister{since: since}}, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Terms:    func(func(string) bool) makegood.Terms { return makegood.Terms{} },
		Resettle: func(ctx context.Context, _, orderID string) (makegood.Order, error) { return c.Order(ctx, orderID) }}
	return &api.Admin{Desk: d, Order: c.Order}, since
}

// mounted is the admin as the server has it.
func mounted(a *api.Admin, around func(api.Handler) api.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range a.Routes() {
		mux.Handle(pattern, api.Errors(slog.New(slog.DiscardHandler), around(handler)))
	}
	return mux
}

func asIs(h api.Handler) api.Handler { return h }

func through(h http.Handler, method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// everyAdminAddress is one good request to each address.
var everyAdminAddress = []struct{ pattern, method, target, body string }{
	{"POST /api/admin/orders/find", "POST", "/api/admin/orders/find", `{"quoted":"ann@example.com"}`},
	{"GET /api/admin/orders/{id}", "GET", "/api/admin/orders/ord1", ""},
	{"POST /api/admin/orders/make-good", "POST", "/api/admin/orders/make-good", `{"quoted":"ann@example.com"}`},
	{"POST /api/admin/dead-letters/retry", "POST", "/api/admin/dead-letters/retry", `{"per_second":1}`},
	{"POST /api/admin/dead-letters/{id}/discard", "POST", "/api/admin/dead-letters/dlq1/discard", `{"why":"a test"}`},
	{"POST /api/admin/sources/{source}/events/pull", "POST", "/api/admin/sources/stripe/events/pull", `{"since":"2026-03-01T00:00:00Z"}`},
}

// Every address is tried here, so that a new one cannot be forgotten, and none of them opens without the whole token.
func TestAuthorized(t *testing.T) {
	t.Parallel()
	const token = "control-token-of-the-tests"
	a, _ := adminOf(&counterfoils{})
	for pattern := range a.Routes() {
		known := false
		for _, address := range everyAdminAddress {
			known = known || address.pattern == pattern
		}
		if !known {
			t.Errorf("%s is not tried here", pattern)
		}
	}
	for _, tt := range []struct {
		name   string
		token  string
		header []string
		opens  bool
	}{
		{"the token", token, []string{"Bearer " + token}, true},
		{"nothing", token, nil, false},
		{"an empty header", token, []string{""}, false},
		{"only the scheme", token, []string{"Bearer "}, false},
		{"without the scheme", token, []string{token}, false},
		{"another scheme", token, []string{"Basic " + token}, false},
		{"small letters", token, []string{"bearer " + token}, false},
		{"the first half", token, []string{"Bearer " + token[:12]}, false},
		{"one letter more", token, []string{"Bearer " + token + "x"}, false},
		{"another letter", token, []string{"Bearer " + strings.Replace(token, "o", "0", 1)}, false},
		{"other letters of the same length", token, []string{"Bearer " + strings.ToUpper(token)}, false},
		{"blanks around it", token, []string{"Bearer  " + token}, false},
		{"the second of two headers", token, []string{"Bearer x", "Bearer " + token}, false},
		{"no token is set, none is given", "", nil, false},
		{"no token is set, an empty one is given", "", []string{"Bearer "}, false},
		{"no token is set, any is given", "", []string{"Bearer x"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, address := range everyAdminAddress {
				c := &counterfoils{}
				a, _ := adminOf(c)
				h := mounted(a, func(h api.Handler) api.Handler { return api.Authorized(secret.New(tt.token), h) })
				w := through(h, address.method, address.target, address.body, func(r *http.Request) { r.Header["Authorization"] = tt.header })
				if tt.opens != (w.Code == http.StatusOK) || !tt.opens && (failureOf(t, w).Code != "unauthorized" || len(c.actors) != 0) {
					t.Errorf("%s = %d %s, acted %v, want it open: %v", address.target, w.Code, w.Body, c.actors, tt.opens)
				}
				if strings.Contains(w.Body.String(), token) {
					t.Errorf("the answer %s shows the token", w.Body)
				}
			}
		})
	}
}

// Who acts stands in the audit in one short, printable word, whatever the header says.
func TestAdminActor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ header, want string }{
		{"ann@cli", "operator:ann@cli"},
		{"", "operator:api"},
		{" \t ", "operator:api"},
		{"Ann Example", "operator:AnnExample"},
		{"ann\x1b[31m\r\nX: y", "operator:ann[31mX:y"},
		{"änn\u202e", "operator:nn"},
		{"\x00\x7f", "operator:api"},
		{strings.Repeat("a", 65), "operator:" + strings.Repeat("a", 64)},
		{strings.Repeat("ä", 100), "operator:api"},
		{"system:queue", "operator:system:queue"}, // nobody passes for the program itself
	} {
		for _, address := range everyAdminAddress[2:] {
			c := &counterfoils{}
			a, _ := adminOf(c)
			w := through(mounted(a, asIs), address.method, address.target, address.body, func(r *http.Request) { r.Header[api.ActorHeader] = []string{tt.header} })
			if w.Code != http.StatusOK || len(c.actors) == 0 {
				t.Errorf("%s by %q = %d %s with the actors %q, want 200 and an entry", address.target, tt.header, w.Code, w.Body, c.actors)
			}
			for _, got := range c.actors {
				if got != tt.want {
					t.Errorf("%s by %q is done by %q, want %q", address.target, tt.header, got, tt.want)
				}
			}
		}
	}
}

// What operators' programs read.
func TestAdminAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, target, body string
		status                     int
		want                       string // a part of the answer
		not                        string // what must not be in it
	}{
		{"found", "POST", "/api/admin/orders/find", `{"quoted":"ann@example.com"}`, 200, `{"orders":[{"id":"ord1","source":"stripe","session_id":"cs_test_1"`, `licenses`},
		{"nothing found", "POST", "/api/admin/orders/find", `{"quoted":"x"}`, 200, `{"orders":[]}`, ""},
		{"nothing quoted", "POST", "/api/admin/orders/find", `{}`, 400, `Nothing was quoted`, ""},
		{"an order", "GET", "/api/admin/orders/ord1", "", 200, `"licenses":2,"steps":[{"name":"email","state":"owed","attempts":0}]`, "GD-"},
		{"no order", "GET", "/api/admin/orders/ord9", "", 404, `There is no order`, ""},
		{"made good", "POST", "/api/admin/orders/make-good", `{"quoted":"ann@example.com"}`, 200, `"did":[]`, "GD-"},
		{"a misspelt field", "POST", "/api/admin/orders/make-good", `{"quote":"ann@example.com"}`, 400, `"invalid"`, ""},
		{"unknown", "POST", "/api/admin/orders/make-good", `{"quoted":"x"}`, 404, `Ask the customer`, ""},
		{"no body", "POST", "/api/admin/orders/make-good", ``, 400, `"invalid"`, ""},
		{"retried", "POST", "/api/admin/dead-letters/retry", `{"per_second":20}`, 200, `{"letters":["dlq1"],"lost":0}`, ""},
		{"retried without a pace", "POST", "/api/admin/dead-letters/retry", `{}`, 400, `At least one letter a second`, ""},
		{"too many names", "POST", "/api/admin/dead-letters/retry", `{"per_second":1,"ids":[` + strings.Repeat(`"x",`, makegood.ListMax) + `"x"]}`, 400, `At most 1000 ids`, ""},
		{"discarded", "POST", "/api/admin/dead-letters/dlq1/discard", `{"why":"a test"}`, 200, `{}`, ""},
		{"discarded for no reason", "POST", "/api/admin/dead-letters/dlq1/discard", `{}`, 400, `Say why`, ""},
		{"discarded, and not there", "POST", "/api/admin/dead-letters/dlq2/discard", `{"why":"a test"}`, 404, `no open dead letter`, ""},
		{"pulled", "POST", "/api/admin/sources/stripe/events/pull", `{"since":"2026-03-01T00:00:00Z"}`, 200, `{"source":"stripe","new":0,"known":0}`, ""},
		{"pulled from nowhere", "POST", "/api/admin/sources/paypal/events/pull", `{"since":"2026-03-01T00:00:00Z"}`, 404, `no source`, ""},
		{"pulled since no time", "POST", "/api/admin/sources/stripe/events/pull", `{"since":"yesterday"}`, 400, `"invalid"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, _ := adminOf(&counterfoils{})
			w := through(mounted(a, asIs), tt.method, tt.target, tt.body)
			if got := w.Body.String(); w.Code != tt.status || !strings.Contains(got, tt.want) || tt.not != "" && strings.Contains(got, tt.not) {
				t.Errorf("= %d %s, want %d with %s, and without %q", w.Code, got, tt.status, tt.want, tt.not)
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Errorf("answer %s is not JSON", w.Body)
			}
			if isOrder := strings.Contains(tt.target, "/orders"); isOrder && w.Code == 200 && w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("an answer about a customer may be kept by a cache: %v", w.Header())
			}
		})
	}
}

// What is asked arrives at the desk whole.
func TestAdminRetryPassesOn(t *testing.T) {
	t.Parallel()
	c := &counterfoils{}
	a, _ := adminOf(c)
	since := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	ask := api.RetryAsk{Selection: desk.Selection{Since: since, Type: "email", Source: "stripe", Reason: makegood.DeadDoubtful, After: "dlq0"},
		Anew: true, Wait: 3 * time.Second, PerSecond: 7}
	body, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	if w := through(mounted(a, asIs), "POST", "/api/admin/dead-letters/retry", string(body)); w.Code != 200 {
		t.Fatalf("retry = %d %s", w.Code, w.Body)
	}
	if diff := cmp.Diff([]desk.Selection{ask.Selection}, c.sel); diff != "" {
		t.Errorf("selection (-want +got):\n%s", diff)
	}
	want := []desk.Again{{Actor: "operator:api", Anew: true, Wait: 3 * time.Second, Behind: true}}
	if diff := cmp.Diff(want, c.again); diff != "" {
		t.Errorf("done again (-want +got):\n%s", diff)
	}
	a, pulledSince := adminOf(&counterfoils{})
	through(mounted(a, asIs), "POST", "/api/admin/sources/stripe/events/pull", fmt.Sprintf(`{"since":%q}`, since.Format(time.RFC3339)))
	if !pulledSince.Equal(since) {
		t.Errorf("pulled since %v, want %v", pulledSince, since)
	}
}
