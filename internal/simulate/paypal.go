package simulate

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"sync"
	"time"
)

// Limits of the pretend PayPal. Where the real one publishes a number, ours is the same.
const (
	// paypalTokenLifetime is what a recorded answer of the real one says.
	paypalTokenLifetime = 28_800 * time.Second
	// paypalOrderKeyLifetime and paypalPaymentKeyLifetime are how long a PayPal-Request-Id is remembered.
	paypalOrderKeyLifetime   = 6 * time.Hour
	paypalPaymentKeyLifetime = 45 * 24 * time.Hour
	// paypalKeyMax is the longest PayPal-Request-Id that every one of its documents allows, in characters.
	paypalKeyMax = 38
	// paypalApprovalLifetime is when an approval is given back that nobody has captured.
	paypalApprovalLifetime = 3 * time.Hour
	// paypalAttempts is how often a delivery is made in all, the retries within three days.
	paypalAttempts = 25
	// paypalTextMax is the longest custom_id, name or sku, in characters.
	paypalTextMax = 127
	// paypalPageSizeDefault and paypalPageSizeMax are of the list of events; the largest page is our choice.
	paypalPageSizeDefault, paypalPageSizeMax = 10, 100
)

// PayPalOptions are what a pretend PayPal is made of. Every field has a useful zero value.
type PayPalOptions struct {
	// ClientID and ClientSecret are the only credentials that get a token; "simulated-client" and "simulated-secret" by
	// default.
	ClientID, ClientSecret string
	// MerchantID is the payee of every order, SMULATEDPAYPA by default (PayPal's ids have no I, O, 0 or 1).
	MerchantID string
	// Live makes the certificate that of live mode.
	Live bool
	// PublicURL returns the base URL under which the handler is reachable: for links, and for the address of the
	// certificate. It is a function because a test server knows its address only once the handler exists. It must not call
	// the PayPal.
	PublicURL func() string
	// Now is the clock for everything stored and signed, time.Now by default.
	Now func() time.Time
	// Rand is where ids come from, crypto/rand by default. It need not be safe for concurrent use.
	Rand io.Reader
	// SigningKey signs the deliveries. One is made when there is none, which takes a good part of a second.
	SigningKey *rsa.PrivateKey
	// HTTP delivers the webhooks. Redirects are never followed; a zero Timeout becomes 10 seconds.
	HTTP *http.Client
	// RetrySchedule are the waits before the second, third… attempt of a delivery. The default makes 25 attempts in three
	// days as the real one does, which publishes no steps.
	RetrySchedule []time.Duration
	// Concurrency is how many deliveries may be in flight at once, 8 by default.
	Concurrency int
	// TokenLifetime is how long a token is good, 28,800 seconds by default.
	TokenLifetime time.Duration
	// EventsMax is how many events are remembered, 100,000 by default.
	EventsMax int
}

// PayPal is a pretend REST app at PayPal that remembers what it was told: orders, captures, refunds, disputes, webhooks and
// events. It is an http.Handler with the API, the certificate that its deliveries are signed with, and the page on which a
// buyer approves. All methods may be called from several goroutines at once.
//
// It knows orders of one purchase unit with the intent CAPTURE, which is what a shop of digital goods makes; others are
// refused as the real one refuses what an account is not enabled for.
type PayPal struct {
	options     PayPalOptions
	handler     http.Handler
	certificate paypalCertificate

	mu       sync.Mutex
	faults   PayPalFaults
	tokens   map[string]time.Time
	keys     map[string]paypalKey
	orders   ledger[*paypalOrder]
	approved []*paypalOrder // that nobody has captured, the oldest first
	captures ledger[*paypalCapture]
	refunds  ledger[*paypalRefund]
	disputes ledger[*paypalDispute]
	webhooks ledger[*paypalWebhook]
	events   ledger[*paypalEvent]
	courier  paypalCourier
}

var _ http.Handler = (*PayPal)(nil)

// NewPayPal returns an empty account, draws its certificate, and starts the goroutine that delivers its webhooks. Close
// ends it.
func NewPayPal(o PayPalOptions) *PayPal {
	o = o.withDefaults()
	p := &PayPal{options: o, tokens: map[string]time.Time{}, keys: map[string]paypalKey{}}
	p.certificate = newPayPalCertificate(o)
	p.handler = p.routes()
	p.courier.start(p)
	return p
}

