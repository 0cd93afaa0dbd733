package paypal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// What an order says of itself (checkout_orders_v2.json, order_status).
const (
	orderApproved  = "APPROVED"
	orderCompleted = "COMPLETED"
	orderVoided    = "VOIDED"
)

// The states of a capture (payments_payment_v2.json, capture_status).
const (
	captureCompleted         = "COMPLETED"
	capturePartiallyRefunded = "PARTIALLY_REFUNDED"
	captureRefunded          = "REFUNDED"
	capturePending           = "PENDING"
	captureDeclined          = "DECLINED"
	captureDenied            = "DENIED"
	captureFailed            = "FAILED"
)

// errNotYet is an API that does not show yet what PayPal has just told us, or what we have just done. It is worth a retry.
var errNotYet = errors.New("not visible yet")

func notYet(sentence string) error {
	return makegood.Wrap(errNotYet, makegood.ProviderFailed, sentence)
}

// order is an order as the API tells it.
type order struct{ gjson.Result }

func (o order) id() string     { return extract.Identifier(o.Get("id")) }
func (o order) status() string { return extract.Identifier(o.Get("status")) }

// customer is who approved. PayPal is moving the buyer from payer to payment_source.
func (o order) customer() makegood.Customer {
	var c makegood.Customer
	for _, at := range []string{"payer", "payment_source.paypal"} {
		buyer := o.Get(at)
		if c.Email == "" {
			c.Email = extract.Address(buyer.Get("email_address"))
		}
		if c.Name == "" {
			c.Name = strings.TrimSpace(extract.Text(buyer.Get("name.given_name")) + " " + extract.Text(buyer.Get("name.surname")))
		}
	}
	return c
}

// payment is a capture with what is known around it.
type payment struct {
	order   order        // nothing if it is not known
	unit    gjson.Result // the purchase unit it is for; nothing if it is not known
	capture gjson.Result
	isOne   bool // no other capture of the order brought money as well
}

func (p payment) id() string { return extract.Identifier(p.capture.Get("id")) }

// merchant is who got the money, or "" when neither capture nor order tell.
func (p payment) merchant() string {
	for _, at := range []gjson.Result{p.capture, p.unit} {
		if id := extract.Identifier(at.Get("payee.merchant_id")); id != "" {
			return id
		}
	}
	return ""
}

// payments are the captures of an order.
func (o order) payments() []payment {
	var all []payment
	paid := 0
	for _, unit := range o.Get("purchase_units").Array() {
		for _, capture := range unit.Get("payments.captures").Array() {
			all = append(all, payment{order: o, unit: unit, capture: capture})
			if kindOf(capture) == makegood.FactPaid {
				paid++
			}
		}
	}
	for i := range all {
		all[i].isOne = paid <= 1
	}
	return all
}

// kindOf reads a capture's status. One that was refunded was paid before; the refunds tell the rest.
func kindOf(capture gjson.Result) makegood.FactKind {
	switch extract.Identifier(capture.Get("status")) {
	case captureCompleted, capturePartiallyRefunded, captureRefunded:
		return makegood.FactPaid
	case capturePending:
		return makegood.FactAwaiting
	case captureDeclined, captureDenied, captureFailed:
		return makegood.FactFailed
	}
	return ""
}

// askable is what ids of orders, captures, refunds and disputes are made of. Nothing else is ever put into a path, though
// it is escaped: ids come from bodies of which nothing is proved, and from the addresses of pages.
var askable = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// retrieve asks for one object. An answer about another object is refused. idKey is what the object calls its id.
func (s *PayPal) retrieve(ctx context.Context, path, id, idKey string) (gjson.Result, error) {
	answer, err := s.do(ctx, get(path, id))
	if err != nil {
		return gjson.Result{}, err
	}
	if extract.Identifier(answer.Get(idKey)) != id {
		return gjson.Result{}, makegood.Errorf(makegood.ProviderFailed, "PayPal answered with something else than was asked for.")
	}
	return answer, nil
}

