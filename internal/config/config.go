// Package config reads the one configuration file, strictly, into plain data, and tells every problem at once with its
// line and path.
//
// The table in keys.go is the language of the file: what is in it can be written, is documented in the manual
// ([Reference]) and stands in the starting file ([Starter]); what is not in it is a problem. A file goes through three
// hands: read.go gives it the shape of the table, parse.go makes the data of it and asks the rules in check.go, and
// secret.go follows the references to secrets. No problem ever repeats a value of the file, because any of them may be a
// secret that somebody put in the wrong place.
package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Config is the whole configuration, checked and with all references resolved. What each value means, its unit and its
// default stand in keys.go.
type Config struct {
	Listen    string // address of the HTTP server, for example 127.0.0.1:8080
	PublicURL string // how customers reach the server, without a slash at the end
	// Database is sqlite:PATH, with the path already seen from the file's folder, or postgres://…, which may have a
	// password in it: show DatabaseLabel instead.
	Database  string
	Node      string // names this process among those that share a database; the host name by default
	Log       Log
	Sources   []Source
	Catalogue makegood.Catalogue
	Checkout  Checkout
	Licenses  Licenses
	Mail      Mail
	Forwards  []Forward
	Control   Control
	Retry     Retry
	Workers   Workers
	Limits    Limits
	Outbound  Outbound
	Watcher   Watcher
	Checks    []CheckOverride
	Heal      ServerHeal
	Errors    Errors
	// References says of each secret that came from a variable of the environment which one it was, by the secret's path.
	References map[string]string
	Telling    // whom the server tells of what it finds in its own books
}

// Log says how the program logs.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
}

// Source is one account at a payment provider.
type Source struct {
	Name           string // in /hooks/{name}
	Provider       string // stripe, paypal, or a row of the recipe table
	Live           bool   // mode: live or test
	Account        string // the provider's account id, for connected accounts; "" is the account of the key
	APIBase        string // where the provider's API is; the provider's own by default
	APIKey         secret.Value
	ClientID       string        // PayPal's half of the key that is no secret
	WebhookSecrets []DatedSecret // all that may have signed a delivery
	// AcknowledgeFulfilled answers a delivery only when the goods are out, within AcknowledgeWithin.
	AcknowledgeFulfilled bool
	AcknowledgeWithin    time.Duration
	Retry                *makegood.RetryPolicy // of its events; nil is Retry.Events
	Recipe               *Recipe               // how deliveries of the provider generic are signed and read; nil for none
}

// DatedSecret is a secret that may have an end.
type DatedSecret struct {
	Secret   secret.Value
	NotAfter time.Time // zero is for ever
}

// Forward is one destination that is told how every paid order stands.
type Forward struct {
	Name         string
	URL          string
	Secrets      []DatedSecret // every one that is not over signs
	Timeout      time.Duration
	PerSecond    int // at most so many requests; 0 is without limit
	AllowPrivate bool
	Retry        makegood.RetryPolicy
}

// Control is how the command line and programs reach a running server.
type Control struct {
	Socket string       // path of a unix socket that only the owner of the process may use
	Token  secret.Value // opens /api/admin over HTTP; empty closes it
}

// Checkout says where customers come back to.
type Checkout struct {
	Source     string // the source that sells; the only one by default
	SuccessURL string // {CHECKOUT_SESSION_ID} is replaced by the session
	CancelURL  string
}

// Licenses is how keys are made.
type Licenses struct {
	KeySecrets []KeySecret // the first makes new keys
}

// KeySecret is one secret for keys, with the name that is kept beside each key made with it.
type KeySecret struct {
	ID     string
	Secret secret.Value
}

// Mail is how customers are written to.
type Mail struct {
	From    string
	ReplyTo string
	Resend  *Resend // exactly one of Resend and SMTP is set
	SMTP    *SMTP
}

// Resend is the mail API of resend.com.
type Resend struct {
	APIBase string
	APIKey  secret.Value
}

// SMTP is a mail server.
type SMTP struct {
	Host     string
	Port     int
	Username string // "" is without authentication; then the password is empty too
	Password secret.Value
	TLS      string // starttls, implicit or none
}

// Retry is how patiently failing jobs are repeated.
type Retry struct {
	Events makegood.RetryPolicy // turning a provider's event into an order
	Mail   makegood.RetryPolicy
}

// Workers is how many jobs run at once on this node.
type Workers struct {
	Payments int
	Effects  int
}

// Limits are the rates at which strangers may ask.
type Limits struct {
	VerifyPerMinute   int // GET /api/verify, per client address
	ValidatePerMinute int // POST /api/licenses/validate, per client address
	CheckoutPerMinute int // POST /api/checkout, per client address
	// TrustedProxies are the addresses or networks whose X-Forwarded-For is believed.
	TrustedProxies []string
}

// Outbound is what the program may reach.
type Outbound struct {
	AllowPrivate bool          // whether loopback and private networks may be called; for tests, demos and in-house APIs
	Timeout      time.Duration // of one call
}

// DatabaseLabel is Database without a password, for people and logs.
func (c Config) DatabaseLabel() string {
	u, err := url.Parse(c.Database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return c.Database
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	query.Del("password")
	query.Del("sslpassword")
	u.RawQuery = query.Encode()
	return u.String()
}

// printable is a Config without the methods that lead back here, and without the password of the database.
type printable Config

func (c Config) printable() printable {
	c.Database = c.DatabaseLabel()
	return printable(c)
}

// Format prints c for any verb without the password that its database may have. The other secrets hide themselves.
func (c Config) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), c.printable())
}

// LogValue is Format for slog.
func (c Config) LogValue() slog.Value { return slog.AnyValue(c.printable()) }

// MarshalJSON is Format for JSON.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(c.printable()) }
