package simulate

import (
	"fmt"
	"slices"
	"time"
)

// Invoice is a copy of an invoice as it is.
type Invoice struct {
	// ID is in_…, Subscription is sub_…, PaymentIntent is pi_….
	ID, Subscription, PaymentIntent string
	// Status is open or paid.
	Status                 string
	AmountDue, AmountPaid  int64
	PeriodStart, PeriodEnd time.Time
}

// invoice is an Invoice as the account keeps it.
type invoice struct {
	Invoice
	created   time.Time
	reason    string
	paymentID string // inpay_…
	lineIDs   []string
	intent    *intent
	sub       *subscription
}

// bill makes the invoice of the next period of a subscription.
func (s *Stripe) bill(sub *subscription, pi *intent, reason string, now time.Time) *invoice {
	i := &invoice{created: now, reason: reason, paymentID: s.id("inpay_1", 23), intent: pi, sub: sub}
	i.ID, i.Subscription, i.PaymentIntent, i.Status = s.id("in_1", 23), sub.ID, pi.ID, "open"
	i.AmountDue, i.PeriodStart, i.PeriodEnd = pi.Amount, sub.PeriodEnd, sub.after(sub.PeriodEnd)
	for range sub.session.LineItems {
		i.lineIDs = append(i.lineIDs, s.id("il_1", 23))
	}
	sub.LatestInvoice = i.ID
	sub.PeriodStart, sub.PeriodEnd = i.PeriodStart, i.PeriodEnd
	s.invoices.add(i.ID, i)
	s.invoicePayments.add(i.paymentID, i)
	return i
}

// settleInvoice is the moment an invoice is paid.
func (s *Stripe) settleInvoice(i *invoice) []change {
	i.Status, i.AmountPaid, i.sub.Status = "paid", i.AmountDue, "active"
	object := s.showInvoice(i, nil)
	return []change{
		{"invoice.paid", object},
		{"invoice.payment_succeeded", object},
		{"invoice_payment.paid", s.showInvoicePayment(i)},
		{"customer.subscription.updated", s.showSubscription(i.sub)},
	}
}

// PayInvoice pays an open invoice, as a customer does after a failed renewal.
func (s *Stripe) PayInvoice(invoiceID string) error {
	now := s.begin()
	defer s.mu.Unlock()
	i, ok := s.invoices.get(invoiceID)
	if !ok {
		return fmt.Errorf("%w: invoice %s", ErrUnknown, invoiceID)
	}
	if i.Status != "open" {
		return fmt.Errorf("%w: invoice %s is %s", ErrState, invoiceID, i.Status)
	}
	s.addCharge(i.intent, *i.sub.session.Customer, payment{}, now)
	s.emit(origin{}, append(s.succeed(i.intent), s.settleInvoice(i)...)...)
	return nil
}

// Invoice returns a copy of an invoice as it is now.
func (s *Stripe) Invoice(id string) (Invoice, bool) {
	s.begin()
	defer s.mu.Unlock()
	i, ok := s.invoices.get(id)
	if !ok {
		return Invoice{}, false
	}
	return i.Invoice, true
}

// invoiceExpansions may be asked for; only the payments are shown.
var invoiceExpansions = []string{"payments", "customer", "parent.subscription_details.subscription"}

func (s *Stripe) retrieveInvoice(c *call) (any, *apiError) {
	expand := c.expansion("", invoiceExpansions...)
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	i, ok := s.invoices.get(c.id())
	if !ok {
		return nil, noSuch("invoice", c.id(), "invoice")
	}
	return s.showInvoice(i, expand), nil
}

func (s *Stripe) listInvoices(c *call) (any, *apiError) {
	expand := c.expansion("data.", invoiceExpansions...)
	subscriptionID, status, isStranger := c.form.text("subscription"), c.form.text("status"), c.form.text("customer") != ""
	match := func(i *invoice) bool {
		return !isStranger && (subscriptionID == "" || i.Subscription == subscriptionID) && (status == "" || i.Status == status)
	}
	return pageOf(c, &s.invoices, func(i *invoice) time.Time { return i.created }, match,
		func(i *invoice) any { return s.showInvoice(i, expand) })
}

func (s *Stripe) listInvoiceLines(c *call) (any, *apiError) {
	i, ok := s.invoices.get(c.id())
	if !ok {
		return nil, noSuch("invoice", c.id(), "invoice")
	}
	var lines ledger[int]
	for n := range slices.Backward(i.lineIDs) { // lines are listed in their own order
		lines.add(i.lineIDs[n], n)
	}
	return pageOf(c, &lines, func(int) time.Time { return i.created }, func(int) bool { return true },
		func(n int) any { return s.showInvoiceLine(i, n) })
}

