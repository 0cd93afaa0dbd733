// Package stripe is Stripe as a source of orders: it proves deliveries, reads events of every API version, asks the API
// for what an event does not tell, and creates checkouts.
//
// The way of an event: [Stripe.Verify] proves it (verify.go), [Stripe.Identify] names it (identify.go), [Stripe.Interpret]
// makes facts of it (interpret.go). Each noun of Stripe's has its file: the sale (sale.go) with its session (session.go) and
// lines (lines.go), refund.go, charge.go, dispute.go, invoice.go, subscription.go; intent.go and thin.go lead to one of
// them. Each reads the body when the body is enough, and the API (api.go, list.go) when it is not. [Stripe.Ask] goes
// straight to the API and ends in the same reading, so that both ways tell the same fact of the same session.
// [Stripe.Undelivered] and [Stripe.Find] are for repair: what was never delivered, and what somebody quotes.
//
// A restricted key needs these permissions, and no other. A missing one is makegood.Unavailable, which is worth a retry:
// the events wait until it is given.
//
//	Checkout Sessions   write   to create checkouts; read to ask and to find
//	Events              read    what was not delivered
//	Charges and Refunds read    refunds that an event does not tell in full; a charge that somebody quotes
//	Disputes            read    disputes that an event does not tell in full
//	Invoices            read    renewals: since 2025-03-31.basil the payment of an invoice must be asked for
//	Subscriptions       read    subscriptions that do not tell when they ended, and thin events
//	Webhook Endpoints   read    to see that ours is there; nothing waits for it
//
// There is no SDK in it: stripe-go accepts an empty secret and future timestamps, and refuses events of other API versions.
// It is an oracle in the tests.
package stripe

import (
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

// DefaultBaseURL is where Stripe's API answers.
const DefaultBaseURL = "https://api.stripe.com"

// EventTypes are the types to subscribe an endpoint to: every one that changes an order, and no other. The signals of
// payment intents are understood as well, but tell nothing that these do not, and cost a call to the API each.
func EventTypes() []string {
	return []string{typeCompleted, typeAsyncSucceeded, typeAsyncFailed, typeExpired,
		"refund.created", "refund.updated", "refund.failed", typeChargeRefunded,
		"charge.dispute.created", "charge.dispute.updated", typeDisputeClosed,
		typeInvoicePaid, typeSubscriptionDeleted}
}

// Options describe one configured account at Stripe.
type Options struct {
	// Name is the source's name in the configuration; it is part of the key of every order.
	Name string
	// Live is the mode of this source. Events and sessions of the other mode never give facts.
	Live bool
	// Account is the connected account (acct_…) that this source is for. Its events carry that id, and our calls are made
	// in its name. "" is the account that owns the API key, whose events carry no account.
	Account string
	// APIKey may be a restricted key with the permissions that the package lists. Without one every call to the API is
	// refused, and only events that tell everything themselves can be read.
	APIKey secret.Value
	// WebhookSecrets are all secrets that may have signed a delivery: two while one is being rolled.
	WebhookSecrets []provider.Secret
	// BaseURL is for tests and the simulation; default DefaultBaseURL.
	BaseURL string
	// HTTP is the way out; nil is a client with the defaults of package outbound.
	HTTP *outbound.Client
	// Catalogue is what can be sold and recognised.
	Catalogue makegood.Catalogue
	// Now is our clock; nil is time.Now.
	Now func() time.Time
}

// Stripe is one configured account at Stripe. It is safe for concurrent use.
type Stripe struct {
	name      string
	live      bool
	account   string
	apiKey    secret.Value
	signers   []*signer
	baseURL   string
	http      *outbound.Client
	catalogue makegood.Catalogue
	now       func() time.Time
}

var (
	_ provider.Source  = (*Stripe)(nil)
	_ provider.Seller  = (*Stripe)(nil)
	_ provider.Asker   = (*Stripe)(nil)
	_ provider.Lister  = (*Stripe)(nil)
	_ provider.Finder  = (*Stripe)(nil)
	_ provider.Checker = (*Stripe)(nil)

	_ provider.EndpointChecker = (*Stripe)(nil)
	_ provider.DeliveredLister = (*Stripe)(nil)
)

// New makes a source, or names everything in the options that is wrong. It refuses to be without a webhook secret and to
// have an empty one, because an empty secret makes forged events valid, and an API key that says it is of the other mode.
func New(o Options) (*Stripe, error) {
	if err := o.problems(); err != nil {
		return nil, err
	}
	s := &Stripe{
		name: o.Name, live: o.Live, account: o.Account, apiKey: o.APIKey, catalogue: o.Catalogue,
		baseURL: strings.TrimSuffix(o.BaseURL, "/"), http: o.HTTP, now: o.Now,
	}
	if s.baseURL == "" {
		s.baseURL = DefaultBaseURL
	}
	if s.http == nil {
		s.http = outbound.New(outbound.Options{})
	}
	if s.now == nil {
		s.now = time.Now
	}
	for _, v := range o.WebhookSecrets {
		s.signers = append(s.signers, newSigner(v))
	}
	return s, nil
}

// Name returns the source's name in the configuration.
func (s *Stripe) Name() string { return s.name }

var accountID = regexp.MustCompile(`^acct_[A-Za-z0-9]{1,64}$`)

func (o Options) problems() error {
	var found []error
	complain := func(yes bool, format string, args ...any) {
		if yes {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	complain(o.Name == "", "stripe: a source needs a name")
	complain(len(o.WebhookSecrets) == 0, "stripe: source %q has no webhook secret; nothing could be proved", o.Name)
	for i, v := range o.WebhookSecrets {
		complain(v.Value.Empty(), "stripe: webhook secret %d of source %q is empty; an empty secret would accept forged events", i, o.Name)
	}
	complain(o.Account != "" && !accountID.MatchString(o.Account), "stripe: the account of source %q is not of the form acct_…", o.Name)
	complain(isOtherMode(o.APIKey, o.Live), "stripe: the API key of source %q is of the other mode than the source", o.Name)
	base, err := url.Parse(o.BaseURL)
	complain(o.BaseURL != "" && (err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https"),
		"stripe: the base URL of source %q is not an http or https address", o.Name)
	return errors.Join(found...)
}

// isOtherMode reads the mode from a key's prefix: sk_test_, rk_test_, sk_live_, rk_live_. Other keys do not tell.
func isOtherMode(key secret.Value, live bool) bool {
	k := key.Reveal()
	if len(k) < 8 || k[2] != '_' {
		return false
	}
	return k[3:8] == "test_" && live || k[3:8] == "live_" && !live
}