func (o PayPalOptions) withDefaults() PayPalOptions {
	setDefault(&o.ClientID, "simulated-client")
	setDefault(&o.ClientSecret, "simulated-secret")
	setDefault(&o.MerchantID, "SMULATEDPAYPA")
	setDefault(&o.Concurrency, concurrencyDefault)
	setDefault(&o.TokenLifetime, paypalTokenLifetime)
	setDefault(&o.EventsMax, eventsMaxDefault)
	if o.PublicURL == nil {
		o.PublicURL = func() string { return "https://paypal.simulated.invalid" }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = paypalRetrySchedule()
	}
	o.HTTP = deliveryClient(o.HTTP, o.Concurrency)
	return o
}

// paypalRetrySchedule doubles from a minute to four hours, and stays there: 24 waits, 71 hours in all.
func paypalRetrySchedule() []time.Duration {
	var waits []time.Duration
	wait := time.Minute
	for len(waits) < paypalAttempts-1 {
		waits = append(waits, wait)
		wait = min(2*wait, 4*time.Hour+12*time.Minute)
	}
	return waits
}

// ServeHTTP answers the API, the certificate and the buyer's page.
func (p *PayPal) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Close stops the deliveries and waits until the last one in flight has ended. The account can still be read; events of
// later changes are kept but not delivered. Closing twice is harmless.
func (p *PayPal) Close() { p.courier.close() }

// CertPool returns the root that vouches for the certificate of the deliveries.
func (p *PayPal) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.certificate.root)
	return pool
}

// RootPEM is the root of CertPool as PEM, for a program that reads the roots it trusts from a file.
func (p *PayPal) RootPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.certificate.root.Raw})
}

func (p *PayPal) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, act := range map[string]paypalAction{
		"POST /v2/checkout/orders":                           p.createOrder,
		"GET /v2/checkout/orders/{id}":                       p.showOrder,
		"POST /v2/checkout/orders/{id}/capture":              p.captureOrder,
		"GET /v2/payments/captures/{id}":                     p.showCapture,
		"POST /v2/payments/captures/{id}/refund":             p.refundCapture,
		"GET /v2/payments/refunds/{id}":                      p.showRefund,
		"GET /v1/customer/disputes/{id}":                     p.showDispute,
		"GET /v1/notifications/webhooks":                     p.listWebhooks,
		"POST /v1/notifications/webhooks":                    p.createWebhook,
		"DELETE /v1/notifications/webhooks/{id}":             p.deleteWebhook,
		"GET /v1/notifications/webhooks-events":              p.listEvents,
		"GET /v1/notifications/webhooks-events/{id}":         p.showEvent,
		"POST /v1/notifications/webhooks-events/{id}/resend": p.resendEvent,
		"/v1/": paypalNoSuch,
		"/v2/": paypalNoSuch,
	} {
		mux.HandleFunc(pattern, p.api(act))
	}
	mux.HandleFunc("POST /v1/oauth2/token", p.giveToken)
	mux.HandleFunc("GET /v1/notifications/certs/{id}", p.serveCertificate)
	sameSite := http.NewCrossOriginProtection()
	mux.HandleFunc("GET /checkoutnow", p.showApprovePage)
	mux.Handle("POST /checkoutnow", sameSite.Handler(http.HandlerFunc(p.approveOnPage)))
	return mux
}

// begin takes the lock and lets time have passed: approvals that nobody captured are given back first. The caller unlocks.
func (p *PayPal) begin() time.Time {
	p.mu.Lock()
	now := p.options.Now()
	for len(p.approved) > 0 && now.Sub(p.approved[0].Approved) >= paypalApprovalLifetime {
		o := p.approved[0]
		p.approved = p.approved[1:]
		if o.Status == "APPROVED" {
			p.reverseApproval(o, now)
		}
	}
	return now
}

// paypalSymbols are what PayPal's ids are made of.
const paypalSymbols = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"

// id returns an id as PayPal makes them: 17 digits and capital letters.
func (p *PayPal) id() string {
	b := make([]byte, 17)
	mustRead(p.options.Rand, b)
	for i := range b {
		b[i] = paypalSymbols[int(b[i])%len(paypalSymbols)]
	}
	return string(b)
}

// stamp is a time as PayPal writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
