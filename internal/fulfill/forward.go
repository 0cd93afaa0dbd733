package fulfill

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// Forward tells an application of the owner how an order stands, signed by the rules of Standard Webhooks 1.0.0
// (https://www.standardwebhooks.com, spec/standard-webhooks.md): the headers webhook-id, webhook-timestamp and
// webhook-signature, HMAC-SHA256 over "id.timestamp.body", one v1 signature for each secret. It tells at least once:
// webhook-id is the same on every repetition, so the listener can tell what it knows already.
type Forward struct {
	name    string
	url     string
	secrets []SigningSecret
	client  *outbound.Client
	limit   *rate.Limiter
	now     func() time.Time
}

// SigningSecret is one secret that signs, until a moment.
type SigningSecret struct {
	Value    secret.Value // whsec_ and the base64 of 24 to 64 bytes
	NotAfter time.Time    // zero is for ever
	key      []byte
}

// ForwardOptions describe one destination.
type ForwardOptions struct {
	Name      string
	URL       string
	Secrets   []SigningSecret
	Client    *outbound.Client // its own: whether it may reach private networks is said by name
	PerSecond int              // at most so many requests; 0 is without limit
	Now       func() time.Time
}

// NewForward makes a destination. It refuses one without a secret that signs now, and secrets that are not of the form.
func NewForward(o ForwardOptions) (*Forward, error) {
	f := &Forward{name: o.Name, url: o.URL, client: o.Client, now: o.Now, limit: rate.NewLimiter(rate.Inf, 1)}
	if o.PerSecond > 0 {
		f.limit = rate.NewLimiter(rate.Limit(o.PerSecond), 1) // one at a time: a burst would double the first second
	}
	for i, s := range o.Secrets {
		encoded, ok := strings.CutPrefix(s.Value.Reveal(), "whsec_")
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if !ok || err != nil || strings.ContainsAny(encoded, "\r\n") || len(key) < signingKeyMin || len(key) > signingKeyMax {
			return nil, fmt.Errorf("secret %d of the forward %q is not whsec_ and the base64 of %d to %d bytes", i, o.Name, signingKeyMin, signingKeyMax)
		}
		s.key = key
		f.secrets = append(f.secrets, s)
	}
	if len(f.active(o.Now())) == 0 {
		return nil, fmt.Errorf("the forward %q has no secret that is not over", o.Name)
	}
	return f, nil
}

const (
	// signingKeyMin and signingKeyMax are the bounds of Standard Webhooks for a symmetric key, in bytes.
	signingKeyMin = 24
	signingKeyMax = 64
	// answerShown bounds what is kept of a listener's answer, in bytes.
	answerShown = 300
	// turnMax is how long a telling waits in its worker for its turn under the rate limit; longer, it goes back to the queue.
	turnMax = time.Second
	// turnSpread is over how long those come back that found the rate limit used up.
	turnSpread = 5 * time.Second
)

// Name is the step's name.
func (f *Forward) Name() string { return makegood.TellingStep(f.name, 1) }

// Ready returns a *makegood.Snooze while the listener is left alone after repeated failures, or its rate limit is used up.
func (f *Forward) Ready() error {
	if err := f.client.Ready(http.MethodPost, f.url); err != nil {
		return err
	}
	if f.limit.Limit() != rate.Inf && f.limit.Tokens() < -float64(f.limit.Limit()) {
		return &makegood.Snooze{For: turnMax + time.Duration(rand.Int64N(int64(turnSpread))),
			Err: fmt.Errorf("the forward %q is told at most %v times a second", f.name, f.limit.Limit())}
	}
	return nil
}

// RemembersFor is 0: whether the listener remembers is the listener's affair. It is told again under the same webhook-id.
func (f *Forward) RemembersFor() time.Duration { return 0 }

