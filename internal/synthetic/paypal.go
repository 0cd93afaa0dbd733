package synthetic

import (
	"context"
	"errors"
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

// PayPal reads orders with the credentials of a PayPal app. Nothing at PayPal can end an order before it lapses, three
// hours after it was made; the server never captures one that is marked, so nobody can pay in it.
//
// An order does not tell its mode: the host that knows it and the host of its page do. Where PayPal does not say to which
// addresses the buyer returns, they are not looked at.
type PayPal struct {
	clientID string
	secret   secret.Value
	live     bool
	base     string
	http     *outbound.Client
}

var _ Desk = (*PayPal)(nil)

// NewPayPal returns PayPal as a watcher sees it. base is for the simulation; PayPal's own for the mode when "".
func NewPayPal(clientID string, clientSecret secret.Value, live bool, base string, way *outbound.Client) *PayPal {
	if base == "" {
		base = paypalBase(live)
	}
	return &PayPal{clientID: clientID, secret: clientSecret, live: live, base: strings.TrimSuffix(base, "/"), http: way}
}

func paypalBase(live bool) string {
	if live {
		return "https://api-m.paypal.com"
	}
	return "https://api-m.sandbox.paypal.com"
}

func (p *PayPal) usualMode() string { return "CAPTURE" }

// fillsIn: PayPal appends the order's id to the address by itself.
func (p *PayPal) fillsIn() bool { return false }

func (p *PayPal) tellsReturn(s Session) bool { return s.SuccessURL != "" || s.CancelURL != "" }

// Hosts are those of PayPal's pages in the mode, or that of the simulation.
func (p *PayPal) Hosts() []string {
	switch {
	case p.base != paypalBase(p.live):
		return hostOf(p.base)
	case p.live:
		return []string{"www.paypal.com"}
	}
	return []string{"www.sandbox.paypal.com"}
}

// Expected is what our checkout writes into the custom_id of an order, a second time on purpose, see stripeFields.
func (p *PayPal) Expected(o Options) []field {
	unit := o.unit()
	offered := func(key string) func(Session) string { return func(s Session) string { return s.Metadata[key] } }
	return []field{
		{"status", "PAYER_ACTION_REQUIRED", func(s Session) string { return s.Status }},
		{"captures", "0", func(s Session) string { return s.PaymentStatus }},
		{"custom_id product", o.Product, offered("product")},
		{"custom_id quantity", strconv.Itoa(o.Quantity), offered("quantity")},
		{"custom_id unit amount", strconv.FormatInt(unit.Minor, 10), offered("unit_amount")},
		{"custom_id currency", unit.Currency, offered("currency")},
		{"custom_id " + provider.SyntheticMark, "true", offered(provider.SyntheticMark)},
	}
}

var paypalOrderID = regexp.MustCompile(`^[A-Z0-9]{10,40}$`)

// Known reports whether an id is shaped like an order's.
func (p *PayPal) Known(id string) bool { return paypalOrderID.MatchString(id) }

type paypalMoney struct {
	Currency string `json:"currency_code"`
	Value    string `json:"value"`
}

// money reads a decimal; what cannot be read is no amount.
func (m paypalMoney) money() makegood.Money {
	amount, err := makegood.ParseMoney(m.Value + " " + m.Currency)
	if err != nil {
		return makegood.Money{}
	}
	return amount
}

// paypalOrder is an order as far as it is read.
type paypalOrder struct {
	ID         string    `json:"id"`
	Intent     string    `json:"intent"`
	Status     string    `json:"status"`
	CreateTime time.Time `json:"create_time"`
	Units      []struct {
		CustomID string      `json:"custom_id"`
		Amount   paypalMoney `json:"amount"`
		Items    []struct {
			Name     string      `json:"name"`
			Quantity string      `json:"quantity"`
			Unit     paypalMoney `json:"unit_amount"`
			SKU      string      `json:"sku"`
		} `json:"items"`
		Payments struct {
			Captures []struct{} `json:"captures"`
		} `json:"payments"`
	} `json:"purchase_units"`
	Source struct {
		PayPal struct {
			Email   string `json:"email_address"`
			Context struct {
				ReturnURL string `json:"return_url"`
				CancelURL string `json:"cancel_url"`
			} `json:"experience_context"`
		} `json:"paypal"`
	} `json:"payment_source"`
	Links []struct {
		Rel  string `json:"rel"`
		Href string `json:"href"`
	} `json:"links"`
}

// Read retrieves an order.
func (p *PayPal) Read(ctx context.Context, id string) (Session, error) {
	var token struct {
		Value string `json:"access_token"`
	}
	if err := p.do(ctx, http.MethodPost, "/v1/oauth2/token", "grant_type=client_credentials", func(r *http.Request) {
		r.SetBasicAuth(p.clientID, p.secret.Reveal())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}, &token); err != nil {
		return Session{}, err
	}
	var o paypalOrder
	err := p.do(ctx, http.MethodGet, "/v2/checkout/orders/"+url.PathEscape(id), "", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token.Value)
	}, &o)
	if err != nil {
		return Session{}, err
	}
	return p.session(o), nil
}

// session puts an order into the words of a session.
func (p *PayPal) session(o paypalOrder) Session {
	back := o.Source.PayPal.Context
	s := Session{ID: o.ID, Mode: o.Intent, Live: p.live, Status: o.Status, CreatedAt: o.CreateTime, ExpiresAt: o.CreateTime.Add(paypalLifetime),
		HasCustomer: o.Source.PayPal.Email != "", SuccessURL: back.ReturnURL, CancelURL: back.CancelURL, HasMoreLines: len(o.Units) > 1}
	for _, link := range o.Links {
		if link.Rel == "payer-action" || link.Rel == "approve" {
			s.URL = link.Href
		}
	}
	if len(o.Units) == 0 {
		return s
	}
	unit := o.Units[0]
	s.Amount, s.Metadata, s.PaymentStatus = unit.Amount.money(), readCustomID(unit.CustomID), strconv.Itoa(len(unit.Payments.Captures))
	for _, item := range unit.Items {
		n, err := strconv.ParseInt(item.Quantity, 10, 64)
		if err != nil {
			n = 0
		}
		s.Lines = append(s.Lines, Line{Name: item.Name, Price: item.SKU, Quantity: n, Unit: item.Unit.money()})
	}
	return s
}

// readCustomID reads version.product.quantity.unit amount.currency.tag. The tag is the server's, who alone can prove it.
func readCustomID(id string) map[string]string {
	parts := strings.Split(id, ".")
	if len(parts) != 6 {
		return nil
	}
	offered := map[string]string{"product": parts[1], "quantity": parts[2], "unit_amount": parts[3], "currency": parts[4]}
	if parts[0] == "mg1s" {
		offered[provider.SyntheticMark] = "true"
	}
	return offered
}

// Expire does nothing: PayPal has no call that ends an order. It lapses by itself.
func (p *PayPal) Expire(context.Context, string) error { return nil }

// Left lists nothing, because nothing could be ended, and PayPal does not list orders.
func (p *PayPal) Left(context.Context, time.Time, time.Time) ([]string, error) { return nil, nil }

func (p *PayPal) do(ctx context.Context, method, path, body string, prepare func(*http.Request), into any) error {
	request, err := http.NewRequestWithContext(ctx, method, p.base+path, strings.NewReader(body))
	if err != nil {
		return errors.New("paypal's address cannot be read")
	}
	request.Header.Set("Accept", "application/json")
	prepare(request)
	return answered(ctx, p.http, "paypal", request, into)
}
