package stripe_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
)

// A session that a watcher made says so in every fact of it, whether an event or the API tells, and so does its payment for
// whoever looks at the dashboard. One that a customer made does not.
func TestSyntheticSession(t *testing.T) {
	t.Parallel()
	fake := simulate.NewStripe(simulate.StripeOptions{APIKey: apiKey})
	t.Cleanup(fake.Close)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	s := newStripe(t, server.URL, func(o *stripe.Options) { o.Now = time.Now })
	for _, isSynthetic := range []bool{true, false} {
		r := request("dp-203")
		r.Synthetic, r.Email, r.IdempotencyKey = isSynthetic, "", ""
		checkout, err := s.CreateCheckout(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		made, _ := fake.Session(checkout.SessionID)
		if (made.Metadata[provider.SyntheticMark] == "true") != isSynthetic {
			t.Errorf("metadata = %v, want the mark: %v", made.Metadata, isSynthetic)
		}
		pay(t, fake, checkout.SessionID)
		asked, err := s.Ask(t.Context(), checkout.SessionID)
		if err != nil || len(asked.Facts) != 1 || asked.Facts[0].Synthetic != isSynthetic || asked.Facts[0].Kind != makegood.FactPaid {
			t.Errorf("Ask = %+v, %v, want it paid, synthetic: %v", asked, err, isSynthetic)
		}
		for _, f := range readEvents(t, s, fake) {
			if f.Key.SessionID == checkout.SessionID && f.Synthetic != isSynthetic {
				t.Errorf("an event tells %+v, want synthetic: %v", f, isSynthetic)
			}
		}
	}
}
