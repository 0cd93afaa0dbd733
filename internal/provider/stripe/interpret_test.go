package stripe_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
)

const apiKey = "rk_test_51Q0MakegoodTests"

// api is an API that gives fixed answers by method and path, and remembers what it was asked.
type api struct {
	*httptest.Server
	answers map[string]http.HandlerFunc // by "METHOD /path"

	mu    sync.Mutex
	asked []*http.Request
	forms []url.Values
}

func newAPI(t *testing.T, answers map[string]http.HandlerFunc) *api {
	t.Helper()
	a := &api{answers: answers}
	a.Server = httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(a.Close)
	return a
}

func (a *api) answer(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	a.mu.Lock()
	a.asked, a.forms = append(a.asked, r), append(a.forms, r.PostForm)
	a.mu.Unlock()
	w.Header().Set("Request-Id", "req_1Test")
	if answer, ok := a.answers[r.Method+" "+r.URL.Path]; ok {
		answer(w, r)
		return
	}
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprint(w, `{"error":{"type":"invalid_request_error","code":"resource_missing","message":"No such checkout session; ann@example.com"}}`)
}

func (a *api) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

// paths are the calls that were made, sorted, each once.
func (a *api) paths() []string {
	var all []string
	for _, r := range a.requests() {
		all = append(all, r.Method+" "+r.URL.Path)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func body(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func refusal(status int, s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, s)
	}
}

const sessionPath = "GET /v1/checkout/sessions/cs_test_x"

func newStripe(t testing.TB, baseURL string, change func(*stripe.Options)) *stripe.Stripe {
	t.Helper()
	o := stripe.Options{
		Name: "stripe", APIKey: secret.New(apiKey), WebhookSecrets: provider.Active(secret.New(oldSecret)), BaseURL: baseURL,
		HTTP: outbound.New(outbound.Options{AllowPrivate: true}), Catalogue: catalogue, Now: func() time.Time { return now },
	}
	if change != nil {
		change(&o)
	}
	s, err := stripe.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// interpret does what intake and interpret do between them.
func interpret(ctx context.Context, s *stripe.Stripe, body string) (provider.Reading, error) {
	event := s.Identify([]byte(body))
	event.ID = "evt00000000000000000001"
	return s.Interpret(ctx, event)
}

func TestInterpretReadsEveryVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range bodies {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, tt.handlers())
			s := newStripe(t, a.URL, nil)
			got, err := interpret(t.Context(), s, tt.body)
			if err != nil {
				t.Fatalf("Interpret: %v", err)
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(tt.handlers())), a.paths()); diff != "" {
				t.Errorf("Interpret asked the API for something else (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(wantReading(s, tt, got), got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Interpret differs from what is wanted (-want +got):\n%s", diff)
			}
		})
	}
	if len(bodies) < 150 {
		t.Errorf("there are %d bodies, want at least 150", len(bodies))
	}
}

// wantReading completes a fact with what all have in common, and takes any note that has the wanted part in it.
func wantReading(s *stripe.Stripe, tt told, got provider.Reading) provider.Reading {
	if tt.note != "" {
		if strings.Contains(got.Note, tt.note) {
			return provider.Reading{Note: got.Note}
		}
		return provider.Reading{Note: "… " + tt.note + " …"}
	}
	facts := slices.Clone(tt.wants)
	if len(facts) == 0 {
		facts = []makegood.Fact{tt.want}
	}
	for i := range facts {
		f := &facts[i]
		f.Key = makegood.OrderKey{Source: "stripe"}
		if strings.HasPrefix(f.ObjectID, "cs_") {
			f.Key.SessionID = f.ObjectID
		}
		f.OccurredAt = s.Identify([]byte(tt.body)).CreatedAt
		f.EventID = "evt00000000000000000001"
	}
	return provider.Reading{Facts: facts}
}

// handlers are the calls that an event must lead to, with their answers.
func (tt told) handlers() map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{}
	if tt.api != "" {
		all[sessionPath] = body(tt.api)
	}
	for path, answer := range tt.answers {
		all[path] = body(answer)
	}
	return all
}

