package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/inspect"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/interpret"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/paypal"
	"github.com/makegood/makegood/internal/provider/recipe"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
)

// newSources is the table of providers.
func newSources(c *config.Config, way *outbound.Client, o Options) (map[string]provider.Source, error) {
	now := o.Now
	sources := make(map[string]provider.Source, len(c.Sources))
	for _, s := range c.Sources {
		var source provider.Source
		var err error
		switch s.Provider {
		case "stripe":
			source, err = stripe.New(stripe.Options{Name: s.Name, Live: s.Live, Account: s.Account, APIKey: s.APIKey,
				WebhookSecrets: dated(s.WebhookSecrets), BaseURL: s.APIBase, HTTP: way, Catalogue: c.Catalogue, Now: now})
		case "paypal":
			source, err = paypal.New(paypal.Options{Name: s.Name, Live: s.Live, ClientID: s.ClientID, ClientSecret: s.APIKey,
				WebhookIDs: dated(s.WebhookSecrets), MerchantID: s.Account, BaseURL: s.APIBase, HTTP: way, Catalogue: c.Catalogue, Now: now,
				Roots: o.Roots})
		default:
			source, err = recipe.New(recipe.Options{Name: s.Name, Provider: s.Provider, Live: s.Live, Secrets: dated(s.WebhookSecrets),
				PublicURL: c.PublicURL + "/hooks/" + s.Name, APIKey: s.APIKey, APIBase: s.APIBase, HTTP: way, Catalogue: c.Catalogue,
				Now: now, Generic: genericOf(s.Recipe)})
		}
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		sources[s.Name] = source
	}
	return sources, nil
}

// genericOf is the row that an operator wrote.
func genericOf(r *config.Recipe) *recipe.Generic {
	if r == nil {
		return nil
	}
	g := &recipe.Generic{Header: r.Header, Prefix: r.Prefix, Separator: r.Separator, SignatureKey: r.SignatureKey,
		TimestampKey: r.TimestampKey, Encoding: r.Encoding, Key: r.Key, KeyPrefix: r.KeyPrefix, Algorithm: r.Algorithm, Signed: r.Signed,
		TimestampHeader: r.TimestampHeader, TimestampUnit: r.TimestampUnit, IDHeader: r.IDHeader}
	g.Reading = recipe.Mapping{Format: r.Reading.Format, EventID: r.Reading.EventID, EventType: r.Reading.EventType,
		CreatedAt: r.Reading.CreatedAt, Object: r.Reading.Object, Live: r.Reading.Live, LiveValue: r.Reading.LiveValue}
	for _, f := range r.Reading.Facts {
		g.Reading.Facts = append(g.Reading.Facts, recipe.FactMapping{Types: f.Types, Root: f.Root, Each: f.Each, Status: f.Status, Is: f.Is,
			Session: f.Session, Payment: f.Payment, References: f.References, ID: f.ID, Amount: f.Amount, Decimal: f.Decimal,
			Currency: f.Currency, FixedCurrency: f.FixedCurrency, Email: f.Email, Name: f.Name, Lines: recipe.LineMapping(f.Lines)})
	}
	return g
}

// Check builds the parts of a configuration and throws them away: what only their packages can judge, such as a recipe or
// the secret of a forward, is told before a start.
func Check(c *config.Config) error {
	way := outbound.New(outbound.Options{})
	_, sourcesErr := newSources(c, way, Options{Now: time.Now})
	sender, err := newSender(c.Mail, way, time.Now)
	if err == nil {
		_, err = newEffects(c, sender, time.Now, nil)
	}
	_, channelsErr := newChannels(c.Channels, serverSpeaking(c, time.Now))
	return errors.Join(sourcesErr, err, channelsErr, inspect.CheckOverrides(c.Checks))
}

func dated(secrets []config.DatedSecret) []provider.Secret {
	known := make([]provider.Secret, len(secrets))
	for i, s := range secrets {
		known[i] = provider.Secret{Value: s.Secret, NotAfter: s.NotAfter}
	}
	return known
}

