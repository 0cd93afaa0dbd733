package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/intake"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
	"github.com/makegood/makegood/internal/watch"
	"github.com/makegood/makegood/internal/web"
)

// doors are what answers requests.
type doors struct {
	log     *slog.Logger
	limits  config.Limits
	now     func() time.Time
	intake  *intake.Intake
	shop    *api.Shop
	health  *api.Health
	ready   func(context.Context) error
	metrics *telemetry.Metrics
	thanks  *web.Thanks
	admin   *api.Admin
	token   secret.Value // opens the admin addresses; empty closes them

	incidents   *api.Incidents
	acknowledge *web.Acknowledge
}

// routes lists every URL, who may ask it, and how often.
func routes(d doors) (http.Handler, error) {
	trusted, err := networks(d.limits.TrustedProxies)
	if err != nil {
		return nil, err
	}
	limit := func(perMinute int, h api.Handler) api.Handler {
		return api.NewLimiter(perMinute, trusted, d.now).Limit(h)
	}
	mux := http.NewServeMux()
	for _, route := range []struct {
		pattern string
		handler api.Handler
	}{
		// Providers, who prove themselves by signature.
		{"POST /hooks/{source}", d.intake.Receive},

		// Customers' browsers and sold programs: anybody, at a bounded rate.
		{"POST /api/checkout", open(d.shop.Apart(limit(d.limits.CheckoutPerMinute, d.shop.Checkout), limit(d.limits.CheckoutPerMinute, d.shop.Checkout)))},
		{"OPTIONS /api/checkout", open(preflight)},
		{"GET /api/verify", open(limit(d.limits.VerifyPerMinute, d.shop.Verify))},
		{"POST /api/licenses/validate", open(limit(d.limits.ValidatePerMinute, d.shop.Validate))},
		{"OPTIONS /api/licenses/validate", open(preflight)},
		{"GET /thanks", limit(d.limits.VerifyPerMinute, d.thanks.Show)},

		// Watchers and supervisors: anybody; nothing in the answers is secret.
		{"GET /api/health", d.health.Answer},
		{"GET /livez", live},
		{"GET /readyz", d.readyz},
		{"GET /metrics", d.showMetrics},

		// People with a link, services of channels, and the watcher: each proves itself by a signature.
		{"GET /ack/{token}", limit(linksPerMinute, d.acknowledge.Show)},
		{"POST /ack/{token}", limit(linksPerMinute, d.acknowledge.Press)},
		{"POST /notify/{channel}/status", limit(linksPerMinute, d.incidents.PhoneStatus)},

		{"/", elsewhere(mux)},
	} {
		mux.Handle(route.pattern, api.Errors(d.log, route.handler))
	}
	if d.incidents.Hearing != nil {
		mux.Handle("POST "+watch.BeatPath, api.Errors(d.log, limit(beatsPerMinute, d.incidents.HearBeat)))
		mux.Handle("POST "+watch.ServePath, api.Errors(d.log, limit(linksPerMinute, d.incidents.ServeWaiting)))
	}
	if !d.token.Empty() {
		for _, routes := range []map[string]api.Handler{d.admin.Routes(), d.incidents.AdminRoutes()} {
			for pattern, handler := range routes {
				mux.Handle(pattern, api.Errors(d.log, limit(adminPerMinute, api.Authorized(d.token, handler))))
			}
		}
	}
	return mux, nil
}

// linksPerMinute bounds the guessing of signatures from one address.
const linksPerMinute = 120

// adminPerMinute bounds the guessing of the control token from one address.
const adminPerMinute = 600

// open lets pages of other origins ask: what they ask for needs no cookie, so nobody's rights can be borrowed.
func open(h api.Handler) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		return h(w, r)
	}
}

func preflight(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Access-Control-Allow-Methods", "POST")
	w.Header().Set("Access-Control-Allow-Headers", "Content-Type, Idempotency-Key")
	w.Header().Set("Access-Control-Max-Age", "3600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// live says that the process answers. It looks at nothing else: a supervisor that restarts us because the database is
// away would make a bad day worse.
func live(w http.ResponseWriter, _ *http.Request) error {
	_, err := fmt.Fprintln(w, "live")
	return err
}

// readyz says that deliveries can be kept.
func (d doors) readyz(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := d.ready(ctx); err != nil {
		return makegood.Wrap(err, makegood.Unavailable, "The store cannot be reached just now.")
	}
	_, err := fmt.Fprintln(w, "ready")
	return err
}

func (d doors) showMetrics(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err := d.metrics.WriteTo(w)
	return err
}

// elsewhere answers what no route takes, in our JSON: 405 with the methods that the address knows, or 404. The mux cannot
// tell, because a pattern for every address takes every method.
func elsewhere(mux *http.ServeMux) api.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var known []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost} {
			asked := r.Clone(r.Context())
			asked.Method = method
			if _, pattern := mux.Handler(asked); pattern != "/" {
				known = append(known, method)
			}
		}
		if known == nil {
			return makegood.Errorf(makegood.NotFound, "There is nothing at this address.")
		}
		methods := strings.Join(known, ", ")
		w.Header().Set("Allow", methods)
		return makegood.Errorf(makegood.MethodUnknown, "This address takes %s only.", methods)
	}
}

func networks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		if !strings.Contains(text, "/") {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("limits.trusted_proxies: %w", err)
			}
			all = append(all, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("limits.trusted_proxies: %w", err)
		}
		all = append(all, network)
	}
	return all, nil
}