// OrderEvent is what a destination is told. Its shape is documented in docs/forward.md and only ever grows.
type OrderEvent struct {
	Type      string    `json:"type"`      // order.paid, order.refunded, …: see typeOf
	Timestamp time.Time `json:"timestamp"` // when it was put into words
	Data      OrderData `json:"data"`
}

// OrderData is an order as it stands.
type OrderData struct {
	OrderID     string                    `json:"order_id"`
	Sequence    int                       `json:"sequence"` // 1 for the first telling of this order, then one more each time
	Source      string                    `json:"source"`
	Live        bool                      `json:"live"`
	SessionID   string                    `json:"session_id"`
	PaymentID   string                    `json:"payment_id,omitempty"`
	Payment     makegood.PaymentState     `json:"payment"`
	Entitlement makegood.Entitlement      `json:"entitlement"`
	Fulfillment makegood.FulfillmentState `json:"fulfillment"`
	Total       makegood.Money            `json:"total"`
	Customer    makegood.Customer         `json:"customer"`
	Lines       []OrderLine               `json:"lines"`
	PaidAt      time.Time                 `json:"paid_at"`
}

// OrderLine is one line of an order with its licences.
type OrderLine struct {
	Product  string         `json:"product"`
	Quantity int            `json:"quantity"`
	Subtotal makegood.Money `json:"subtotal"`
	Licenses []OrderLicense `json:"licenses"`
}

// OrderLicense is one licence of a line.
type OrderLicense struct {
	Key       string                 `json:"key"`
	Status    makegood.LicenseStatus `json:"status"`
	ExpiresAt time.Time              `json:"expires_at,omitzero"`
}

// typeOf names what happened: the first telling of an order is order.paid, whatever has happened since, because whoever
// ships on it must hear it once; the others are named after where the money is, and order.updated when it is with us.
func typeOf(o makegood.Order, ordinal int) string {
	switch {
	case ordinal == 1:
		return "order.paid"
	case o.Payment == makegood.PaymentPaid:
		return "order.updated"
	}
	return "order." + string(o.Payment)
}

// Make puts the order as it stands into words. The same bytes are posted on every attempt.
func (f *Forward) Make(o makegood.Order, step string) ([]byte, error) {
	ordinal := makegood.TellingOrdinal(step)
	event := OrderEvent{Type: typeOf(o, ordinal), Timestamp: f.now().UTC().Truncate(time.Millisecond), Data: OrderData{
		OrderID: o.ID, Sequence: ordinal, Source: o.Key.Source, Live: o.Key.Live, SessionID: o.Key.SessionID, PaymentID: o.PaymentID,
		Payment: o.Payment, Entitlement: o.Entitlement, Fulfillment: o.Fulfillment, Total: o.Total, Customer: o.Customer,
		PaidAt: o.PaidAt, Lines: []OrderLine{}}}
	for i, line := range o.Lines {
		told := OrderLine{Product: line.Product, Quantity: line.Quantity, Subtotal: line.Subtotal, Licenses: []OrderLicense{}}
		for _, l := range o.Licenses {
			if l.Line == i {
				told.Licenses = append(told.Licenses, OrderLicense{Key: l.Key, Status: l.Status, ExpiresAt: l.ExpiresAt})
			}
		}
		event.Data.Lines = append(event.Data.Lines, told)
	}
	body, err := json.Marshal(event)
	if err != nil {
		return nil, &makegood.Permanent{Err: err}
	}
	return json.Marshal(envelope{ID: o.ID + "_" + strings.ReplaceAll(step, ":", "_"), Body: body})
}

// envelope is what is kept of a telling: its webhook-id, in which the rules want no full stop, and the exact bytes of its body.
type envelope struct {
	ID   string `json:"id"`
	Body []byte `json:"body"`
}

