package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/makegood/makegood/internal/provider/stripe"
	"github.com/makegood/makegood/internal/simulate"
)

// The parts of a simulated world, each to be a process of its own: what breaks in a drill breaks alone.
const (
	PartProvider = "provider" // a pretend Stripe
	PartMail     = "mail"     // a pretend Resend
	PartChannels = "channels" // the services that carry alerts
	PartPages    = "pages"    // a pretend Cloudflare Pages whose deployment is the real server, as a child of its own
	PartBox      = "box"      // a machine that supervises the real server, which reads a file of variables
)

// Parts lists the parts.
func Parts() []string { return []string{PartProvider, PartMail, PartChannels, PartPages, PartBox} }

// PartOptions are what a part is made of. Not every part needs all.
type PartOptions struct {
	Server string // where the server that the provider tells is, or will be
	// Of a host: the program with its arguments, where it runs, and the variables that it gets at first. Others is what it gets
	// beside them, which is no secret and is never lost.
	Argv      []string
	Dir       string
	Variables map[string]string
	Others    []string
	EnvFile   string        // of a box
	Build     time.Duration // of Pages; 45 s when 0
	Log       io.Writer     // gets what the program says
}

// Part is a part that serves.
type Part struct {
	URL     string
	serving *Services
	close   []func()
}

// partDoor is where a drill reaches a part, beside what the part does itself. It listens on loopback only, as all of it does.
const partDoor = "/_drill/"

// StartPart serves a part on a free port of loopback. The caller must Stop it.
func StartPart(kind string, o PartOptions) (_ *Part, err error) {
	p := &Part{serving: &Services{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Stop())
		}
	}()
	mux := http.NewServeMux()
	var handler http.Handler
	switch kind {
	case PartProvider:
		handler, err = p.provider(o, mux)
	case PartMail:
		handler = p.mail()
	case PartChannels:
		channels := simulate.NewChannels(simulate.TwilioOptions{})
		p.close = append(p.close, channels.Close)
		handler = channels
		mux.HandleFunc("POST "+partDoor+"channel", setChannel(channels))
	case PartPages:
		handler, err = p.pages(o)
	case PartBox:
		handler, err = p.box(o)
	default:
		err = fmt.Errorf("there is no part %q; there are %s", kind, strings.Join(Parts(), ", "))
	}
	if err != nil {
		return nil, err
	}
	p.URL, err = p.serving.serve(outage(mux, handler))
	return p, err
}

// outage lets a drill take a part away: POST /_drill/down has everything answered with 503 until POST /_drill/up. What stands
// at the door itself goes on.
func outage(door *http.ServeMux, handler http.Handler) http.Handler {
	var isDown atomic.Bool
	door.HandleFunc("POST "+partDoor+"down", func(http.ResponseWriter, *http.Request) { isDown.Store(true) })
	door.HandleFunc("POST "+partDoor+"up", func(http.ResponseWriter, *http.Request) { isDown.Store(false) })
	door.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		// Its log is the drill's own eye, and no part of the service.
		if isDown.Load() && r.URL.Path != "/log" {
			http.Error(w, "the service is not available", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	return door
}

func (p *Part) provider(o PartOptions, door *http.ServeMux) (http.Handler, error) {
	s := simulate.NewStripe(simulate.StripeOptions{APIKey: StripeKey, PublicURL: func() string { return p.URL }})
	p.close = append(p.close, s.Close)
	if o.Server != "" {
		endpoint := s.AddWebhookEndpoint(o.Server+"/hooks/stripe", WebhookSecret)
		if err := s.SetWebhookEvents(endpoint, stripe.EventTypes()...); err != nil {
			return nil, err
		}
	}
	door.HandleFunc("POST "+partDoor+"pay", func(w http.ResponseWriter, r *http.Request) {
		var order struct {
			Session string `json:"session"`
			Email   string `json:"email"`
		}
		err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&order)
		if err == nil {
			err = s.Pay(order.Session, simulate.Customer{Email: order.Email, Name: "Ann Example"})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return s, nil
}

func (p *Part) mail() http.Handler {
	p.serving.resend = simulate.NewResend(simulate.ResendOptions{APIKey: ResendKey})
	return p.serving.withLog(p.serving.resend)
}

// setChannel breaks one of the channels: {"channel": "ntfy", "status": 500}; status 0 mends it.
func setChannel(channels *simulate.Channels) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var order struct {
			Channel string `json:"channel"`
			Status  int    `json:"status"`
		}
		err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&order)
		faults := simulate.AlertFaults{}
		if order.Status != 0 {
			faults.Fail = func(*http.Request) int { return order.Status }
		}
		if err != nil || !channels.SetFaults(order.Channel, faults) {
			http.Error(w, "there is no such channel", http.StatusBadRequest)
		}
	}
}

// pages runs the server as the live deployment of a pretend Pages project: with the variables that were baked into it, and the
// configuration of its commit, makegood.COMMIT.yaml where there is one.
func (p *Part) pages(o PartOptions) (http.Handler, error) {
	box := simulate.NewBox(simulate.BoxOptions{Argv: o.Argv, Dir: o.Dir, Env: o.Others, Log: o.Log})
	p.close = append(p.close, box.Close)
	var failed error
	live := func(d simulate.PagesDeployment) {
		variables := map[string]string{}
		for name, v := range d.Variables {
			variables[name] = v.Value
		}
		if name := "makegood." + d.Commit + ".yaml"; exists(filepath.Join(o.Dir, name)) {
			variables["MAKEGOOD_CONFIG"] = name
		}
		failed = box.Start(variables) // one that ends at once is what a deployment without its secrets is
	}
	cloud := simulate.NewPages(simulate.PagesOptions{Build: o.Build, Live: live,
		Projects: []simulate.PagesProject{{Name: simulate.PagesName, Secrets: o.Variables}}})
	p.close = append(p.close, cloud.Close)
	mux := http.NewServeMux()
	mux.Handle("/_box/", http.StripPrefix("/_box", box))
	mux.Handle("/", cloud)
	return mux, failed
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// box runs the server with a file of variables.
func (p *Part) box(o PartOptions) (http.Handler, error) {
	box := simulate.NewBox(simulate.BoxOptions{Argv: o.Argv, Dir: o.Dir, Env: o.Others, EnvFile: o.EnvFile, Log: o.Log})
	p.close = append(p.close, box.Close)
	mux := http.NewServeMux()
	mux.Handle("/_box/", http.StripPrefix("/_box", box))
	return mux, box.Start(nil)
}

// Wait serves until ctx ends.
func (p *Part) Wait(ctx context.Context) error {
	<-ctx.Done()
	return p.Stop()
}

// Stop ends it.
func (p *Part) Stop() error {
	for _, end := range p.close {
		end()
	}
	p.close = nil
	return p.serving.Stop()
}