// TestInterpretNeverTakesEventsOfOthers turns each body that gives a fact to another mode and another account.
func TestInterpretNeverTakesEventsOfOthers(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{sessionPath: body(apiSession)})
	live := newStripe(t, a.URL, func(o *stripe.Options) { o.Live, o.APIKey = true, secret.New("rk_live_51Q0MakegoodTests") })
	connected := newStripe(t, a.URL, func(o *stripe.Options) { o.Account = "acct_1Connected" })
	inTestMode := slices.DeleteFunc(slices.Clone(bodies), func(tt told) bool { return strings.Contains(tt.body, `"livemode":true,"type"`) })
	for _, tt := range inTestMode {
		for who, s := range map[string]*stripe.Stripe{"live": live, "connected": connected} {
			got, err := interpret(t.Context(), s, tt.body)
			if err != nil || len(got.Facts) != 0 || got.Note == "" {
				t.Errorf("%s: Interpret by a %s source = %+v, %v; want a note only", tt.name, who, got, err)
			}
		}
	}
	if n := len(a.requests()); n != 0 {
		t.Errorf("the API was asked %d times about events of others, want never", n)
	}
}

// TestInterpretDistrustsTheRow: mode and account are compared in the row and in the bytes.
func TestInterpretDistrustsTheRow(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1", nil)
	for _, tt := range []struct {
		name   string
		change func(*makegood.Event)
	}{
		{"another source", func(e *makegood.Event) { e.Source = "shop" }},
		{"a live row", func(e *makegood.Event) { e.Live = true }},
		{"a connected row", func(e *makegood.Event) { e.Account = "acct_1" }},
		{"live bytes", func(e *makegood.Event) {
			e.Payload = []byte(strings.Replace(bodyPaid, `"livemode": false, "pending`, `"livemode": true, "pending`, 1))
		}},
		{"connected bytes", func(e *makegood.Event) {
			e.Payload = []byte(strings.Replace(bodyPaid, `"object": "event"`, `"object": "event", "account": "acct_1"`, 1))
		}},
	} {
		e := s.Identify([]byte(bodyPaid))
		tt.change(&e)
		if got, err := s.Interpret(t.Context(), e); err != nil || len(got.Facts) != 0 {
			t.Errorf("Interpret with %s = %+v, %v; want no facts", tt.name, got, err)
		}
	}
}

func TestConnectedAccount(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{sessionPath: body(apiSession)})
	s := newStripe(t, a.URL, func(o *stripe.Options) { o.Account = "acct_1Connected" })
	got, err := interpret(t.Context(), s, `{"id":"evt_1","object":"event","account":"acct_1Connected","livemode":false,"type":"checkout.session.completed",
		"data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`)
	if err != nil || len(got.Facts) != 1 || got.Facts[0].Key.Account != "acct_1Connected" {
		t.Fatalf("Interpret = %+v, %v; want a fact of the connected account", got, err)
	}
	if h := a.requests()[0].Header.Get("Stripe-Account"); h != "acct_1Connected" {
		t.Errorf("Stripe-Account = %q, want the connected account", h)
	}
}

// TestLiveEventInLiveSource: what is refused in the test above is not refused because nothing is ever accepted.
func TestLiveEventInLiveSource(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1", func(o *stripe.Options) { o.Live, o.APIKey = true, secret.New("sk_live_51Q0MakegoodTests") })
	live := strings.NewReplacer(`"livemode": false`, `"livemode": true`, "cs_test_", "cs_live_").Replace(bodyPaid)
	got, err := interpret(t.Context(), s, live)
	if err != nil || len(got.Facts) != 1 || !got.Facts[0].Key.Live {
		t.Errorf("Interpret = %+v, %v; want a live fact", got, err)
	}
	silent := strings.ReplaceAll(live, `"livemode": true,`, "")
	if got, err = interpret(t.Context(), s, silent); err != nil || len(got.Facts) != 0 {
		t.Errorf("Interpret of an event without livemode in a live source = %+v, %v; want no facts", got, err)
	}
}

