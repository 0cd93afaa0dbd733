// Package demo is the whole thing on loopback: the real server between a simulated provider and a simulated mail
// service, without an account and without a network. `makegood demo` shows it to people, tests live in it.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/app"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// The secrets of the simulated world. They open nothing but the simulation, which is why they may stand here.
const (
	StripeKey     = "sk_test_simulatedSimulatedSimulated1"
	WebhookSecret = "whsec_simulatedEndpointSecretOfTheDemo1"
	ResendKey     = "re_simulated_Simulated1"
	LicenseSecret = "a licence secret that only the demo uses"
	PayPalClient  = "simulated-client"
	PayPalSecret  = "simulated-secret-of-the-demo"
)

// Catalogue is what the demo sells.
var products = []makegood.Product{
	{Code: "az-900", Name: "AZ-900 practice exam", Price: makegood.Money{Minor: 2900, Currency: "usd"}, LicensePrefix: "GD"},
	{Code: "az-104", Name: "AZ-104 practice exam", Price: makegood.Money{Minor: 3900, Currency: "usd"}, LicensePrefix: "GD", Stocked: true},
}

// Options shape a world. The zero value is good, but for Database.
type Options struct {
	Database string // URL of the server's database
	Listen   string // address of the server; a free port on loopback when ""
	// Ports of the simulated provider and mail service; free ones when "".
	StripeListen, ResendListen string
	Retry                      makegood.RetryPolicy // makegood.DefaultRetryPolicy when zero
	Log                        *slog.Logger
	StopWithin                 time.Duration // see app.Options
	Store                      store.Options // ways to break the database on cue
	Stripe                     simulate.StripeOptions
	Resend                     simulate.ResendOptions
	AroundResend               func(http.Handler) http.Handler // stands between the server and the mail service; may be nil
	// PayPal adds a second source, paypal, with a simulated PayPal; nil is without.
	PayPal *simulate.PayPalOptions
	// Now is the server's clock; time.Now when nil.
	Now func() time.Time
	// NoAlarm leaves out what the server does in the background beside its orders; see app.Options.
	NoAlarm bool
	// Configure changes the server's configuration before its first start; later starts read World.Config as it is then.
	Configure func(*config.Config)
}

// World is the server and what is around it.
type World struct {
	Stripe    *simulate.Stripe
	StripeURL string
	Endpoint  string // of the server at Stripe, we_…
	Resend    *simulate.Resend
	ResendURL string
	PayPal    *simulate.PayPal // nil without
	PayPalURL string
	URL       string // of the server
	Config    *config.Config

	options Options
	servers []*http.Server
	serving sync.WaitGroup
	app     *app.App
	stop    context.CancelFunc
	stopped chan error
}

// Start builds the simulated world and starts the server in it. The caller must Stop it.
func Start(ctx context.Context, o Options) (_ *World, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retry == (makegood.RetryPolicy{}) {
		o.Retry = makegood.DefaultRetryPolicy
	}
	w := &World{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Stop())
		}
	}()
	o.Stripe.APIKey = StripeKey
	o.Stripe.PublicURL = func() string { return w.StripeURL }
	w.Stripe = simulate.NewStripe(o.Stripe)
	if w.StripeURL, err = w.serve(o.StripeListen, w.Stripe); err != nil {
		return nil, err
	}
	o.Resend.APIKey = ResendKey
	w.Resend = simulate.NewResend(o.Resend)
	var inbox http.Handler = w.Resend
	if o.AroundResend != nil {
		inbox = o.AroundResend(inbox)
	}
	if w.ResendURL, err = w.serve(o.ResendListen, inbox); err != nil {
		return nil, err
	}
	webhookID, err := w.startPayPal()
	if err != nil {
		return nil, err
	}
	listener, err := listen(o.Listen)
	if err != nil {
		return nil, err
	}
	w.URL = "http://" + listener.Addr().String()
	w.Config = w.configuration()
	if w.PayPal != nil {
		w.Config.Sources = append(w.Config.Sources, config.Source{Name: "paypal", Provider: "paypal", APIBase: w.PayPalURL, ClientID: PayPalClient,
			APIKey: secret.New(PayPalSecret), WebhookSecrets: []config.DatedSecret{{Secret: secret.New(webhookID)}}})
		if err := w.PayPal.SetWebhookURL(webhookID, w.URL+"/hooks/paypal"); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	if o.Configure != nil {
		o.Configure(w.Config)
	}
	w.Endpoint = w.Stripe.AddWebhookEndpoint(w.URL+"/hooks/stripe", WebhookSecret)
	if err := w.Stripe.SetWebhookEvents(w.Endpoint, stripe.EventTypes()...); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return w, w.startServer(ctx, listener)
}

