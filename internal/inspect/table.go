package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/monitor"
)

// The codes that others look for; they are here so that one table has them all.
const (
	ServerSilent          = "server-silent"           // the watcher hears nothing of the server
	WatcherSilent         = "watcher-silent"          // the server hears nothing of the watcher
	WatcherBlind          = "watcher-blind"           // the watcher cannot see anything
	WatcherNotIndependent = "watcher-not-independent" // the watcher shares with the server what can fail
	PeerSkew              = "peer-skew"               // the clocks of watcher and server differ
	AlertChannelDown      = "alert-channel-down"
	AlertsUnsent          = "alerts-unsent"
	CheckoutBroken        = "checkout-broken"
	SmokeFailed           = "smoke-failed"
	ConfigurationRefused  = "configuration-refused"
	Panic                 = "panic"
	SecretDrift           = "secret-drift"      // a host lacks variables that it must have
	SecretSource          = "secret-source"     // the source of truth is not believed
	DeployCredential      = "deploy-credential" // what a host is mended with would not do
	HealRefused           = "heal-refused"
	HealFailed            = "heal-failed"
	Healed                = "healed"
	DrillFailed           = "drill-failed"
)

// The codes of our own looks that others may depend on.
const (
	PaymentProcessingFailure = "payment-processing-failure"
	DatabaseUnreachable      = "database-unreachable"
	ProviderUnreachable      = "provider-unreachable"
	MailUnreachable          = "mail-unreachable"
	SecretsMissing           = "secrets-missing"
	QueueAge                 = "queue-age"
)

// row is one check of the table.
type row struct {
	makegood.Check
	above    int           // the figure above which it is red; 0 has none, unless unit says otherwise
	unit     string        // of the figure; "" is a check without one
	timeout  time.Duration // of one look
	local    bool
	subjects func(*inspector, row) []subject // nil is found by others
}

// Figure is what an override may change of a check that has one.
type Figure struct {
	Above int
	Unit  string
}

