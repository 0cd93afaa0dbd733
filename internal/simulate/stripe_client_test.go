package simulate

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"
)

// stripeError asserts that the official client understood an error of ours.
func stripeError(t *testing.T, err error) *stripe.Error {
	t.Helper()
	var e *stripe.Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v (%T), want a *stripe.Error", err, err)
	}
	return e
}

func TestClientCreatesAndRetrievesSession(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	a.AddPrice(Price{ID: "price_az900", Product: "AZ-900", ProductID: "prod_az900", Currency: "usd", UnitAmount: 1900,
		Metadata: map[string]string{"sku": "az-900"}, ProductMetadata: map[string]string{"family": "azure"}})
	created, err := a.Client.V1CheckoutSessions.Create(t.Context(), &stripe.CheckoutSessionCreateParams{
		Mode:              stripe.String("payment"),
		SuccessURL:        stripe.String("https://shop.example/ok?session_id={CHECKOUT_SESSION_ID}"),
		CancelURL:         stripe.String("https://shop.example/no"),
		ClientReferenceID: stripe.String("ord_1"),
		CustomerEmail:     stripe.String("ann@example.com"),
		Metadata:          map[string]string{"product": "az-900"},
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{
			{Price: stripe.String("price_az900"), Quantity: stripe.Int64(2)},
			{Quantity: stripe.Int64(1), PriceData: &stripe.CheckoutSessionCreateLineItemPriceDataParams{
				Currency: stripe.String("usd"), UnitAmount: stripe.Int64(500),
				ProductData: &stripe.CheckoutSessionCreateLineItemPriceDataProductDataParams{Name: stripe.String("Handbook")},
			}},
		},
		PaymentIntentData:     &stripe.CheckoutSessionCreatePaymentIntentDataParams{Metadata: map[string]string{"order": "ord_1"}},
		AllowPromotionCodes:   stripe.Bool(true),
		PhoneNumberCollection: &stripe.CheckoutSessionCreatePhoneNumberCollectionParams{Enabled: stripe.Bool(false)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if created.LineItems != nil {
		t.Errorf("line_items of a session that was not expanded = %v, want none", created.LineItems)
	}
	if !strings.HasPrefix(created.ID, "cs_test_") || created.URL != a.URL+"/pay/"+created.ID || created.AmountTotal != 4300 {
		t.Errorf("created id %s, url %s, total %d", created.ID, created.URL, created.AmountTotal)
	}
	if err := a.Pay(created.ID, ann); err != nil {
		t.Fatal(err)
	}
	params := &stripe.CheckoutSessionRetrieveParams{}
	params.AddExpand("line_items.data.price.product")
	params.AddExpand("payment_intent.latest_charge")
	got, err := a.Client.V1CheckoutSessions.Retrieve(t.Context(), created.ID, params)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != "complete" || got.PaymentStatus != "paid" || got.CustomerDetails.Email != ann.Email || got.CustomerDetails.Address.City != "Berlin" {
		t.Errorf("retrieved %s, %s, %+v", got.Status, got.PaymentStatus, got.CustomerDetails)
	}
	if got.Metadata["product"] != "az-900" || got.ClientReferenceID != "ord_1" || got.URL != "" || got.Livemode {
		t.Errorf("retrieved metadata %v, reference %s, url %s, livemode %t", got.Metadata, got.ClientReferenceID, got.URL, got.Livemode)
	}
	lines := got.LineItems.Data
	if len(lines) != 2 || lines[0].Price.Product.Name != "AZ-900" || lines[0].Price.Product.Metadata["family"] != "azure" ||
		lines[0].Price.Metadata["sku"] != "az-900" || lines[0].Quantity != 2 || lines[1].Description != "Handbook" {
		t.Errorf("line items = %+v", lines)
	}
	if ch := got.PaymentIntent.LatestCharge; ch.Amount != 4300 || !ch.Paid || ch.BillingDetails.Email != ann.Email || ch.Metadata["order"] != "ord_1" {
		t.Errorf("charge = %+v", ch)
	}
}

func TestClientListsSessionsOfPaymentIntent(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	mustPay(t, a.Stripe)
	want := mustPay(t, a.Stripe)
	mustPay(t, a.Stripe)
	a.CreateSession(oneExam())
	var got []string
	for session, err := range a.Client.V1CheckoutSessions.List(t.Context(), &stripe.CheckoutSessionListParams{PaymentIntent: &want.PaymentIntent}).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, session.ID)
	}
	if diff := cmp.Diff(got, []string{want.ID}); diff != "" {
		t.Errorf("sessions of %s (-got +want):\n%s", want.PaymentIntent, diff)
	}
	if unknown := do(t, http.DefaultClient, "GET", a.URL+"/v1/checkout/sessions?payment_intent=pi_none", testKey, ""); !strings.Contains(unknown.Body, `"data":[]`) {
		t.Errorf("sessions of an unknown intent = %s", unknown.Body)
	}
}

func TestClientPagesThroughLists(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	var want []string // newest first
	for range 25 {
		want = slices.Insert(want, 0, a.CreateSession(oneExam()).ID)
	}
	list := func(p *stripe.CheckoutSessionListParams) (ids []string) {
		for session, err := range a.Client.V1CheckoutSessions.List(t.Context(), p).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, session.ID)
		}
		return ids
	}
	forward := &stripe.CheckoutSessionListParams{}
	forward.Limit = stripe.Int64(10)
	if diff := cmp.Diff(list(forward), want); diff != "" {
		t.Errorf("paging on (-got +want):\n%s", diff)
	}
	backward := &stripe.CheckoutSessionListParams{}
	backward.Limit, backward.EndingBefore = stripe.Int64(10), stripe.String(want[24])
	chronological := slices.Clone(want[:24])
	slices.Reverse(chronological)
	if diff := cmp.Diff(list(backward), chronological); diff != "" {
		t.Errorf("paging back (-got +want):\n%s", diff)
	}
}

