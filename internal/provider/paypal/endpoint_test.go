package paypal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/simulate"
)

func TestCheckEndpoint(t *testing.T) {
	t.Parallel()
	const here = "https://shop.example/hooks/paypal"
	for _, tt := range []struct {
		name   string
		change func(*testing.T, *world) error
		want   string // in the problems; "" is none
	}{
		{"good", func(_ *testing.T, w *world) error { return w.SetWebhookURL(w.webhook, here+"/") }, ""},
		{"good, with the types that matter", func(_ *testing.T, w *world) error {
			return errors.Join(w.SetWebhookURL(w.webhook, here), w.SetWebhookEvents(w.webhook, "CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED",
				"PAYMENT.CAPTURE.PENDING", "PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED"))
		}, ""},
		{"another address", func(*testing.T, *world) error { return nil }, "leads to another address, at 127.0.0.1:1"},
		{"types are missing", func(_ *testing.T, w *world) error {
			return errors.Join(w.SetWebhookURL(w.webhook, here), w.SetWebhookEvents(w.webhook, "PAYMENT.CAPTURE.COMPLETED"))
		}, "does not bring CHECKOUT.ORDER.APPROVED, PAYMENT.CAPTURE.PENDING"},
		{"deleted, and another is there", func(_ *testing.T, w *world) error {
			w.AddWebhook(here)
			return w.DeleteWebhook(w.webhook)
		}, "none of our webhooks is registered"},
		{"no address at all", func(_ *testing.T, w *world) error { return w.SetWebhookURL(w.webhook, "nonsense") }, "an address that cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := tt.change(t, w); err != nil {
				t.Fatal(err)
			}
			problems, err := w.source.CheckEndpoint(t.Context(), here)
			got := strings.Join(problems, "; ")
			if err != nil || (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("CheckEndpoint = %q, %v, want %q in it", got, err, tt.want)
			}
		})
	}
}

func TestCheckEndpointRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for status, want := range map[int]bool{403: true, 500: false} {
		w.SetFaults(simulate.PayPalFaults{FailAPI: func(r *http.Request) int {
			if strings.HasSuffix(r.URL.Path, "/token") {
				return 0
			}
			return status
		}})
		_, err := w.source.CheckEndpoint(t.Context(), "https://shop.example/hooks/paypal")
		if err == nil || errors.Is(err, provider.ErrNotAllowed) != want || want && !errors.Is(err, makegood.Unavailable) {
			t.Errorf("CheckEndpoint with status %d = %v, want ErrNotAllowed: %v", status, err, want)
		}
		if _, err := w.source.Delivered(t.Context(), now); err == nil || errors.Is(err, provider.ErrNotAllowed) != want {
			t.Errorf("Delivered with status %d = %v, want ErrNotAllowed: %v", status, err, want)
		}
	}
}

// TestDelivered: of the newest events those whose transmissions all succeeded, and that we read.
func TestDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(shop.Close)
	if err := w.SetWebhookURL(w.webhook, shop.URL); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulate.PayPalFaults{})
	taken := w.Emit("PAYMENT.CAPTURE.COMPLETED", "capture", []byte(`{"id":"CAP1"}`))
	w.Emit("CATALOG.PRODUCT.CREATED", "product", []byte(`{"id":"PROD1"}`)) // nothing that we read
	if err := w.WaitDelivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulate.PayPalFaults{Hold: true})
	kept := w.Emit("PAYMENT.CAPTURE.COMPLETED", "capture", []byte(`{"id":"CAP2"}`))
	bodies, err := w.source.Delivered(t.Context(), now.Add(-time.Hour))
	if err != nil || len(bodies) != 1 || w.source.Identify(bodies[0]).ProviderID != taken {
		t.Errorf("Delivered = %q, %v, want %s, and not %s, which is on its way", bodies, err, taken, kept)
	}
}
