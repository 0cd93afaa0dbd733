package api

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/secret"
)

// Admin answers what operators and their programs ask. It opens nothing by itself: whoever mounts it decides who may
// come, by a socket that only the owner can open or by Authorized.
type Admin struct {
	Desk  *desk.Desk
	Order func(ctx context.Context, id string) (makegood.Order, error)
}

// Routes lists the addresses with their answers.
func (a *Admin) Routes() map[string]Handler {
	return map[string]Handler{
		"POST /api/admin/orders/find":                  a.find,
		"GET /api/admin/orders/{id}":                   a.order,
		"POST /api/admin/orders/make-good":             a.makeGood,
		"POST /api/admin/dead-letters/retry":           a.retry,
		"POST /api/admin/dead-letters/{id}/discard":    a.discard,
		"POST /api/admin/sources/{source}/events/pull": a.pull,
	}
}

// ActorHeader names the person behind a request, for the audit. It is believed: whoever may ask may also lie about it.
const ActorHeader = "Makegood-Actor"

// actor is who stands in the audit.
func actor(r *http.Request) string {
	name := strings.Map(func(c rune) rune {
		if c > ' ' && c <= '~' {
			return c
		}
		return -1
	}, r.Header.Get(ActorHeader))
	if name == "" {
		name = "api"
	}
	return "operator:" + name[:min(len(name), 64)]
}

// Authorized lets only those pass who send the token as a bearer token. An empty token lets nobody pass.
func Authorized(token secret.Value, h Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || token.Empty() || subtle.ConstantTimeCompare([]byte(given), []byte(token.Reveal())) != 1 {
			return makegood.Errorf(makegood.Unauthorized, "This address needs the control token as a bearer token.")
		}
		return h(w, r)
	}
}

// OrderView is an order as operators see it.
type OrderView struct {
	ID          string                    `json:"id,omitempty"` // "" when only the provider knows it
	Source      string                    `json:"source"`
	SessionID   string                    `json:"session_id"`
	PaymentID   string                    `json:"payment_id,omitempty"`
	Email       string                    `json:"email,omitempty"`
	Total       makegood.Money            `json:"total"`
	Payment     makegood.PaymentState     `json:"payment,omitempty"`
	Entitlement makegood.Entitlement      `json:"entitlement,omitempty"`
	Fulfillment makegood.FulfillmentState `json:"fulfillment,omitempty"`
	Reason      string                    `json:"reason,omitempty"`
	PaidAt      time.Time                 `json:"paid_at,omitzero"`
	FulfilledAt time.Time                 `json:"fulfilled_at,omitzero"`
	Licenses    int                       `json:"licenses,omitempty"` // left out of what was found: a listing does not count them
	Steps       []StepView                `json:"steps,omitempty"`
}

// StepView is a step as operators see it.
type StepView struct {
	Name      string             `json:"name"`
	State     makegood.StepState `json:"state"`
	Attempts  int                `json:"attempts"`
	Round     int                `json:"round,omitempty"`
	DoneAt    time.Time          `json:"done_at,omitzero"`
	LastError string             `json:"last_error,omitempty"`
}

func viewOf(o makegood.Order) OrderView {
	v := OrderView{ID: o.ID, Source: o.Key.Source, SessionID: o.Key.SessionID, PaymentID: o.PaymentID, Email: o.Customer.Email,
		Total: o.Total, Payment: o.Payment, Entitlement: o.Entitlement, Fulfillment: o.Fulfillment, Reason: o.Reason,
		PaidAt: o.PaidAt, FulfilledAt: o.FulfilledAt, Licenses: len(o.Licenses)}
	for _, s := range o.Steps {
		v.Steps = append(v.Steps, StepView{s.Name, s.State, s.Attempts, s.Round, s.DoneAt, s.LastError})
	}
	return v
}

// FindAsk is the request of POST /api/admin/orders/find. It is no question in the address, because addresses of customers
// and licence keys would stand in the logs of every proxy.
type FindAsk struct {
	Quoted string `json:"quoted"`
}

// FindAnswer is its answer.
type FindAnswer struct {
	Orders  []OrderView       `json:"orders"`
	Unasked map[string]string `json:"unasked,omitempty"`
}

func (a *Admin) find(w http.ResponseWriter, r *http.Request) error {
	var ask FindAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	finding, err := a.Desk.Find(r.Context(), ask.Quoted)
	if err != nil {
		return err
	}
	answer := FindAnswer{Orders: []OrderView{}, Unasked: finding.Unasked}
	for _, f := range finding.Found {
		v := OrderView{Source: f.Source, SessionID: f.SessionID}
		if f.Order != nil {
			v = viewOf(*f.Order)
		}
		answer.Orders = append(answer.Orders, v)
	}
	private(w)
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (a *Admin) order(w http.ResponseWriter, r *http.Request) error {
	o, err := a.Order(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	private(w)
	writeJSON(w, http.StatusOK, viewOf(o))
	return nil
}

// MakeGoodAsk is the request of POST /api/admin/orders/make-good.
type MakeGoodAsk struct {
	Quoted string `json:"quoted"`
	Resend bool   `json:"resend"`
}

// MakeGoodAnswer is its answer.
type MakeGoodAnswer struct {
	Order OrderView `json:"order"`
	Did   []string  `json:"did"`
}

func (a *Admin) makeGood(w http.ResponseWriter, r *http.Request) error {
	var ask MakeGoodAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	deed, err := a.Desk.MakeGood(r.Context(), actor(r), ask.Quoted, ask.Resend)
	if err != nil {
		return err
	}
	private(w)
	writeJSON(w, http.StatusOK, MakeGoodAnswer{viewOf(deed.Order), append([]string{}, deed.Did...)}) // a list, also when it is empty
	return nil
}

// RetryAsk is the request of POST /api/admin/dead-letters/retry: one round; the next has the After of the answer.
type RetryAsk struct {
	desk.Selection
	Anew      bool          `json:"anew"`
	Wait      time.Duration `json:"wait_ns"` // before the first of this round
	PerSecond int           `json:"per_second"`
	DryRun    bool          `json:"dry_run"`
}

func (a *Admin) retry(w http.ResponseWriter, r *http.Request) error {
	var ask RetryAsk
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if len(ask.IDs) > makegood.ListMax {
		return makegood.Errorf(makegood.Invalid, "At most %d ids at once.", makegood.ListMax)
	}
	retried, err := a.Desk.Retry(r.Context(), ask.Selection, desk.Again{Actor: actor(r), Anew: ask.Anew, Wait: ask.Wait}, ask.PerSecond, ask.DryRun)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, retried)
	return nil
}

func (a *Admin) discard(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Why string `json:"why"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	if err := a.Desk.Discard(r.Context(), actor(r), r.PathValue("id"), ask.Why); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct{}{})
	return nil
}

func (a *Admin) pull(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Since time.Time `json:"since"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	pulled, err := a.Desk.Pull(r.Context(), actor(r), r.PathValue("source"), ask.Since)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, pulled)
	return nil
}
