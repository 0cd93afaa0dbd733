package simulate

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// eventTypes are the types of one page of GET /v1/events.
func eventTypes(t *testing.T, a account, query string) []string {
	t.Helper()
	got := do(t, http.DefaultClient, "GET", a.URL+"/v1/events?"+query, testKey, "")
	var list struct{ Data []struct{ Type string } }
	if err := json.Unmarshal([]byte(got.Body), &list); err != nil || got.Status != 200 {
		t.Fatalf("events?%s: %d %s", query, got.Status, got.Body)
	}
	var types []string
	for _, e := range list.Data {
		types = append(types, e.Type)
	}
	return types
}

const goodSession = "mode=payment&success_url=https://shop.example/ok&line_items[0][quantity]=1" +
	"&line_items[0][price_data][currency]=usd&line_items[0][price_data][unit_amount]=1900&line_items[0][price_data][product_data][name]=Exam"

func TestSessionParametersAreChecked(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	for _, tt := range []struct {
		name, body  string
		code, param string
	}{
		{"unknown parameter", goodSession + "&colour=red", "parameter_unknown", "colour"},
		{"unknown nested parameter", goodSession + "&line_items[0][price_data][colour]=red", "parameter_unknown", "line_items[0][price_data][colour]"},
		{"no mode", strings.Replace(goodSession, "mode=payment&", "", 1), "parameter_missing", "mode"},
		{"bad mode", strings.Replace(goodSession, "mode=payment", "mode=gift", 1), "", "mode"},
		{"no success_url", strings.Replace(goodSession, "success_url=https://shop.example/ok&", "", 1), "parameter_missing", "success_url"},
		{"relative success_url", strings.Replace(goodSession, "https://shop.example/ok", "/ok", 1), "url_invalid", "success_url"},
		{"no line_items", "mode=payment&success_url=https://shop.example/ok", "parameter_missing", "line_items"},
		{"no quantity", strings.Replace(goodSession, "&line_items[0][quantity]=1", "", 1), "", "line_items[0][quantity]"},
		{"fractional amount", strings.Replace(goodSession, "1900", "19.00", 1), "parameter_invalid_integer", "line_items[0][price_data][unit_amount]"},
		{"negative amount", strings.Replace(goodSession, "1900", "-1", 1), "parameter_invalid_integer", "line_items[0][price_data][unit_amount]"},
		{"no such currency", strings.Replace(goodSession, "usd", "dollars", 1), "", "line_items[0][price_data][currency]"},
		{"no such price", "mode=payment&success_url=https://shop.example/ok&line_items[0][price]=price_none&line_items[0][quantity]=1", "resource_missing", "line_items[0][price]"},
		{"price twice", goodSession + "&line_items[0][price]=price_1", "", "line_items[0]"},
		{"two currencies", goodSession + "&line_items[1][quantity]=1&line_items[1][price_data][currency]=eur&line_items[1][price_data][unit_amount]=1&line_items[1][price_data][product_data][name]=X", "", "line_items"},
		{"bad address", goodSession + "&customer_email=ann", "email_invalid", "customer_email"},
		{"long metadata", goodSession + "&metadata[k]=" + strings.Repeat("x", 501), "", "metadata[k]"},
		{"expires too soon", goodSession + "&expires_at=" + unix(time.Now().Add(time.Minute)), "", "expires_at"},
		{"not expandable", goodSession + "&expand[]=secrets", "", "expand"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, tt.body)
			var body struct {
				Error struct{ Type, Code, Message, Param string }
			}
			if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
				t.Fatal(err)
			}
			e := body.Error
			if got.Status != 400 || e.Type != "invalid_request_error" || e.Code != tt.code || e.Param != tt.param || e.Message == "" {
				t.Errorf("answer = %d %+v, want 400 with code %q and param %q", got.Status, e, tt.code, tt.param)
			}
			if got.Header.Get("Request-Id") == "" {
				t.Error("no Request-Id")
			}
		})
	}
}

