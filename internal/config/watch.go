package config

import (
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Watch is the whole configuration of a watcher, checked and with all references resolved. It shares nothing with the
// server's file but the secret of their beats: what breaks one must not break the other.
type Watch struct {
	Name      string // of this watcher, in beats and messages; the host name by default
	Listen    string // address of its HTTP server
	PublicURL string // how people reach it, for the links in messages; "" is without links
	Database  string // sqlite:PATH, its own
	Log       Log
	// Drill allows it to run on the host of the server without saying that it is not independent: for trying it out.
	Drill    bool
	Trigger  secret.Value // opens POST /__trigger; empty closes it
	Server   *Watched     // the server whose beats it exchanges; nil is none
	Vantage  *Vantage     // another watcher that has to agree; nil is none
	Network  Network
	Monitors []Monitor
	Checkout []SyntheticCheckout
	Smoke    *SmokeTest // run at POST /__trigger and after a deploy; nil is none
	Secrets  SecretList
	Heal     Heal
	Drills   []DrillPlan
	Telling
	Outbound Outbound
	Errors   Errors
}

// Telling is whom to tell, and how: server and watcher each have their own.
type Telling struct {
	Channels []Channel
	// Escalation is checked against Channels; without channels it is empty and nobody is told.
	Escalation  makegood.Escalation
	Maintenance []Maintenance
	Mail        *Mail // how channels of kind email send; on the server the mail of the shop, and nil without such channels
}

// Channel is one way to one person or room. Which of the fields a kind has stands in tellingkeys.go.
type Channel struct {
	Name    string
	Kind    string       // ntfy, slack, email, sms, github, webhook, pagerduty, telegram or discord
	Quiet   bool         // wakes nobody: told early, and of little things
	URL     string       // ntfy: the server; webhook: where to post; others: the service's API, its own by default
	Topic   string       // ntfy; half a secret
	Room    string       // slack: channel id; telegram: chat id
	Repo    string       // github: owner/name
	Account string       // sms: Twilio's account SID
	From    string       // sms: the sending number; email: the sender, that of the mail section by default
	To      []string     // sms: numbers; email: addresses. Several are told in one go
	Token   secret.Value // ntfy (optional), slack, sms, github, telegram; pagerduty: the routing key; webhook: the signing secret; discord: the whole webhook address
}

// Maintenance is a time in which nobody is told of what is found; looking and writing down go on.
type Maintenance struct {
	Keys   string // a pattern of incident keys, such as monitor/* ; * is everything
	From   time.Time
	Until  time.Time
	Reason string
}

// Watched is the server at the other end of the beats.
type Watched struct {
	URL    string       // its public address
	Secret secret.Value // shared: beats are signed with it
	Every  time.Duration
	Silent time.Duration // after which it is taken for dead
}

// Watcher is what the server knows of its watcher.
type Watcher struct {
	Secret secret.Value // empty is that there is none
	Silent time.Duration
}

// Vantage is another watcher that looks too before something is believed.
type Vantage struct {
	URL    string
	Secret secret.Value
}

// Network is how a watcher knows that it can see at all: while none of these answers it is blind.
type Network struct {
	Targets []string // host:port, of at least two owners; empty is never blind
}

// Monitor is one thing that the watcher looks at. Exactly one of URL, TCP, DNS, Heartbeat and Disk is set.
type Monitor struct {
	Name       string
	URL        string
	Method     string
	Headers    map[string]string
	Body       string
	TCP        string // host:port
	DNS        *DNSLook
	Heartbeat  *Heartbeat
	Disk       string   // a path on the watcher's own machine
	Conditions []string // as package probe reads them; never empty
	Priority   makegood.Priority
	Title      string // what is wrong when it is red; made of the name by default
	Means      string
	Every      time.Duration
	Again      time.Duration
	Timeout    time.Duration
	Failures   int
	Successes  int
	DependsOn  []string // names of monitors
	Second     bool     // the vantage has to agree
}

// DNSLook is a question to a name server.
type DNSLook struct {
	Name   string
	Type   string // A, AAAA, CNAME, MX, NS or TXT
	Server string // host:port; "" is the system's
}

// Heartbeat is something that reports by itself; silence is the trouble.
type Heartbeat struct {
	Token secret.Value // in its address
	Every time.Duration
	Grace time.Duration
	// Within is how long a run that has said "start" may take; 0 is as long as it likes.
	Within time.Duration
}

// SyntheticCheckout buys a product without paying, to see that it could be bought.
type SyntheticCheckout struct {
	Product  string
	Every    time.Duration
	Provider string // stripe or paypal
	Live     bool
	APIBase  string
	APIKey   secret.Value // the watcher's own: reading and expiring sessions is all it needs
	ClientID string       // of a PayPal app
	// What the session must say.
	Amount     makegood.Money
	Name       string // what the customer reads; "" is not asked
	SuccessURL string // its beginning; "" is not asked
	CancelURL  string
}

// SmokeTest is what must work after a deploy.
type SmokeTest struct {
	URL   string      // of the shop
	Pages []SmokePage // in order
	// Click is the page with the buy button, and Button a pattern of what it links to or posts to.
	Click  string
	Button string
	// Checkout are the beginnings of addresses that the button may lead to, such as https://checkout.stripe.com/.
	Checkout []string
	Timeout  time.Duration // of each step
}

// SmokePage is a page or a path with data.
type SmokePage struct {
	Path       string
	Conditions []string
}

// Errors is where errors of the program are collected.
type Errors struct {
	DSN         secret.Value // of Sentry or what speaks like it; empty sends nothing anywhere
	Environment string
}

// CheckOverride changes one of the server's own checks.
type CheckOverride struct {
	Code     string
	Off      bool
	Priority makegood.Priority // "" is the check's own
	Every    time.Duration     // 0 is the check's own
	Above    int               // the figure above which it is red, for checks that have one; 0 is the check's own
}
