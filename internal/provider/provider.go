// Package provider is the contract with those who take the money: how a delivery is proved, what it says, and how the
// provider is asked. Each provider is a package or a row below; the table of them is in package app.
package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Delivery is one HTTP request that claims to come from a provider.
type Delivery struct {
	Header     http.Header
	Query      url.Values // of the address it came to: where a provider signs nothing, a secret in the address stands in
	Body       []byte     // the raw bytes: any re-serialisation breaks a signature
	ReceivedAt time.Time
}

// Source is one configured account at a provider: what intake and interpret need of it.
type Source interface {
	// Name is the source's name in the configuration and in /hooks/{source}.
	Name() string
	// Verify proves that the delivery comes from the provider, and returns the fingerprint of the secret that proved it.
	// It looks at nothing but the signature: no parsing, no look-up. A delivery that is not proved is a *SignatureError.
	Verify(d Delivery) (fingerprint string, err error)
	// Identify reads the identity of a proved delivery. It never fails: what it cannot read stays empty, and a body
	// without a provider's id gets one made of its hash, so that it is kept and shown as well.
	Identify(body []byte) makegood.Event
	// Interpret turns a kept event into facts. What the body does not tell (such as line items) is asked from the provider.
	// Events that say nothing of an order give a Reading without facts and a note; that is no error. Errors are
	// *makegood.Permanent, *makegood.Snooze or worth a retry.
	Interpret(ctx context.Context, event makegood.Event) (Reading, error)
}

// Secret is one secret that may have signed a delivery.
type Secret struct {
	Value secret.Value
	// NotAfter is the last moment at which it proves anything; zero is for ever. Afterwards it is only recognised, so that
	// a delivery signed with it can be told from a forged one.
	NotAfter time.Time
}

// Active makes secrets without an end.
func Active(values ...secret.Value) []Secret {
	list := make([]Secret, len(values))
	for i, v := range values {
		list[i] = Secret{Value: v}
	}
	return list
}

// Proves reports whether the secret may prove a delivery that is received at a time.
func (s Secret) Proves(at time.Time) bool { return s.NotAfter.IsZero() || !at.After(s.NotAfter) }

// Reading is what an event says.
type Reading struct {
	// Facts are all of one order. Either all of them name its session, or none does: then each names references, and they
	// are those of one sale.
	Facts []makegood.Fact
	Note  string // why there are none, for people
}

// Seller creates checkouts. It is an optional ability of a Source.
type Seller interface {
	// CreateCheckout creates a session in which a customer can pay for the product. The same IdempotencyKey gives the same
	// session for as long as the provider remembers it (Stripe: 24 hours).
	CreateCheckout(ctx context.Context, r CheckoutRequest) (Checkout, error)
}

// CheckoutRequest is what is to be sold.
type CheckoutRequest struct {
	Product        makegood.Product
	Quantity       int
	Email          string // pre-filled for the customer; may be ""
	SuccessURL     string // where the customer returns; the provider puts the session id in place of {CHECKOUT_SESSION_ID}
	CancelURL      string
	IdempotencyKey string
	// Synthetic is that nobody will pay: a watcher looks whether the session can be made. The session is marked, so that
	// every fact of it is makegood.Fact.Synthetic.
	Synthetic bool
}

// SyntheticMark is the key that a synthetic session has in its metadata, with the value "true", at providers with metadata.
const SyntheticMark = "makegood_synthetic"

// Checkout is a session in which a customer can pay.
type Checkout struct {
	SessionID string
	URL       string
	ExpiresAt time.Time
}

// Asker reads the truth back from the provider. It is an optional ability of a Source.
type Asker interface {
	// Ask returns what the provider says of a session right now, as facts. A session that the provider does not know is
	// makegood.NotFound.
	Ask(ctx context.Context, sessionID string) (Reading, error)
}

// Transmitter names single deliveries. It is an optional ability of a Source whose provider gives each transmission an id
// that the signature covers: one id with two bodies is an attack.
type Transmitter interface {
	// Transmission returns the id of a proved delivery, or "".
	Transmission(d Delivery) string
}

