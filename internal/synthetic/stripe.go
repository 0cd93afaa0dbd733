package synthetic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
)

// stripeVersion is the version of Stripe's API in which we read, whatever the account's default is.
const stripeVersion = "2025-03-31.basil"

const stripeBase = "https://api.stripe.com"

// Stripe reads and ends sessions with a key of the watcher's own. A restricted key needs "Checkout Sessions: write" and
// nothing else: reading comes with it, and expiring is a write.
type Stripe struct {
	key     secret.Value
	account string
	base    string
	http    *outbound.Client
}

var _ Desk = (*Stripe)(nil)

// NewStripe returns Stripe as a watcher sees it. account is the connected account (acct_…) that the shop sells for, or "";
// base is for the simulation, Stripe itself when "".
func NewStripe(key secret.Value, account, base string, way *outbound.Client) *Stripe {
	if base == "" {
		base = stripeBase
	}
	return &Stripe{key: key, account: account, base: strings.TrimSuffix(base, "/"), http: way}
}

func (s *Stripe) usualMode() string        { return "payment" }
func (s *Stripe) fillsIn() bool            { return true }
func (s *Stripe) tellsReturn(Session) bool { return true }

// Hosts are checkout.stripe.com, or that of the simulation. A shop with a domain of its own for Stripe's pages says so in
// Options.Hosts.
func (s *Stripe) Hosts() []string {
	if s.base == stripeBase {
		return []string{"checkout.stripe.com"}
	}
	return hostOf(s.base)
}

func hostOf(base string) []string {
	u, err := url.Parse(base)
	if err != nil {
		return nil
	}
	return []string{u.Host}
}

// Expected is what our checkout writes into a session at Stripe.
func (s *Stripe) Expected(o Options) []field { return stripeFields(o) }

var stripeSessionID = regexp.MustCompile(`^cs_(test|live)_[A-Za-z0-9]{1,200}$`)

// Known reports whether an id is shaped like a session's.
func (s *Stripe) Known(id string) bool { return stripeSessionID.MatchString(id) }

// stripeSession is a session as far as it is read.
type stripeSession struct {
	ID            string            `json:"id"`
	Mode          string            `json:"mode"`
	Livemode      bool              `json:"livemode"`
	Status        string            `json:"status"`
	PaymentStatus string            `json:"payment_status"`
	AmountTotal   int64             `json:"amount_total"`
	Currency      string            `json:"currency"`
	Created       int64             `json:"created"`
	ExpiresAt     int64             `json:"expires_at"`
	CustomerEmail string            `json:"customer_email"`
	Metadata      map[string]string `json:"metadata"`
	SuccessURL    string            `json:"success_url"`
	CancelURL     string            `json:"cancel_url"`
	URL           string            `json:"url"`
	LineItems     struct {
		Data []struct {
			Description string `json:"description"`
			Quantity    int64  `json:"quantity"`
			Price       struct {
				ID         string `json:"id"`
				UnitAmount int64  `json:"unit_amount"`
				Currency   string `json:"currency"`
			} `json:"price"`
		} `json:"data"`
		HasMore bool `json:"has_more"`
	} `json:"line_items"`
}

func (t stripeSession) session() Session {
	s := Session{ID: t.ID, Mode: t.Mode, Live: t.Livemode, Status: t.Status, PaymentStatus: t.PaymentStatus,
		Amount: makegood.Money{Minor: t.AmountTotal, Currency: t.Currency}, CreatedAt: time.Unix(t.Created, 0), ExpiresAt: time.Unix(t.ExpiresAt, 0),
		HasCustomer: t.CustomerEmail != "", Metadata: t.Metadata, SuccessURL: t.SuccessURL, CancelURL: t.CancelURL, URL: t.URL,
		HasMoreLines: t.LineItems.HasMore}
	for _, item := range t.LineItems.Data {
		s.Lines = append(s.Lines, Line{Name: item.Description, Price: item.Price.ID, Quantity: item.Quantity,
			Unit: makegood.Money{Minor: item.Price.UnitAmount, Currency: item.Price.Currency}})
	}
	return s
}

