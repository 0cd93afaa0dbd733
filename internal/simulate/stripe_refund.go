package simulate

import (
	"fmt"
	"time"
)

// refund is one giving back of money.
type refund struct {
	ID            string
	Amount        int64
	Status        string // pending, requires_action, succeeded, failed, canceled
	Reason        string
	FailureReason string
	Created       time.Time
	Metadata      map[string]string
	charge        *charge
}

// Refund gives money of a payment back and delivers refund.created and charge.refunded. Amount 0 is all that is left; more
// than that is refused. The id is re_….
func (s *Stripe) Refund(paymentIntent string, amount int64) (refundID string, err error) {
	now := s.begin()
	defer s.mu.Unlock()
	ch, problem := s.chargeToRefund(paymentIntent)
	if problem != nil {
		return "", problem.asError()
	}
	re, problem := s.refund(ch, amount, refundDetails{}, origin{}, now)
	if problem != nil {
		return "", problem.asError()
	}
	return re.ID, nil
}

// RefundPending is a refund that takes its time, as one to a bank account does: it is pending, and counts in the charge's
// amount_refunded already. SettleRefund says what becomes of it.
func (s *Stripe) RefundPending(paymentIntent string, amount int64) (refundID string, err error) {
	now := s.begin()
	defer s.mu.Unlock()
	ch, problem := s.chargeToRefund(paymentIntent)
	if problem != nil {
		return "", problem.asError()
	}
	re, problem := s.refund(ch, amount, refundDetails{status: "pending"}, origin{}, now)
	if problem != nil {
		return "", problem.asError()
	}
	return re.ID, nil
}

// SettleRefund gives a refund that is not over its next status: requires_action, succeeded, failed or canceled. It
// delivers refund.updated and charge.refund.updated, and refund.failed when it fails.
func (s *Stripe) SettleRefund(refundID, status string) error {
	s.begin()
	defer s.mu.Unlock()
	re, ok := s.refunds.get(refundID)
	if !ok {
		return fmt.Errorf("%w: refund %s", ErrUnknown, refundID)
	}
	if re.Status != "pending" && re.Status != "requires_action" {
		return fmt.Errorf("%w: refund %s is %s", ErrState, refundID, re.Status)
	}
	s.settleRefund(re, status)
	return nil
}

// FailRefund lets a refund that had succeeded fail, as happens when the customer's card is gone: the money counts as
// not refunded again, and refund.updated, refund.failed and charge.refund.updated are delivered.
func (s *Stripe) FailRefund(refundID string) error {
	s.begin()
	defer s.mu.Unlock()
	re, ok := s.refunds.get(refundID)
	if !ok {
		return fmt.Errorf("%w: refund %s", ErrUnknown, refundID)
	}
	if re.Status != "succeeded" {
		return fmt.Errorf("%w: refund %s is %s", ErrState, refundID, re.Status)
	}
	s.settleRefund(re, "failed")
	return nil
}

func (s *Stripe) settleRefund(re *refund, status string) {
	re.Status = status
	if status == "failed" {
		re.FailureReason = "expired_or_canceled_card"
	}
	if status == "failed" || status == "canceled" {
		re.charge.AmountRefunded -= re.Amount
	}
	object := s.showRefund(re)
	changes := []change{{"refund.updated", object}}
	if status == "failed" {
		changes = append(changes, change{"refund.failed", object})
	}
	s.emit(origin{}, append(changes, change{"charge.refund.updated", object})...)
}

// asError is the problem for a caller who did not come through HTTP.
func (e *apiError) asError() error {
	if e.status == 404 {
		return fmt.Errorf("%w: %s", ErrUnknown, e.Message)
	}
	return fmt.Errorf("%w: %s", ErrState, e.Message)
}

type refundDetails struct {
	status   string // succeeded by default
	reason   string
	metadata map[string]string
}

func (s *Stripe) refund(ch *charge, amount int64, d refundDetails, from origin, now time.Time) (*refund, *apiError) {
	left := ch.Amount - ch.AmountRefunded
	if amount == 0 {
		amount = left
	}
	switch {
	case ch.Status != "succeeded":
		return nil, outcome("", "charge", "Charge "+ch.ID+" did not succeed and cannot be refunded.")
	case ch.dispute != nil && !ch.dispute.isRefundable():
		return nil, outcome("charge_disputed", "", "Charge "+ch.ID+" has been charged back; cannot issue a refund.")
	case left == 0:
		return nil, outcome("charge_already_refunded", "", "Charge "+ch.ID+" has already been refunded.")
	case amount > left:
		return nil, outcome("", "amount", fmt.Sprintf("Refund amount (%d %s) is greater than unrefunded amount on charge (%d %s)",
			amount, ch.Currency, left, ch.Currency))
	}
	setDefault(&d.status, "succeeded")
	re := &refund{
		ID: s.id("re_3", 23), Amount: amount, Status: d.status, Reason: d.reason, Created: now,
		Metadata: ownMap(d.metadata), charge: ch,
	}
	s.refunds.add(re.ID, re)
	ch.AmountRefunded += amount
	s.emit(from, change{"refund.created", s.showRefund(re)}, change{"charge.refunded", s.showCharge(ch)})
	return re, nil
}