// TestBothWaysTellTheSame: an event, the API and the API's answer inside an event give the same money and goods.
func TestBothWaysTellTheSame(t *testing.T) {
	t.Parallel()
	const metadata = `"metadata":{"product":"az-900","quantity":"2","unit_amount":"2900","currency":"usd"},`
	const items = `"line_items":{"data":[{"id":"li_1","amount_subtotal":5800,"amount_total":5500,"currency":"usd","description":"Provider's words","quantity":2,
		"price":{"id":"price_az900","currency":"usd","unit_amount":2900,"metadata":{"product":"dp-203"}}}]},`
	const rest = `"id":"cs_test_x","amount_subtotal":5800,"amount_total":5500,"currency":"usd","mode":"payment","payment_intent":"pi_x","payment_status":"paid","status":"complete"`
	for _, tt := range []struct{ name, body, api string }{
		{"our own checkout", "{" + metadata + rest + "}", "{" + metadata + items + rest + "}"},
		{"without our metadata", "{" + rest + "}", "{" + items + rest + "}"},
		{"with line items in the event", "{" + items + rest + "}", "{" + items + rest + "}"},
		{"with metadata that does not add up", "{" + strings.Replace(metadata, "2900", "2901", 1) + rest + "}", "{" + strings.Replace(metadata, "2900", "2901", 1) + items + rest + "}"},
		{"with a price of another currency", "{" + strings.Replace(metadata, "usd", "eur", 1) + rest + "}", "{" + strings.Replace(metadata, "usd", "eur", 1) + items + rest + "}"},
		{"with a product that is gone", "{" + strings.Replace(metadata, "az-900", "gone", 1) + rest + "}", "{" + strings.Replace(metadata, "az-900", "gone", 1) + items + rest + "}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{sessionPath: body(tt.api)})
			s := newStripe(t, a.URL, nil)
			told, err := interpret(t.Context(), s, `{"id":"evt_1","object":"event","livemode":false,"created":1,"type":"checkout.session.completed","data":{"object":`+tt.body+`}}`)
			if err != nil {
				t.Fatal(err)
			}
			asked, err := s.Ask(t.Context(), "cs_test_x")
			if err != nil {
				t.Fatal(err)
			}
			same := cmp.Options{cmpopts.IgnoreFields(makegood.Line{}, "Label"), cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt")}
			if diff := cmp.Diff(told.Facts, asked.Facts, same); diff != "" {
				t.Errorf("the event and the API tell different facts (-event +API):\n%s", diff)
			}
			order := makegood.Order{Key: told.Facts[0].Key}
			order.Learn(told.Facts[0])
			order.Learn(asked.Facts[0])
			if len(order.Facts) != 1 || order.Facts[0].Contradicted || order.Facts[0].Lines[0].Product != "az-900" {
				t.Errorf("the order learned %+v; want one uncontradicted fact of az-900", order.Facts)
			}
		})
	}
}

func TestInterpretPagesLineItems(t *testing.T) {
	t.Parallel()
	item := func(n int) string {
		return fmt.Sprintf(`{"id":"li_%d","amount_subtotal":2900,"currency":"usd","quantity":1,"price":{"id":"price_az900","currency":"usd","unit_amount":2900}}`, n)
	}
	page := func(from, to int, more bool) string {
		var all []string
		for n := from; n < to; n++ {
			all = append(all, item(n))
		}
		return fmt.Sprintf(`{"object":"list","has_more":%v,"data":[%s]}`, more, strings.Join(all, ","))
	}
	for _, tt := range []struct {
		name         string
		second       string
		third        string
		want, pages  int
		wantProvider bool
	}{
		{"all in the second call", page(10, 42, false), "", 42, 1, false},
		{"as many as Stripe allows", page(10, 100, false), "", 100, 1, false},
		{"more than we allow", page(10, 110, true), "", 110, 1, false},
		{"small pages", page(10, 60, true), page(60, 75, false), 75, 2, false},
		{"more without end, and nothing in it", page(10, 10, true), "", 0, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{
				sessionPath: body(`{"id":"cs_test_x","amount_total":1,"currency":"usd","mode":"payment","payment_status":"paid","status":"complete","line_items":` + page(0, 10, true) + `}`),
				sessionPath + "/line_items": func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Query().Get("starting_after") {
					case "li_9":
						fmt.Fprint(w, tt.second)
					default:
						fmt.Fprint(w, tt.third)
					}
				},
			})
			got, err := newStripe(t, a.URL, nil).Ask(t.Context(), "cs_test_x")
			if (err != nil) != tt.wantProvider || err == nil && len(got.Facts[0].Lines) != tt.want || len(a.requests()) != 1+tt.pages {
				t.Errorf("Ask = %v after %d calls, want %d lines after %d (error: %v)", err, len(a.requests()), tt.want, 1+tt.pages, tt.wantProvider)
			}
		})
	}
}

