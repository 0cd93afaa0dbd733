package stripe

import (
	"context"
	"net/url"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

const chargesPath = "/v1/charges"

// interpretCharge reads charge.refunded, which tells a total only. A total cannot be booked: a refund that fails later
// takes its own part of it back. So it becomes the facts of the single refunds, from the charge when it has them all, else
// from the API: since API version 2022-11-15 a charge has no list of refunds unless one asks for it (Stripe,
// changelog, "The Charges object no longer auto-expands refunds").
func (s *Stripe) interpretCharge(ctx context.Context, event makegood.Event, told object) (provider.Reading, error) {
	if note := s.notOurObject(told); note != "" {
		return provider.Reading{Note: note}, nil
	}
	refunds, isAll := refundsIn(told)
	if !isAll {
		var err error
		if refunds, err = s.askRefunds(ctx, told.id()); err != nil {
			return provider.Reading{}, unlessOdd(err)
		}
	}
	return s.readRefunds(event, told, refunds)
}

// refundsIn returns the refunds that came with a charge, and whether they are all, and are all told. The sum must be what
// the charge says of itself: a list that is cut, or that was made at another moment, is not believed.
func refundsIn(charge object) ([]gjson.Result, bool) {
	refunded, hasTotal := charge.money("amount_refunded")
	if !hasTotal || !charge.isList("refunds") {
		return nil, false
	}
	list := charge.json.Get("refunds.data").Array()
	left := refunded.Minor
	for _, item := range list {
		o := object{json: item}
		amount, hasAmount := o.money("amount")
		if o.id() == "" || o.word("status") == "" || !hasAmount || amount.Currency != refunded.Currency {
			return nil, false
		}
		if o.word("status") == "succeeded" {
			left -= amount.Minor
		}
		if left < 0 {
			return nil, false
		}
	}
	return list, left == 0
}

// askRefunds lists all refunds of a charge.
func (s *Stripe) askRefunds(ctx context.Context, charge string) ([]gjson.Result, error) {
	refunds, err := s.rest(ctx, refundsPath, url.Values{"charge": {charge}}, nil, refundsMax)
	if err == nil && len(refunds) > refundsMax {
		return nil, &makegood.Permanent{Err: makegood.Errorf(makegood.TooLarge, "The charge has more than %d refunds.", refundsMax)}
	}
	return refunds, err
}

// readRefunds makes the facts of the refunds of one charge. A refund of another charge has no business in its list. One
// that does not tell what it is must not be left out in silence: the customer would keep what was given back.
func (s *Stripe) readRefunds(event makegood.Event, charge object, refunds []gjson.Result) (provider.Reading, error) {
	var r provider.Reading
	for _, item := range refunds {
		o := object{json: item}
		if of := o.ref("charge"); of != "" && of != charge.id() {
			continue
		}
		v := refundVerdict(o)
		_, hasAmount := o.money("amount")
		if o.id() == "" || v == (verdict{}) || !hasAmount {
			return provider.Reading{}, makegood.Errorf(makegood.ProviderFailed, "Stripe does not tell the state and the amount of a refund of the charge.")
		}
		if v.kind != "" {
			r.Facts = append(r.Facts, s.refundFact(event, v.kind, o, charge))
		}
	}
	if len(r.Facts) == 0 {
		return noted("No refund of the charge %s has succeeded or failed yet.", charge.id()), nil
	}
	return r, nil
}

// askCharge reads what the API says of the refunds of a charge.
func (s *Stripe) askCharge(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	charge, err := s.fetch(ctx, chargesPath, id, "refunds")
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if refunded, ok := extract.Whole(charge.json.Get("amount_refunded")); ok && refunded == 0 {
		return noted("The charge %s has no refunds.", id), nil
	}
	return s.interpretCharge(ctx, event, charge)
}
