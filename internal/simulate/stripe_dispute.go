package simulate

import (
	"fmt"
	"strings"
	"time"
)

// dispute is a customer who asks their bank for the money back.
type dispute struct {
	ID      string
	Status  string
	Created time.Time
	charge  *charge
}

// isFormal tells a dispute, which takes the money away, from an inquiry (warning_…), which only asks.
func (d *dispute) isFormal() bool {
	return !strings.HasPrefix(d.Status, "warning_") && d.Status != "prevented"
}

func (d *dispute) isOpen() bool {
	return strings.HasSuffix(d.Status, "needs_response") || strings.HasSuffix(d.Status, "under_review")
}

// isRefundable is false while the money is, or stays, with the bank.
func (d *dispute) isRefundable() bool { return d.Status == "won" || !d.isFormal() }

// Dispute opens a formal dispute about a payment and delivers charge.dispute.created and charge.dispute.funds_withdrawn.
// The id is du_….
func (s *Stripe) Dispute(paymentIntent string) (string, error) {
	return s.openDispute(paymentIntent, "needs_response")
}

// Inquire opens an inquiry, the milder kind of dispute: charge.dispute.created with status warning_needs_response, and no
// money moves. CloseDispute ends it as warning_closed if won.
func (s *Stripe) Inquire(paymentIntent string) (string, error) {
	return s.openDispute(paymentIntent, "warning_needs_response")
}

func (s *Stripe) openDispute(paymentIntent, status string) (string, error) {
	now := s.begin()
	defer s.mu.Unlock()
	ch, problem := s.chargeToRefund(paymentIntent)
	if problem != nil {
		return "", problem.asError()
	}
	if ch.dispute != nil && ch.dispute.isOpen() {
		return "", fmt.Errorf("%w: %s has an open dispute", ErrState, paymentIntent)
	}
	d := &dispute{ID: s.id("du_1", 23), Status: status, Created: now, charge: ch}
	ch.dispute = d
	s.disputes.add(d.ID, d)
	changes := []change{{"charge.dispute.created", s.showDispute(d)}}
	if d.isFormal() {
		changes = append(changes, change{"charge.dispute.funds_withdrawn", s.showDispute(d)})
	}
	s.emit(origin{}, changes...)
	return d.ID, nil
}

// CloseDispute ends an open dispute as won (the money comes back) or lost, and delivers charge.dispute.closed, after
// charge.dispute.funds_reinstated if money came back. An inquiry that is won is warning_closed; one that is lost has
// become a formal dispute and is lost.
func (s *Stripe) CloseDispute(id string, won bool) error {
	s.begin()
	defer s.mu.Unlock()
	d, problem := s.openDisputeOf(id)
	if problem != nil {
		return problem
	}
	switch {
	case !won:
		s.moveDispute(d, "lost")
	case d.isFormal():
		s.moveDispute(d, "won")
	default:
		s.moveDispute(d, "warning_closed")
	}
	return nil
}

// disputeStatuses are Stripe's, and whether the dispute is over with them.
var disputeStatuses = map[string]bool{
	"warning_needs_response": false, "warning_under_review": false, "needs_response": false, "under_review": false,
	"warning_closed": true, "prevented": true, "won": true, "lost": true,
}

// MoveDispute gives an open dispute another of Stripe's statuses: evidence was sent (under_review), an inquiry became
// formal (needs_response), it was settled before it became one (prevented). It delivers charge.dispute.updated or
// charge.dispute.closed, and charge.dispute.funds_withdrawn or charge.dispute.funds_reinstated when money moves.
func (s *Stripe) MoveDispute(id, status string) error {
	s.begin()
	defer s.mu.Unlock()
	d, problem := s.openDisputeOf(id)
	if problem != nil {
		return problem
	}
	if _, ok := disputeStatuses[status]; !ok {
		return fmt.Errorf("%w: dispute %s cannot be %s", ErrState, id, status)
	}
	s.moveDispute(d, status)
	return nil
}

func (s *Stripe) openDisputeOf(id string) (*dispute, error) {
	d, ok := s.disputes.get(id)
	if !ok {
		return nil, fmt.Errorf("%w: dispute %s", ErrUnknown, id)
	}
	if !d.isOpen() {
		return nil, fmt.Errorf("%w: dispute %s is %s", ErrState, id, d.Status)
	}
	return d, nil
}

func (s *Stripe) moveDispute(d *dispute, status string) {
	wasFormal := d.isFormal()
	d.Status = status
	object := s.showDispute(d)
	var changes []change
	if !wasFormal && d.isFormal() {
		changes = append(changes, change{"charge.dispute.funds_withdrawn", object})
	}
	if wasFormal && status == "won" {
		changes = append(changes, change{"charge.dispute.funds_reinstated", object})
	}
	last := "charge.dispute.updated"
	if disputeStatuses[status] {
		last = "charge.dispute.closed"
	}
	s.emit(origin{}, append(changes, change{last, object})...)
}

// disputeExpansions may be asked for and stay ids.
var disputeExpansions = []string{"charge", "payment_intent"}

func (s *Stripe) retrieveDispute(c *call) (any, *apiError) {
	c.expansion("", disputeExpansions...)
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	d, ok := s.disputes.get(c.id())
	if !ok {
		return nil, noSuch("dispute", c.id(), "dispute")
	}
	return s.showDispute(d), nil
}

func (s *Stripe) listDisputes(c *call) (any, *apiError) {
	c.expansion("data.", disputeExpansions...)
	intentID, chargeID := c.form.text("payment_intent"), c.form.text("charge")
	match := func(d *dispute) bool {
		return (intentID == "" || d.charge.intent.ID == intentID) && (chargeID == "" || d.charge.ID == chargeID)
	}
	return pageOf(c, &s.disputes, func(d *dispute) time.Time { return d.Created }, match,
		func(d *dispute) any { return s.showDispute(d) })
}

type disputeObject struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Amount              int64             `json:"amount"`
	BalanceTransactions []any             `json:"balance_transactions"`
	Charge              string            `json:"charge"`
	Created             int64             `json:"created"`
	Currency            string            `json:"currency"`
	Evidence            any               `json:"evidence"`
	EvidenceDetails     evidenceDetails   `json:"evidence_details"`
	IsChargeRefundable  bool              `json:"is_charge_refundable"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	PaymentIntent       string            `json:"payment_intent"`
	Reason              string            `json:"reason"`
	Status              string            `json:"status"`
}

type evidenceDetails struct {
	DueBy           int64 `json:"due_by"`
	HasEvidence     bool  `json:"has_evidence"`
	PastDue         bool  `json:"past_due"`
	SubmissionCount int   `json:"submission_count"`
}

func (s *Stripe) showDispute(d *dispute) disputeObject {
	return disputeObject{
		ID: d.ID, Object: "dispute", Amount: d.charge.Amount, BalanceTransactions: []any{}, Charge: d.charge.ID,
		Created: d.Created.Unix(), Currency: d.charge.Currency, Evidence: struct{}{},
		EvidenceDetails:    evidenceDetails{DueBy: d.Created.Add(7 * 24 * time.Hour).Unix()},
		IsChargeRefundable: d.isRefundable(), Livemode: s.livemode, Metadata: map[string]string{},
		PaymentIntent: d.charge.intent.ID, Reason: "fraudulent", Status: d.Status,
	}
}