func TestUnknownURL(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	got := do(t, http.DefaultClient, "GET", a.URL+"/v1/unicorns", testKey, "")
	if got.Status != 404 || !strings.Contains(got.Body, "Unrecognized request URL") {
		t.Errorf("answer = %d %s", got.Status, got.Body)
	}
	if basic := do(t, http.DefaultClient, "GET", strings.Replace(a.URL, "://", "://"+testKey+":@", 1)+"/v1/account", "", ""); basic.Status != 200 {
		t.Errorf("with the key as user name = %d %s", basic.Status, basic.Body)
	}
}

func TestIdempotencyReplaysTheAnswer(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	post := func(body string) answered {
		return do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, body, "Idempotency-Key", "k1")
	}
	first, again := post(goodSession), post(goodSession)
	if first.Status != 200 || again.Status != 200 || first.Body != again.Body {
		t.Errorf("first %d %s, again %d %s; want the same", first.Status, first.Body, again.Status, again.Body)
	}
	if first.Header.Get("Idempotent-Replayed") != "" || again.Header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("Idempotent-Replayed = %q, then %q", first.Header.Get("Idempotent-Replayed"), again.Header.Get("Idempotent-Replayed"))
	}
	if got, want := again.Header.Get("Original-Request"), first.Header.Get("Request-Id"); got != want {
		t.Errorf("Original-Request = %q, want %q", got, want)
	}
	if got := len(a.Sessions()); got != 1 {
		t.Errorf("sessions = %d, want 1", got)
	}
	if other := post(goodSession + "&client_reference_id=2"); other.Status != 400 || !strings.Contains(other.Body, `"idempotency_error"`) {
		t.Errorf("another body under the key = %d %s", other.Status, other.Body)
	}
	do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, goodSession)
	if got := len(a.Sessions()); got != 2 {
		t.Errorf("sessions after a call without a key = %d, want 2", got)
	}
}

func TestIdempotencyForgetsAfter24Hours(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAccount(t, StripeOptions{Now: clk.Now})
	post := func() answered {
		return do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, goodSession, "Idempotency-Key", "k1")
	}
	first := post()
	clk.Advance(keyLifetime - time.Second)
	if late := post(); late.Body != first.Body {
		t.Errorf("just inside 24 hours = %s, want a replay", late.Body)
	}
	clk.Advance(time.Second)
	if after := post(); after.Body == first.Body || after.Status != 200 {
		t.Errorf("after 24 hours = %d %s, want a new session", after.Status, after.Body)
	}
}

func TestIdempotencyDoesNotRememberRefusals(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	post := func(body string) answered {
		return do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, body, "Idempotency-Key", "k1")
	}
	if bad := post("mode=payment"); bad.Status != 400 {
		t.Errorf("bad parameters = %d", bad.Status)
	}
	if good := post(goodSession); good.Status != 200 || good.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("after the mistake was mended = %d %s", good.Status, good.Body)
	}
}

func TestIdempotencyRemembers500ButNot429(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	post := func(key string) answered {
		return do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, goodSession, "Idempotency-Key", key)
	}
	for _, status := range []int{500, 429, 503} {
		a.SetFaults(Faults{FailAPI: func(*http.Request) int { return status }})
		if got := post(strconv.Itoa(status)).Status; got != status {
			t.Errorf("faulty answer = %d, want %d", got, status)
		}
	}
	a.SetFaults(Faults{})
	for key, want := range map[string]int{"500": 500, "429": 200, "503": 200} {
		if got := post(key); got.Status != want {
			t.Errorf("after the fault, key of the %s = %d, want %d", key, got.Status, want)
		}
	}
	if got := len(a.Sessions()); got != 2 {
		t.Errorf("sessions = %d, want 2", got)
	}
}

func TestIdempotencyConcurrentUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := NewStripe(StripeOptions{APIKey: testKey})
		defer s.Close()
		s.SetFaults(Faults{Latency: time.Second})
		client := &http.Client{Transport: Transport{s}}
		post := func() answered {
			return do(t, client, "POST", "http://stripe.test/v1/checkout/sessions", testKey, goodSession, "Idempotency-Key", "k1")
		}
		first := make(chan answered)
		go func() { first <- post() }()
		synctest.Wait() // the first is asleep in its latency
		if second := post(); second.Status != 409 || !strings.Contains(second.Body, "idempotency_key_in_use") {
			t.Errorf("while in flight = %d %s, want 409", second.Status, second.Body)
		}
		if got := <-first; got.Status != 200 {
			t.Errorf("the first = %d %s", got.Status, got.Body)
		}
	})
}

func TestAnswerLostAfterActing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault int
	}{{"time-out", Hang}, {"hung up", Abort}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := NewStripe(StripeOptions{APIKey: testKey})
				defer s.Close()
				s.SetFaults(Faults{FailAfter: func(*http.Request) int { return tt.fault }})
				client := &http.Client{Transport: Transport{s}, Timeout: 5 * time.Second}
				r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://stripe.test/v1/checkout/sessions", strings.NewReader(goodSession))
				r.Header.Set("Authorization", "Bearer "+testKey)
				r.Header.Set("Idempotency-Key", "k1")
				if response, err := client.Do(r); err == nil {
					t.Errorf("answer = %d, want none", response.StatusCode)
				}
				s.SetFaults(Faults{})
				again := do(t, client, "POST", "http://stripe.test/v1/checkout/sessions", testKey, goodSession, "Idempotency-Key", "k1")
				if got := s.Sessions(); len(got) != 1 || !strings.Contains(again.Body, got[0].ID) {
					t.Errorf("again = %d %s with %d sessions, want the one", again.Status, again.Body, len(got))
				}
			})
		})
	}
}

func TestPayVariants(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{})
	defer s.Close()
	delayed := mustPay(t, s, Delayed())
	if delayed.Status != "complete" || delayed.PaymentStatus != "unpaid" {
		t.Errorf("delayed = %s, %s", delayed.Status, delayed.PaymentStatus)
	}
	if _, err := s.Refund(delayed.PaymentIntent, 0); !errors.Is(err, ErrState) {
		t.Errorf("refund before the money came = %v", err)
	}
	if err := s.SettleDelayed(delayed.ID, true); err != nil {
		t.Fatal(err)
	}
	if settled, _ := s.Session(delayed.ID); settled.PaymentStatus != "paid" {
		t.Errorf("settled = %s", settled.PaymentStatus)
	}
	if err := s.SettleDelayed(delayed.ID, true); !errors.Is(err, ErrState) {
		t.Errorf("settling twice = %v", err)
	}
	failed := mustPay(t, s, Delayed())
	if err := s.SettleDelayed(failed.ID, false); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Session(failed.ID); got.PaymentStatus != "unpaid" {
		t.Errorf("failed = %s", got.PaymentStatus)
	}
	if got := mustPay(t, s, Declined()); got.Status != "open" || s.Pay(got.ID, ann) != nil || s.Pay(got.ID, ann) == nil {
		t.Errorf("declined = %s; want open, payable once", got.Status)
	}
	free := s.CreateSession(SessionParams{LineItems: []LineItemParams{{PriceData: Price{Product: "Sample", Currency: "usd"}}}})
	if err := s.Pay(free.ID, Customer{}); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Session(free.ID); got.PaymentStatus != "no_payment_required" || got.PaymentIntent != "" {
		t.Errorf("free = %s, %s", got.PaymentStatus, got.PaymentIntent)
	}
	if err := s.Pay("cs_none", ann); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown session = %v", err)
	}
}

