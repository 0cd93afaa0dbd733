package demo

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
)

// Services are the simulated provider, mail service and channels as a process of their own, for drills in which server and
// watcher are killed one by one and everything else goes on.
type Services struct {
	Addresses
	stripe   *simulate.Stripe
	resend   *simulate.Resend
	channels *simulate.Channels
	servers  []*http.Server
	serving  sync.WaitGroup
}

// Addresses are where the services are.
type Addresses struct {
	Stripe   string `json:"stripe"`
	Resend   string `json:"resend"`
	Channels string `json:"channels"` // /ntfy, /slack, /sms and so on below it; /log lists what was taken
}

// StartServices serves them on free ports of loopback. server is the address of the server that the provider delivers to, ""
// for none yet. The caller must Stop them.
func StartServices(server string) (_ *Services, err error) {
	s := &Services{}
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	s.stripe = simulate.NewStripe(simulate.StripeOptions{APIKey: StripeKey, PublicURL: func() string { return s.Stripe }})
	if s.Stripe, err = s.serve(s.stripe); err != nil {
		return nil, err
	}
	if server != "" {
		endpoint := s.stripe.AddWebhookEndpoint(server+"/hooks/stripe", WebhookSecret)
		if err := s.stripe.SetWebhookEvents(endpoint, stripe.EventTypes()...); err != nil {
			return nil, err
		}
	}
	s.resend = simulate.NewResend(simulate.ResendOptions{APIKey: ResendKey})
	if s.Resend, err = s.serve(s.withLog(s.resend)); err != nil {
		return nil, err
	}
	s.channels = simulate.NewChannels(simulate.TwilioOptions{})
	if s.Channels, err = s.serve(s.channels); err != nil {
		return nil, err
	}
	return s, nil
}

// withLog adds to the mail service what a drill asks: which mails were taken, in the form of the channels' log.
func (s *Services) withLog(resend http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", resend)
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, _ *http.Request) {
		taken := []simulate.Accepted{}
		for _, m := range s.resend.Mails() {
			taken = append(taken, simulate.Accepted{Channel: "email", ID: m.ID, Kind: "mail", Title: m.Subject, At: m.ReceivedAt})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(taken) // a client that has gone away misses it
	})
	return mux
}

func (s *Services) serve(h http.Handler) (url string, err error) {
	l, err := listen("")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	s.serving.Go(func() { _ = server.Serve(l) }) // ends with http.ErrServerClosed in Stop
	return "http://" + l.Addr().String(), nil
}

// Wait serves until ctx ends.
func (s *Services) Wait(ctx context.Context) error {
	<-ctx.Done()
	return s.Stop()
}

// Stop ends all of them.
func (s *Services) Stop() error {
	if s.stripe != nil {
		s.stripe.Close()
	}
	if s.resend != nil {
		s.resend.Close()
	}
	if s.channels != nil {
		s.channels.Close()
	}
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	s.serving.Wait()
	return errors.Join(errs...)
}
