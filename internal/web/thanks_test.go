package web_test

import (
	"context"
	"errors"
	"html"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/web"
)

func purchase() api.Purchase {
	return api.Purchase{SessionID: "cs_test_1", OrderID: "ord1", Payment: makegood.PaymentPaid, Fulfillment: makegood.Fulfilled, ByMail: true,
		Licenses: []api.PurchasedLicense{
			{Product: "az-900", Name: "AZ-900 practice exam", Key: "GD-AAAA-AAAA-AAA2", Status: makegood.LicenseActive},
			{Product: "az-305", Key: "GD-BBBB-BBBB-BBB2", Status: makegood.LicenseRevoked},
		}}
}

// show asks for the page of a session for which Purchase says p or err.
func show(t *testing.T, p api.Purchase, err error) *httptest.ResponseRecorder {
	t.Helper()
	var asked string
	thanks := &web.Thanks{Pages: web.NewPages(slog.New(slog.DiscardHandler)), Purchase: func(_ context.Context, _, sessionID string) (api.Purchase, error) {
		asked = sessionID
		return p, err
	}}
	w := httptest.NewRecorder()
	if err := thanks.Show(w, httptest.NewRequest("GET", "/thanks?session_id=cs_test_1", nil)); err != nil || asked != "cs_test_1" {
		t.Errorf("Show = %v, asked for %q, want nil and cs_test_1", err, asked)
	}
	return w
}

func TestThanks(t *testing.T) {
	t.Parallel()
	unaddressed, stuck, stuckInPart, failed, refunded := purchase(), purchase(), purchase(), purchase(), purchase()
	unaddressed.ByMail = false
	stuck.Licenses, stuck.Fulfillment = nil, makegood.Stuck
	stuckInPart.Licenses, stuckInPart.Fulfillment, stuckInPart.Payment = nil, makegood.Stuck, makegood.PaymentPartiallyRefunded
	failed.Licenses, failed.Fulfillment, failed.Payment = nil, makegood.Unfulfilled, makegood.PaymentFailed
	refunded.Licenses, refunded.Fulfillment, refunded.Payment = nil, makegood.Revoked, makegood.PaymentRefunded
	for _, tt := range []struct {
		name     string
		purchase api.Purchase
		err      error
		status   int
		refresh  string
		says     []string
		saysNot  []string
	}{
		{"paid", purchase(), nil, 200, "", []string{"GD-AAAA-AAAA-AAA2", "AZ-900 practice exam", "GD-BBBB-BBBB-BBB2", "az-305", "This licence is revoked.",
			"on its way to you by mail", "Order ord1"}, []string{"no address"}},
		{"paid without an address", unaddressed, nil, 200, "", []string{"GD-AAAA-AAAA-AAA2", "no address"}, []string{"by mail"}},
		{"paid, and stuck", stuck, nil, 200, "", []string{"needs a look by a person", "Order ord1"}, []string{"Nothing is owed"}},
		{"partly refunded, and stuck", stuckInPart, nil, 200, "", []string{"needs a look by a person"}, []string{"Nothing is owed"}},
		{"failed", failed, nil, 200, "", []string{"The payment is failed"}, []string{"needs a look"}},
		{"refunded before it was sent", refunded, nil, 200, "", []string{"The payment is refunded"}, []string{"needs a look"}},
		{"money on its way", api.Purchase{}, makegood.Errorf(makegood.NotPaid, "x"), 200, "5", []string{"on its way"}, []string{"Order "}},
		{"unknown", api.Purchase{}, makegood.Errorf(makegood.NotFound, "x"), 404, "", []string{"do not know this order"}, nil},
		{"no session", api.Purchase{}, makegood.Errorf(makegood.Invalid, "x"), 404, "", []string{"do not know this order"}, nil},
		{"trouble", api.Purchase{}, errors.New("dial tcp 10.0.0.7: refused"), 503, "10", []string{"do not have to pay again"}, []string{"10.0.0.7"}},
		{"trouble of ours", api.Purchase{}, makegood.Errorf(makegood.Unavailable, "The store is away."), 503, "10", []string{"One moment"}, []string{"store"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := show(t, tt.purchase, tt.err)
			if got := w.Header().Get("Refresh"); w.Code != tt.status || got != tt.refresh {
				t.Errorf("= %d, Refresh %q, want %d and %q", w.Code, got, tt.status, tt.refresh)
			}
			body := w.Body.String()
			for _, s := range tt.says {
				if !strings.Contains(body, s) {
					t.Errorf("page does not say %q:\n%s", s, body)
				}
			}
			for _, s := range tt.saysNot {
				if strings.Contains(body, s) {
					t.Errorf("page says %q:\n%s", s, body)
				}
			}
			if !strings.HasPrefix(body, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(body), "</html>") || strings.Contains(body, "<script") {
				t.Errorf("page is cut or has a script:\n%s", body)
			}
			for name, want := range map[string]string{
				"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
				"X-Content-Type-Options":  "nosniff",
				"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestThanksHostile(t *testing.T) {
	t.Parallel()
	const hostile = `"><script>alert(1)</script><img src=x onerror=alert(1)>`
	p := purchase()
	p.OrderID, p.SessionID = hostile, hostile
	p.Licenses[0].Name, p.Licenses[0].Key = hostile, hostile
	p.Licenses[1].Product, p.Licenses[1].Status = hostile, hostile
	body := show(t, p, nil).Body.String()
	if strings.Contains(body, "<script") || strings.Contains(body, "<img") || strings.Count(html.UnescapeString(body), hostile) != 5 {
		t.Errorf("page does not show hostile text as text:\n%s", body)
	}
	p = purchase()
	p.Licenses, p.Fulfillment, p.Payment = nil, makegood.Unfulfilled, hostile
	if body := show(t, p, nil).Body.String(); strings.Contains(body, "<script") {
		t.Errorf("page does not show a hostile payment state as text:\n%s", body)
	}
}