func TestClientListsUndeliveredEvents(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	sh := newShop(t, func(_ int, r received) int {
		if r.Event.Type == "checkout.session.completed" {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	a.AddWebhookEndpoint(sh.URL, testSecret)
	paid := mustPay(t, a.Stripe)
	waitIdle(t, a.Stripe)
	list := func(success bool, types ...string) (got []*stripe.Event) {
		p := &stripe.EventListParams{DeliverySuccess: &success}
		for _, name := range types {
			p.Types = append(p.Types, stripe.String(name))
		}
		for e, err := range a.Client.V1Events.List(t.Context(), p).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e)
		}
		return got
	}
	failed := list(false)
	if len(failed) != 1 || failed[0].Type != "checkout.session.completed" || failed[0].PendingWebhooks != 1 {
		t.Fatalf("undelivered = %+v", failed)
	}
	if got := failed[0].Data.Object["id"]; got != paid.ID {
		t.Errorf("undelivered is about %v, want %s", got, paid.ID)
	}
	if got := list(true); len(got) != 2 || got[0].PendingWebhooks != 0 {
		t.Errorf("delivered = %+v, want two without pending webhooks", got)
	}
	if got := list(true, "charge.succeeded"); len(got) != 1 {
		t.Errorf("delivered charge.succeeded = %+v, want one", got)
	}
	one, err := a.Client.V1Events.Retrieve(t.Context(), failed[0].ID, nil)
	if err != nil || one.ID != failed[0].ID || string(one.APIVersion) != stripe.APIVersion {
		t.Errorf("retrieved %+v, %v", one, err)
	}
}

func TestClientFiltersEventsByType(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAccount(t, StripeOptions{Now: clk.Now})
	mustPay(t, a.Stripe)
	clk.Advance(time.Hour)
	a.Emit("customer.created", []byte(`{"id":"cus_1","object":"customer"}`))
	for _, tt := range []struct {
		name  string
		query string
		want  []string
	}{
		{"one type", "type=charge.succeeded", []string{"charge.succeeded"}},
		{"wildcard", "type=checkout.*", []string{"checkout.session.completed"}},
		{"everything", "type=*", []string{"customer.created", "checkout.session.completed", "payment_intent.succeeded", "charge.succeeded"}},
		{"several types", "types[]=customer.created&types[]=charge.succeeded", []string{"customer.created", "charge.succeeded"}},
		{"since", "created[gte]=" + unix(clk.Now()), []string{"customer.created"}},
		{"before", "created[lt]=" + unix(clk.Now()) + "&limit=1", []string{"checkout.session.completed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(eventTypes(t, a, tt.query), tt.want); diff != "" {
				t.Errorf("GET /v1/events?%s (-got +want):\n%s", tt.query, diff)
			}
		})
	}
}

