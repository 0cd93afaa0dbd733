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
	Forwards  []string  // the destinations that are told how every paid order stands
	Now       time.Time // stamped on what is booked; never decides anything
	// DeriveKey returns the key of a slot and the name of the secret it was derived with.
	DeriveKey func(prefix string, slot KeySlot) (key, keyID string)
	// KeyTaken reports whether a key belongs to another order already; then the next revision is tried.
	KeyTaken func(key string) bool
	NewID    func(prefix string) string
	// NoPage reports whether customers of a source cannot be shown their goods on a page, because its provider cannot be
	// asked who they are; nil is never.
	NoPage func(source string) bool
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
	tally   tally
	reason  string // why it is stuck, if it is
	entries []Entry
}

func (s *settlement) note(action, target, before, after string) {
	s.entries = append(s.entries, Entry{Action: action, Target: target, Before: before, After: after})
}

// tally is what the facts add up to.
type tally struct {
	state             PaymentState
	charged, refunded int64     // in the minor unit of what was paid
	lost              bool      // a dispute was
	until             time.Time // how long renewals pay for; zero when there are none
	ended             time.Time // when the subscription ended; zero while it runs or there is none
}

// add folds the facts. Only sums, maxima and existence count, so order and repetition do not.
func add(facts []Fact) tally {
	var t tally
	var paid, failed, expired bool
	firstPayment := map[string]bool{} // what the sale itself was paid by: its first invoice is no second payment
	cameBack := map[string]bool{}
	disputes := map[string]FactKind{}
	for _, f := range facts {
		switch f.Kind {
		case FactPaid:
			paid = true
			t.charged = max(t.charged, f.Amount.Minor)
			for _, way := range f.Ways() {
				firstPayment[way] = true
			}
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
		case FactRenewed:
			t.until = later(t.until, f.Until)
		case FactEnded:
			t.ended = later(t.ended, f.Until)
		}
	}
	for _, f := range facts {
		if f.Kind == FactRefunded && !cameBack[f.ObjectID] {
			t.refunded += f.Amount.Minor
		}
		if f.Kind == FactRenewed && !firstPayment[f.ObjectID] {
			t.charged += f.Amount.Minor
		}
	}
	open := false
	for _, kind := range disputes {
		open = open || kind == FactDisputed
		t.lost = t.lost || kind == FactDisputeLost
	}
	switch {
	case !paid && failed:
		t.state = PaymentFailed
	case !paid && expired:
		t.state = PaymentExpired
	case !paid:
		t.state = PaymentPending
	case t.refunded > 0 && t.refunded >= t.charged:
		t.state = PaymentRefunded
	case open || t.lost:
		t.state = PaymentDisputed
	case t.refunded > 0:
		t.state = PaymentPartiallyRefunded
	default:
		t.state = PaymentPaid
	}
	return t
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// expiry is when a licence under a policy ends; zero is never. A subscription that ended ends it at that moment, without
// grace; one that runs ends it when nothing more was paid.
func (t tally) expiry(p Policy) time.Time {
	if !t.ended.IsZero() {
		return t.ended
	}
	if t.until.IsZero() {
		return time.Time{}
	}
	return t.until.Add(p.Grace)
}

// money sets what the facts say of payment, customer and amount.
func (s *settlement) money() {
	before := s.Payment
	s.tally = add(s.Facts)
	s.Payment = s.tally.state
	s.Entitlement = s.entitlement()
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

// standing is what the money leaves of a product. One that the catalogue does not have (any more) has the usual policy.
func (s *settlement) standing(product string) Entitlement {
	return s.barred(s.Catalogue[product].Policy.standing(s.tally))
}

// barred keeps everything from a synthetic order: what its money would give is taken back before it is given.
func (s *settlement) barred(e Entitlement) Entitlement {
	if s.Synthetic && s.holds(e) {
		return EntitledNoMore
	}
	return e
}

// entitlement is the best standing of what was bought, booked or not.
func (s *settlement) entitlement() Entitlement {
	lines := s.Lines
	if len(lines) == 0 {
		paid, _ := s.fact(FactPaid)
		lines = paid.Lines
	}
	if len(lines) == 0 {
		return s.barred(Policy{}.standing(s.tally))
	}
	best := EntitledNot
	for _, line := range lines {
		best = better(best, s.standing(line.Product))
	}
	return best
}

// book issues the licences that are due and not there. Nothing is booked while anything about the sale is in doubt, and
// nothing is booked for a sale whose money already went back (a late "paid" does not undo a refund), or of a synthetic
// order: money that is there for one has to go back, which a person must see to.
func (s *settlement) book() {
	if s.Synthetic {
		if s.holds(Policy{}.standing(s.tally)) {
			s.reason = ReasonSyntheticPaid
		}
		return
	}
	if !s.holds(s.Entitlement) {
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

// holds reports whether a customer of that standing has the goods, be it at rest.
func (s *settlement) holds(e Entitlement) bool { return e == EntitledFully || e == EntitledOnHold }

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

// stand gives every licence the status that the standing of its product says, and the time it is paid until.
func (s *settlement) stand() {
	for i := range s.Licenses {
		l := &s.Licenses[i]
		if status := LicenseStatus(s.standing(l.Product)); l.Status != status {
			s.note("license."+string(status), l.ID, string(l.Status), string(status))
			l.Status = status
		}
		if until := s.tally.expiry(s.Catalogue[l.Product].Policy); !l.ExpiresAt.Equal(until) {
			s.note("license.expires", l.ID, dateOf(l.ExpiresAt), dateOf(until))
			l.ExpiresAt = until
		}
	}
}

// dateOf shows a time in the audit; the zero time is never.
func dateOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// stock moves what is missing between the stock that the order should hold and what its moves add up to. The balance, not
// the event, decides, so a repeated or late event moves nothing. Goods that do not come back by themselves stay gone.
func (s *settlement) stock() {
	for i, line := range s.Lines {
		product := s.Catalogue[line.Product]
		if !product.Stocked && !s.moved(i) {
			continue
		}
		balance, moves := 0, 0
		for _, m := range s.Moves {
			if m.Line == i {
				balance += m.Delta
				moves++
			}
		}
		want := 0
		if s.holds(s.standing(line.Product)) {
			want = -line.Quantity
		} else if product.Policy.KeepsGone {
			want = balance
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
	if len(s.Licenses) == 0 || s.Synthetic {
		return
	}
	if s.Entitlement == EntitledFully {
		s.planGoods()
	}
	for _, destination := range s.Forwards {
		s.planTelling(destination)
	}
}

func (s *settlement) planGoods() {
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

// planTelling owes a destination another telling whenever the order stands otherwise than the last one says. Nothing is
// told of an order before goods were due: there is nothing to take back then.
func (s *settlement) planTelling(destination string) {
	told, last := 0, ""
	for _, step := range s.Steps {
		if to, _, ok := cutTelling(step.Name); ok && to == destination && TellingOrdinal(step.Name) > told {
			told, last = TellingOrdinal(step.Name), step.Tells
		}
	}
	// A destination that was taken away before it heard of an order never hears of it, also when it is back.
	if first := s.Step(TellingStep(destination, 1)); first != nil && first.State == StepWithdrawn {
		return
	}
	now := s.standingText()
	// An order that was fulfilled before the destination was there is not told of at all: whoever ships on the first telling
	// would ship an old order again.
	if now == last || told == 0 && (s.Entitlement != EntitledFully || !s.FulfilledAt.IsZero()) {
		return
	}
	name := TellingStep(destination, told+1)
	s.Steps = append(s.Steps, Step{Name: name, State: StepOwed, OwedAt: s.Now, Tells: now, JobWanted: true})
	s.note("step.owed", s.ID, "", name)
}

// standingText is everything of which a listener must hear when it changes.
func (s *settlement) standingText() string {
	text := string(s.Payment) + "/" + string(s.Entitlement)
	last := ""
	for _, l := range s.Licenses { // neighbours that stand alike are said once
		standing := string(l.Status)
		if !l.ExpiresAt.IsZero() {
			standing += " until " + dateOf(l.ExpiresAt)
		}
		if standing != last {
			text += "/" + standing
		}
		last = standing
	}
	return text
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
	switch s.Entitlement {
	case EntitledNot:
		return Unfulfilled, ""
	case EntitledNoMore:
		return Revoked, ""
	}
	reason := ""
	for _, name := range s.owed() {
		step := s.Step(name)
		switch {
		case step == nil:
			return InProgress, ""
		case step.State == StepFailed:
			return Stuck, ReasonStepFailed
		case step.State == StepDiscarded:
			reason = ReasonStepDiscarded
		case step.State != StepDone && step.DoneAt.IsZero():
			return InProgress, ""
		}
	}
	if reason != "" {
		return Fulfilled, reason
	}
	if !slices.Contains(s.Effects, EffectEmail) || s.Customer.Email != "" {
		return Fulfilled, ""
	}
	// Without an address the customer has the page, or the owner's application; with none of them, nothing.
	if len(s.Forwards) == 0 && s.NoPage != nil && s.NoPage(s.Key.Source) {
		return Stuck, ReasonNoAddress
	}
	return Fulfilled, ReasonNoAddress
}

// owed are the steps without which an order is not fulfilled: its goods, and the first that each listener hears. What is
// told later, and what is sent once more, changes nothing about that.
func (s *settlement) owed() []string {
	var names []string
	for _, name := range s.Effects {
		if name != EffectEmail || s.Customer.Email != "" {
			names = append(names, name)
		}
	}
	for _, destination := range s.Forwards {
		first := TellingStep(destination, 1)
		if step := s.Step(first); step != nil && step.State != StepWithdrawn || step == nil && s.FulfilledAt.IsZero() {
			names = append(names, first)
		}
	}
	return names
}
