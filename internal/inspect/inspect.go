// Package inspect looks into the running server's own books, and asks its providers what they know: is anybody paid for and
// not served, is anything undelivered, does the queue move, would the next delivery be proved? It is a table of checks and
// their looks. Package monitor decides when to look, and when to believe what was seen.
//
// A look is cheap: it reads a few rows by an index, or makes one call. Only two of them act, and they do what a person would
// do with `events pull`: what a provider could not deliver is fetched and goes the normal way.
//
// What cannot be seen is neither well nor ill. When the database does not answer, only database-unreachable is red; when a
// provider does not answer, only provider-unreachable.
package inspect

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/monitor"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/provider"
)

// Store is what the books tell.
type Store interface {
	// Ping makes one small read.
	Ping(ctx context.Context) error
	// OrdersOwed lists the orders whose goods were due before a time and are not given; PaidAt is when they became due.
	OrdersOwed(ctx context.Context, before time.Time) ([]makegood.Order, error)
	// BooksBegan is when the database was made.
	BooksBegan(ctx context.Context) (time.Time, error)
	// LastDelivery is when a source last delivered, and the fingerprint of the secret that proved it; makegood.NotFound when never.
	LastDelivery(ctx context.Context, source string) (at time.Time, verifiedBy string, err error)
	// CountDeliveryStretches counts the stretches of five minutes within a time in which a source delivered new events, up to
	// most of them.
	CountDeliveryStretches(ctx context.Context, source string, from, until time.Time, most int) (int, error)
	// CountFailedEvents counts the events whose interpretation failed since a time.
	CountFailedEvents(ctx context.Context, since time.Time) (int, error)
	// CountDeadLetters counts the open letters, CountRecentDeadLetters those that were kept since a time.
	CountDeadLetters(ctx context.Context) (int, error)
	CountRecentDeadLetters(ctx context.Context, since time.Time) (int, error)
	// CountWaitingJobs counts the unfinished jobs of a queue that do not run, and QueueAge tells how long the oldest is due.
	CountWaitingJobs(ctx context.Context, queue string) (int64, error)
	QueueAge(ctx context.Context, queue string) (time.Duration, error)
	// CountSlowJobs counts the slow runs since a time, and tells how long the slowest took.
	CountSlowJobs(ctx context.Context, since time.Time) (n int, slowest time.Duration, err error)
	// StepTroubles lists the steps of a name whose last attempt failed and that are not done.
	StepTroubles(ctx context.Context, step string) ([]makegood.Step, error)

	// OutcomeOf is makegood.NotFound for an event that is not kept.
	OutcomeOf(ctx context.Context, e makegood.Event) (makegood.Outcome, error)
	// AcceptEvent keeps an event with the job that will interpret it, and reports whether it is new.
	AcceptEvent(ctx context.Context, e makegood.Event) (isNew bool, err error)
	// Record keeps an audit entry.
	Record(ctx context.Context, actor string, e makegood.Entry) error
}

// Intake is what the door knows of deliveries.
type Intake interface {
	// Loops lists the sources of which more than half of the deliveries of the last minutes were repetitions.
	Loops() []string
	// Tally counts the deliveries of a source within the last 15 minutes that were proved, and those refused by reason.
	Tally(source string) (proved int, refused map[provider.Reason]int)
}

// Options are what is looked at. What is left out is not looked at, except that Store, Sources, Intake and Now must be there.
type Options struct {
	Store     Store
	Sources   map[string]provider.Source
	Intake    Intake
	Sender    mail.Sender
	PublicURL string // how providers and customers reach the server, without a slash at the end

	// Skews tells how far our clock is from those of providers and mail service; see outbound.Client.
	Skews func() []outbound.Skew
	// Secrets tells of every secret whether it is there. It may read files again; see SecretsOf and ReadSecrets. An error is
	// that nothing can be said.
	Secrets func() ([]Secret, error)
	// Folder is where the SQLite file is; "" has no disk of ours.
	Folder string
	// Backup tells when the newest backup was made that a restore has proved. Without it there is none configured.
	Backup func(ctx context.Context) (time.Time, error)

	Overrides []config.CheckOverride
	Log       *slog.Logger
	Now       func() time.Time

	// Dial and Roots are for tests: how public_url is reached, and who vouches for its certificate. Free tells of a folder's
	// disk how many bytes are free and how many it has.
	Dial  func(ctx context.Context, network, address string) (net.Conn, error)
	Roots *x509.CertPool
	Free  func(folder string) (free, total uint64, err error)
}

// inspector makes the looks. What it remembers between them is lost in a restart, and then learned again.
type inspector struct {
	Options
	began time.Time // when this process began to look
	books sync.Mutex
	begun time.Time // when the books begin; zero is not asked yet
}

// subject is one thing that a check looks at.
type subject struct {
	name      string
	look      func(ctx context.Context) (trouble string, err error)
	dependsOn []string
}

// New makes a monitor of every check that has something to look at, but for those that are switched off. The checks of the
// table that others find are not among them. Overrides of codes that are not in the table do nothing; see CheckOverrides.
func New(o Options) []monitor.Monitor {
	if o.Store == nil || o.Intake == nil || o.Now == nil {
		panic("inspect: without books, a door or a clock")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	if o.Free == nil {
		o.Free = freeSpace
	}
	in := &inspector{Options: o, began: o.Now()}
	var all []monitor.Monitor
	for _, r := range rows() {
		r, on := r.overridden(o.Overrides)
		if !on || r.subjects == nil {
			continue
		}
		for _, s := range r.subjects(in, r) {
			all = append(all, monitor.Monitor{Check: r.Check, Subject: s.name, Prober: prober{o.Now, s.look}, Timeout: r.timeout,
				Local: r.local, DependsOn: s.dependsOn})
		}
	}
	return all
}

// prober makes a Sight of a look.
type prober struct {
	now  func() time.Time
	look func(ctx context.Context) (trouble string, err error)
}

// Look looks once. A look that cannot see tells why in its Trouble, and is Unknown.
func (p prober) Look(ctx context.Context) probe.Sight {
	s := probe.Sight{At: p.now()}
	began := time.Now()
	trouble, err := p.look(ctx)
	s.Took, s.Trouble = time.Since(began), trouble
	if err != nil && trouble == "" {
		s.Unknown, s.Trouble = true, "cannot be seen: "+said(err)
	}
	return s
}

var _ probe.Prober = prober{}

// errNotConfigured is a look at something that is not there to be looked at.
var errNotConfigured = errors.New("it is not configured")

// said is what a person who repairs needs of an error: its sentence, and the cause. Neither has secrets or addresses in it.
func said(err error) string {
	var e *makegood.Error
	if !errors.As(err, &e) || e.Message == "" {
		return err.Error()
	}
	if e.Err == nil {
		return withoutEnd(e.Message)
	}
	return withoutEnd(e.Message) + " (" + e.Err.Error() + ")"
}

// withoutEnd takes the full stop off a sentence that is to be continued.
func withoutEnd(sentence string) string { return strings.TrimSuffix(sentence, ".") }

// sourceNames lists the sources, sorted.
func (in *inspector) sourceNames() []string {
	names := make([]string, 0, len(in.Sources))
	for name := range in.Sources {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// one is the only subject of a check.
func one(look func(ctx context.Context) (string, error), dependsOn ...string) []subject {
	return []subject{{look: look, dependsOn: dependsOn}}
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// age is a duration as people say it.
func age(d time.Duration) string {
	switch d = max(d, 0); {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
