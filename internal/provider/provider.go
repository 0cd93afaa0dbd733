// Package provider is the contract with those who take the money: how a delivery is proved, what it says, and how the
// provider is asked. Each provider is a package or a row below; the table of them is in package app.
package provider

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/makegood/makegood"
)

// Delivery is one HTTP request that claims to come from a provider.
type Delivery struct {
	Header     http.Header
	Body       []byte // the raw bytes: any re-serialisation breaks a signature
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

// Reading is what an event says.
type Reading struct {
	Facts []makegood.Fact // all of one order
	Note  string          // why there are none, for people
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
}

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

// Checker tells whether the provider can be reached with our credentials. It is an optional ability of a Source.
type Checker interface {
	// Check makes one cheap, read-only call.
	Check(ctx context.Context) error
}

// Reason says why a delivery was not proved. Reasons are few and stable: they are counted.
type Reason string

const (
	ReasonMissing   Reason = "missing"   // no signature at all
	ReasonMalformed Reason = "malformed" // a signature header that cannot be read
	ReasonMismatch  Reason = "mismatch"  // well formed, but made with none of our secrets, or over another body
	ReasonTooOld    Reason = "too_old"   // made with our secret, too long ago
	ReasonFuture    Reason = "future"    // made with our secret, in our future: somebody's clock is wrong
)

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
