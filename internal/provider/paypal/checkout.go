package paypal

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// orderLifetime is when PayPal gives an approval back that nobody has captured, by default ("Handle uncaptured payments").
// An order does not say when it ends, so this is what ExpiresAt promises.
const orderLifetime = 3 * time.Hour

// The JSON of a new order (checkout_orders_v2.json, order_request), as far as we use it.
type (
	orderRequest struct {
		Intent        string         `json:"intent"`
		PurchaseUnits []purchaseUnit `json:"purchase_units"`
		PaymentSource paymentSource  `json:"payment_source"`
	}
	purchaseUnit struct {
		CustomID string     `json:"custom_id"`
		Amount   unitAmount `json:"amount"`
		Items    []item     `json:"items"`
	}
	unitAmount struct {
		amount
		Breakdown breakdown `json:"breakdown"`
	}
	breakdown struct {
		ItemTotal amount `json:"item_total"`
	}
	amount struct {
		Currency string `json:"currency_code"`
		Value    string `json:"value"`
	}
	item struct {
		Name     string `json:"name"`
		Quantity string `json:"quantity"`
		Unit     amount `json:"unit_amount"`
		SKU      string `json:"sku"`
	}
	paymentSource struct {
		PayPal wallet `json:"paypal"`
	}
	wallet struct {
		Email   string     `json:"email_address,omitempty"`
		Context experience `json:"experience_context"`
	}
	experience struct {
		ReturnURL string `json:"return_url"`
		CancelURL string `json:"cancel_url,omitempty"`
		Action    string `json:"user_action"`
		Shipping  string `json:"shipping_preference"`
	}
)

// CreateCheckout creates an order with one purchase unit of one item, which the buyer approves at the address returned and
// Interpret or Ask then captures. What is offered is written into its custom_id, by which it is recognised.
//
// PayPal itself appends token (the order's id) and PayerID to the address that the buyer returns to, so the parameter of
// r.SuccessURL with {CHECKOUT_SESSION_ID} is taken out; a placeholder anywhere else in the address is makegood.Invalid.
//
// The same r.IdempotencyKey gives the same order for six hours, after which PayPal may forget it; an empty one makes every
// call a new order. What cannot be sold is makegood.Invalid before PayPal is called. Errors of PayPal are those of
// Interpret.
func (s *PayPal) CreateCheckout(ctx context.Context, r provider.CheckoutRequest) (provider.Checkout, error) {
	request, err := s.orderRequest(r)
	if err != nil {
		return provider.Checkout{}, err
	}
	requestID := s.keyed("create", r.IdempotencyKey)
	if r.IdempotencyKey == "" {
		requestID = s.keyed("create once", rand.Text())
	}
	answer, err := s.do(ctx, call{method: http.MethodPost, path: ordersPath, body: request, requestID: requestID})
	if err != nil {
		return provider.Checkout{}, err
	}
	o := order{answer}
	target := o.approveURL()
	if !isOrderID(o.id()) || target == "" {
		return provider.Checkout{}, makegood.Errorf(makegood.ProviderFailed, "PayPal made an order without an id or an address.")
	}
	created := extract.Moment(o.Get("create_time"))
	if created.IsZero() {
		created = s.now()
	}
	return provider.Checkout{SessionID: o.id(), URL: target, ExpiresAt: created.Add(orderLifetime)}, nil
}

// approveURL is where the buyer approves. Which of the two names the link has depends on whether the order names a
// payment source.
func (o order) approveURL() string {
	for _, link := range o.Get("links").Array() {
		if rel := extract.Identifier(link.Get("rel")); rel != "payer-action" && rel != "approve" {
			continue
		}
		target, err := url.Parse(link.Get("href").String())
		if err == nil && target.Host != "" && (target.Scheme == "https" || target.Scheme == "http") {
			return target.String()
		}
	}
	return ""
}