func TestEventsReachBack30Days(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAccount(t, StripeOptions{Now: clk.Now})
	mustPay(t, a.Stripe)
	clk.Advance(eventAge)
	if got := eventTypes(t, a, ""); len(got) != 3 {
		t.Errorf("events of 30 days ago = %v, want three", got)
	}
	clk.Advance(time.Second)
	if got := eventTypes(t, a, ""); len(got) != 0 {
		t.Errorf("older events = %v, want none", got)
	}
}

func TestClientRefunds(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	paid := mustPay(t, a.Stripe)
	create := func(amount int64) (*stripe.Refund, error) {
		return a.Client.V1Refunds.Create(t.Context(), &stripe.RefundCreateParams{
			PaymentIntent: &paid.PaymentIntent, Amount: &amount, Reason: stripe.String("requested_by_customer"),
		})
	}
	part, err := create(900)
	if err != nil || part.Status != "succeeded" || part.Amount != 900 || part.PaymentIntent.ID != paid.PaymentIntent {
		t.Fatalf("partial refund = %+v, %v", part, err)
	}
	if _, err := create(1001); stripeError(t, err).Param != "amount" {
		t.Errorf("refund of more than is left: %v", err)
	}
	if _, err := create(1000); err != nil {
		t.Fatal(err)
	}
	if _, err := create(1); stripeError(t, err).Code != stripe.ErrorCodeChargeAlreadyRefunded {
		t.Errorf("refund of a refunded charge: %v", err)
	}
	if err := a.FailRefund(part.ID); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range a.Client.V1Refunds.List(t.Context(), &stripe.RefundListParams{PaymentIntent: &paid.PaymentIntent}).All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	failed, err := a.Client.V1Refunds.Retrieve(t.Context(), part.ID, nil)
	if err != nil || n != 2 || failed.Status != "failed" || failed.FailureReason != "expired_or_canceled_card" {
		t.Errorf("after the failure: %d refunds, %+v, %v", n, failed, err)
	}
	ch, err := a.Client.V1Charges.Retrieve(t.Context(), failed.Charge.ID, nil)
	if err != nil || ch.AmountRefunded != 1000 || ch.Refunded {
		t.Errorf("charge after the failure = %d of %d, refunded %t, %v", ch.AmountRefunded, ch.Amount, ch.Refunded, err)
	}
	want := []string{"charge.refund.updated", "refund.failed", "refund.updated", "charge.refunded", "refund.created", "charge.refunded", "refund.created"}
	if diff := cmp.Diff(eventTypes(t, a, "limit=7"), want); diff != "" {
		t.Errorf("events (-got +want):\n%s", diff)
	}
}