// newSender is the choice between the mail API and a mail server.
func newSender(c config.Mail, way *outbound.Client, now func() time.Time) (mail.Sender, error) {
	if c.Resend != nil {
		return mail.NewResend(way, c.Resend.APIBase, c.Resend.APIKey, now)
	}
	return mail.NewSMTP(mail.SMTPOptions{Host: c.SMTP.Host, Port: c.SMTP.Port, Username: c.SMTP.Username,
		Password: c.SMTP.Password, TLS: c.SMTP.TLS, Now: now})
}

// newEffects is the table of what an order owes the outside world.
func newEffects(c *config.Config, sender mail.Sender, now func() time.Time, changed func(string, bool)) (map[string]fulfill.Effect, error) {
	email, err := fulfill.NewEmail(sender, c.Catalogue, c.Mail.From, c.Mail.ReplyTo, now)
	if err != nil {
		return nil, fmt.Errorf("mail: %w", err)
	}
	effects := map[string]fulfill.Effect{email.Name(): email}
	for _, d := range c.Forwards {
		signing := make([]fulfill.SigningSecret, len(d.Secrets))
		for i, s := range d.Secrets {
			signing[i] = fulfill.SigningSecret{Value: s.Secret, NotAfter: s.NotAfter}
		}
		// A client of its own: what one destination may reach, no other may.
		client := outbound.New(outbound.Options{Timeout: d.Timeout, AllowPrivate: d.AllowPrivate, MaxIdlePerHost: c.Workers.Effects,
			BodyBytesMax: forwardAnswerMax, Changed: changed, Now: now})
		forward, err := fulfill.NewForward(fulfill.ForwardOptions{Name: d.Name, URL: d.URL, Secrets: signing, Client: client,
			PerSecond: d.PerSecond, Now: now})
		if err != nil {
			return nil, err
		}
		effects[forward.Name()] = forward
	}
	return effects, nil
}

// forwardAnswerMax bounds what a listener may answer, in bytes; a little of it is kept.
const forwardAnswerMax = 64 << 10

// newTerms returns what orders are settled by.
func newTerms(c *config.Config, sources map[string]provider.Source, effects map[string]fulfill.Effect, o Options) (func(func(string) bool) makegood.Terms, error) {
	if len(c.Licenses.KeySecrets) == 0 {
		return nil, errors.New("licences: there is no key secret")
	}
	newest := c.Licenses.KeySecrets[0]
	keys, err := fulfill.NewKeyMaker(newest.ID, newest.Secret)
	if err != nil {
		return nil, err
	}
	var goods, forwards []string
	for name := range effects {
		if !makegood.IsTelling(name) {
			goods = append(goods, name)
		}
	}
	for _, d := range c.Forwards {
		forwards = append(forwards, d.Name)
	}
	noPage := func(source string) bool {
		_, asks := sources[source].(provider.Asker)
		return !asks
	}
	return func(keyTaken func(string) bool) makegood.Terms {
		now := o.Now()
		return makegood.Terms{Catalogue: c.Catalogue, Effects: goods, Forwards: forwards, Now: now, DeriveKey: keys.Derive, KeyTaken: keyTaken, NoPage: noPage,
			NewID: func(prefix string) string { return makegood.NewID(prefix, now, o.Random) }}
	}, nil
}

