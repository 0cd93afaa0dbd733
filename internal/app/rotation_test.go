package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

const nextSecret = "whsec_theNextSecretOfTheDemosEndpoint12"

// A signing secret is replaced while 200 events a second arrive: the provider rolls it, the server learns the new one with
// a restart and lets the old one end, the provider stops using the old one, and the end passes. Nothing genuine is
// refused, nothing is accepted after the end, and nothing is lost.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		c := &clock{}
		w := startWorld(t, url, func(o *demo.Options) { o.Now, o.Stripe.Now, o.Resend.Now = c.now, c.now, c.now })
		w.must("subscribe to everything", w.Stripe.SetWebhookEvents(w.Endpoint, "*"))
		sent := 0
		load := func(d time.Duration) {
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for range int(d / (5 * time.Millisecond)) {
				<-ticker.C
				sent++
				w.Stripe.Emit("customer.created", json.RawMessage(fmt.Sprintf(`{"id":"cus_%d","object":"customer"}`, sent)))
			}
		}
		refused := func(reason string) int { return w.metric("makegood_refused_deliveries_total", "stripe", reason) }
		const phase = 700 * time.Millisecond

		load(phase)
		w.must("roll", w.Stripe.SetWebhookSecrets(w.Endpoint, demo.WebhookSecret, nextSecret))
		load(phase)
		if n := refused("mismatch"); n != 0 {
			t.Errorf("%d genuine deliveries were refused before the restart, want none", n)
		}
		rolled := *w.Config // the server that runs still reads the old one
		rolled.Sources = slices.Clone(rolled.Sources)
		rolled.Sources[0].WebhookSecrets = []config.DatedSecret{{Secret: secret.New(nextSecret)},
			{Secret: secret.New(demo.WebhookSecret), NotAfter: c.now().Add(24 * time.Hour)}}
		w.World.Config = &rolled
		w.must("restart", w.RestartServer(t.Context(), store.Options{}, 0))
		load(phase)
		w.quiet() // a clock that jumps while a delivery is on its way makes it an old one
		c.pass(23 * time.Hour)
		load(phase)
		w.must("end the roll", w.Stripe.SetWebhookSecrets(w.Endpoint, nextSecret))
		w.quiet()
		c.pass(2 * time.Hour)
		load(phase)
		w.quiet()

		for _, reason := range []string{"mismatch", "retired", "too_old", "future", "other_source", "altered"} {
			if n := refused(reason); n != 0 {
				t.Errorf("%d genuine deliveries were refused as %s, want none", n, reason)
			}
		}
		for i := range 50 {
			body := fmt.Sprintf(`{"id":"evt_late_%d","object":"event","type":"customer.created","livemode":false}`, i)
			a := w.ask("POST", "/hooks/stripe", body, func(r *http.Request) {
				r.Header.Set("Stripe-Signature", simulate.Sign([]byte(body), c.now(), demo.WebhookSecret))
			})
			if a.status != http.StatusBadRequest {
				t.Fatalf("signed with the old secret after its end = %d %s, want 400", a.status, a.body)
			}
		}
		if n := refused("retired"); n != 50 {
			t.Errorf("%d were refused as retired, want 50", n)
		}
		kept, proved := 0, map[string]int{}
		for _, state := range []makegood.EventState{makegood.EventKept, makegood.EventHandled, makegood.EventUnhandled} {
			events, err := w.Store().Events(t.Context(), store.EventFilter{State: state})
			w.must("list the events", err)
			kept += len(events)
			for _, e := range events {
				proved[e.VerifiedBy]++
			}
		}
		if kept != sent {
			t.Errorf("%d events were kept, want all %d", kept, sent)
		}
		old, next := secret.New(demo.WebhookSecret).Fingerprint(), secret.New(nextSecret).Fingerprint()
		if proved[old] == 0 || proved[next] == 0 || proved[old]+proved[next] != sent {
			t.Errorf("proved by %v, want each event by one of %s and %s", proved, old, next)
		}
		t.Logf("%d events at 200 a second, %d proved by the old secret and %d by the new one", sent, proved[old], proved[next])
	})
}

// metric reads a counter with two labels from /metrics; 0 when it is not there.
func (w *world) metric(name, first, second string) int {
	w.t.Helper()
	a := w.ask("GET", "/metrics", "")
	m := regexp.MustCompile(name + `\{[^}]*"` + first + `"[^}]*"` + second + `"[^}]*\} (\d+)`).FindStringSubmatch(string(a.body))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	w.must("read a metric", err)
	return n
}