// rows is the table. A P0 is looked at every few seconds and believed at once where its own figure has waited long enough;
// what asks others is looked at once a minute and believed at the second time, because networks hiccup.
func rows() []row {
	return []row{
		{Check: check(PaymentProcessingFailure, makegood.P0, 15*time.Second, 1, 2, "Orders are paid and not fulfilled",
			"Customers have paid and have not got what they paid for."), above: 5, unit: "minutes", local: true, subjects: ordersOwed},
		{Check: check(DatabaseUnreachable, makegood.P0, 10*time.Second, 2, 2, "The database does not answer",
			"Payments cannot be taken in; the providers will repeat them, and nobody gets anything until then."), local: true, subjects: database},
		{Check: check(SecretsMissing, makegood.P0, time.Minute, 2, 1, "A secret is missing or broken",
			"The next start would refuse to run, or payments would not be believed."), local: true, subjects: secretsMissing},

		{Check: check("webhook-silence", makegood.P1, time.Minute, 2, 1, "A provider has become silent",
			"Payments may not be heard of; customers would wait for what they paid for."), above: 10, unit: "stretches of five minutes in which deliveries were to be expected", local: true, subjects: silence},
		{Check: check("webhook-failures", makegood.P1, 30*time.Second, 1, 3, "Events of providers cannot be processed",
			"Orders wait until what their events met is repaired."), above: 10, unit: "events within an hour", local: true, subjects: webhookFailures},
		{Check: check("webhook-loop", makegood.P1, 30*time.Second, 1, 2, "A provider repeats the same deliveries again and again",
			"Nobody gets anything twice; but the provider may switch the webhook off."), local: true, subjects: loops},
		{Check: check("webhook-endpoint", makegood.P1, 5*time.Minute, 2, 1, "The webhook is not registered as it must be",
			"The provider does not tell us of payments, or not of all of them."), timeout: callTimeout, subjects: endpoints},
		{Check: check("undelivered-events", makegood.P1, time.Minute, 1, 5, "A provider could not deliver events",
			"Customers waited for goods until we fetched what the provider could not deliver."), timeout: listTimeout, subjects: undelivered},
		{Check: check("delivered-elsewhere", makegood.P1, 10*time.Minute, 1, 1, "A provider delivered events that are not in our books",
			"Payments are told to somebody else, or were lost here; customers wait."), timeout: listTimeout, subjects: deliveredElsewhere},
		{Check: check("signature-failures", makegood.P1, 30*time.Second, 1, 2, "Genuine deliveries are refused",
			"Payments are not believed because a secret, a clock or a proxy is wrong; customers wait."), local: true, subjects: signatureFailures},
		{Check: check("signature-mismatches", makegood.P2, time.Minute, 1, 2, "Many deliveries are not proved",
			"Nobody gets anything for a forged delivery; but if they are genuine, customers wait."), above: 20, unit: "deliveries within 15 minutes", local: true, subjects: mismatches},

		{Check: check(QueueAge, makegood.P1, 15*time.Second, 2, 2, "Work waits for too long",
			"Orders are processed late."), above: 0, unit: "seconds", local: true, subjects: queueAge},
		{Check: check("queue-depth", makegood.P2, 30*time.Second, 2, 2, "Too much work waits",
			"Orders will be processed late if it goes on."), above: 1000, unit: "jobs", local: true, subjects: queueDepth},
		{Check: check("dead-letters", makegood.P2, time.Minute, 1, 1, "Work was given up and waits for a person",
			"What was given up does not happen by itself any more; somebody may wait for it."), above: 0, unit: "letters", local: true, subjects: deadLetters},
		{Check: check("dead-letter-flood", makegood.P1, 30*time.Second, 1, 3, "Much work is given up",
			"Something that many orders need is broken."), above: 10, unit: "letters within an hour", local: true, subjects: deadLetterFlood},
		{Check: check("slow-jobs", makegood.P3, 5*time.Minute, 1, 1, "Jobs are slow",
			"Goods come later than they could."), above: 5, unit: "slow runs within an hour", local: true, subjects: slowJobs},

		{Check: check(ProviderUnreachable, makegood.P1, time.Minute, 2, 2, "A payment provider cannot be reached, or refuses our key",
			"Customers may not be able to buy there, and orders that must be asked for wait."), timeout: callTimeout, subjects: providers},
		{Check: check(MailUnreachable, makegood.P1, time.Minute, 2, 2, "The mail service cannot be reached, or refuses our key",
			"Customers get their mail late; who came back to the shop has seen the keys."), timeout: mailTimeout, subjects: mailService},
		{Check: check("mail-quota", makegood.P1, time.Minute, 1, 1, "The sending quota of the mail service is used up",
			"Customers get no mail until it is renewed or raised."), local: true, subjects: mailQuota},
		{Check: check("mail-failures", makegood.P1, time.Minute, 1, 2, "Mails to customers fail or are refused",
			"Customers have paid and get no mail."), above: 3, unit: "mails within an hour", local: true, subjects: mailFailures},

		{Check: check("certificate-ending", makegood.P1, 30*time.Minute, 2, 1, "The certificate is not accepted, or ends within days",
			"Browsers and providers will refuse, or refuse already, to talk to us."), timeout: callTimeout, subjects: certificateEnding},
		{Check: check("certificate-expiry", makegood.P2, time.Hour, 2, 1, "The certificate should have been renewed by now",
			"Nothing yet; when it has ended, browsers and providers refuse to talk to us."), timeout: callTimeout, subjects: certificateExpiry},
		{Check: check("secret-expiry", makegood.P2, 10*time.Minute, 1, 1, "A secret ends, and nothing has taken its place",
			"Deliveries that are signed with it will be refused."), local: true, subjects: secretExpiry},
		{Check: check("clock-wrong", makegood.P1, time.Minute, 2, 2, "Our clock is wrong",
			"Genuine deliveries are refused because their signatures look old, or will be soon."), above: 60, unit: "seconds", local: true, subjects: clock},
		{Check: check("clock-skew", makegood.P2, time.Minute, 3, 3, "Our clock is not exact",
			"Nothing yet; beyond five minutes genuine deliveries are refused."), above: 5, unit: "seconds", local: true, subjects: clock},
		{Check: check("disk-space", makegood.P1, time.Minute, 2, 2, "The disk of the database is nearly full",
			"When it is full, payments cannot be taken in."), local: true, subjects: disk},
		{Check: check("backup-age", makegood.P1, 10*time.Minute, 1, 1, "There is no fresh backup that a restore has proved",
			"Nothing yet; if the machine dies, what happened since the last one has to be asked from the providers."), above: 26, unit: "hours", local: true, subjects: backupAge},

		{Check: check(ServerSilent, makegood.P0, 10*time.Second, 3, 2, "The server does not answer",
			"Customers cannot buy here, and payments are not taken in; the providers will repeat them.")},
		{Check: check(CheckoutBroken, makegood.P0, 5*time.Minute, 2, 1, "Nothing can be bought",
			"Customers who want to buy cannot, or would be asked for a wrong price.")},
		{Check: check(WatcherSilent, makegood.P1, 10*time.Second, 1, 2, // the silence is long enough by itself
			"The watcher is silent",
			"Nothing for customers; but if the server fails now, nobody is told.")},
		{Check: monitor.Blindness()},
		{Check: check(WatcherNotIndependent, makegood.P2, time.Hour, 1, 1, "The watcher is not independent of the server",
			"Nothing yet; but what takes the server down may take the watcher with it.")},
		{Check: check(PeerSkew, makegood.P2, time.Minute, 3, 3, "The clocks of server and watcher differ",
			"Nothing yet; one of the two is wrong, and signatures depend on it.")},
		{Check: check(AlertChannelDown, makegood.P1, time.Minute, 2, 2, "A channel for alerts does not take them",
			"Nothing for customers; but people may not hear of trouble in time.")},
		{Check: check(AlertsUnsent, makegood.P1, time.Minute, 1, 1, "Alerts could not be told to anybody",
			"Something is wrong, and nobody who could help knows.")},
		{Check: check(SmokeFailed, makegood.P1, 5*time.Minute, 1, 1, "The test after a deploy failed",
			"Something of the shop does not work as it did before the deploy.")},
		{Check: check(ConfigurationRefused, makegood.P2, time.Minute, 1, 1, "A changed configuration was refused",
			"Nothing: the one of before goes on. What was to be changed is not changed.")},
		{Check: check(SecretDrift, makegood.P1, 20*time.Second, 2, 2, "Variables are missing on the host",
			"Nothing yet; the next deploy or start would run without them, and customers would wait.")},
		{Check: check(SecretSource, makegood.P1, time.Minute, 2, 1, "The source of truth of the secrets is not believed",
			"Nothing yet; but a secret that is lost now could not be put back.")},
		{Check: check(DeployCredential, makegood.P1, 10*time.Minute, 2, 1, "A host could not be mended with the credential that there is",
			"Nothing yet; but a secret that is lost now could not be put back by itself.")},
		{Check: check(HealRefused, makegood.P0, time.Minute, 1, 1, "It should be mended and cannot be",
			"Customers wait until a person does what the incident says.")},
		{Check: check(HealFailed, makegood.P0, time.Minute, 1, 1, "An attempt at mending it did not help",
			"Customers wait until a person looks at it.")},
		{Check: check(Healed, makegood.P2, time.Minute, 1, 1, "It was mended by itself; the cause is still there",
			"Nothing now; what broke it will break it again.")},
		{Check: check(DrillFailed, makegood.P1, time.Minute, 1, 1, "A drill failed",
			"Nothing yet; but what it tries out may not work when it is needed.")},
		{Check: check(Panic, makegood.P1, time.Minute, 1, 1, "The program met what must never be",
			"One request or job failed; nothing was half written.")},
	}
}