// startPayPal serves the simulated PayPal, if there is to be one, with a webhook whose address is not known yet.
func (w *World) startPayPal() (webhookID string, err error) {
	if w.options.PayPal == nil {
		return "", nil
	}
	o := *w.options.PayPal
	o.ClientID, o.ClientSecret = PayPalClient, PayPalSecret
	o.PublicURL = func() string { return w.PayPalURL }
	w.PayPal = simulate.NewPayPal(o)
	if w.PayPalURL, err = w.serve("", w.PayPal); err != nil {
		return "", err
	}
	return w.PayPal.AddWebhook("http://127.0.0.1:1/"), nil
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

func (w *World) serve(address string, h http.Handler) (url string, err error) {
	l, err := listen(address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	w.servers = append(w.servers, server)
	w.serving.Go(func() { _ = server.Serve(l) }) // ends with http.ErrServerClosed in Stop
	return "http://" + l.Addr().String(), nil
}

func (w *World) configuration() *config.Config {
	catalogue := make(makegood.Catalogue, len(products))
	for _, p := range products {
		catalogue[p.Code] = p
	}
	return &config.Config{
		PublicURL: w.URL,
		Database:  w.options.Database,
		Node:      "demo",
		Sources: []config.Source{{Name: "stripe", Provider: "stripe", APIBase: w.StripeURL, APIKey: secret.New(StripeKey),
			WebhookSecrets: []config.DatedSecret{{Secret: secret.New(WebhookSecret)}}}},
		Catalogue: catalogue,
		Checkout: config.Checkout{Source: "stripe", CancelURL: w.URL + "/",
			SuccessURL: w.URL + "/thanks?session_id={CHECKOUT_SESSION_ID}"},
		Licenses: config.Licenses{KeySecrets: []config.KeySecret{{ID: "demo", Secret: secret.New(LicenseSecret)}}},
		Mail: config.Mail{From: "Demo Shop <shop@demo.example>",
			Resend: &config.Resend{APIBase: w.ResendURL, APIKey: secret.New(ResendKey)}},
		Retry:    config.Retry{Events: w.options.Retry, Mail: w.options.Retry},
		Workers:  config.Workers{Payments: 100, Effects: 100},
		Limits:   config.Limits{VerifyPerMinute: 600, ValidatePerMinute: 600, CheckoutPerMinute: 600},
		Outbound: config.Outbound{AllowPrivate: true, Timeout: 10 * time.Second},
	}
}

func (w *World) startServer(ctx context.Context, l net.Listener) error {
	o := app.Options{Log: w.options.Log, Listener: l, Store: w.options.Store, StopWithin: w.options.StopWithin, Now: w.options.Now,
		NoAlarm: w.options.NoAlarm}
	if w.PayPal != nil {
		o.Roots = w.PayPal.CertPool()
	}
	server, err := app.New(ctx, w.Config, o)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	w.app = server
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop, w.stopped = stop, make(chan error, 1)
	go func() { w.stopped <- server.Run(running) }()
	return nil
}

// StopServer stops the server and leaves the provider and the mail service running, as a deployment or a crash would.
func (w *World) StopServer() error {
	if w.app == nil {
		return nil
	}
	w.stop()
	err := <-w.stopped
	w.app = nil
	return err
}

// RestartServer starts the server again at the same address, with other ways to break its database, and with less
// patience when it stops; 0 is the usual patience.
func (w *World) RestartServer(ctx context.Context, o store.Options, stopWithin time.Duration) error {
	if err := w.StopServer(); err != nil {
		return err
	}
	w.options.Store, w.options.StopWithin = o, stopWithin
	l, err := listen(w.URL[len("http://"):])
	if err != nil {
		return err
	}
	return w.startServer(ctx, l)
}

// Store is the running server's store.
func (w *World) Store() *store.Store { return w.app.Store }

// Stop ends everything that Start started.
func (w *World) Stop() error {
	errs := []error{w.StopServer()}
	if w.Stripe != nil {
		w.Stripe.Close()
	}
	if w.Resend != nil {
		w.Resend.Close()
	}
	if w.PayPal != nil {
		w.PayPal.Close()
	}
	for _, s := range w.servers {
		errs = append(errs, s.Close())
	}
	w.serving.Wait()
	return errors.Join(errs...)
}

// Checkout asks the server's public API for a session, as a shop's page would.
func (w *World) Checkout(ctx context.Context, product string, quantity int) (sessionID string, err error) {
	return w.CheckoutAt(ctx, "", product, quantity)
}

// CheckoutAt is Checkout at a source; "" is the usual one.
func (w *World) CheckoutAt(ctx context.Context, source, product string, quantity int) (sessionID string, err error) {
	body, err := json.Marshal(map[string]any{"product": product, "quantity": quantity, "source": source})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+"/api/checkout", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("checkout answered %d: %s", response.StatusCode, answer)
	}
	var session struct {
		SessionID string `json:"session_id"`
	}
	return session.SessionID, json.Unmarshal(answer, &session)
}

// Buy is a customer who pays for a product; the provider then tells the server.
func (w *World) Buy(ctx context.Context, product string, quantity int, email string) (sessionID string, err error) {
	if sessionID, err = w.Checkout(ctx, product, quantity); err != nil {
		return "", err
	}
	return sessionID, w.Stripe.Pay(sessionID, simulate.Customer{Email: email, Name: "Ann Example"})
}

// AwaitOrder waits until the order of a session is fulfilled or stuck.
func (w *World) AwaitOrder(ctx context.Context, sessionID string) (makegood.Order, error) {
	return w.AwaitOrderAt(ctx, "stripe", sessionID)
}

// AwaitOrderAt is AwaitOrder at a source.
func (w *World) AwaitOrderAt(ctx context.Context, source, sessionID string) (makegood.Order, error) {
	for {
		o, err := w.Store().OrderBySession(ctx, source, sessionID)
		if err == nil && (o.Fulfillment == makegood.Fulfilled || o.Fulfillment == makegood.Stuck) {
			return o, nil
		}
		if err != nil && !errors.Is(err, makegood.NotFound) {
			return o, err
		}
		select {
		case <-ctx.Done():
			return o, fmt.Errorf("the order of session %s is not settled: %w", sessionID, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}