// Bring posts the telling. Any 2xx is a receipt; of the answer a little is kept. 410 means that the listener never wants
// to hear of it again; Retry-After is obeyed; everything else is repeated, a redirect too: it is followed never.
func (f *Forward) Bring(ctx context.Context, message []byte, round int) (string, error) {
	var e envelope
	if err := json.Unmarshal(message, &e); err != nil {
		return "", &NoEffect{&makegood.Permanent{Err: fmt.Errorf("a telling that cannot be read: %w", err)}}
	}
	if round > 0 {
		e.ID = fmt.Sprintf("%s_again%d", e.ID, round)
	}
	if err := f.turn(ctx); err != nil {
		return "", &NoEffect{err}
	}
	req, err := f.request(ctx, e)
	if err != nil {
		return "", &NoEffect{&makegood.Permanent{Err: err}}
	}
	resp, err := f.client.Do(ctx, req)
	var cut *outbound.Error
	switch {
	case errors.As(err, &cut) && cut.Status != 0: // the body was too large or broke off; the status is the answer
		return f.verdict(&outbound.Response{Status: cut.Status})
	case errors.Is(err, outbound.ErrRefusedAddress):
		return "", &NoEffect{fmt.Errorf("%w; allow_private of this forward opens it, if that is meant", err)}
	case err != nil && !outbound.MaybeSent(err):
		return "", &NoEffect{err}
	case err != nil:
		return "", err
	}
	return f.verdict(resp)
}

func (f *Forward) request(ctx context.Context, e envelope) (*http.Request, error) {
	at := f.now()
	timestamp := strconv.FormatInt(at.Unix(), 10)
	signatures := f.sign(at, e.ID, timestamp, e.Body)
	if signatures == "" {
		return nil, fmt.Errorf("the forward %q has no secret that is not over", f.name)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(e.Body))
	if err != nil {
		return nil, errors.New("the address cannot be read")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", e.ID)
	req.Header.Set("Webhook-Timestamp", timestamp)
	req.Header.Set("Webhook-Signature", signatures)
	req.Header.Set("Idempotency-Key", e.ID) // lets the standard library repeat on a connection that was dead
	return req, nil
}

func (f *Forward) sign(at time.Time, id, timestamp string, body []byte) string {
	var all []string
	for _, s := range f.active(at) {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

func (f *Forward) active(at time.Time) []SigningSecret {
	var active []SigningSecret
	for _, s := range f.secrets {
		if s.NotAfter.IsZero() || !at.After(s.NotAfter) {
			active = append(active, s)
		}
	}
	return active
}

// turn waits for the rate limit, briefly; a worker is not for waiting.
func (f *Forward) turn(ctx context.Context) error {
	reservation := f.limit.ReserveN(time.Now(), 1)
	wait := reservation.Delay()
	if wait > turnMax {
		reservation.Cancel()
		spread := time.Duration(rand.Int64N(int64(turnSpread))) // those that wait do not come back together
		return &makegood.Snooze{For: wait + spread, Err: fmt.Errorf("the forward %q is told at most %v times a second", f.name, f.limit.Limit())}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (f *Forward) verdict(resp *outbound.Response) (string, error) {
	status, words := fmt.Sprintf("status %d", resp.Status), shown(resp.Body)
	if resp.Status >= 200 && resp.Status <= 299 {
		if words != "" {
			status += ": " + words
		}
		return status, nil
	}
	var err error = &Answered{errors.New("the listener answered with " + status), words}
	if resp.Status == http.StatusGone {
		return "", &makegood.Permanent{Err: fmt.Errorf("%w; 410 means that it wants to hear no more", err)}
	}
	if wait, ok := outbound.RetryAfter(resp.Header, f.now()); ok && (resp.Status == http.StatusTooManyRequests || resp.Status == http.StatusServiceUnavailable) {
		return "", &makegood.Snooze{For: max(wait, time.Second), Err: err}
	}
	return "", err
}

// shown makes one short, harmless line of an answer.
func shown(body []byte) string {
	cut := len(body) > answerShown
	if cut {
		body = body[:answerShown]
	}
	text := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(body), "�"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if cut {
		text += "…"
	}
	return text
}

var _ Effect = (*Forward)(nil)