// createRefund is POST /v1/refunds.
func (s *Stripe) createRefund(c *call) (any, *apiError) {
	f := c.form
	c.expansion("", refundExpansions...)
	intentID, chargeID, amount := f.text("payment_intent"), f.text("charge"), f.number("amount", 0)
	reason := f.oneOf("reason", "duplicate", "fraudulent", "requested_by_customer")
	metadata := f.metadata("metadata")
	f.accept("instructions_email", "refund_application_fee", "reverse_transfer")
	if f.has("amount") && amount <= 0 {
		f.fail("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	if intentID == "" && chargeID == "" {
		f.fail("parameter_missing", "", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	if problem := f.check(); problem != nil {
		return nil, problem
	}
	ch, problem := s.chargeOf(intentID, chargeID)
	if problem != nil {
		return nil, problem
	}
	re, problem := s.refund(ch, amount, refundDetails{reason: reason, metadata: metadata}, c.origin(), c.now)
	if problem != nil {
		return nil, problem
	}
	return s.showRefund(re), nil
}

func (s *Stripe) chargeOf(intentID, chargeID string) (*charge, *apiError) {
	if chargeID == "" {
		return s.chargeToRefund(intentID)
	}
	ch, ok := s.charges.get(chargeID)
	if !ok {
		return nil, noSuch("charge", chargeID, "charge")
	}
	return ch, nil
}

// refundExpansions may be asked for and stay ids.
var refundExpansions = []string{"charge", "payment_intent", "balance_transaction"}

func (s *Stripe) retrieveRefund(c *call) (any, *apiError) {
	c.expansion("", refundExpansions...)
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	re, ok := s.refunds.get(c.id())
	if !ok {
		return nil, noSuch("refund", c.id(), "refund")
	}
	return s.showRefund(re), nil
}

func (s *Stripe) listRefunds(c *call) (any, *apiError) {
	c.expansion("data.", refundExpansions...)
	intentID, chargeID := c.form.text("payment_intent"), c.form.text("charge")
	match := func(re *refund) bool {
		return (intentID == "" || re.charge.intent.ID == intentID) && (chargeID == "" || re.charge.ID == chargeID)
	}
	return pageOf(c, &s.refunds, func(re *refund) time.Time { return re.Created }, match,
		func(re *refund) any { return s.showRefund(re) })
}

// showRefunds is the list inside an expanded charge, newest first and cut like any other.
func (s *Stripe) showRefunds(ch *charge) listObject {
	found, hasMore := s.refunds.page(cursor{limit: pageSizeDefault}, func(re *refund) bool { return re.charge == ch })
	list := listObject{Object: "list", Data: []any{}, HasMore: hasMore, URL: "/v1/charges/" + ch.ID + "/refunds"}
	for _, re := range found {
		list.Data = append(list.Data, s.showRefund(re))
	}
	return list
}

type refundObject struct {
	ID                     string            `json:"id"`
	Object                 string            `json:"object"`
	Amount                 int64             `json:"amount"`
	BalanceTransaction     string            `json:"balance_transaction"`
	Charge                 string            `json:"charge"`
	Created                int64             `json:"created"`
	Currency               string            `json:"currency"`
	DestinationDetails     any               `json:"destination_details"`
	FailureReason          string            `json:"failure_reason,omitempty"`
	Metadata               map[string]string `json:"metadata"`
	PaymentIntent          string            `json:"payment_intent"`
	Reason                 *string           `json:"reason"`
	ReceiptNumber          any               `json:"receipt_number"`
	SourceTransferReversal any               `json:"source_transfer_reversal"`
	Status                 string            `json:"status"`
	TransferReversal       any               `json:"transfer_reversal"`
}

func (s *Stripe) showRefund(re *refund) refundObject {
	return refundObject{
		ID: re.ID, Object: "refund", Amount: re.Amount, BalanceTransaction: "txn_" + re.ID[len("re_"):], Charge: re.charge.ID,
		Created: re.Created.Unix(), Currency: re.charge.Currency, DestinationDetails: map[string]any{"type": re.charge.method},
		FailureReason: re.FailureReason, Metadata: re.Metadata, PaymentIntent: re.charge.intent.ID, Reason: orNull(re.Reason),
		Status: re.Status,
	}
}