func (s *PayPal) retrieveOrder(ctx context.Context, id string) (order, error) {
	answer, err := s.retrieve(ctx, ordersPath, id, "id")
	return order{answer}, err
}

// settleOrder reads an order, and captures it first if the buyer has approved it: only a capture moves money. It is safe
// to call at any time and several times at once: an order is captured once, whoever asks, and a crash after the capture
// finds it captured.
func (s *PayPal) settleOrder(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	o, err := s.retrieveOrder(ctx, id)
	if err != nil {
		return provider.Reading{}, err
	}
	if o.status() == orderApproved {
		if note, err := s.capture(ctx, o); note != "" || err != nil {
			return provider.Reading{Note: note}, err
		}
		if o, err = s.retrieveOrder(ctx, id); err != nil {
			return provider.Reading{}, err
		}
		if o.status() == orderApproved {
			return provider.Reading{}, notYet("PayPal has captured the order and does not show it yet.")
		}
	}
	return s.readOrder(event, o)
}

// capture takes the money of an approved order. The PayPal-Request-Id comes from the order, and from how many attempts
// failed: a buyer whose card was declined may approve again with another, and must not get the old answer. The note says
// why nothing was captured though nothing is wrong.
func (s *PayPal) capture(ctx context.Context, o order) (note string, err error) {
	failed := 0
	for _, p := range o.payments() {
		if kindOf(p.capture) == makegood.FactFailed {
			failed++
		}
	}
	for _, unit := range o.Get("purchase_units").Array() {
		if note, err := s.notOurMerchant(extract.Identifier(unit.Get("payee.merchant_id"))); note != "" || err != nil {
			return note, err
		}
		if s.isSynthetic(unit.Get("custom_id")) {
			return noteSynthetic, nil // only a capture takes the money: nobody has to give back what was not taken
		}
	}
	if intent := extract.Identifier(o.Get("intent")); intent != "CAPTURE" {
		return "The order is to be authorised only and captured by somebody else.", nil
	}
	_, err = s.do(ctx, call{method: http.MethodPost, path: ordersPath + "/" + url.PathEscape(o.id()) + "/capture", body: struct{}{},
		requestID: s.keyed("capture", fmt.Sprintf("%s/%d", o.id(), failed))})
	switch issueOf(err) {
	case "ORDER_ALREADY_CAPTURED":
		return "", nil
	case "INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED":
		return "The buyer's way to pay was declined or needs another step; nothing was paid, and the buyer may try again.", nil
	case "ORDER_NOT_APPROVED":
		return "The buyer has not approved the order any more; nothing was paid.", nil
	}
	return "", unlessOdd(err)
}

// notOurMerchant checks whom the money went to. A merchant that is told and is not ours makes a note; one that is not told
// is an error worth a retry and in the end a dead letter, because somebody may have paid us.
func (s *PayPal) notOurMerchant(merchant string) (note string, err error) {
	switch {
	case s.merchantID == "" || merchant == s.merchantID:
		return "", nil
	case merchant == "":
		return "", makegood.Errorf(makegood.ProviderFailed, "PayPal does not say to which merchant the payment went.")
	}
	return fmt.Sprintf("The payment went to another merchant than that of the source %q; nothing is released.", s.name), nil
}

// readOrder makes facts of an order that the API tells: one for each capture and each refund that is decided.
func (s *PayPal) readOrder(event makegood.Event, o order) (provider.Reading, error) {
	all := o.payments()
	switch {
	case len(all) > paymentsMax:
		return provider.Reading{}, &makegood.Permanent{Err: makegood.Errorf(makegood.ProviderFailed, "The order has more captures than can be read.")}
	case len(all) > 0:
		return s.readPayments(event, o, all)
	case o.status() == orderCompleted:
		return provider.Reading{}, notYet("PayPal says that the order is completed and shows no capture yet.")
	case o.status() == orderVoided:
		fact := s.expired(event, o.id(), extract.Moment(o.Get("update_time")))
		fact.Synthetic = s.isSynthetic(o.Get("purchase_units.0.custom_id"))
		return provider.Reading{Facts: []makegood.Fact{fact}}, nil
	}
	return provider.Reading{Note: noteOpen}, nil
}

