package makegood

import (
	"fmt"
	"slices"
	"time"
)

// Terms are what settling an order depends on beside the order itself.
type Terms struct {
	Catalogue Catalogue
	Effects   []string  // the names of the effects that every order owes, in the order in which they are shown
	Now       time.Time // stamped on what is booked; never decides anything
	// DeriveKey returns the key of a slot and the name of the secret it was derived with.
	DeriveKey func(prefix string, slot KeySlot) (key, keyID string)
	// KeyTaken reports whether a key belongs to another order already; then the next revision is tried.
	KeyTaken func(key string) bool
	NewID    func(prefix string) string
}

// Settle brings the order in line with its facts: payment state, licences, stock moves, steps and fulfilment state. It
// returns what changed, as audit entries without time and actor. It is idempotent: settling twice changes nothing, which
// is why every path may call it.
func (o *Order) Settle(t Terms) []Entry {
	s := settlement{Order: o, Terms: t}
	s.money()
	s.book()
	s.stand()
	s.stock()
	s.plan()
	s.fulfillment()
	return s.entries
}

type settlement struct {
	*Order
	Terms
	reason  string // why it is stuck, if it is
	entries []Entry
}

func (s *settlement) note(action, target, before, after string) {
	s.entries = append(s.entries, Entry{Action: action, Target: target, Before: before, After: after})
}

// paymentOf folds the facts. Only sums and existence count, so order and repetition do not. The second result is true
// when a dispute was lost.
func paymentOf(facts []Fact) (PaymentState, bool) {
	var paid, failed, expired bool
	var charged, refunded int64
	cameBack := map[string]bool{}
	disputes := map[string]FactKind{}
	for _, f := range facts {
		switch f.Kind {
		case FactPaid:
			paid = true
			charged = max(charged, f.Amount.Minor)
		case FactFailed:
			failed = true
		case FactExpired:
			expired = true
		case FactRefundFailed:
			cameBack[f.ObjectID] = true
		case FactDisputeLost:
			disputes[f.ObjectID] = FactDisputeLost
		case FactDisputeWon:
			if disputes[f.ObjectID] != FactDisputeLost {
				disputes[f.ObjectID] = FactDisputeWon
			}
		case FactDisputed:
			if disputes[f.ObjectID] == "" {
				disputes[f.ObjectID] = FactDisputed
			}
		}
	}
	for _, f := range facts {
		if f.Kind == FactRefunded && !cameBack[f.ObjectID] {
			refunded += f.Amount.Minor
		}
	}
	open, lost := false, false
	for _, kind := range disputes {
		open = open || kind == FactDisputed
		lost = lost || kind == FactDisputeLost
	}
	switch {
	case !paid && failed:
		return PaymentFailed, false
	case !paid && expired:
		return PaymentExpired, false
	case !paid:
		return PaymentPending, false
	case refunded > 0 && refunded >= charged:
		return PaymentRefunded, lost
	case open || lost:
		return PaymentDisputed, lost
	case refunded > 0:
		return PaymentPartiallyRefunded, false
	default:
		return PaymentPaid, false
	}
}

// money sets what the facts say of payment, customer and amount.
func (s *settlement) money() {
	before := s.Payment
	s.Payment, _ = paymentOf(s.Facts)
	for _, f := range s.Facts {
		s.PaymentID = max(s.PaymentID, f.PaymentID)
	}
	if f, ok := s.fact(FactPaid); ok {
		s.Customer, s.Total = f.Customer, f.Amount
		if s.PaidAt.IsZero() {
			s.PaidAt = s.Now
		}
	} else if f, ok := s.fact(FactAwaiting); ok {
		s.Customer, s.Total = f.Customer, f.Amount
	}
	if before != s.Payment {
		s.note("order.payment", s.ID, string(before), string(s.Payment))
	}
}

// book issues the licences that are due and not there. Nothing is booked while anything about the sale is in doubt, and
// nothing is booked for a sale whose money already went back (a late "paid" does not undo a refund).
func (s *settlement) book() {
	switch s.Entitlement() {
	case EntitledFully, EntitledOnHold:
	default:
		return
	}
	if len(s.Lines) == 0 {
		paid, _ := s.fact(FactPaid)
		if s.reason = doubt(paid, s.Catalogue); s.reason != "" {
			return
		}
		s.Lines = slices.Clone(paid.Lines)
	}
	s.issueMissing()
}

// issueMissing issues a licence for every unit that has none.
func (s *settlement) issueMissing() {
	issued := make(map[[2]int]bool, len(s.Licenses))
	keys := make(map[string]bool, len(s.Licenses))
	for _, l := range s.Licenses {
		issued[[2]int{l.Line, l.Unit}], keys[l.Key] = true, true
	}
	for i, line := range s.Lines {
		for unit := range line.Quantity {
			if !issued[[2]int{i, unit}] {
				s.issue(i, unit, line.Product, keys)
			}
		}
	}
}