func TestClientUnderstandsErrors(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	_, err := a.Client.V1CheckoutSessions.Retrieve(t.Context(), "cs_test_none", nil)
	if e := stripeError(t, err); e.HTTPStatusCode != 404 || e.Code != stripe.ErrorCodeResourceMissing || e.RequestID == "" {
		t.Errorf("unknown session: %+v", e)
	}
	_, err = clientFor(a.URL, "sk_test_another_key_altogether", nil).V1Accounts.Retrieve(t.Context(), nil)
	if e := stripeError(t, err); e.HTTPStatusCode != 401 || e.Type != stripe.ErrorTypeInvalidRequest || strings.Contains(e.Msg, "another_key") {
		t.Errorf("wrong key: %+v", e)
	}
	a.SetFaults(Faults{FailAPI: func(*http.Request) int { return http.StatusTooManyRequests }})
	_, err = a.Client.V1Balance.Retrieve(t.Context(), nil)
	if e := stripeError(t, err); e.HTTPStatusCode != 429 || e.Code != stripe.ErrorCodeRateLimit {
		t.Errorf("rate limit: %+v", e)
	}
	a.SetFaults(Faults{FailAPI: func(*http.Request) int { return http.StatusServiceUnavailable }})
	_, err = a.Client.V1Balance.Retrieve(t.Context(), nil)
	if e := stripeError(t, err); e.HTTPStatusCode != 503 || e.Type != stripe.ErrorTypeAPI {
		t.Errorf("unavailable: %+v", e)
	}
	a.SetFaults(Faults{})
	if _, err = a.Client.V1Balance.Retrieve(t.Context(), nil); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}

func TestClientReadsAccountBalancePricesAndDisputes(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{Account: "acct_1"})
	a.AddPrice(Price{ID: "price_1", Product: "Exam", Currency: "usd", UnitAmount: 1900})
	paid := mustPay(t, a.Stripe)
	id, err := a.Dispute(paid.PaymentIntent)
	if err != nil {
		t.Fatal(err)
	}
	if who, err := a.Client.V1Accounts.Retrieve(t.Context(), nil); err != nil || who.ID != "acct_1" || !who.ChargesEnabled {
		t.Errorf("account = %+v, %v", who, err)
	}
	if b, err := a.Client.V1Balance.Retrieve(t.Context(), nil); err != nil || b.Available[0].Amount != 1900 {
		t.Errorf("balance = %+v, %v", b, err)
	}
	if p, err := a.Client.V1Prices.Retrieve(t.Context(), "price_1", nil); err != nil || p.UnitAmount != 1900 {
		t.Errorf("price = %+v, %v", p, err)
	}
	if d, err := a.Client.V1Disputes.Retrieve(t.Context(), id, nil); err != nil || d.Status != "needs_response" || d.PaymentIntent.ID != paid.PaymentIntent {
		t.Errorf("dispute = %+v, %v", d, err)
	}
	if pi, err := a.Client.V1PaymentIntents.Retrieve(t.Context(), paid.PaymentIntent, nil); err != nil || pi.Status != "succeeded" || pi.AmountReceived != 1900 {
		t.Errorf("intent = %+v, %v", pi, err)
	}
}

func TestClientManagesWebhookEndpoints(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	sh := newShop(t, nil)
	made, err := a.Client.V1WebhookEndpoints.Create(t.Context(), &stripe.WebhookEndpointCreateParams{
		URL: &sh.URL, EnabledEvents: []*string{stripe.String("checkout.session.completed")},
	})
	if err != nil || made.Secret == "" || made.Status != "enabled" {
		t.Fatalf("created = %+v, %v", made, err)
	}
	mustPay(t, a.Stripe)
	waitIdle(t, a.Stripe)
	if diff := cmp.Diff(sh.types(), []string{"checkout.session.completed"}); diff != "" {
		t.Errorf("delivered (-got +want):\n%s", diff)
	}
	first := sh.received()[0]
	if _, err := webhook.ConstructEvent(first.Body, first.Signature, made.Secret); err != nil {
		t.Errorf("ConstructEvent with the secret that was told: %v", err)
	}
	off, err := a.Client.V1WebhookEndpoints.Update(t.Context(), made.ID, &stripe.WebhookEndpointUpdateParams{Disabled: stripe.Bool(true)})
	if err != nil || off.Status != "disabled" || off.Secret != "" {
		t.Errorf("disabled = %+v, %v", off, err)
	}
	mustPay(t, a.Stripe)
	waitIdle(t, a.Stripe)
	if got := len(sh.received()); got != 1 {
		t.Errorf("deliveries while disabled = %d, want still 1", got)
	}
	if gone, err := a.Client.V1WebhookEndpoints.Delete(t.Context(), made.ID, nil); err != nil || !gone.Deleted {
		t.Errorf("deleted = %+v, %v", gone, err)
	}
	if _, err := a.Client.V1WebhookEndpoints.Retrieve(t.Context(), made.ID, nil); stripeError(t, err).HTTPStatusCode != 404 {
		t.Errorf("retrieving a deleted endpoint: %v", err)
	}
}

