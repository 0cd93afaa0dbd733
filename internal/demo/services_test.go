package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
)

func fetch(t *testing.T, method, url, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k := 0; k+1 < len(header); k += 2 {
		r.Header.Set(header[k], header[k+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// The services run beside a server that is not there yet, tell what they took, and end when they are told to.
func TestServices(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "http://127.0.0.1:1"} {
		s, err := demo.StartServices(server)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := fetch(t, "POST", s.Channels+"/ntfy", `{"topic":"alerts","title":"hello","message":"x"}`); status != http.StatusOK {
			t.Errorf("ntfy = %d %s", status, body)
		}
		if status, body := fetch(t, "POST", s.Resend+"/emails", `{"from":"a@demo.example","to":["b@demo.example"],"subject":"hello","text":"x"}`,
			"Authorization", "Bearer "+demo.ResendKey, "Content-Type", "application/json"); status != http.StatusOK {
			t.Errorf("Resend = %d %s", status, body)
		}
		for _, url := range []string{s.Channels, s.Resend} {
			var taken []simulate.Accepted
			if _, body := fetch(t, "GET", url+"/log", ""); json.Unmarshal([]byte(body), &taken) != nil || len(taken) != 1 || taken[0].Title != "hello" {
				t.Errorf("%s/log = %s", url, body)
			}
		}
		if status, _ := fetch(t, "GET", s.Stripe+"/v1/account", "", "Authorization", "Bearer "+demo.StripeKey); status >= 500 {
			t.Errorf("Stripe = %d", status)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Wait(ctx); err != nil {
			t.Errorf("Wait = %v", err)
		}
		if _, err := http.Get(s.Channels + "/log"); err == nil {
			t.Error("the services go on after their end")
		}
		if err := s.Stop(); err != nil {
			t.Errorf("Stop again = %v", err)
		}
	}
}