// noteSynthetic is of an order that a watcher made, and somebody approved all the same.
const noteSynthetic = "A watcher made the order to see whether it could be made; it is never captured, and PayPal gives the approval back."

// noteOpen is of an order that waits for its buyer.
const noteOpen = "The order is open; nothing is paid yet."

// expired is an order that nobody will pay any more.
func (s *PayPal) expired(event makegood.Event, orderID string, at time.Time) makegood.Fact {
	return makegood.Fact{Key: s.key(orderID), Kind: makegood.FactExpired, ObjectID: orderID, OccurredAt: at, EventID: event.ID}
}

func (s *PayPal) readPayments(event makegood.Event, o order, all []payment) (provider.Reading, error) {
	var r provider.Reading
	for _, p := range all {
		fact, note, err := s.paymentFact(event, p)
		if err != nil {
			return provider.Reading{}, err
		}
		if note != "" {
			r.Note = note
			continue
		}
		r.Facts = append(r.Facts, fact)
	}
	if len(r.Facts) == 0 {
		return r, nil // a refund of a payment that is not ours is not either
	}
	for _, unit := range o.Get("purchase_units").Array() {
		for _, refund := range unit.Get("payments.refunds").Array() {
			if fact, note := s.refundFact(event, refund, o.id()); note == "" && len(r.Facts) < 2*paymentsMax {
				r.Facts = append(r.Facts, fact)
			}
		}
	}
	r.Note = ""
	return r, nil
}

func (s *PayPal) key(orderID string) makegood.OrderKey {
	return makegood.OrderKey{Source: s.name, Live: s.live, SessionID: orderID}
}

// paymentFact makes the fact of a capture. Several captures that each brought money are not what our checkout makes: which
// of them paid for what is not told, so they carry no lines, and a person sees the order.
func (s *PayPal) paymentFact(event makegood.Event, p payment) (makegood.Fact, string, error) {
	if note, err := s.notOurMerchant(p.merchant()); note != "" || err != nil {
		return makegood.Fact{}, note, err
	}
	kind := kindOf(p.capture)
	amount, ok := money(p.capture.Get("amount"))
	switch {
	case kind == "" || !askable.MatchString(p.id()):
		return makegood.Fact{}, "The capture is in a state that this version does not know; a person must look.", nil
	case !ok && kind == makegood.FactPaid:
		return makegood.Fact{}, "", makegood.Errorf(makegood.ProviderFailed, "PayPal does not say how much was captured.")
	}
	orderID := p.order.id()
	if orderID == "" {
		orderID = orderOf(p.capture)
	}
	f := makegood.Fact{Key: s.key(orderID), Kind: kind, ObjectID: p.id(), PaymentID: p.id(), Amount: amount,
		Customer: p.order.customer(), OccurredAt: extract.Moment(p.capture.Get("create_time")), EventID: event.ID,
		Synthetic: s.isSynthetic(p.capture.Get("custom_id"), p.unit.Get("custom_id"))}
	if kind == makegood.FactPaid && p.isOne {
		f.Lines = s.linesOf(p.unit, p.capture, amount)
	}
	return f, "", nil
}

// orderOf returns the order of a capture, or "".
func orderOf(capture gjson.Result) string {
	if id := extract.Identifier(capture.Get("supplementary_data.related_ids.order_id")); askable.MatchString(id) {
		return id
	}
	return linked(capture, ordersPath)
}

// linked returns the id at the end of the link "up", if that leads to the resource at path; else "".
func linked(object gjson.Result, path string) string {
	for _, link := range object.Get("links").Array() {
		if extract.Identifier(link.Get("rel")) != "up" {
			continue
		}
		u, err := url.Parse(extract.Identifier(link.Get("href")))
		if err != nil {
			continue
		}
		if id, ok := strings.CutPrefix(u.Path, path+"/"); ok && askable.MatchString(id) {
			return id
		}
	}
	return ""
}
