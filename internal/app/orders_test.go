package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// withPrices gives the products prices at the provider, as for a Payment Link that was made in its dashboard.
func withPrices(c *config.Config) {
	c.Catalogue = maps.Clone(c.Catalogue)
	for code, p := range c.Catalogue {
		p.ProviderPrice = map[string]string{"stripe": "price_" + strings.ReplaceAll(code, "-", "")}
		c.Catalogue[code] = p
	}
}

func (w *world) addPrices() {
	for _, p := range w.Config.Catalogue {
		w.Stripe.AddPrice(simulate.Price{ID: p.ProviderPrice["stripe"], Product: p.Name, Currency: p.Price.Currency, UnitAmount: p.Price.Minor})
	}
}

// A customer pays, and what comes of it, on both engines.
func TestOrders(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(withPrices))
		w.addPrices()

		w.sentence("who pays gets a mail with the key", func(w *world) {
			session := w.buy("az-900", 1, address("ann"))
			o := w.expectFulfilled(session, address("ann"), 1)
			want := makegood.DeriveKey([]byte(demo.LicenseSecret), "GD", makegood.KeySlot{SessionID: session})
			if o.Licenses[0].Key != want {
				t.Errorf("key = %s, want %s (SPEC A3)", o.Licenses[0].Key, want)
			}
			audit, err := w.Store().AuditOf(t.Context(), o.ID)
			w.must("read the audit", err)
			var actions []string
			for _, e := range audit {
				actions = append(actions, e.Action)
			}
			for _, action := range []string{"order.payment", "license.issued", "step.owed", "order.fulfillment"} {
				if !slices.Contains(actions, action) {
					t.Errorf("audit has %v, want %s as well", actions, action)
				}
			}
		})

		w.sentence("three units are three keys in one mail", func(w *world) {
			o := w.expectFulfilled(w.buy("az-104", 3, address("bob")), address("bob"), 3)
			if keys := keysOf(o); len(slices.Compact(slices.Sorted(slices.Values(keys)))) != 3 {
				t.Errorf("keys = %v, want three different ones", keys)
			}
			if want := []makegood.StockMove{{Line: 0, Product: "az-104", Delta: -3, Cause: o.Moves[0].Cause}}; !cmp.Equal(o.Moves, want) {
				t.Errorf("stock moves = %+v, want %+v", o.Moves, want)
			}
		})

		w.sentence("a Payment Link with two lines and no metadata", func(w *world) {
			session := w.Stripe.CreateSession(simulate.SessionParams{PaymentLink: "plink_1", LineItems: []simulate.LineItemParams{
				{Price: "price_az900", Quantity: 2}, {Price: "price_az104"},
			}}).ID
			w.pay(session, address("cleo"))
			o := w.expectFulfilled(session, address("cleo"), 3)
			products := []string{o.Licenses[0].Product, o.Licenses[1].Product, o.Licenses[2].Product}
			if want := []string{"az-900", "az-900", "az-104"}; !cmp.Equal(products, want) {
				t.Errorf("licences for %v, want %v", products, want)
			}
		})

		w.sentence("something that the catalogue does not have is paid: nothing goes out and nothing is lost", func(w *world) {
			session := w.Stripe.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{
				{PriceData: simulate.Price{Product: "A mug", Currency: "usd", UnitAmount: 900}},
			}}).ID
			w.pay(session, address("dan"))
			o := w.settled(session)
			w.quiet()
			if o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonUnknownProduct || len(o.Licenses) != 0 || len(w.Resend.Inbox(address("dan"))) != 0 {
				t.Errorf("order = %s %q with %d licences, want stuck: unknown_product and nothing given", o.Fulfillment, o.Reason, len(o.Licenses))
			}
			if o.Payment != makegood.PaymentPaid || o.Total.Minor != 900 || o.Facts[0].Lines[0].Label != "A mug" {
				t.Errorf("order = %s of %v, facts %+v, want all that is known of the payment", o.Payment, o.Total, o.Facts)
			}
			stuck, err := w.Store().Orders(t.Context(), store.OrderFilter{Fulfillment: makegood.Stuck})
			if err != nil || len(stuck) != 1 || stuck[0].ID != o.ID {
				t.Errorf("list of stuck orders = %v, %v, want this one", stuck, err)
			}
			if a, p := w.verify(session); a.status != http.StatusOK || p.Fulfillment != makegood.Stuck || len(p.Licenses) != 0 {
				t.Errorf("verify = %d %+v, want 200, stuck", a.status, p)
			}
			if a := w.ask("GET", "/thanks?session_id="+session, ""); !strings.Contains(a.body, "needs a look by a person") {
				t.Errorf("thanks page = %d %s, want it to say so", a.status, a.body)
			}
		})

		w.sentence("a customer without an address gets the key on the page", func(w *world) {
			session := w.buy("az-900", 1, "")
			o := w.settled(session)
			w.quiet()
			if o.Fulfillment != makegood.Fulfilled || o.Reason != makegood.ReasonNoAddress || len(o.Licenses) != 1 {
				t.Errorf("order = %s %q with %d licences, want fulfilled: no_address with 1", o.Fulfillment, o.Reason, len(o.Licenses))
			}
			if a := w.ask("GET", "/thanks?session_id="+session, ""); a.status != http.StatusOK || !strings.Contains(a.body, o.Licenses[0].Key) || strings.Contains(a.body, "by mail") {
				t.Errorf("thanks page = %d %s, want the key and no promise of a mail", a.status, a.body)
			}
		})

		w.sentence("every delivery comes four times and in disorder: one licence, one mail", func(w *world) {
			w.Stripe.SetFaults(simulate.Faults{Duplicate: 3, Reorder: true})
			defer w.Stripe.SetFaults(simulate.Faults{})
			session := w.buy("az-900", 1, address("eve"))
			w.expectFulfilled(session, address("eve"), 1)
		})

		w.sentence("paid by a method that takes days: nothing before the money, all after it", func(w *world) {
			session := w.open("az-900", 1)
			w.pay(session, address("fay"), simulate.Delayed())
			w.quiet()
			if o := w.order(session); o.Payment != makegood.PaymentPending || len(o.Licenses) != 0 {
				t.Errorf("order before the money = %s with %d licences, want pending with none", o.Payment, len(o.Licenses))
			}
			if a, _ := w.verify(session); a.status != http.StatusPaymentRequired || a.code() != "not_paid" {
				t.Errorf("verify before the money = %d %s, want 402", a.status, a.body)
			}
			if a := w.ask("GET", "/thanks?session_id="+session, ""); a.status != http.StatusOK || a.header.Get("Refresh") == "" {
				t.Errorf("thanks page before the money = %d, Refresh %q, want it to look again by itself", a.status, a.header.Get("Refresh"))
			}
			w.must("settle", w.Stripe.SettleDelayed(session, true))
			w.expectFulfilled(session, address("fay"), 1)
		})

		w.sentence("paid by a method that takes days, and the money never comes", func(w *world) {
			session := w.open("az-900", 1)
			w.pay(session, address("gus"), simulate.Delayed())
			w.must("settle", w.Stripe.SettleDelayed(session, false))
			w.quiet()
			if o := w.order(session); o.Payment != makegood.PaymentFailed || o.Fulfillment != makegood.Unfulfilled || len(o.Licenses) != 0 {
				t.Errorf("order = %s, %s with %d licences, want failed and nothing", o.Payment, o.Fulfillment, len(o.Licenses))
			}
		})

		w.sentence("an event of live mode at a test source is kept and never acted on (I7)", func(w *world) {
			session := w.open("az-900", 1)
			object := fmt.Sprintf(`{"id":%q,"object":"checkout.session","mode":"payment","status":"complete","payment_status":"paid","currency":"usd",`+
				`"amount_subtotal":2900,"amount_total":2900,"livemode":true,"customer_details":{"email":%q},`+
				`"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"}}`, session, address("hal"))
			for i, livemode := range []string{`,"livemode":true`, `,"livemode":false`, ``} {
				id := fmt.Sprintf("evt_live_%d", i)
				a := w.hook(fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","created":1772600760%s,"data":{"object":%s}}`, id, livemode, object))
				if a.status != http.StatusOK {
					t.Errorf("delivery %s = %d %s, want 200", id, a.status, a.body)
				}
				if e := w.event(id); e.State != makegood.EventUnhandled || e.Note == "" || e.OrderID != "" {
					t.Errorf("event %s = %s %q of order %q, want unhandled with a note", id, e.State, e.Note, e.OrderID)
				}
			}
			if _, err := w.Store().OrderBySession(t.Context(), "stripe", session); !isNotFound(err) {
				t.Errorf("order of the session: %v, want none", err)
			}
			live := "cs_live_" + strings.TrimPrefix(session, "cs_test_")
			if a, _ := w.verify(live); a.status != http.StatusNotFound {
				t.Errorf("verify of a live session = %d, want 404", a.status)
			}
		})

		w.sentence("what is signed and says nothing of an order is kept and shown as unhandled", func(w *world) {
			strange := `{"id":"evt_strange","object":"event","type":"customer.created","livemode":false,"data":{"object":{"id":"cus_1"}}}`
			if a := w.hook(strange); a.status != http.StatusOK {
				t.Errorf("a type that is not ours = %d %s, want 200", a.status, a.body)
			}
			w.quiet()
			if a := w.hook("this is not an event"); a.status != http.StatusOK {
				t.Errorf("signed text = %d %s, want 200", a.status, a.body)
			}
			w.quiet()
			unhandled, err := w.Store().Events(t.Context(), store.EventFilter{State: makegood.EventUnhandled})
			w.must("list the events", err)
			var newest []string
			for _, e := range unhandled[:2] {
				newest = append(newest, e.Type)
				full, err := w.Store().Event(t.Context(), e.ID)
				if err != nil || e.Note == "" || len(full.Payload) == 0 {
					t.Errorf("unhandled event %+v, %v, want a note and its bytes", e, err)
				}
			}
			if want := []string{"", "customer.created"}; !cmp.Equal(newest, want) {
				t.Errorf("newest unhandled events are of type %q, want %q", newest, want)
			}
		})

		w.sentence("the provider's API fails while an event is interpreted: it is read later", func(w *world) {
			session := w.Stripe.CreateSession(simulate.SessionParams{LineItems: []simulate.LineItemParams{{Price: "price_az900"}}}).ID
			w.Stripe.SetFaults(simulate.Faults{FailAPI: times(2, http.StatusInternalServerError)})
			defer w.Stripe.SetFaults(simulate.Faults{})
			w.pay(session, address("ida"))
			w.expectFulfilled(session, address("ida"), 1)
			if !strings.Contains(w.logs.String(), "job failed and will be repeated") {
				t.Error("the failed attempts are not in the log")
			}
		})

		w.sentence("two deliveries of one payment by two events at once: one order", func(w *world) {
			session := w.open("az-900", 1)
			w.Stripe.SetFaults(simulate.Faults{Hold: true})
			w.pay(session, address("joe"))
			s, _ := w.Stripe.Session(session)
			body := func(id string) string {
				return fmt.Sprintf(`{"id":%q,"object":"event","type":"checkout.session.completed","livemode":false,"created":1772600760,"data":{"object":`+
					`{"id":%q,"object":"checkout.session","mode":"payment","status":"complete","payment_status":"paid","currency":"usd","payment_intent":%q,`+
					`"amount_subtotal":2900,"amount_total":2900,"livemode":false,"customer_details":{"email":%q,"name":"Ann Example"},`+
					`"metadata":{"product":"az-900","quantity":"1","unit_amount":"2900","currency":"usd"}}}}`, id, session, s.PaymentIntent, address("joe"))
			}
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() {
					if a := w.hook(body(fmt.Sprintf("evt_joe_%d", i))); a.status != http.StatusOK {
						t.Errorf("delivery %d = %d %s, want 200", i, a.status, a.body)
					}
				})
			}
			all.Wait()
			w.Stripe.SetFaults(simulate.Faults{})
			w.expectFulfilled(session, address("joe"), 1)
		})

		if orders, err := w.Store().Orders(t.Context(), store.OrderFilter{}); err != nil || w.Resend.Count() != 7 {
			t.Errorf("%d orders, %v, and %d mails in all; want 7 mails, none to anybody else", len(orders), err, w.Resend.Count())
		}
		if letters, err := w.Store().DeadLetters(t.Context(), store.DeadLetterFilter{}); err != nil || len(letters) != 0 {
			t.Errorf("dead letters = %+v, %v, want none", letters, err)
		}
	})
}