func (s *PayPal) orderRequest(r provider.CheckoutRequest) (orderRequest, error) {
	returnURL, err := checkRequest(r)
	if err != nil {
		return orderRequest{}, err
	}
	price := r.Product.Price
	sum, fits := price.Times(r.Quantity)
	unit, isUnit := decimal(price)
	total, isTotal := decimal(sum)
	if !fits || !isUnit || !isTotal {
		return orderRequest{}, makegood.Errorf(makegood.Invalid, "PayPal cannot charge %d times %s.", r.Quantity, price)
	}
	sku := r.Product.ProviderPrice[s.name]
	if sku == "" || len(sku) > itemNameBytesMax {
		sku = r.Product.Code
	}
	name := r.Product.Name
	if name == "" {
		name = r.Product.Code
	}
	return orderRequest{
		Intent: "CAPTURE",
		PurchaseUnits: []purchaseUnit{{
			CustomID: s.customID(r.Product.Code, r.Quantity, price, r.Synthetic),
			Amount:   unitAmount{amount: total, Breakdown: breakdown{ItemTotal: total}},
			Items:    []item{{Name: cut(name, itemNameBytesMax), Quantity: strconv.Itoa(r.Quantity), Unit: unit, SKU: sku}},
		}},
		PaymentSource: paymentSource{PayPal: wallet{Email: r.Email, Context: experience{ReturnURL: returnURL, CancelURL: r.CancelURL,
			Action: "PAY_NOW", Shipping: "NO_SHIPPING"}}},
	}, nil
}

func checkRequest(r provider.CheckoutRequest) (returnURL string, err error) {
	price := r.Product.Price
	returnURL, ok := withoutPlaceholder(r.SuccessURL)
	switch {
	case !makegood.ValidProductCode(r.Product.Code):
		return "", makegood.Errorf(makegood.Invalid, "The product has no valid code.")
	case r.Quantity < 1 || r.Quantity > makegood.QuantityMax:
		return "", makegood.Errorf(makegood.Invalid, "The quantity must be from 1 to %d.", makegood.QuantityMax)
	case price.Minor <= 0 || len(price.Currency) != 3:
		return "", makegood.Errorf(makegood.Invalid, "The product %s has no price that PayPal can charge.", r.Product.Code)
	case len(r.IdempotencyKey) > idempotencyKeyMax || !extract.IsPlain(r.IdempotencyKey):
		return "", makegood.Errorf(makegood.Invalid, "The idempotency key must be at most %d printable characters without blanks.", idempotencyKeyMax)
	case !ok:
		return "", makegood.Errorf(makegood.Invalid, "The success address must be an http or https address, with {CHECKOUT_SESSION_ID} as the value of a parameter or nowhere.")
	}
	return returnURL, nil
}

// withoutPlaceholder takes the parameter out in whose value the session id would stand; the others stay as they are.
func withoutPlaceholder(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false
	}
	var kept []string
	for _, pair := range strings.Split(u.RawQuery, "&") {
		value, err := url.QueryUnescape(pair)
		if err != nil {
			value = pair
		}
		if pair != "" && !strings.Contains(value, sessionPlaceholder) {
			kept = append(kept, pair)
		}
	}
	u.RawQuery, u.ForceQuery = strings.Join(kept, "&"), false
	return u.String(), !strings.Contains(u.Path+u.Fragment+u.Host, sessionPlaceholder)
}

const sessionPlaceholder = "{CHECKOUT_SESSION_ID}"

// wholeOnly are the currencies in which PayPal takes no fraction although they have a minor unit ("Currency codes").
var wholeOnly = map[string]bool{"huf": true, "twd": true}

// decimal writes an amount as PayPal wants it: with as many digits after the point as the currency has.
func decimal(m makegood.Money) (amount, bool) {
	number, currency, _ := strings.Cut(m.String(), " ")
	if wholeOnly[m.Currency] {
		whole, fraction, _ := strings.Cut(number, ".")
		if strings.Trim(fraction, "0") != "" {
			return amount{}, false
		}
		number = whole
	}
	return amount{Currency: currency, Value: number}, true
}

// cut shortens a text for people to at most limit bytes, at the end of a character.
func cut(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit]
	}
	return strings.ToValidUTF8(text, "")
}

// orderID is 17 letters and digits today; the length is PayPal's to change.
var orderID = regexp.MustCompile(`^[A-Z0-9]{10,40}$`)

func isOrderID(id string) bool { return orderID.MatchString(id) }

// Ask returns what PayPal says of an order right now, by the same rules as Interpret. An order that the buyer has approved
// is captured first, so that whoever comes back from PayPal needs no webhook. An order that is still open, or that PayPal
// is about to show as paid, gives no facts and a note. What is not shaped like an order's id is makegood.NotFound without a
// call: ids come from the addresses of pages, and anybody can type there.
func (s *PayPal) Ask(ctx context.Context, sessionID string) (provider.Reading, error) {
	if !isOrderID(sessionID) {
		return provider.Reading{}, makegood.Errorf(makegood.NotFound, "There is no such order.")
	}
	r, err := s.settleOrder(ctx, makegood.Event{}, sessionID)
	if errors.Is(err, errNotYet) {
		return provider.Reading{Note: "PayPal does not show the payment yet; ask again."}, nil
	}
	return r, err
}
