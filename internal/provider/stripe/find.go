package stripe

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider/extract"
)

// Find returns the sessions of what a customer or a bank can quote, newest first: a session (cs_…), a payment (pi_…), a
// charge (ch_…, py_…), an invoice (in_…), a subscription (sub_…) or an e-mail address, which Stripe compares letter by
// letter. Anything else, and what Stripe does not know, is an empty list. At most makegood.ListMax are returned.
func (s *Stripe) Find(ctx context.Context, quoted string) ([]string, error) {
	ids, err := s.find(ctx, strings.TrimSpace(quoted))
	if errors.Is(err, makegood.NotFound) {
		return nil, nil
	}
	return ids, err
}

func (s *Stripe) find(ctx context.Context, quoted string) ([]string, error) {
	address := extract.Address(gjson.Result{Type: gjson.String, Str: quoted})
	switch kind, _, isID := strings.Cut(quoted, "_"); {
	case address != "":
		return s.sessionsBy(ctx, url.Values{"customer_details[email]": {address}})
	case !isID || !isQuotableID(quoted):
		return nil, nil
	case kind == "cs":
		return s.findSession(ctx, quoted)
	case kind == "pi":
		return s.findByIntent(ctx, quoted)
	case kind == "ch" || kind == "py":
		return s.findByCharge(ctx, quoted)
	case kind == "in":
		return s.findByInvoice(ctx, quoted)
	case kind == "sub":
		return s.sessionsBy(ctx, url.Values{"subscription": {quoted}})
	}
	return nil, nil
}

// isQuotableID reports whether text may be an id of Stripe's: what people type must not become a path.
func isQuotableID(text string) bool {
	return text != "" && len(text) <= quotedMax && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

func (s *Stripe) findSession(ctx context.Context, id string) ([]string, error) {
	if live, ok := sessionMode(id); !ok || live != s.live {
		return nil, nil
	}
	t, err := s.retrieve(ctx, id)
	if err != nil || !t.isOf(s.live) {
		return nil, err
	}
	return []string{t.id()}, nil
}

// findByIntent looks for the session that made a payment. The payment of an invoice was made by none; then the invoice
// leads to it.
func (s *Stripe) findByIntent(ctx context.Context, id string) ([]string, error) {
	ids, err := s.sessionsBy(ctx, url.Values{"payment_intent": {id}})
	if err != nil || len(ids) > 0 {
		return ids, err
	}
	payments, _, err := s.page(ctx, invoicePaymentsPath, url.Values{"payment[type]": {"payment_intent"}, "payment[payment_intent]": {id}, "limit": {"1"}})
	if err != nil || len(payments) == 0 {
		return nil, err
	}
	return s.findByInvoice(ctx, object{json: payments[0]}.ref("invoice"))
}

// findByCharge goes on with what the charge names: its payment, or, before there were payment intents, its invoice.
func (s *Stripe) findByCharge(ctx context.Context, id string) ([]string, error) {
	charge, err := s.fetch(ctx, chargesPath, id)
	if err != nil {
		return nil, err
	}
	if payment := charge.ref("payment_intent"); payment != "" {
		return s.findByIntent(ctx, payment)
	}
	return s.findByInvoice(ctx, charge.ref("invoice"))
}

func (s *Stripe) findByInvoice(ctx context.Context, id string) ([]string, error) {
	if id == "" {
		return nil, nil
	}
	asked, err := s.fetch(ctx, invoicesPath, id)
	if err != nil {
		return nil, err
	}
	if subscription := (invoice{asked}).subscription(); subscription != "" {
		return s.sessionsBy(ctx, url.Values{"subscription": {subscription}})
	}
	return nil, nil
}

// sessionsBy lists the ids of the sessions of our mode that a filter of Stripe's finds, newest first.
func (s *Stripe) sessionsBy(ctx context.Context, filter url.Values) ([]string, error) {
	items, err := s.rest(ctx, sessionsPath, filter, nil, makegood.ListMax-1)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range items {
		if t := readSession(item); t.id() != "" && t.isOf(s.live) && len(ids) < makegood.ListMax {
			ids = append(ids, t.id())
		}
	}
	return ids, nil
}