// check writes one line of the table. While it is suspect it is looked at four times as often, but never more often than
// every five seconds.
func check(code string, p makegood.Priority, every time.Duration, failures, successes int, title, means string) makegood.Check {
	return makegood.Check{Code: code, Title: title, Means: means, Priority: p, Every: every,
		Again: min(every, max(every/4, againLeast)), Failures: failures, Successes: successes}
}

// Checks is the table of all checks, sorted by code: our own, and those that others look for.
func Checks() []makegood.Check {
	var all []makegood.Check
	for _, r := range rows() {
		all = append(all, calm(r.Check))
	}
	slices.SortFunc(all, func(a, b makegood.Check) int { return cmp.Compare(a.Code, b.Code) })
	return all
}

// calm keeps what may ask a provider at most once a minute from being asked more often because it is suspect.
func calm(c makegood.Check) makegood.Check {
	if c.Code == "undelivered-events" || c.Code == "delivered-elsewhere" {
		c.Again = c.Every
	}
	return c
}

// Lookup returns a check of the table as the overrides want it, and false when it is off or not in the table.
func Lookup(code string, overrides []config.CheckOverride) (makegood.Check, bool) {
	for _, r := range rows() {
		if r.Code == code {
			r, on := r.overridden(overrides)
			return r.Check, on
		}
	}
	return makegood.Check{}, false
}