func TestSessionsExpireByThemselves(t *testing.T) {
	t.Parallel()
	clk := newClock()
	s := NewStripe(StripeOptions{Now: clk.Now})
	defer s.Close()
	soon := s.CreateSession(SessionParams{LineItems: oneExam().LineItems, ExpiresAt: clk.Now().Add(time.Hour)})
	late, paid := s.CreateSession(oneExam()), mustPay(t, s)
	clk.Advance(time.Hour)
	for id, want := range map[string]string{soon.ID: "expired", late.ID: "open", paid.ID: "complete"} {
		if got, _ := s.Session(id); got.Status != want {
			t.Errorf("after an hour %s is %s, want %s", id, got.Status, want)
		}
	}
	if err := s.Expire(late.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Pay(late.ID, ann); !errors.Is(err, ErrState) {
		t.Errorf("paying an expired session = %v", err)
	}
	n := 0
	for _, e := range s.Events() {
		if e.Type == "checkout.session.expired" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("checkout.session.expired = %d, want 2", n)
	}
}

func TestDisputes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		open func(*Stripe, string) (string, error)
		won  bool
		want []string
	}{
		{"won", (*Stripe).Dispute, true, []string{"charge.dispute.created needs_response", "charge.dispute.funds_withdrawn needs_response",
			"charge.dispute.funds_reinstated won", "charge.dispute.closed won"}},
		{"lost", (*Stripe).Dispute, false, []string{"charge.dispute.created needs_response", "charge.dispute.funds_withdrawn needs_response",
			"charge.dispute.closed lost"}},
		{"inquiry", (*Stripe).Inquire, true, []string{"charge.dispute.created warning_needs_response", "charge.dispute.closed warning_closed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := NewStripe(StripeOptions{})
			defer s.Close()
			paid := mustPay(t, s)
			id, err := tt.open(s, paid.PaymentIntent)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.CloseDispute(id, tt.won); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range s.Events() {
				var body struct {
					Data struct{ Object struct{ Status string } }
				}
				if err := json.Unmarshal(e.Body, &body); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(e.Type, "charge.dispute.") {
					got = append([]string{e.Type + " " + body.Data.Object.Status}, got...)
				}
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("events (-got +want):\n%s", diff)
			}
		})
	}
}

func TestLineItemsAreListed(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	p := oneExam()
	p.LineItems = append(p.LineItems, LineItemParams{PriceData: Price{Product: "Handbook", Currency: "usd", UnitAmount: 5}, Quantity: 3})
	session := a.CreateSession(p)
	got := do(t, http.DefaultClient, "GET", a.URL+"/v1/checkout/sessions/"+session.ID+"/line_items", testKey, "")
	first, second := strings.Index(got.Body, "AZ-900"), strings.Index(got.Body, "Handbook")
	if got.Status != 200 || first < 0 || second < first {
		t.Errorf("line items = %d %s", got.Status, got.Body)
	}
}

func TestEventsAreForgottenBeyondTheLimit(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{EventsMax: 5})
	defer s.Close()
	for range 4 {
		mustPay(t, s)
	}
	events := s.Events()
	if len(events) != 5 {
		t.Fatalf("events = %d, want 5", len(events))
	}
	if _, ok := s.Event(events[4].ID); !ok {
		t.Error("the oldest of the five cannot be found")
	}
}

