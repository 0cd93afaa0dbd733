// Package paypal is PayPal as a source of orders: it proves deliveries offline, takes what they say for hints, and reads
// every fact back from the API.
//
// The way of an event: [PayPal.Verify] proves it (verify.go) with a certificate that is fetched from PayPal and nobody
// else (certificate.go), [PayPal.Identify] names it (identify.go), [PayPal.Interpret] asks what it is about
// (interpret.go), reading orders and captures (order.go), refunds (refund.go), disputes (dispute.go) and what was bought
// (lines.go) through the client (api.go, token.go). [PayPal.Ask] goes straight to the order and ends in the same reading.
//
// Why hints: PayPal's signature covers the body only through its CRC-32, which is linear. Whoever has seen one genuine
// delivery can write another body that the same signature covers, within milliseconds. So nothing in a body is believed
// but the id of what to ask for.
package paypal

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
)

// Where PayPal's API answers in either mode.
const (
	LiveBaseURL    = "https://api-m.paypal.com"
	SandboxBaseURL = "https://api-m.sandbox.paypal.com"
)

// Options describe one REST app at PayPal.
type Options struct {
	// Name is the source's name in the configuration; it is part of the key of every order.
	Name string
	// Live is the mode of this source. PayPal's bodies do not tell it: the webhook id, the certificate's host and the
	// API's host do.
	Live bool
	// ClientID and ClientSecret are the app's credentials. Without them nothing can be read back, so nothing could ever be
	// fulfilled, and New refuses.
	ClientID     string
	ClientSecret secret.Value
	// WebhookIDs are the ids of all webhooks of ours that deliver to this source: PayPal signs for the id, which takes the
	// place of a secret. It is not one: it is shown in PayPal's dashboard, and knowing it lets nobody sign.
	WebhookIDs []provider.Secret
	// MerchantID is the payee (13 characters, "merchant ID" in the dashboard) that money must have gone to. "" is not
	// checked: then whatever the API shows to our credentials counts as ours.
	MerchantID string
	// BaseURL is for tests and the simulation; default LiveBaseURL or SandboxBaseURL by Live. At any other address than
	// PayPal's own, certificates come from there and from nowhere else.
	BaseURL string
	// HTTP is the way out; nil is a client with the defaults of package outbound.
	HTTP *outbound.Client
	// Catalogue is what can be sold and recognised.
	Catalogue makegood.Catalogue
	// Now is our clock; nil is time.Now.
	Now func() time.Time
	// Roots are who may vouch for PayPal's certificate; nil is the system's. It is for tests and the simulation.
	Roots *x509.CertPool
}

// PayPal is one REST app at PayPal. It is safe for concurrent use.
type PayPal struct {
	name         string
	live         bool
	clientID     string
	clientSecret secret.Value
	merchantID   string
	webhooks     []webhook
	baseURL      string
	http         *outbound.Client
	catalogue    makegood.Catalogue
	now          func() time.Time
	certificates *certificates
	tokens       tokens
}

var (
	_ provider.Source      = (*PayPal)(nil)
	_ provider.Seller      = (*PayPal)(nil)
	_ provider.Asker       = (*PayPal)(nil)
	_ provider.Checker     = (*PayPal)(nil)
	_ provider.Transmitter = (*PayPal)(nil)
	_ provider.Lister      = (*PayPal)(nil)

	_ provider.EndpointChecker = (*PayPal)(nil)
	_ provider.DeliveredLister = (*PayPal)(nil)
)

// webhook is an id that a delivery may be signed for.
type webhook struct {
	id          provider.Secret
	fingerprint string
}

// New makes a source, or names everything in the options that is wrong. It refuses to be without a webhook id and to have
// an empty one, and the placeholder WEBHOOK_ID: for that, PayPal's simulator signs messages for anybody who asks, with the
// live certificate.
func New(o Options) (*PayPal, error) {
	if o.BaseURL == "" {
		o.BaseURL = defaultBaseURL(o.Live)
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	if err := o.problems(); err != nil {
		return nil, err
	}
	s := &PayPal{
		name: o.Name, live: o.Live, clientID: o.ClientID, clientSecret: o.ClientSecret, merchantID: o.MerchantID,
		baseURL: o.BaseURL, http: o.HTTP, catalogue: o.Catalogue, now: o.Now,
	}
	if s.http == nil {
		s.http = outbound.New(outbound.Options{})
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, id := range o.WebhookIDs {
		s.webhooks = append(s.webhooks, webhook{id: id, fingerprint: id.Value.Fingerprint()})
	}
	s.certificates = newCertificates(s, o.Roots)
	return s, nil
}

// Name returns the source's name in the configuration.
func (s *PayPal) Name() string { return s.name }

func defaultBaseURL(live bool) string {
	if live {
		return LiveBaseURL
	}
	return SandboxBaseURL
}

var (
	webhookID  = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9]{1,%d}$`, webhookIDBytesMax)) // webhook_id in PayPal's OpenAPI document
	merchantID = regexp.MustCompile(`^[2-9A-HJ-NP-Z]{13}$`)                                // payer_id in PayPal's OpenAPI document
	clientID   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

func (o Options) problems() error {
	var found []error
	complain := func(yes bool, format string, args ...any) {
		if yes {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	complain(o.Name == "", "paypal: a source needs a name")
	complain(!clientID.MatchString(o.ClientID), "paypal: the client id of source %q is empty or not made of letters, digits, dashes and underscores", o.Name)
	complain(o.ClientSecret.Empty(), "paypal: source %q has no client secret; nothing could be read back from PayPal", o.Name)
	complain(len(o.WebhookIDs) == 0, "paypal: source %q has no webhook id; nothing could be proved", o.Name)
	for i, id := range o.WebhookIDs {
		value := id.Value.Reveal()
		isPlaceholder := strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(value), "_", ""), "webhookid")
		complain(value == "", "paypal: webhook id %d of source %q is empty", i, o.Name)
		complain(isPlaceholder, "paypal: webhook id %d of source %q is the placeholder WEBHOOK_ID, for which PayPal's simulator signs messages of anybody", i, o.Name)
		complain(value != "" && !isPlaceholder && !webhookID.MatchString(value), "paypal: webhook id %d of source %q is not made of 1 to %d letters and digits", i, o.Name, webhookIDBytesMax)
	}
	complain(o.MerchantID != "" && !merchantID.MatchString(o.MerchantID), "paypal: the merchant id of source %q is not 13 letters and digits; it is not the e-mail address", o.Name)
	complain(!isBaseURL(o.BaseURL, o.Live), "paypal: the base URL of source %q is not scheme, host and port only, or is PayPal's for the other mode", o.Name)
	return errors.Join(found...)
}

// isBaseURL accepts an http or https address of nothing but a host, and of PayPal's own only that of the mode over https.
func isBaseURL(base string, live bool) bool {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || base != u.Scheme+"://"+u.Host {
		return false
	}
	if host := strings.ToLower(u.Hostname()); host == "paypal.com" || strings.HasSuffix(host, ".paypal.com") {
		return u.Scheme == "https" && isOneOf(u.Host, hostsOf(live))
	}
	return true
}

// hostsOf are the names under which PayPal's API answers in a mode, and serves certificates.
func hostsOf(live bool) [2]string {
	if live {
		return [2]string{"api.paypal.com", "api-m.paypal.com"}
	}
	return [2]string{"api.sandbox.paypal.com", "api-m.sandbox.paypal.com"}
}

func isOneOf(host string, hosts [2]string) bool { return host == hosts[0] || host == hosts[1] }
