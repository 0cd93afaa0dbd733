package api_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/synthetic"
)

func TestSyntheticCheckout(t *testing.T) {
	t.Parallel()
	ours, other := secret.New("the secret of the watcher"), secret.New("of somebody else")
	const plain = `{"product":"az-900"}`
	for _, tt := range []struct {
		name   string
		marks  []string
		secret secret.Value
		body   string
		status int
		made   bool // a session, with a mark
		want   string
	}{
		{"genuine", []string{synthetic.Mark(ours, noon)}, ours, plain, 201, true, "made"},
		{"with an address", []string{synthetic.Mark(ours, noon)}, ours, `{"product":"az-900","email":"ann@example.com"}`, 400, false, "failed"},
		{"of an unknown product", []string{synthetic.Mark(ours, noon)}, ours, `{"product":"az-9oo"}`, 422, false, "failed"},
		{"forged", []string{synthetic.Mark(other, noon)}, ours, plain, 401, false, "mismatch"},
		{"old", []string{synthetic.Mark(ours, noon.Add(-6*time.Minute))}, ours, plain, 401, false, "too_old"},
		{"of the future", []string{synthetic.Mark(ours, noon.Add(6*time.Minute))}, ours, plain, 401, false, "future"},
		{"empty", []string{""}, ours, plain, 401, false, "malformed"},
		{"twice", []string{synthetic.Mark(ours, noon), synthetic.Mark(ours, noon)}, ours, plain, 401, false, "malformed"},
		{"where there is no watcher", []string{synthetic.Mark(secret.Value{}, noon)}, secret.Value{}, plain, 401, false, "unconfigured"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &counter{}
			s := shopOf(c)
			var seen []string
			s.Now, s.WatcherSecret = func() time.Time { return noon }, tt.secret
			s.SyntheticSeen = func(result string) { seen = append(seen, result) }
			w := ask(t, s.Checkout, "POST", "/api/checkout", tt.body, func(r *http.Request) { r.Header[synthetic.Header] = tt.marks })
			if w.Code != tt.status || tt.status == 401 && failureOf(t, w).Code != string(makegood.Unauthorized) {
				t.Errorf("checkout = %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if !slices.Equal(seen, []string{tt.want}) {
				t.Errorf("counted %q, want %q", seen, tt.want)
			}
			if (len(c.asked) == 1) != tt.made || tt.made && (!c.asked[0].Synthetic || c.asked[0].Email != "" || c.asked[0].IdempotencyKey != "synthetic-token") {
				t.Errorf("asked of the provider: %+v", c.asked)
			}
		})
	}
	t.Run("no mark, nobody who counts", func(t *testing.T) {
		t.Parallel()
		c := &counter{}
		if w := ask(t, shopOf(c).Checkout, "POST", "/api/checkout", plain); w.Code != 201 || c.asked[0].Synthetic {
			t.Errorf("a customer's checkout = %d, %+v", w.Code, c.asked)
		}
	})
}

// A watcher takes nothing of the customers' rate, and a forger nothing of the watcher's.
func TestApart(t *testing.T) {
	t.Parallel()
	ours := secret.New("the secret of the watcher")
	s := shopOf(&counter{})
	s.Now, s.WatcherSecret = func() time.Time { return noon }, ours
	tell := func(who string) api.Handler {
		return func(w http.ResponseWriter, _ *http.Request) error { _, err := w.Write([]byte(who)); return err }
	}
	h := s.Apart(tell("watcher"), tell("customer"))
	for mark, want := range map[string]string{"": "customer", "t=1,v1=00": "customer", synthetic.Mark(ours, noon): "watcher"} {
		w := ask(t, h, "POST", "/api/checkout", "", func(r *http.Request) { r.Header.Set(synthetic.Header, mark) })
		if w.Body.String() != want {
			t.Errorf("a checkout with the mark %q goes to the %s, want the %s", mark, w.Body, want)
		}
	}
}