func TestPagesPayAndGoBack(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	sh := newShop(t, nil)
	a.AddWebhookEndpoint(sh.URL, testSecret)
	p := oneExam()
	p.SuccessURL, p.CancelURL = "https://shop.example/ok?session_id={CHECKOUT_SESSION_ID}", "https://shop.example/no"
	session := a.CreateSession(p)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	page := do(t, browser, "GET", session.URL, "", "")
	for _, want := range []string{"AZ-900 practice exam", "19.00 USD", "https://shop.example/no", "Pay later"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if got := do(t, browser, "POST", session.URL, "", "method=card&email=nobody"); got.Status != 422 {
		t.Errorf("without an address = %d, want 422", got.Status)
	}
	if got := do(t, browser, "POST", session.URL, "", "method=declined&email=ann@example.com"); got.Status != 402 || !strings.Contains(got.Body, "declined") {
		t.Errorf("declined = %d", got.Status)
	}
	if got := do(t, browser, "POST", session.URL, "", "method=card&email=ann@example.com", "Origin", "https://evil.example"); got.Status != 403 {
		t.Errorf("from another site = %d, want 403", got.Status)
	}
	for _, click := range []string{"first", "double"} {
		got := do(t, browser, "POST", session.URL, "", "method=card&email=ann@example.com&name=Ann")
		if want := "https://shop.example/ok?session_id=" + session.ID; got.Status != 303 || got.Header.Get("Location") != want {
			t.Errorf("%s click = %d to %s, want 303 to %s", click, got.Status, got.Header.Get("Location"), want)
		}
	}
	if paid, _ := a.Session(session.ID); paid.PaymentStatus != "paid" || paid.Customer.Name != "Ann" {
		t.Errorf("session = %s, %+v", paid.PaymentStatus, paid.Customer)
	}
	waitIdle(t, a.Stripe)
	if got := do(t, browser, "GET", session.URL, "", ""); !strings.Contains(got.Body, "Already paid") {
		t.Errorf("the page afterwards = %s", got.Body)
	}
	index := do(t, browser, "GET", a.URL+"/", "", "")
	for _, want := range []string{"checkout.session.completed", "ann@example.com", "delivered", "Refund"} {
		if !strings.Contains(index.Body, want) {
			t.Errorf("the overview lacks %q", want)
		}
	}
}

func TestOverviewButtons(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	open, paid, delayed := a.CreateSession(oneExam()).ID, mustPay(t, a.Stripe).ID, mustPay(t, a.Stripe, Delayed()).ID
	subscribed, ended := mustSubscribe(t, a.Stripe).ID, mustSubscribe(t, a.Stripe).ID
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tt := range []struct {
		session, act string
		want         int
	}{
		{open, "expire", 303}, {open, "expire", 409}, {delayed, "settle", 303}, {delayed, "refund", 303}, {delayed, "failrefund", 303},
		{delayed, "failrefund", 409}, {paid, "dispute", 303}, {paid, "refund", 409}, {paid, "win", 303}, {paid, "refund", 303},
		{subscribed, "renew", 303}, {subscribed, "failrenewal", 303}, {subscribed, "renew", 303}, {subscribed, "refund", 303},
		{subscribed, "dispute", 303}, {subscribed, "lose", 303}, {subscribed, "cancellater", 303}, {subscribed, "renew", 303},
		{subscribed, "renew", 409}, {ended, "cancel", 303}, {ended, "cancel", 409}, {paid, "renew", 409},
		{paid, "dance", 409}, {"cs_none", "refund", 404},
	} {
		if got := do(t, browser, "POST", a.URL+"/world/sessions/"+tt.session+"/"+tt.act, "", ""); got.Status != tt.want {
			t.Errorf("%s of %s = %d %s, want %d", tt.act, tt.session, got.Status, got.Body, tt.want)
		}
		if page := do(t, browser, "GET", a.URL+"/", "", ""); page.Status != 200 {
			t.Fatalf("overview after %s = %d %s", tt.act, page.Status, page.Body)
		}
	}
}

func TestPageWaitsForTheShop(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{RedirectWait: 10 * time.Second})
	sh := newShop(t, nil)
	a.AddWebhookEndpoint(sh.URL, testSecret)
	session := a.CreateSession(oneExam())
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got := do(t, browser, "POST", session.URL, "", "method=card&email=ann@example.com")
	if got.Status != 303 || len(sh.received()) != 3 {
		t.Errorf("redirect = %d with %d deliveries made, want 303 with 3", got.Status, len(sh.received()))
	}
}

