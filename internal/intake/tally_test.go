package intake_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/telemetry"
)

// TestTally counts what was proved and refused within the last 15 minutes, and forgets it afterwards.
func TestTally(t *testing.T) {
	t.Parallel()
	source, err := stripe.New(stripe.Options{Name: "stripe", WebhookSecrets: provider.Active(secret.New(signingSecret))})
	if err != nil {
		t.Fatal(err)
	}
	at := now
	in := intake.New(intake.Options{Sources: map[string]provider.Source{"stripe": source}, Store: &memory{}, Now: func() time.Time { return at },
		Log: slog.New(slog.DiscardHandler), Metrics: telemetry.NewMetrics()})
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/{source}", api.Errors(slog.New(slog.DiscardHandler), in.Receive))
	post := func(body, signature string) {
		mux.ServeHTTP(httptest.NewRecorder(), delivery(body, signature))
	}
	expect := func(proved int, refused map[provider.Reason]int) {
		t.Helper()
		gotProved, gotRefused := in.Tally("stripe")
		if diff := cmp.Diff(refused, gotRefused); gotProved != proved || diff != "" {
			t.Errorf("Tally = %d, want %d, and of the refused (-want +got):\n%s", gotProved, proved, diff)
		}
	}
	expect(0, map[provider.Reason]int{})
	body := eventBody("evt_1")
	post(body, simulate.Sign([]byte(body), at, signingSecret))
	post(body, simulate.Sign([]byte(body), at, signingSecret)) // a repetition is proved as well
	post(body, "")
	post(body, simulate.Sign([]byte(body), at, "whsec_somebodyElse"))
	at = at.Add(10 * time.Minute)
	post(body, simulate.Sign([]byte(body), at, "whsec_somebodyElse"))
	post(body, simulate.Sign([]byte(body), at.Add(-time.Hour), signingSecret))
	expect(2, map[provider.Reason]int{provider.ReasonMissing: 1, provider.ReasonMismatch: 2, provider.ReasonTooOld: 1})
	at = at.Add(6 * time.Minute)
	expect(0, map[provider.Reason]int{provider.ReasonMismatch: 1, provider.ReasonTooOld: 1})
	at = at.Add(time.Hour)
	expect(0, map[provider.Reason]int{})
	if proved, refused := in.Tally("nobody"); proved != 0 || len(refused) != 0 {
		t.Errorf("Tally of a source that is not configured = %d, %v", proved, refused)
	}
}