func newShop(c *config.Config, sources map[string]provider.Source, s *store.Store, i *interpret.Interpreter, m *telemetry.Metrics, now func() time.Time) (*api.Shop, error) {
	sellers := map[string]provider.Seller{}
	for name, source := range sources {
		if seller, ok := source.(provider.Seller); ok {
			sellers[name] = seller
		}
	}
	usual := c.Checkout.Source
	if usual == "" { // nothing is sold here; whoever comes back from paying elsewhere is shown the first source's goods
		usual = c.Sources[0].Name
	} else if sellers[usual] == nil {
		return nil, fmt.Errorf("checkout: source %q cannot sell", c.Checkout.Source)
	}
	seen := m.Counter("synthetic_checkouts_total", "Checkouts marked as synthetic: made, failed, or why the mark was refused.", "result")
	return &api.Shop{WatcherSecret: c.Watcher.Secret, SyntheticSeen: func(result string) { seen.With(result).Inc() }, Source: usual, LiveOnly: isLive(c), Sellers: sellers, Catalogue: c.Catalogue, SuccessURL: c.Checkout.SuccessURL,
		CancelURL: c.Checkout.CancelURL, Store: s, Ask: i.Ask, NewToken: rand.Text, Now: now}, nil
}

// isLive reports whether money is real at any source.
func isLive(c *config.Config) bool {
	return slices.ContainsFunc(c.Sources, func(s config.Source) bool { return s.Live })
}

// newChecks is the table of what health looks at. Backups and the watcher are told as not configured until they are.
func newChecks(c *config.Config, s *store.Store, sources map[string]provider.Source, sender mail.Sender, arrivals *intake.Intake, hearing *watch.Hearing) []api.Check {
	absent := func(context.Context) error { return api.ErrNotConfigured }
	checks := []api.Check{
		{Name: "database", Critical: true, Look: s.Ping},
		{Name: "queue", Look: func(ctx context.Context) error { return queueMoves(ctx, s) }},
		{Name: "email", Look: sender.Check},
		{Name: "secrets", Critical: true, Look: func(context.Context) error { return secretsPresent(c) }},
		{Name: "webhooks", Look: func(context.Context) error { return noLoop(arrivals) }},
		{Name: "backup", Look: absent},
		{Name: "watcher", Look: func(ctx context.Context) error { return watcherHeard(ctx, hearing) }},
	}
	for name, source := range sources {
		if checker, ok := source.(provider.Checker); ok {
			checks = append(checks, api.Check{Name: "provider:" + name, Look: checker.Check})
		}
	}
	return checks
}

// watcherHeard is whether the watcher was heard lately.
func watcherHeard(ctx context.Context, hearing *watch.Hearing) error {
	if hearing == nil {
		return api.ErrNotConfigured
	}
	switch s := hearing.Silence().Look(ctx); {
	case s.Unknown:
		return errors.New("nothing can be said of the watcher: the database does not answer")
	case s.Trouble != "":
		return errors.New(s.Trouble)
	}
	return nil
}

func noLoop(arrivals *intake.Intake) error {
	if looping := arrivals.Loops(); len(looping) > 0 {
		return fmt.Errorf("webhook loop: more than half of the deliveries of %s are repetitions", strings.Join(looping, ", "))
	}
	return nil
}

// fulfilledWithin has the sources that are answered only when the goods are out.
func fulfilledWithin(c *config.Config) map[string]time.Duration {
	within := map[string]time.Duration{}
	for _, s := range c.Sources {
		if s.AcknowledgeFulfilled {
			within[s.Name] = s.AcknowledgeWithin
		}
	}
	return within
}

// queueWaitingMax is the depth above which the queue is said to be behind (SPEC B7).
const queueWaitingMax = 1000

func queueMoves(ctx context.Context, s *store.Store) error {
	depths, err := s.QueueDepths(ctx)
	if err != nil {
		return err
	}
	for _, d := range depths {
		if d.Waiting > queueWaitingMax {
			return fmt.Errorf("%d jobs wait in queue %s", d.Waiting, d.Queue)
		}
	}
	return nil
}

// secretsPresent repeats what the start refused to run without: a value that is empty now was lost in between.
func secretsPresent(c *config.Config) error {
	for _, s := range config.Secrets(c) {
		if s.Fingerprint == "" && s.Kind != secret.Password { // a password shows no fingerprint, not even when it is there
			return fmt.Errorf("%s is empty", s.Path)
		}
	}
	return nil
}