const stripeSessions = "/v1/checkout/sessions"

// Read retrieves a session with its line items.
func (s *Stripe) Read(ctx context.Context, id string) (Session, error) {
	var t stripeSession
	path := stripeSessions + "/" + url.PathEscape(id) + "?" + url.Values{"expand[]": {"line_items"}}.Encode()
	if err := s.do(ctx, http.MethodGet, path, &t); err != nil {
		return Session{}, err
	}
	return t.session(), nil
}

// Expire ends a session. Stripe refuses with 400 what is not open any more (Stripe, "Expire a Checkout Session"): then it
// is asked how the session ended.
func (s *Stripe) Expire(ctx context.Context, id string) error {
	var t stripeSession
	err := s.do(ctx, http.MethodPost, stripeSessions+"/"+url.PathEscape(id)+"/expire", &t)
	if refused := (*statusError)(nil); errors.As(err, &refused) && refused.status == http.StatusBadRequest {
		now, readErr := s.Read(ctx, id)
		if readErr == nil && hasEnded(now) {
			return nil
		}
		return errors.Join(err, readErr)
	}
	if err == nil && t.Status != "expired" {
		return fmt.Errorf("stripe answers that it is %s", shown(t.Status))
	}
	return err
}

// Left lists open sessions, newest first, and keeps the synthetic ones.
func (s *Stripe) Left(ctx context.Context, from, until time.Time) ([]string, error) {
	var ids []string
	query := url.Values{"status": {"open"}, "limit": {strconv.Itoa(pageSize)}, "created[gte]": {strconv.FormatInt(from.Unix(), 10)},
		"created[lte]": {strconv.FormatInt(until.Unix(), 10)}}
	for range pagesMax {
		var list struct {
			Data    []stripeSession `json:"data"`
			HasMore bool            `json:"has_more"`
		}
		if err := s.do(ctx, http.MethodGet, stripeSessions+"?"+query.Encode(), &list); err != nil {
			return ids, err
		}
		for _, t := range list.Data {
			if t.Metadata[provider.SyntheticMark] == "true" && s.Known(t.ID) {
				ids = append(ids, t.ID)
			}
		}
		if !list.HasMore || len(list.Data) == 0 {
			break
		}
		query.Set("starting_after", list.Data[len(list.Data)-1].ID)
	}
	return ids, nil
}

func (s *Stripe) do(ctx context.Context, method, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, http.NoBody)
	if err != nil {
		return errors.New("stripe's address cannot be read")
	}
	request.Header.Set("Authorization", "Bearer "+s.key.Reveal())
	request.Header.Set("Stripe-Version", stripeVersion)
	if s.account != "" {
		request.Header.Set("Stripe-Account", s.account)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return answered(ctx, s.http, "stripe", request, into)
}

// statusError is an answer that is not what was asked for.
type statusError struct {
	who    string
	status int
}

// Error says whose fault it probably is. The body of an answer is not repeated: it may have a part of the key.
func (e *statusError) Error() string {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("%s refuses the watcher's key with status %d: it is wrong, expired, of another mode, or lacks a permission", e.who, e.status)
	}
	return fmt.Sprintf("%s answers with status %d", e.who, e.status)
}

// answered sends a request and reads the JSON of its answer.
func answered(ctx context.Context, way *outbound.Client, who string, request *http.Request, into any) error {
	response, err := way.Do(ctx, request)
	switch {
	case err != nil:
		return fmt.Errorf("%s does not answer: %s", who, unanswered(err))
	case response.Status == http.StatusNotFound:
		return errUnknown
	case response.Status != http.StatusOK:
		return &statusError{who, response.Status}
	}
	if err := json.Unmarshal(response.Body, into); err != nil { // whose text quotes the body
		return fmt.Errorf("%s answers with something that cannot be read", who)
	}
	return nil
}
