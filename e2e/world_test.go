package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
)

// world is what is around a server: the provider and the mail service, both simulated in this process, and the
// configuration by which the program finds them.
type world struct {
	stripe    *simulate.Stripe
	stripeURL string
	resend    *simulate.Resend
	resendURL string
	url       string // of the server
	config    string // path of the configuration
	env       []string
}

// configuration is the file that the program reads. Waits are the program's own defaults; rates are high because all
// customers here have one address. What a test wants otherwise it changes by world.rewrite.
const configuration = `listen: %[1]q
public_url: "http://%[1]s"
database: %[2]q
node: e2e
log: {level: info, format: text}
sources:
  - name: stripe
    provider: stripe
    mode: test
    api_base: %[3]q
    api_key: env:STRIPE_API_KEY
    webhook_secrets: [env:STRIPE_WEBHOOK_SECRET]
products:
  - {code: az-900, name: AZ-900 practice exam, price: 29.00 USD}
  - {code: az-104, name: AZ-104 practice exam, price: 39.00 USD, stocked: true}
licenses:
  key_secrets:
    - {id: e2e, secret: env:LICENSE_KEY_SECRET}
mail:
  from: E2E Shop <shop@e2e.example>
  resend: {api_base: %[4]q, api_key: env:RESEND_API_KEY}
limits: {verify_per_minute: 1000000, checkout_per_minute: 1000000, validate_per_minute: 1000000}
outbound: {allow_private: true, timeout: 1s}
`

// newWorld starts the simulations and writes the configuration; the server is started by the test.
func newWorld(t testing.TB, database string, o simulate.StripeOptions) *world {
	t.Helper()
	address := freeAddress(t)
	w := &world{url: "http://" + address, config: filepath.Join(t.TempDir(), "makegood.yaml")}
	o.APIKey = demo.StripeKey
	o.PublicURL = func() string { return w.stripeURL }
	w.stripe = simulate.NewStripe(o)
	w.resend = simulate.NewResend(simulate.ResendOptions{APIKey: demo.ResendKey})
	t.Cleanup(func() { w.stripe.Close(); w.resend.Close() })
	w.stripeURL, w.resendURL = serve(t, w.stripe), serve(t, w.resend)
	w.stripe.AddWebhookEndpoint(w.url+"/hooks/stripe", demo.WebhookSecret)
	w.env = []string{"STRIPE_API_KEY=" + demo.StripeKey, "STRIPE_WEBHOOK_SECRET=" + demo.WebhookSecret,
		"RESEND_API_KEY=" + demo.ResendKey, "LICENSE_KEY_SECRET=" + demo.LicenseSecret}
	text := fmt.Sprintf(configuration, address, database, w.stripeURL, w.resendURL)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

// serve serves on loopback until the end of the test.
func serve(t testing.TB, h http.Handler) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // ends with http.ErrServerClosed
	}()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return "http://" + l.Addr().String()
}

// freeAddress chooses a port below those that the kernel gives to outgoing connections. A call to a port of that range
// while its server is down can meet itself: the kernel chooses the same port for the caller, and connects it to itself.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(8000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port between 12000 and 20000")
	return ""
}

// startServer starts the server and does not wait for it.
func (w *world) startServer(t testing.TB) *process {
	t.Helper()
	return start(t, w.env, "serve", "--config", w.config)
}

// openShop starts the server and waits until it is ready.
func (w *world) openShop(t testing.TB) *process {
	t.Helper()
	p := w.startServer(t)
	if _, err := p.awaitReady(t.Context(), w.url); err != nil {
		t.Fatal(err)
	}
	return p
}

// checkout asks the server for a session, as a shop's page does.
func (w *world) checkout(ctx context.Context, client *http.Client, product string) (sessionID string, err error) {
	return w.checkoutAt(ctx, client, "stripe", product, 1)
}

// checkoutAt is checkout at a source, for so many of a product.
func (w *world) checkoutAt(ctx context.Context, client *http.Client, source, product string, quantity int) (sessionID string, err error) {
	ask := fmt.Appendf(nil, `{"source":%q,"product":%q,"quantity":%d}`, source, product, quantity)
	status, answer, err := call(ctx, client, http.MethodPost, w.url+"/api/checkout", ask)
	if err != nil {
		return "", err
	}
	var session struct {
		SessionID string `json:"session_id"`
	}
	if err := json.Unmarshal(answer, &session); status != http.StatusCreated || err != nil || session.SessionID == "" {
		return "", fmt.Errorf("checkout answered %d: %s", status, trimmed(answer))
	}
	return session.SessionID, nil
}

// linkedSession is a session that the server does not know of, as a Payment Link makes one.
func (w *world) linkedSession() (sessionID string) { return w.linkedSessionOf("az-900", 2900, 1) }

// linkedSessionOf is linkedSession for so many of a product of a price.
func (w *world) linkedSessionOf(product string, price int64, quantity int) (sessionID string) {
	return w.stripe.CreateSession(simulate.SessionParams{
		LineItems: []simulate.LineItemParams{{PriceData: simulate.Price{Product: product, Currency: "usd", UnitAmount: price}, Quantity: int64(quantity)}},
		Metadata: map[string]string{"product": product, "quantity": fmt.Sprint(quantity), "unit_amount": fmt.Sprint(price),
			"currency": "usd"},
		CancelURL: w.url, SuccessURL: w.url + "/thanks?session_id={CHECKOUT_SESSION_ID}",
	}).ID
}

// purchase is the answer of GET /api/verify.
type purchase struct {
	OrderID     string `json:"order_id"`
	Payment     string `json:"payment"`
	Fulfillment string `json:"fulfillment"`
	Licenses    []struct {
		Key string `json:"key"`
	} `json:"licenses"`
}

func (w *world) verify(ctx context.Context, client *http.Client, sessionID string) (status int, p purchase, err error) {
	return w.verifyAt(ctx, client, "stripe", sessionID)
}

// verifyAt is verify at a source.
func (w *world) verifyAt(ctx context.Context, client *http.Client, source, sessionID string) (status int, p purchase, err error) {
	status, answer, err := get(ctx, client, w.url+"/api/verify?source="+source+"&session_id="+sessionID)
	if err != nil || status != http.StatusOK {
		return status, p, err
	}
	return status, p, json.Unmarshal(answer, &p)
}

func isSQLite(database string) bool { return strings.HasPrefix(database, "sqlite:") }
