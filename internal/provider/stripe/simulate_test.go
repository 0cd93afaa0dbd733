package stripe_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// TestALifeWithTheSimulatedStripe sells, and reads each event and the API: both must tell the same.
func TestALifeWithTheSimulatedStripe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		product string
		live    func(*testing.T, *simulate.Stripe, string) // what happens to the session
		want    []makegood.FactKind                        // told by the events, in their order
		asked   makegood.FactKind                          // told by the API in the end
	}{
		{"paid, by a price of Stripe's", "az-900", pay, []makegood.FactKind{makegood.FactPaid}, makegood.FactPaid},
		{"paid, by our own price", "dp-203", pay, []makegood.FactKind{makegood.FactPaid}, makegood.FactPaid},
		{"paid in yen", "yen-1", pay, []makegood.FactKind{makegood.FactPaid}, makegood.FactPaid},
		{"delayed, then paid", "az-900", settleDelayed(true), []makegood.FactKind{makegood.FactAwaiting, makegood.FactPaid}, makegood.FactPaid},
		{"delayed, then failed", "az-900", settleDelayed(false), []makegood.FactKind{makegood.FactAwaiting, makegood.FactFailed}, makegood.FactAwaiting},
		{"expired", "az-900", expire, []makegood.FactKind{makegood.FactExpired}, makegood.FactExpired},
		{"left open", "az-900", func(*testing.T, *simulate.Stripe, string) {}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := simulate.NewStripe(simulate.StripeOptions{APIKey: apiKey})
			t.Cleanup(fake.Close)
			server := httptest.NewServer(fake)
			t.Cleanup(server.Close)
			fake.AddPrice(simulate.Price{ID: "price_az900", Product: "AZ-900", Currency: "usd", UnitAmount: 2900})
			s := newStripe(t, server.URL, func(o *stripe.Options) { o.Now = time.Now })

			if err := s.Check(t.Context()); err != nil {
				t.Fatalf("Check: %v", err)
			}
			checkout, err := s.CreateCheckout(t.Context(), request(tt.product))
			if err != nil {
				t.Fatalf("CreateCheckout: %v", err)
			}
			again, err := s.CreateCheckout(t.Context(), request(tt.product))
			if err != nil || again.SessionID != checkout.SessionID {
				t.Errorf("CreateCheckout under the same key = %+v, %v; want the session %s again", again, err, checkout.SessionID)
			}
			tt.live(t, fake, checkout.SessionID)

			told := readEvents(t, s, fake)
			var kinds []makegood.FactKind
			for _, f := range told {
				kinds = append(kinds, f.Kind)
			}
			slices.Sort(kinds)            // what was made in one second has no order
			kinds = slices.Compact(kinds) // the payment intent is a signal, and its session tells the same again
			if diff := cmp.Diff(tt.want, kinds); diff != "" {
				t.Errorf("the events tell other facts (-want +got):\n%s", diff)
			}
			asked, err := s.Ask(t.Context(), checkout.SessionID)
			if err != nil {
				t.Fatalf("Ask: %v", err)
			}
			compareWithTold(t, told, asked, tt.asked)
		})
	}
}

// compareWithTold looks for the fact that the API tells among those that the events told.
func compareWithTold(t *testing.T, told []makegood.Fact, asked provider.Reading, want makegood.FactKind) {
	t.Helper()
	if want == "" {
		if len(asked.Facts) != 0 || asked.Note == "" {
			t.Errorf("Ask = %+v, want a note only", asked)
		}
		return
	}
	same := cmp.Options{cmpopts.IgnoreFields(makegood.Line{}, "Label"), cmpopts.IgnoreFields(makegood.Fact{}, "EventID", "OccurredAt")}
	i := slices.IndexFunc(told, func(f makegood.Fact) bool { return f.Kind == want })
	if len(asked.Facts) != 1 || i < 0 {
		t.Fatalf("Ask = %+v, want one fact of kind %s that an event told as well", asked, want)
	}
	if diff := cmp.Diff(told[i], asked.Facts[0], same); diff != "" {
		t.Errorf("the event and the API tell different facts (-event +API):\n%s", diff)
	}
}

// readEvents proves and reads everything that the simulated Stripe would deliver.
func readEvents(t *testing.T, s *stripe.Stripe, fake *simulate.Stripe) []makegood.Fact {
	t.Helper()
	var facts []makegood.Fact
	for _, e := range fake.Events() {
		at := time.Now()
		header := http.Header{stripe.SignatureHeader: {simulate.Sign(e.Body, at, newSecret, oldSecret)}}
		by, err := s.Verify(provider.Delivery{Header: header, Body: e.Body, ReceivedAt: at})
		if err != nil || by != secret.New(oldSecret).Fingerprint() {
			t.Fatalf("Verify of %s = %q, %v", e.Type, by, err)
		}
		r, err := interpret(t.Context(), s, string(e.Body))
		if err != nil {
			t.Fatalf("Interpret of %s: %v", e.Type, err)
		}
		facts = append(facts, r.Facts...)
	}
	return facts
}

func pay(t *testing.T, fake *simulate.Stripe, session string) {
	if err := fake.Pay(session, simulate.Customer{Email: "ann@example.com", Name: "Ann Example"}); err != nil {
		t.Fatal(err)
	}
}

func settleDelayed(ok bool) func(*testing.T, *simulate.Stripe, string) {
	return func(t *testing.T, fake *simulate.Stripe, session string) {
		if err := fake.Pay(session, simulate.Customer{Email: "ann@example.com"}, simulate.Delayed()); err != nil {
			t.Fatal(err)
		}
		if err := fake.SettleDelayed(session, ok); err != nil {
			t.Fatal(err)
		}
	}
}

func expire(t *testing.T, fake *simulate.Stripe, session string) {
	if err := fake.Expire(session); err != nil {
		t.Fatal(err)
	}
}
