package stripe

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// CreateCheckout creates a session in payment mode with one line: the product's price at Stripe, if the catalogue has one
// for this source, else the catalogue's own price. Product, quantity and price are written into the metadata, by which the
// session is recognised on its way back.
//
// The same r.IdempotencyKey gives the same session for 24 hours, after which Stripe may forget it; an empty one makes
// every call a new session. What cannot be sold is makegood.Invalid before Stripe is called. Errors of Stripe are those of
// Interpret.
func (s *Stripe) CreateCheckout(ctx context.Context, r provider.CheckoutRequest) (provider.Checkout, error) {
	if err := checkRequest(r); err != nil {
		return provider.Checkout{}, err
	}
	answer, err := s.do(ctx, call{method: http.MethodPost, path: sessionsPath, form: s.checkoutForm(r), idempotencyKey: r.IdempotencyKey})
	if err != nil {
		return provider.Checkout{}, err
	}
	t := readSession(answer)
	target, err := url.Parse(answer.Get("url").String())
	if t.id() == "" || err != nil || target.Host == "" {
		return provider.Checkout{}, makegood.Errorf(makegood.ProviderFailed, "Stripe made a checkout session without an id or an address.")
	}
	if !t.isOf(s.live) {
		return provider.Checkout{}, makegood.Errorf(makegood.Unavailable, "The API key of source %s is not of %s mode.", s.name, modeName(s.live))
	}
	return provider.Checkout{SessionID: t.id(), URL: target.String(), ExpiresAt: extract.Moment(answer.Get("expires_at"))}, nil
}

func checkRequest(r provider.CheckoutRequest) error {
	price := r.Product.Price
	switch {
	case !makegood.ValidProductCode(r.Product.Code):
		return makegood.Errorf(makegood.Invalid, "The product has no valid code.")
	case r.Quantity < 1 || r.Quantity > makegood.QuantityMax:
		return makegood.Errorf(makegood.Invalid, "The quantity must be from 1 to %d.", makegood.QuantityMax)
	case price.Minor < 0 || len(price.Currency) != 3:
		return makegood.Errorf(makegood.Invalid, "The product %s has no valid price.", r.Product.Code)
	case len(r.IdempotencyKey) > idempotencyKeyMax || !extract.IsPlain(r.IdempotencyKey):
		return makegood.Errorf(makegood.Invalid, "The idempotency key must be at most %d printable characters without blanks.", idempotencyKeyMax)
	}
	return nil
}

// isSynthetic is the value of provider.SyntheticMark.
const isSynthetic = "true"

func (s *Stripe) checkoutForm(r provider.CheckoutRequest) url.Values {
	price := r.Product.Price
	unitAmount, quantity := strconv.FormatInt(price.Minor, 10), strconv.Itoa(r.Quantity)
	form := url.Values{
		"mode":                                 {modePayment},
		"success_url":                          {r.SuccessURL},
		"cancel_url":                           {r.CancelURL},
		"line_items[0][quantity]":              {quantity},
		"metadata[" + metadataProduct + "]":    {r.Product.Code},
		"metadata[" + metadataQuantity + "]":   {quantity},
		"metadata[" + metadataUnitAmount + "]": {unitAmount},
		"metadata[" + metadataCurrency + "]":   {price.Currency},
		// The session's metadata is not copied to the payment, where a person at the dashboard looks.
		"payment_intent_data[metadata][" + metadataProduct + "]": {r.Product.Code},
	}
	if id := r.Product.ProviderPrice[s.name]; id != "" {
		form.Set("line_items[0][price]", id)
	} else {
		form.Set("line_items[0][price_data][currency]", price.Currency)
		form.Set("line_items[0][price_data][unit_amount]", unitAmount)
		form.Set("line_items[0][price_data][product_data][name]", r.Product.Name)
	}
	if r.Synthetic {
		form.Set("metadata["+provider.SyntheticMark+"]", isSynthetic)
		form.Set("payment_intent_data[metadata]["+provider.SyntheticMark+"]", isSynthetic)
	}
	if r.CancelURL == "" {
		form.Del("cancel_url")
	}
	if r.Email != "" {
		form.Set("customer_email", r.Email)
	}
	return form
}
