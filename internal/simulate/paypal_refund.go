package simulate

import (
	"fmt"
	"time"
)

type paypalRefund struct {
	ID, Status string
	Amount     int64
	Total      int64 // given back of the capture, this one included
	Created    time.Time
	visible    time.Time
	capture    *paypalCapture
}

type paypalDispute struct {
	ID, Status, Stage, Outcome string
	Created, Updated           time.Time
	capture                    *paypalCapture
}

// Refund gives money of a capture back and delivers PAYMENT.CAPTURE.REFUNDED. Amount 0 is all that is left.
func (p *PayPal) Refund(captureID string, amount int64) (refundID string, err error) {
	return p.refundAs(captureID, amount, "COMPLETED", "PAYMENT.CAPTURE.REFUNDED")
}

// RefundPending begins a refund whose money is on its way, until SettleRefund, and delivers PAYMENT.REFUND.PENDING.
func (p *PayPal) RefundPending(captureID string, amount int64) (refundID string, err error) {
	return p.refundAs(captureID, amount, "PENDING", "PAYMENT.REFUND.PENDING")
}

// Reverse takes all that is left of a capture back on the part of PayPal or a bank, and delivers PAYMENT.CAPTURE.REVERSED.
func (p *PayPal) Reverse(captureID string) (refundID string, err error) {
	return p.refundAs(captureID, 0, "COMPLETED", "PAYMENT.CAPTURE.REVERSED")
}

func (p *PayPal) refundAs(captureID string, amount int64, status, kind string) (string, error) {
	now := p.begin()
	defer p.mu.Unlock()
	k, ok := p.captures.get(captureID)
	if !ok {
		return "", fmt.Errorf("%w: capture %s", ErrUnknown, captureID)
	}
	re, problem := p.refund(k, amount, status, kind, now)
	if problem != nil {
		return "", fmt.Errorf("%w: %s", ErrState, problem.Details[0].Issue)
	}
	return re.ID, nil
}

func (p *PayPal) refund(k *paypalCapture, amount int64, status, kind string, now time.Time) (*paypalRefund, *paypalError) {
	left := k.Amount - k.Refunded
	if amount == 0 {
		amount = left
	}
	switch {
	case k.Status != "COMPLETED" && k.Status != "PARTIALLY_REFUNDED":
		return nil, unprocessable("CAPTURE_FULLY_REFUNDED", "The capture is "+k.Status+".")
	case amount < 0 || amount > left:
		return nil, unprocessable("REFUND_AMOUNT_EXCEEDED", "The refund amount must be less than or equal to the capture amount that has not yet been refunded.")
	}
	re := &paypalRefund{ID: p.id(), Status: status, Amount: amount, Created: now, visible: now.Add(p.faults.HideFor), capture: k}
	k.refunds = append(k.refunds, re)
	p.refunds.add(re.ID, re)
	if status == "COMPLETED" {
		k.giveBack(amount)
	}
	re.Total = k.Refunded
	p.emit(now, paypalChange{kind, "refund", p.refundObject(re)})
	return re, nil
}

func (k *paypalCapture) giveBack(amount int64) {
	k.Refunded += amount
	switch k.Refunded {
	case 0:
		k.Status = "COMPLETED"
	case k.Amount:
		k.Status = "REFUNDED"
	default:
		k.Status = "PARTIALLY_REFUNDED"
	}
}

// SettleRefund ends a pending refund: PAYMENT.CAPTURE.REFUNDED, or PAYMENT.REFUND.FAILED.
func (p *PayPal) SettleRefund(refundID string, ok bool) error {
	return p.changeRefund(refundID, "PENDING", ok)
}

// FailRefund lets a refund that was completed come back, and delivers PAYMENT.REFUND.FAILED.
func (p *PayPal) FailRefund(refundID string) error {
	return p.changeRefund(refundID, "COMPLETED", false)
}

func (p *PayPal) changeRefund(refundID, from string, ok bool) error {
	now := p.begin()
	defer p.mu.Unlock()
	re, found := p.refunds.get(refundID)
	if !found {
		return fmt.Errorf("%w: refund %s", ErrUnknown, refundID)
	}
	if re.Status != from {
		return fmt.Errorf("%w: refund %s is %s", ErrState, refundID, re.Status)
	}
	kind := "PAYMENT.REFUND.FAILED"
	switch {
	case ok:
		re.Status, kind = "COMPLETED", "PAYMENT.CAPTURE.REFUNDED"
		re.capture.giveBack(re.Amount)
	case from == "COMPLETED":
		re.capture.giveBack(-re.Amount)
		fallthrough
	default:
		re.Status = "FAILED"
	}
	p.emit(now, paypalChange{kind, "refund", p.refundObject(re)})
	return nil
}

// refundCapture is POST /v2/payments/captures/{id}/refund.
func (p *PayPal) refundCapture(c *paypalCall) (any, *paypalError) {
	var in struct {
		Amount   *paypalMoney `json:"amount"`
		CustomID string       `json:"custom_id"`
		Note     string       `json:"note_to_payer"`
	}
	if problem := c.read(&in); problem != nil {
		return nil, problem
	}
	k, ok := p.captures.get(c.id())
	if !ok {
		return nil, noSuchObject()
	}
	amount := int64(0)
	if in.Amount != nil {
		var isMoney bool
		if amount, isMoney = in.Amount.minor(); !isMoney || amount == 0 || in.Amount.Currency != k.order.Currency {
			return nil, unprocessable("REFUND_CURRENCY_MISMATCH", "The amount is not well formed or of another currency.")
		}
	}
	re, problem := p.refund(k, amount, "COMPLETED", "PAYMENT.CAPTURE.REFUNDED", c.now)
	if problem != nil {
		return nil, problem
	}
	c.made = true
	return p.refundObject(re), nil
}