// Figures are the figures of the checks that have one, by code.
func Figures() map[string]Figure {
	figures := map[string]Figure{}
	for _, r := range rows() {
		if r.unit != "" {
			figures[r.Code] = Figure{r.above, r.unit}
		}
	}
	return figures
}

// CheckOverrides names what of the overrides means nothing: a code that is not in the table, a code that is there twice, a
// figure for a check that has none, a priority that is none.
func CheckOverrides(overrides []config.CheckOverride) error {
	known, figures := Checks(), Figures()
	seen := map[string]bool{}
	for _, o := range overrides {
		_, hasFigure := figures[o.Code]
		switch {
		case !slices.ContainsFunc(known, func(c makegood.Check) bool { return c.Code == o.Code }):
			return makegood.Errorf(makegood.Invalid, "There is no check %q.", o.Code)
		case seen[o.Code]:
			return makegood.Errorf(makegood.Invalid, "The check %q is changed twice.", o.Code)
		case o.Above != 0 && !hasFigure:
			return makegood.Errorf(makegood.Invalid, "The check %q has no figure above which it is red.", o.Code)
		case o.Above < 0 || o.Every < 0:
			return makegood.Errorf(makegood.Invalid, "The check %q cannot have less than nothing.", o.Code)
		}
		if _, err := makegood.ParsePriority(string(o.Priority)); o.Priority != "" && err != nil {
			return makegood.Wrap(err, makegood.Invalid, fmt.Sprintf("The check %q cannot have the priority %q.", o.Code, o.Priority))
		}
		seen[o.Code] = true
	}
	return nil
}

// overridden returns the row as the configuration wants it, and whether it is on.
func (r row) overridden(overrides []config.CheckOverride) (row, bool) {
	r.Check = calm(r.Check)
	r.timeout = cmp.Or(r.timeout, lookTimeout)
	for _, o := range overrides {
		if o.Code != r.Code {
			continue
		}
		if o.Off {
			return r, false
		}
		r.Priority = cmp.Or(o.Priority, r.Priority)
		if o.Every > 0 {
			r.Every = o.Every
			r.Again = min(r.Again, r.Every)
			r.Check = calm(r.Check)
		}
		r.above = cmp.Or(o.Above, r.above)
	}
	return r, true
}
