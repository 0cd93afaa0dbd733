package synthetic

import (
	"context"
	"errors"
	"time"

	"github.com/makegood/makegood"
)

// Desk is a provider as the watcher sees it: with a key of its own, so that what the server says is not believed but read
// back.
type Desk interface {
	// Known reports whether an id is shaped like one of the provider's sessions; no other is ever put into an address.
	Known(id string) bool
	// Read returns a session as the provider tells it now. Errors are sentences for people, without secrets.
	Read(ctx context.Context, id string) (Session, error)
	// Expire ends a session so that nobody can pay in it. One that has ended already is no error; errUnknown is one that the
	// provider does not know. PayPal has no such call: its orders lapse by themselves, three hours after they were made.
	Expire(ctx context.Context, id string) error
	// Left lists the synthetic sessions that are open and were made in the given time, or as many of them as are found in a
	// bounded number of calls.
	Left(ctx context.Context, from, until time.Time) ([]string, error)
	usualMode() string
	// fillsIn is whether the provider puts the session's id in place of {CHECKOUT_SESSION_ID}; tellsReturn whether a session
	// says where the customer comes back to.
	fillsIn() bool
	tellsReturn(s Session) bool
	// Hosts are the hosts on which the provider's pages for customers are.
	Hosts() []string
	// Expected are the fields that only this provider has.
	Expected(o Options) []field
}

// errUnknown is a session that the provider does not know.
var errUnknown = errors.New("the provider does not know it: the shop sells through another account or mode than the watcher reads")

// Session is what a provider says of a session, as text where it is only compared and shown.
type Session struct {
	ID            string
	Mode          string // payment, subscription or setup; of PayPal its intent
	Live          bool
	Status        string
	PaymentStatus string
	Amount        makegood.Money
	CreatedAt     time.Time
	ExpiresAt     time.Time
	HasCustomer   bool // somebody's address is in it
	Metadata      map[string]string
	SuccessURL    string
	CancelURL     string
	URL           string
	Lines         []Line
	HasMoreLines  bool
}

// Line is one thing that a session offers.
type Line struct {
	Name     string
	Price    string // the provider's id of the price, or the SKU
	Quantity int64
	Unit     makegood.Money // what one costs
}

// field is an assertion about one field: what it is called, what it must be, and what it is.
type field struct {
	name string
	want string
	seen func(Session) string
}