func TestLiveKeyMakesLiveObjects(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{APIKey: "sk_live_simulatedkey"})
	session := a.CreateSession(oneExam())
	got, err := a.Client.V1CheckoutSessions.Retrieve(t.Context(), session.ID, nil)
	if err != nil || !got.Livemode || !strings.HasPrefix(got.ID, "cs_live_") {
		t.Errorf("session = %+v, %v", got, err)
	}
}

func TestClientRetriesALostAnswerWithoutASecondSession(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	var calls atomic.Int32
	a.SetFaults(Faults{FailAfter: func(*http.Request) int {
		if calls.Add(1) == 1 {
			return Abort
		}
		return 0
	}})
	patient := stripe.GetBackendWithConfig(stripe.APIBackend, &stripe.BackendConfig{
		URL: &a.URL, HTTPClient: &http.Client{Transport: &http.Transport{}}, MaxNetworkRetries: stripe.Int64(2),
		EnableTelemetry: stripe.Bool(false), LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
	})
	client := stripe.NewClient(testKey, stripe.WithBackends(&stripe.Backends{API: patient}))
	a.AddPrice(Price{ID: "price_1", Product: "Exam", Currency: "usd", UnitAmount: 1900})
	created, err := client.V1CheckoutSessions.Create(t.Context(), &stripe.CheckoutSessionCreateParams{
		Mode: stripe.String("payment"), SuccessURL: stripe.String("https://shop.example/ok"),
		LineItems: []*stripe.CheckoutSessionCreateLineItemParams{{Price: stripe.String("price_1"), Quantity: stripe.Int64(1)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if all := a.Sessions(); len(all) != 1 || all[0].ID != created.ID || calls.Load() != 2 {
		t.Errorf("sessions = %d after %d calls, want 1 after 2", len(all), calls.Load())
	}
}

func TestEventObjectsDecodeIntoTheClientsTypes(t *testing.T) {
	t.Parallel()
	s := NewStripe(StripeOptions{})
	defer s.Close()
	paid := mustPay(t, s)
	mustPay(t, s, Declined())
	mustPay(t, s, Delayed())
	refundID, err := s.Refund(paid.PaymentIntent, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.FailRefund(refundID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dispute(paid.PaymentIntent); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, e := range s.Events() {
		var event stripe.Event
		if err := json.Unmarshal(e.Body, &event); err != nil {
			t.Fatalf("%s: %v", e.Type, err)
		}
		object := map[string]any{
			"checkout.session": &stripe.CheckoutSession{}, "payment_intent": &stripe.PaymentIntent{}, "charge": &stripe.Charge{},
			"refund": &stripe.Refund{}, "dispute": &stripe.Dispute{},
		}[event.Data.Object["object"].(string)]
		if err := json.Unmarshal(event.Data.Raw, object); err != nil {
			t.Errorf("%s does not decode into %T: %v", e.Type, object, err)
		}
		ids[event.ID] = true
	}
	if len(ids) != 15 {
		t.Errorf("events = %d, want 15", len(ids))
	}
}

func TestEventsNameTheRequestThatCausedThem(t *testing.T) {
	t.Parallel()
	a := newAccount(t, StripeOptions{})
	paid := mustPay(t, a.Stripe)
	p := &stripe.RefundCreateParams{PaymentIntent: &paid.PaymentIntent}
	p.SetIdempotencyKey("refund-1")
	made, err := a.Client.V1Refunds.Create(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Request struct {
			ID  string
			Key string `json:"idempotency_key"`
		}
	}
	if err := json.Unmarshal(a.Events()[0].Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Request.ID != made.LastResponse.RequestID || got.Request.Key != "refund-1" {
		t.Errorf("request = %+v, want %s and refund-1", got.Request, made.LastResponse.RequestID)
	}
}