// doubt returns the reason why a paid fact must not release anything, or "".
func doubt(paid Fact, catalogue Catalogue) string {
	if paid.Contradicted {
		return ReasonContradiction
	}
	if len(paid.Lines) == 0 {
		return ReasonNothingBought
	}
	if len(paid.Lines) > LinesMax {
		return ReasonTooLarge
	}
	for _, line := range paid.Lines {
		product, ok := catalogue[line.Product]
		if !ok {
			return ReasonUnknownProduct
		}
		if line.Quantity < 1 || line.Quantity > QuantityMax {
			return ReasonTooLarge
		}
		agreed := line.Agreed
		if agreed == (Money{}) {
			agreed = product.Price
		}
		want, ok := agreed.Times(line.Quantity)
		if !ok || want != line.Subtotal || paid.Amount.Currency != line.Subtotal.Currency {
			return ReasonAmountMismatch
		}
	}
	return ""
}

// issue books the licence of a unit. A key that exists already, in this order or another, makes it take the next revision.
func (s *settlement) issue(line, unit int, product string, keys map[string]bool) {
	slot := KeySlot{SessionID: s.Key.SessionID, Line: line, Unit: unit}
	key, keyID := s.DeriveKey(s.Catalogue[product].LicensePrefix, slot)
	for keys[key] || s.KeyTaken(key) {
		slot.Revision++
		key, keyID = s.DeriveKey(s.Catalogue[product].LicensePrefix, slot)
	}
	keys[key] = true
	l := License{ID: s.NewID(LicensePrefix), Key: key, KeyID: keyID, Line: line, Unit: unit, Revision: slot.Revision,
		Product: product, Status: LicenseActive, IssuedAt: s.Now}
	s.Licenses = append(s.Licenses, l)
	s.note("license.issued", l.ID, "", MaskKey(l.Key))
}

// stand gives every licence the status that the entitlement says.
func (s *settlement) stand() {
	status := LicenseStatus(s.Entitlement())
	for i := range s.Licenses {
		if l := &s.Licenses[i]; l.Status != status {
			s.note("license."+string(status), l.ID, string(l.Status), string(status))
			l.Status = status
		}
	}
}

// stock moves what is missing between the stock that the order should hold and what its moves add up to. The balance, not
// the event, decides, so a repeated or late event moves nothing.
func (s *settlement) stock() {
	holds := s.Entitlement() == EntitledFully || s.Entitlement() == EntitledOnHold
	for i, line := range s.Lines {
		if !s.Catalogue[line.Product].Stocked && !s.moved(i) {
			continue
		}
		want := 0
		if holds {
			want = -line.Quantity
		}
		balance, moves := 0, 0
		for _, m := range s.Moves {
			if m.Line == i {
				balance += m.Delta
				moves++
			}
		}
		if delta := want - balance; delta != 0 {
			cause := fmt.Sprintf("%s/%d", s.Payment, moves)
			s.Moves = append(s.Moves, StockMove{Line: i, Product: line.Product, Delta: delta, Cause: cause})
			s.note("stock.moved", s.ID, "", fmt.Sprintf("%s %+d", line.Product, delta))
		}
	}
}

func (s *settlement) moved(line int) bool {
	return slices.ContainsFunc(s.Moves, func(m StockMove) bool { return m.Line == line })
}

// plan compares the effects that are owed with the receipts that are there.
func (s *settlement) plan() {
	if s.Entitlement() != EntitledFully || len(s.Licenses) == 0 {
		return
	}
	for _, name := range s.Effects {
		if name == EffectEmail && s.Customer.Email == "" {
			continue
		}
		step := s.Step(name)
		if step == nil {
			s.Steps = append(s.Steps, Step{Name: name, State: StepOwed, OwedAt: s.Now, JobWanted: true})
			s.note("step.owed", s.ID, "", name)
		} else if step.State == StepWithdrawn {
			step.State, step.OwedAt, step.JobWanted = StepOwed, s.Now, true
			s.note("step.owed", s.ID, string(StepWithdrawn), name)
		}
	}
}

// EffectEmail is the mail with the licence.
const EffectEmail = "email"

func (s *settlement) fulfillment() {
	before, reasonBefore := s.Fulfillment, s.Reason
	s.Fulfillment, s.Reason = s.fulfillmentOf()
	if s.Fulfillment == Fulfilled && s.FulfilledAt.IsZero() {
		s.FulfilledAt = s.Now
	}
	if before != s.Fulfillment || reasonBefore != s.Reason {
		s.note("order.fulfillment", s.ID, describe(before, reasonBefore), describe(s.Fulfillment, s.Reason))
	}
}

func describe(state FulfillmentState, reason string) string {
	if reason == "" {
		return string(state)
	}
	return string(state) + ": " + reason
}

func (s *settlement) fulfillmentOf() (FulfillmentState, string) {
	if s.reason != "" {
		return Stuck, s.reason
	}
	switch s.Entitlement() {
	case EntitledNot:
		return Unfulfilled, ""
	case EntitledNoMore:
		return Revoked, ""
	}
	for _, step := range s.Steps {
		if step.State == StepFailed {
			return Stuck, ReasonStepFailed
		}
	}
	for _, name := range s.Effects {
		if name == EffectEmail && s.Customer.Email == "" {
			return Fulfilled, ReasonNoAddress
		}
		if step := s.Step(name); step == nil || step.State != StepDone {
			return InProgress, ""
		}
	}
	return Fulfilled, ""
}