func TestUpdateSessionMetadata(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	session := a.CreateSession(oneExam())
	got := do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions/"+session.ID, testKey, "metadata[order]=ord_1&metadata[product]=")
	after, _ := a.Session(session.ID)
	if diff := cmp.Diff(after.Metadata, map[string]string{"order": "ord_1"}); diff != "" || got.Status != 200 {
		t.Errorf("metadata after %d (-got +want):\n%s", got.Status, diff)
	}
}

func TestFailedAPIDoesNotAct(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	a.SetFaults(Faults{FailAPI: func(r *http.Request) int {
		if strings.HasPrefix(r.URL.Path, "/v1/checkout/") {
			return http.StatusBadGateway
		}
		return 0
	}})
	if got := do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions", testKey, goodSession); got.Status != 502 || len(a.Sessions()) != 0 {
		t.Errorf("answer = %d with %d sessions, want 502 with none", got.Status, len(a.Sessions()))
	}
	if got := do(t, http.DefaultClient, "GET", a.URL+"/v1/account", testKey, ""); got.Status != 200 {
		t.Errorf("another path = %d, want 200", got.Status)
	}
}

func TestListsOfEverything(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	a.AddPrice(Price{ID: "price_1", Product: "Exam", ProductID: "prod_1", Currency: "usd", UnitAmount: 1900})
	a.AddPrice(Price{ID: "price_1", Product: "Exam, dearer", ProductID: "prod_1", Currency: "usd", UnitAmount: 2900})
	we := a.AddWebhookEndpoint("http://127.0.0.1:1/", testSecret)
	mustPay(t, a.Stripe)
	paid := mustPay(t, a.Stripe)
	dispute, err := a.Inquire(paid.PaymentIntent)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		want       int
		contains   string
	}{
		{"intents", "/v1/payment_intents", 2, paid.PaymentIntent},
		{"intents with their charge", "/v1/payment_intents?expand[]=data.latest_charge", 2, `"object":"charge"`},
		{"charges", "/v1/charges", 2, paid.PaymentIntent},
		{"charges of an intent", "/v1/charges?payment_intent=" + paid.PaymentIntent, 1, paid.PaymentIntent},
		{"disputes of an intent", "/v1/disputes?payment_intent=" + paid.PaymentIntent, 1, dispute},
		{"disputes of another charge", "/v1/disputes?charge=ch_none", 0, `"data":[]`},
		{"prices of a product", "/v1/prices?product=prod_1&active=true&expand[]=data.product", 1, `Exam, dearer`},
		{"endpoints", "/v1/webhook_endpoints", 1, we},
		{"complete sessions", "/v1/checkout/sessions?status=complete&customer_details[email]=ann@example.com", 2, paid.ID},
		{"sessions of a stranger", "/v1/checkout/sessions?customer=cus_1", 0, `"data":[]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := do(t, http.DefaultClient, "GET", a.URL+tt.path, testKey, "")
			var list struct{ Data []json.RawMessage }
			if err := json.Unmarshal([]byte(got.Body), &list); err != nil {
				t.Fatal(err)
			}
			if len(list.Data) != tt.want || !strings.Contains(got.Body, tt.contains) {
				t.Errorf("GET %s = %d %s, want %d with %s", tt.path, got.Status, got.Body, tt.want, tt.contains)
			}
		})
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "starting_after=cs_none", "colour=red"} {
		if got := do(t, http.DefaultClient, "GET", a.URL+"/v1/checkout/sessions?"+query, testKey, ""); got.Status != 400 {
			t.Errorf("?%s = %d, want 400", query, got.Status)
		}
	}
}

func TestExpireAndRefundOverTheAPI(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	open, paid := a.CreateSession(oneExam()), mustPay(t, a.Stripe)
	expire := func(id string) answered {
		return do(t, http.DefaultClient, "POST", a.URL+"/v1/checkout/sessions/"+id+"/expire", testKey, "")
	}
	if got := expire(open.ID); got.Status != 200 || !strings.Contains(got.Body, `"status":"expired"`) {
		t.Errorf("expire = %d %s", got.Status, got.Body)
	}
	if got := expire(paid.ID); got.Status != 400 {
		t.Errorf("expire of a paid session = %d, want 400", got.Status)
	}
	pi := do(t, http.DefaultClient, "GET", a.URL+"/v1/payment_intents/"+paid.PaymentIntent, testKey, "")
	var intent struct {
		Charge string `json:"latest_charge"`
	}
	if err := json.Unmarshal([]byte(pi.Body), &intent); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"neither charge nor intent", "amount=5", 400},
		{"nothing", "payment_intent=" + paid.PaymentIntent + "&amount=0", 400},
		{"unknown charge", "charge=ch_none", 404},
		{"odd reason", "charge=" + intent.Charge + "&reason=boredom", 400},
		{"by charge", "charge=" + intent.Charge + "&amount=5&metadata[by]=ann", 200},
		{"the rest", "payment_intent=" + paid.PaymentIntent, 200},
	} {
		if got := do(t, http.DefaultClient, "POST", a.URL+"/v1/refunds", testKey, tt.body); got.Status != tt.want {
			t.Errorf("%s = %d %s, want %d", tt.name, got.Status, got.Body, tt.want)
		}
	}
}

func TestDisputedChargeCannotBeRefunded(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{})
	defer s.Close()
	paid := mustPay(t, s)
	id, err := s.Dispute(paid.PaymentIntent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dispute(paid.PaymentIntent); !errors.Is(err, ErrState) {
		t.Errorf("a second dispute = %v", err)
	}
	if _, err := s.Refund(paid.PaymentIntent, 0); !errors.Is(err, ErrState) {
		t.Errorf("refund while disputed = %v", err)
	}
	if err := s.CloseDispute(id, true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refund(paid.PaymentIntent, 0); err != nil {
		t.Errorf("refund after it was won = %v", err)
	}
	for name, err := range map[string]error{
		"close twice": s.CloseDispute(id, true), "close none": s.CloseDispute("du_none", true), "fail none": s.FailRefund("re_none"),
	} {
		if err == nil {
			t.Errorf("%s = nil, want an error", name)
		}
	}
	if _, err := s.Refund("pi_none", 0); !errors.Is(err, ErrUnknown) {
		t.Errorf("refund of an unknown intent = %v", err)
	}
}

func TestDelayedPageAndExpiredPage(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	later, expired := a.CreateSession(oneExam()), a.CreateSession(oneExam())
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if got := do(t, browser, "POST", later.URL, "", "method=delayed&email=ann@example.com"); got.Status != 303 {
		t.Errorf("pay later = %d", got.Status)
	}
	if got, _ := a.Session(later.ID); got.Status != "complete" || got.PaymentStatus != "unpaid" {
		t.Errorf("session = %s, %s", got.Status, got.PaymentStatus)
	}
	if err := a.Expire(expired.ID); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "POST"} {
		if got := do(t, browser, method, expired.URL, "", "method=card&email=ann@example.com"); got.Status != 410 {
			t.Errorf("%s of an expired page = %d, want 410", method, got.Status)
		}
	}
	if got := do(t, browser, "GET", a.URL+"/pay/cs_none", "", ""); got.Status != 404 {
		t.Errorf("unknown page = %d, want 404", got.Status)
	}
}

func TestMoneyForPeople(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		amount   int64
		currency string
		want     string
	}{
		{1905, "usd", "19.05 USD"}, {1905, "jpy", "1905 JPY"}, {1905, "kwd", "1.905 KWD"}, {0, "", "nothing"},
	} {
		if got := money(tt.amount, tt.currency); got != tt.want {
			t.Errorf("money(%d, %q) = %q, want %q", tt.amount, tt.currency, got, tt.want)
		}
	}
}