// The success page and the webhook lead to the same keys, whoever comes first.
func TestVerify(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url)

		w.sentence("what cannot be shown", func(w *world) {
			for _, tt := range []struct {
				name, query string
				status      int
				code        string
			}{
				{"no parameter", "", 400, "invalid"},
				{"malformed", "?session_id=../../etc/passwd", 404, "not_found"},
				{"hostile", "?session_id=cs_test_%27%20OR%201=1--", 404, "not_found"},
				{"unknown", "?session_id=cs_test_a1b2c3", 404, "not_found"},
				{"not paid", "?session_id=" + w.open("az-900", 1), 402, "not_paid"},
			} {
				a := w.ask("GET", "/api/verify"+tt.query, "")
				if a.status != tt.status || a.code() != tt.code || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer" {
					t.Errorf("%s: %d %s %v, want %d %s, no-store and no-referrer", tt.name, a.status, a.body, a.header, tt.status, tt.code)
				}
				if page := w.ask("GET", "/thanks"+tt.query, ""); page.status != map[bool]int{true: 200, false: 404}[tt.status == 402] ||
					!strings.HasPrefix(page.header.Get("Content-Type"), "text/html") {
					t.Errorf("%s: thanks page = %d %s", tt.name, page.status, page.header.Get("Content-Type"))
				}
			}
		})

		w.sentence("the page comes before the webhook", func(w *world) {
			w.Stripe.SetFaults(simulate.Faults{Hold: true})
			session := w.buy("az-900", 2, address("ann"))
			first, p := w.verify(session)
			if first.status != http.StatusOK || len(p.Licenses) != 2 || !p.ByMail {
				t.Errorf("verify before the webhook = %d %s, want 200 and two keys", first.status, first.body)
			}
			w.Stripe.SetFaults(simulate.Faults{})
			o := w.expectFulfilled(session, address("ann"), 2)
			_, again := w.verify(session)
			if !cmp.Equal(keysIn(p), keysOf(o)) || !cmp.Equal(keysIn(again), keysOf(o)) {
				t.Errorf("keys before the webhook %v, after it %v, in the order %v: want the same", keysIn(p), keysIn(again), keysOf(o))
			}
			if page := w.ask("GET", "/thanks?session_id="+session, ""); !strings.Contains(page.body, keysOf(o)[0]) || !strings.Contains(page.body, keysOf(o)[1]) {
				t.Errorf("thanks page has not both keys:\n%s", page.body)
			}
			events, err := w.Store().Events(t.Context(), store.EventFilter{OrderID: o.ID, State: makegood.EventHandled})
			if err != nil || len(events) != 1 {
				t.Errorf("events of the order = %v, %v, want the one webhook handled", events, err)
			}
		})

		w.sentence("page and webhook at the same moment, twice: one licence, one mail", func(w *world) {
			w.Stripe.SetFaults(simulate.Faults{Hold: true})
			session := w.buy("az-900", 1, address("bob"))
			w.Stripe.SetFaults(simulate.Faults{Duplicate: 2})
			defer w.Stripe.SetFaults(simulate.Faults{})
			answers := make(chan string, 4) // one for each that asks
			var all sync.WaitGroup
			for range cap(answers) {
				all.Go(func() {
					a, p := w.verify(session)
					answers <- fmt.Sprint(a.status, keysIn(p))
				})
			}
			all.Wait()
			close(answers)
			o := w.expectFulfilled(session, address("bob"), 1)
			for a := range answers {
				if want := fmt.Sprint(200, keysOf(o)); a != want {
					t.Errorf("one of them was answered %s, want %s", a, want)
				}
			}
		})

		w.sentence("the provider is down, and the keys were issued before", func(w *world) {
			session := w.buy("az-900", 1, address("cleo"))
			o := w.expectFulfilled(session, address("cleo"), 1)
			unpaid := w.open("az-900", 1)
			w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusInternalServerError }})
			defer w.Stripe.SetFaults(simulate.Faults{})
			if a, p := w.verify(session); a.status != http.StatusOK || !cmp.Equal(keysIn(p), keysOf(o)) {
				t.Errorf("verify of a bought session = %d %s, want 200 and its key", a.status, a.body)
			}
			if a, _ := w.verify(unpaid); a.status != http.StatusBadGateway || a.code() != "provider_failed" {
				t.Errorf("verify of an open session = %d %s, want 502", a.status, a.body)
			}
			if a := w.ask("GET", "/thanks?session_id="+unpaid, ""); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "do not have to pay again") {
				t.Errorf("thanks page of an open session = %d, want 503 and a comfort", a.status)
			}
			if a := w.ask("POST", "/api/checkout", `{"product":"az-900"}`); a.status != http.StatusBadGateway || a.code() != "provider_failed" {
				t.Errorf("checkout = %d %s, want 502", a.status, a.body)
			}
		})

		w.sentence("known and unknown sessions take one call to the provider each", func(w *world) {
			session := w.buy("az-900", 1, address("dan"))
			w.expectFulfilled(session, address("dan"), 1)
			var mu sync.Mutex
			calls := 0
			w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int {
				mu.Lock()
				defer mu.Unlock()
				calls++
				return 0
			}})
			defer w.Stripe.SetFaults(simulate.Faults{})
			for i, id := range []string{session, "cs_test_a1b2c3", session} {
				w.verify(id)
				if calls != i+1 {
					t.Errorf("calls to the provider after %d questions = %d, want one each", i+1, calls)
				}
			}
			if w.verify("not-a-session"); calls != 3 {
				t.Error("what cannot be a session is asked from the provider")
			}
		})

		w.sentence("a licence is validated in any spelling", func(w *world) {
			session := w.buy("az-900", 1, address("eve"))
			key := keysOf(w.expectFulfilled(session, address("eve"), 1))[0]
			spelt := strings.ToLower(strings.ReplaceAll(key, "-", " "))
			for body, want := range map[string]string{
				fmt.Sprintf(`{"key":%q}`, key):                      `"code":"VALID"`,
				fmt.Sprintf(`{"key":%q,"product":"az-900"}`, spelt): `"code":"VALID"`,
				fmt.Sprintf(`{"key":%q,"product":"az-104"}`, key):   `"code":"WRONG_PRODUCT"`,
				`{"key":"GD-AAAA-AAAA-AAAA"}`:                       `"code":"NOT_FOUND"`,
				`{"key":"hello"}`:                                   `"code":"MALFORMED"`,
			} {
				if a := w.ask("POST", "/api/licenses/validate", body); a.status != http.StatusOK || !strings.Contains(a.body, want) {
					t.Errorf("validate %s = %d %s, want 200 %s", body, a.status, a.body, want)
				}
			}
		})

		w.sentence("the same Idempotency-Key is the same session", func(w *world) {
			ask := func(key, product string) answer {
				return w.ask("POST", "/api/checkout", fmt.Sprintf(`{"product":%q}`, product), func(r *http.Request) { r.Header.Set("Idempotency-Key", key) })
			}
			first, second, other := ask("k1", "az-900"), ask("k1", "az-900"), ask("k2", "az-900")
			if first.status != http.StatusCreated || first.body != second.body || first.body == other.body {
				t.Errorf("checkouts = %s, %s and %s, want the first two the same", first.body, second.body, other.body)
			}
			if a := ask("with blanks in it", "az-900"); a.status != http.StatusBadRequest || a.code() != "invalid" {
				t.Errorf("checkout with a key with blanks = %d %s, want 400", a.status, a.body)
			}
			before := len(w.Stripe.Sessions())
			if a := ask("k3", "az-9000"); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Known codes: az-104, az-900.") || len(w.Stripe.Sessions()) != before {
				t.Errorf("checkout of an unknown product = %d %s, want 422, the hint, and no session", a.status, a.body)
			}
		})
	})
}
