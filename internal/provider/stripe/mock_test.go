package stripe_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

// stripeMockVersion is Stripe's own checker of requests, with the OpenAPI document of 2026-08-26.dahlia in it.
const stripeMockVersion = "v0.203.0"

// TestStripeMockAcceptsOurCalls has Stripe's own stripe-mock judge the form of each call that we make: it refuses unknown
// parameters and wrong values with 400. It remembers nothing, so that is all it can tell.
func TestStripeMockAcceptsOurCalls(t *testing.T) {
	t.Parallel()
	base := startStripeMock(t)
	s := newStripe(t, base, nil)
	for _, product := range []string{"az-900", "dp-203", "yen-1"} {
		got, err := s.CreateCheckout(t.Context(), request(product))
		if err != nil || got.SessionID == "" || got.ExpiresAt.IsZero() {
			t.Errorf("CreateCheckout of %s = %+v, %v; want it accepted", product, got, err)
		}
	}
	bare := request("az-900")
	bare.Email, bare.CancelURL, bare.IdempotencyKey = "", "", ""
	if _, err := s.CreateCheckout(t.Context(), bare); err != nil {
		t.Errorf("CreateCheckout without what may be left out: %v", err)
	}
	// It answers with a session that is open, whatever was asked for.
	if r, err := s.Ask(t.Context(), "cs_test_a1B2"); err != nil || len(r.Facts) != 0 {
		t.Errorf("Ask = %+v, %v; want it accepted, and the session open", r, err)
	}
	if _, err := interpret(t.Context(), s, `{"id":"evt_1","object":"event","livemode":false,"type":"checkout.session.expired","data":{"object":{"id":"cs_test_x","payment_status":"paid"}}}`); err != nil {
		t.Errorf("Interpret with a question: %v", err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	// What it answers has ids and amounts of its own, so that only the form of our calls is judged.
	for _, event := range []string{
		thinEvent("refund.updated", "refund", "re_x"), thinEvent("charge.refunded", "charge", "ch_x"), thinEvent("charge.dispute.updated", "dispute", "dp_x"),
		thinEvent("invoice.updated", "invoice", "in_x"), thinEvent("customer.subscription.updated", "subscription", "sub_x"),
		thinEvent("invoice_payment.paid", "invoice_payment", "inpay_x"), snapshot("charge.refunded", `{"id":"ch_x"}`), snapshot("payment_intent.succeeded", `{"id":"pi_x"}`),
	} {
		if _, err := interpret(t.Context(), s, event); isRejected(err) {
			t.Errorf("Interpret of %s: %v; want the form of its calls accepted", event, err)
		}
	}
	for _, quoted := range []string{"pi_x", "ch_x", "in_x", "sub_x", "cs_test_x", "ann@example.com"} {
		if _, err := s.Find(t.Context(), quoted); isRejected(err) {
			t.Errorf("Find(%q): %v; want the form of its calls accepted", quoted, err)
		}
	}
	for _, err := range s.Undelivered(t.Context(), now.Add(-time.Hour)) {
		if isRejected(err) {
			t.Errorf("Undelivered: %v; want the form of its calls accepted", err)
		}
	}
	// The test is worth nothing if stripe-mock accepts everything.
	wrong, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v1/checkout/sessions", strings.NewReader("mode=payment&line_itmes[0][quantity]=1"))
	if err != nil {
		t.Fatal(err)
	}
	wrong.Header.Set("Authorization", "Bearer "+apiKey)
	wrong.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(wrong)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("stripe-mock answers %d to a parameter that does not exist, want 400", answer.StatusCode)
	}
}

// isRejected reports whether the other side said that our request is wrong.
func isRejected(err error) bool {
	var permanent *makegood.Permanent
	return errors.As(err, &permanent) || errors.Is(err, makegood.NotFound)
}

// startStripeMock starts stripe-mock on a free port of the loopback, and ends it with the test.
func startStripeMock(t *testing.T) string {
	t.Helper()
	mock := exec.Command(stripeMock(t), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	stdout, err := mock.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := mock.Start(); err != nil {
		t.Fatalf("start stripe-mock: %v", err)
	}
	t.Cleanup(func() {
		_ = mock.Process.Kill()
		_ = mock.Wait()
	})
	address := make(chan string, 1)
	go func() {
		defer close(address)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if _, at, ok := strings.Cut(lines.Text(), "Listening for HTTP at address: "); ok {
				address <- at
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
	}()
	select {
	case at, ok := <-address:
		if !ok {
			t.Fatal("stripe-mock ended before it listened")
		}
		return "http://" + at
	case <-time.After(time.Minute):
		t.Fatal("stripe-mock did not listen within a minute")
	}
	return ""
}

// stripeMock returns a ready binary: the one that MAKEGOOD_STRIPE_MOCK names, else the one that an earlier run has built
// into the user's cache, else it builds it there.
func stripeMock(t *testing.T) string {
	t.Helper()
	if ready := os.Getenv("MAKEGOOD_STRIPE_MOCK"); ready != "" {
		return ready
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir()
	}
	dir := filepath.Join(cache, "makegood-test", "stripe-mock-"+stripeMockVersion)
	binary := filepath.Join(dir, "stripe-mock")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := os.Stat(binary); err == nil {
		return binary
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Built beside and renamed, so that nobody ever finds half a binary.
	building, err := os.MkdirTemp(dir, "building-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(building)
	install := exec.CommandContext(t.Context(), "go", "install", "github.com/stripe/stripe-mock@"+stripeMockVersion)
	install.Env = append(os.Environ(), "GOBIN="+building, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("go install stripe-mock: %v\n%s\nMAKEGOOD_STRIPE_MOCK may name a ready binary.", err, out)
	}
	if err := os.Rename(filepath.Join(building, filepath.Base(binary)), binary); err != nil {
		t.Fatal(err)
	}
	return binary
}