func TestInterpretErrors(t *testing.T) {
	t.Parallel()
	const secretive = `{"error":{"type":"invalid_request_error","code":"ann@example.com","message":"Invalid API Key provided: rk_test_51Q0MakegoodTests for ann@example.com"}}`
	const event = `{"id":"evt_1","object":"event","livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		want    makegood.Code
		verdict string // permanent, 2s, or retry
	}{
		{"the key is wrong", refusal(401, secretive), makegood.Unavailable, "retry"},
		{"the key may not", refusal(403, secretive), makegood.Unavailable, "retry"},
		{"unknown", refusal(404, secretive), makegood.ProviderFailed, "retry"},
		{"busy", refusal(409, secretive), makegood.Conflict, "2s"},
		{"too fast", refusal(429, secretive), makegood.RateLimited, "2s"},
		{"too fast, with a time", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "17")
			refusal(429, secretive)(w, r)
		}, makegood.RateLimited, "17s"},
		{"too fast, with no time at all", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "0")
			refusal(429, secretive)(w, r)
		}, makegood.RateLimited, "1s"},
		{"our fault", refusal(400, secretive), makegood.ProviderFailed, "permanent"},
		{"our fault, differently", refusal(402, secretive), makegood.ProviderFailed, "permanent"},
		{"their time ran out", refusal(408, secretive), makegood.ProviderFailed, "retry"},
		{"a request id that is something else", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Request-Id", "ann@example.com")
			refusal(500, secretive)(w, r)
		}, makegood.ProviderFailed, "retry"},
		{"their fault", refusal(500, secretive), makegood.ProviderFailed, "retry"},
		{"their fault, in HTML", refusal(503, "<html>ann@example.com</html>"), makegood.ProviderFailed, "retry"},
		{"a redirect", refusal(302, ""), makegood.ProviderFailed, "retry"},
		{"not JSON", body("ann@example.com"), makegood.ProviderFailed, "retry"},
		{"a list", body("[]"), makegood.ProviderFailed, "retry"},
		{"another session", body(strings.Replace(apiSession, "cs_test_x", "cs_test_y", 1)), makegood.ProviderFailed, "retry"},
		{"the API says unpaid", body(strings.Replace(apiSession, `"paid"`, `"unpaid"`, 1)), makegood.ProviderFailed, "retry"},
		{"the API says nothing", body(`{"id":"cs_test_x"}`), makegood.ProviderFailed, "retry"},
		{"the line breaks", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, makegood.ProviderFailed, "retry"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, map[string]http.HandlerFunc{sessionPath: tt.answer})
			got, err := interpret(t.Context(), newStripe(t, a.URL, nil), event)
			if err == nil || makegood.CodeOf(err) != tt.want || verdictOf(err) != tt.verdict {
				t.Fatalf("Interpret = %+v, %v (%s); want %s (%s)", got, err, verdictOf(err), tt.want, tt.verdict)
			}
			for _, leak := range []string{"ann@", "51Q0", "Invalid API Key"} {
				if strings.Contains(err.Error()+makegood.MessageOf(err), leak) {
					t.Errorf("the error %q repeats %q", err, leak)
				}
			}
		})
	}
}

// TestInterpretAsksUntilItIsTold: an event that does not say whether it was paid, and an API that does not either.
func TestInterpretAsksUntilItIsTold(t *testing.T) {
	t.Parallel()
	a := newAPI(t, map[string]http.HandlerFunc{sessionPath: body(`{"id":"cs_test_x"}`)})
	got, err := interpret(t.Context(), newStripe(t, a.URL, nil),
		`{"id":"evt_1","object":"event","livemode":false,"type":"checkout.session.completed","data":{"object":{"id":"cs_test_x"}}}`)
	if makegood.CodeOf(err) != makegood.ProviderFailed || verdictOf(err) != "retry" {
		t.Errorf("Interpret = %+v, %v; want an error that is worth a retry", got, err)
	}
}

// TestInterpretOfAThinEventWithoutItsSession: what Stripe told of and then does not know is trouble, not an answer.
func TestInterpretOfAThinEventWithoutItsSession(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	_, err := interpret(t.Context(), newStripe(t, a.URL, nil),
		`{"id":"evt_1","object":"v2.core.event","livemode":false,"type":"v1.checkout.session.completed","related_object":{"id":"cs_test_x","type":"checkout.session"}}`)
	if makegood.CodeOf(err) != makegood.ProviderFailed || verdictOf(err) != "retry" {
		t.Errorf("Interpret = %v, want an error that is worth a retry", err)
	}
}

func TestCustomers(t *testing.T) {
	t.Parallel()
	s := newStripe(t, "http://127.0.0.1:1", nil)
	long := strings.Repeat("a", 300)
	for _, tt := range []struct {
		fields string
		want   makegood.Customer
	}{
		{`"customer_details":{"email":" ann@example.com\n","name":"Ann"}`, makegood.Customer{Email: "ann@example.com", Name: "Ann"}},
		{`"customer_details":{"email":"ann@bücher.example"}`, makegood.Customer{Email: "ann@bücher.example"}},
		{`"customer_details":{"email":"ann@example.com\r\nBcc: all@example.com"},"customer_email":"bob@example.com"`, makegood.Customer{Email: "bob@example.com"}},
		{`"customer_details":{"email":"@example.com"}`, makegood.Customer{}},
		{`"customer_details":{"email":"ann@"}`, makegood.Customer{}},
		{`"customer_details":{"email":"ann"}`, makegood.Customer{}},
		{`"customer_details":{"email":7}`, makegood.Customer{}},
		{`"customer_details":{"email":"` + long + `@example.com"}`, makegood.Customer{}},
		{`"customer_details":{"email":"` + "\xff" + `@example.com","name":"A` + "\xff" + `"}`, makegood.Customer{Name: "A\uFFFD"}},
		{`"customer_details":{"name":"` + long + `"}`, makegood.Customer{Name: long[:250]}},
		{`"customer_details":{"name":"` + long[:249] + `ß"}`, makegood.Customer{Name: long[:249]}},
		{`"customer_details":{"name":"A\u0000\u001b\u2028B"}`, makegood.Customer{Name: "A B"}},
		{`"customer_details":{"business_name":"Ann & Co"}`, makegood.Customer{Name: "Ann & Co"}},
		{`"customer_details":[{"email":"ann@example.com"}]`, makegood.Customer{}},
	} {
		got, err := interpret(t.Context(), s,
			`{"id":"evt_1","object":"event","livemode":false,"type":"checkout.session.expired","data":{"object":{"id":"cs_test_x",`+tt.fields+`}}}`)
		if err != nil || len(got.Facts) != 1 || got.Facts[0].Customer != tt.want {
			t.Errorf("the customer of %s = %+v, %v; want %+v", tt.fields, got.Facts, err, tt.want)
		}
	}
}

func verdictOf(err error) string {
	var permanent *makegood.Permanent
	var snooze *makegood.Snooze
	switch {
	case errors.As(err, &permanent):
		return "permanent"
	case errors.As(err, &snooze):
		return snooze.For.String()
	}
	return "retry"
}

func TestWithoutAPIKeyNothingIsAsked(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	s := newStripe(t, a.URL, func(o *stripe.Options) { o.APIKey = secret.Value{} })
	if _, err := interpret(t.Context(), s, bodyPaid); err != nil {
		t.Errorf("Interpret of an event that tells everything: %v", err)
	}
	if err := s.Check(t.Context()); makegood.CodeOf(err) != makegood.Unavailable || len(a.requests()) != 0 {
		t.Errorf("Check = %v after %d calls, want unavailable after none", err, len(a.requests()))
	}
}