func (s *Stripe) retrieveInvoicePayment(c *call) (any, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	i, ok := s.invoicePayments.get(c.id())
	if !ok {
		return nil, noSuch("invoice payment", c.id(), "invoice_payment")
	}
	return s.showInvoicePayment(i), nil
}

func (s *Stripe) listInvoicePayments(c *call) (any, *apiError) {
	payment := c.form.field("payment")
	payment.oneOf("type", "payment_intent", "payment_record")
	intentID, invoiceID := payment.text("payment_intent"), c.form.text("invoice")
	status := c.form.oneOf("status", "canceled", "open", "paid")
	match := func(i *invoice) bool {
		return (intentID == "" || i.PaymentIntent == intentID) && (invoiceID == "" || i.ID == invoiceID) && (status == "" || i.Status == status)
	}
	return pageOf(c, &s.invoicePayments, func(i *invoice) time.Time { return i.created }, match,
		func(i *invoice) any { return s.showInvoicePayment(i) })
}

// showInvoice is Stripe's invoice since 2025-03-31.basil: the subscription is under parent, and the payments are there
// only when they were asked for.
func (s *Stripe) showInvoice(i *invoice, expand map[string]bool) map[string]any {
	lines := listObject{Object: "list", Data: []any{}, URL: "/v1/invoices/" + i.ID + "/lines"}
	for n := range i.lineIDs {
		if len(lines.Data) == pageSizeDefault {
			lines.HasMore = true
			break
		}
		lines.Data = append(lines.Data, s.showInvoiceLine(i, n))
	}
	customer := i.sub.session.Customer
	object := map[string]any{
		"id": i.ID, "object": "invoice", "amount_due": i.AmountDue, "amount_paid": i.AmountPaid, "amount_remaining": i.AmountDue - i.AmountPaid,
		"billing_reason": i.reason, "collection_method": "charge_automatically", "created": i.created.Unix(),
		"currency": i.sub.session.Currency, "customer": nil, "customer_email": i.sub.session.CustomerEmail, "lines": lines,
		"livemode": s.livemode, "metadata": map[string]string{}, "period_start": i.PeriodStart.Unix(), "period_end": i.PeriodStart.Unix(),
		"parent": map[string]any{
			"type": "subscription_details", "quote_details": nil,
			"subscription_details": map[string]any{"metadata": map[string]string{}, "subscription": i.Subscription},
		},
		"status": i.Status, "subtotal": i.AmountDue, "total": i.AmountDue,
	}
	if customer != nil {
		object["customer_email"] = customer.Email
	}
	if expand["payments"] {
		object["payments"] = listObject{Object: "list", Data: []any{s.showInvoicePayment(i)}, URL: "/v1/invoice_payments?invoice=" + i.ID}
	}
	return object
}

func (s *Stripe) showInvoiceLine(i *invoice, n int) map[string]any {
	item := i.sub.session.LineItems[n]
	return map[string]any{
		"id": i.lineIDs[n], "object": "line_item", "amount": item.Amount(), "currency": item.Price.Currency,
		"description": fmt.Sprintf("%d × %s", item.Quantity, item.Price.Product), "invoice": i.ID, "livemode": s.livemode, "metadata": map[string]string{},
		"parent": map[string]any{
			"type": "subscription_item_details", "invoice_item_details": nil,
			"subscription_item_details": map[string]any{
				"invoice_item": nil, "proration": false, "proration_details": nil, "subscription": i.Subscription,
				"subscription_item": fmt.Sprintf("%s%d", i.sub.itemID, n),
			},
		},
		"period":   map[string]any{"start": i.PeriodStart.Unix(), "end": i.PeriodEnd.Unix()},
		"pricing":  map[string]any{"type": "price_details", "price_details": map[string]any{"price": item.Price.ID, "product": item.Price.ProductID}},
		"quantity": item.Quantity,
	}
}

func (s *Stripe) showInvoicePayment(i *invoice) map[string]any {
	object := map[string]any{
		"id": i.paymentID, "object": "invoice_payment", "amount_paid": nil, "amount_requested": i.AmountDue, "created": i.created.Unix(),
		"currency": i.sub.session.Currency, "invoice": i.ID, "is_default": true, "livemode": s.livemode,
		"payment": map[string]any{"type": "payment_intent", "payment_intent": i.PaymentIntent}, "status": i.Status,
		"status_transitions": map[string]any{"canceled_at": nil, "paid_at": nil},
	}
	if i.Status == "paid" {
		object["amount_paid"] = i.AmountPaid
	}
	return object
}