func (p *PayPal) showRefund(c *paypalCall) (any, *paypalError) {
	re, ok := p.refunds.get(c.id())
	if !ok || c.now.Before(re.visible) {
		return nil, noSuchObject()
	}
	return p.refundObject(re), nil
}

func (p *PayPal) refundObject(re *paypalRefund) map[string]any {
	currency := re.capture.order.Currency
	return map[string]any{
		"id": re.ID, "status": re.Status, "amount": moneyOf(re.Amount, currency), "create_time": stamp(re.Created), "update_time": stamp(re.Created),
		"seller_payable_breakdown": map[string]any{"gross_amount": moneyOf(re.Amount, currency), "total_refunded_amount": moneyOf(re.Total, currency)},
		"links":                    []any{p.link("self", "GET", "/v2/payments/refunds/"+re.ID), p.link("up", "GET", "/v2/payments/captures/"+re.capture.ID)},
	}
}

// Dispute opens a claim about a capture, past the stage of inquiry, and delivers CUSTOMER.DISPUTE.CREATED.
func (p *PayPal) Dispute(captureID string) (disputeID string, err error) {
	return p.openDispute(captureID, "CHARGEBACK")
}

// Inquire opens the milder kind of dispute, in which buyer and shop talk and no money moves.
func (p *PayPal) Inquire(captureID string) (disputeID string, err error) {
	return p.openDispute(captureID, "INQUIRY")
}

func (p *PayPal) openDispute(captureID, stage string) (string, error) {
	now := p.begin()
	defer p.mu.Unlock()
	k, ok := p.captures.get(captureID)
	if !ok {
		return "", fmt.Errorf("%w: capture %s", ErrUnknown, captureID)
	}
	d := &paypalDispute{ID: "PP-D-" + fmt.Sprint(10000+len(p.disputes.items)), Status: "WAITING_FOR_SELLER_RESPONSE", Stage: stage, Created: now, Updated: now, capture: k}
	p.disputes.add(d.ID, d)
	p.emit(now, paypalChange{"CUSTOMER.DISPUTE.CREATED", "dispute", p.disputeObject(d)})
	return d.ID, nil
}

// Escalate makes a claim of an inquiry and delivers CUSTOMER.DISPUTE.UPDATED.
func (p *PayPal) Escalate(disputeID string) error {
	return p.changeDispute(disputeID, "CUSTOMER.DISPUTE.UPDATED", func(d *paypalDispute) { d.Stage, d.Status = "CHARGEBACK", "UNDER_REVIEW" })
}

// CloseDispute ends an open dispute as won or lost by the shop, and delivers CUSTOMER.DISPUTE.RESOLVED. What
// becomes of the money is told by Reverse.
func (p *PayPal) CloseDispute(disputeID string, won bool) error {
	outcome := "RESOLVED_BUYER_FAVOUR"
	if won {
		outcome = "RESOLVED_SELLER_FAVOUR"
	}
	return p.ResolveDispute(disputeID, outcome)
}

// ResolveDispute ends an open dispute with any of PayPal's outcome codes.
func (p *PayPal) ResolveDispute(disputeID, outcome string) error {
	return p.changeDispute(disputeID, "CUSTOMER.DISPUTE.RESOLVED", func(d *paypalDispute) { d.Status, d.Outcome = "RESOLVED", outcome })
}

func (p *PayPal) changeDispute(id, kind string, change func(*paypalDispute)) error {
	now := p.begin()
	defer p.mu.Unlock()
	d, ok := p.disputes.get(id)
	if !ok {
		return fmt.Errorf("%w: dispute %s", ErrUnknown, id)
	}
	if d.Status == "RESOLVED" {
		return fmt.Errorf("%w: dispute %s is resolved", ErrState, id)
	}
	change(d)
	d.Updated = now
	p.emit(now, paypalChange{kind, "dispute", p.disputeObject(d)})
	return nil
}

func (p *PayPal) showDispute(c *paypalCall) (any, *paypalError) {
	d, ok := p.disputes.get(c.id())
	if !ok {
		return nil, noSuchObject()
	}
	return p.disputeObject(d), nil
}

func (p *PayPal) disputeObject(d *paypalDispute) map[string]any {
	amount := moneyOf(d.capture.Amount, d.capture.order.Currency)
	object := map[string]any{
		"dispute_id": d.ID, "create_time": stamp(d.Created), "update_time": stamp(d.Updated), "reason": "UNAUTHORISED", "status": d.Status,
		"dispute_amount": amount, "dispute_life_cycle_stage": d.Stage, "dispute_channel": "INTERNAL",
		"disputed_transactions": []any{map[string]any{"seller_transaction_id": d.capture.ID, "gross_amount": amount, "seller": map[string]string{"merchant_id": p.options.MerchantID}}},
		"links":                 []any{p.link("self", "GET", "/v1/customer/disputes/"+d.ID)},
	}
	if d.Outcome != "" {
		object["dispute_outcome"] = map[string]any{"outcome_code": d.Outcome, "amount_refunded": amount}
	}
	return object
}