// Lister lists what the provider could not deliver. It is an optional ability of a Source.
type Lister interface {
	// Undelivered yields the bodies of events since a time that were not, or not yet, delivered, each as a webhook would
	// have brought it, so that Identify knows it as the same event. It stops at the first error.
	Undelivered(ctx context.Context, since time.Time) iter.Seq2[[]byte, error]
}

// Finder finds sessions by what a customer can quote. It is an optional ability of a Source.
type Finder interface {
	// Find returns the session ids of a payment, or of a customer's e-mail address, at most makegood.ListMax, newest first.
	// What the provider does not know is an empty list.
	Find(ctx context.Context, quoted string) ([]string, error)
}

// Checker tells whether the provider can be reached with our credentials. It is an optional ability of a Source.
type Checker interface {
	// Check makes one cheap, read-only call.
	Check(ctx context.Context) error
}

// EndpointChecker knows where the provider delivers to. It is an optional ability of a Source.
type EndpointChecker interface {
	// CheckEndpoint compares what is registered at the provider with what we need: that events are delivered to url, that
	// nobody switched that off, and that every type that we read is among them. It returns what is wrong, each as a
	// sentence without addresses of others; nothing is that all is well. A key that may not look is ErrNotAllowed.
	CheckEndpoint(ctx context.Context, url string) (problems []string, err error)
}

// ErrNotAllowed is a call that the provider refuses to our credentials, which are good otherwise: a permission is missing.
var ErrNotAllowed = errors.New("our credentials may not ask this")

// DeliveredLister lists what the provider takes for delivered. It is an optional ability of a Source.
type DeliveredLister interface {
	// Delivered returns the bodies of the newest events since a time that the provider says were taken, of the types that
	// we read, newest first and at most as many as one call tells; each as a webhook would have brought it.
	Delivered(ctx context.Context, since time.Time) ([][]byte, error)
}

// Reason says why a delivery was not proved. Reasons are few and stable: they are counted.
type Reason string

const (
	ReasonMissing   Reason = "missing"   // no signature at all
	ReasonMalformed Reason = "malformed" // a signature header that cannot be read
	ReasonMismatch  Reason = "mismatch"  // well formed, but made with none of our secrets, or over another body
	ReasonTooOld    Reason = "too_old"   // made with our secret, too long ago
	ReasonFuture    Reason = "future"    // made with our secret, in our future: somebody's clock is wrong
	ReasonRetired   Reason = "retired"   // made with a secret of ours after its not_after
	// What intake finds out about a mismatch by trying on.
	ReasonAltered     Reason = "altered"      // genuine before something on the way changed the body
	ReasonOtherSource Reason = "other_source" // signed with the secret of another source of ours, such as the other mode's
	ReasonTwoBodies   Reason = "two_bodies"   // one transmission id, and another body than before: an attack
)

// CheckAge compares a signed time with the time of receipt: an error when they are further apart than
// makegood.SignatureTolerance, both ends included.
func CheckAge(received, signed time.Time) error {
	switch age := received.Sub(signed); {
	case age > makegood.SignatureTolerance:
		return &SignatureError{Reason: ReasonTooOld, Skew: age}
	case age < -makegood.SignatureTolerance:
		return &SignatureError{Reason: ReasonFuture, Skew: -age}
	}
	return nil
}

// SignatureError is a delivery that was not proved. It is makegood.BadSignature.
type SignatureError struct {
	Reason Reason
	Skew   time.Duration // how far the signed time lies from ours, for too_old and future
}

// Error names the reason and never the signature.
func (e *SignatureError) Error() string {
	if e.Skew != 0 {
		return fmt.Sprintf("signature %s (clock difference %v)", e.Reason, e.Skew.Round(time.Second))
	}
	return "signature " + string(e.Reason)
}

// Is makes a SignatureError a makegood.BadSignature.
func (e *SignatureError) Is(target error) bool { return target == makegood.BadSignature }
