package makegood

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// FactKind is what happened, in our words.
type FactKind string

const (
	FactAwaiting     FactKind = "awaiting_payment" // checkout finished, the money is still on its way
	FactPaid         FactKind = "paid"
	FactFailed       FactKind = "payment_failed"
	FactExpired      FactKind = "expired"
	FactRefunded     FactKind = "refunded"      // ObjectID is the refund; Amount is that refund's alone
	FactRefundFailed FactKind = "refund_failed" // the same refund came back
	FactDisputed     FactKind = "disputed"      // ObjectID is the dispute
	FactDisputeWon   FactKind = "dispute_won"
	FactDisputeLost  FactKind = "dispute_lost"
	FactRenewed      FactKind = "renewed" // ObjectID is the invoice; Until is how long it pays for
	FactEnded        FactKind = "ended"   // ObjectID is the subscription; Until is when it ends
)

// FactKinds lists every kind once.
func FactKinds() []FactKind {
	return []FactKind{FactAwaiting, FactPaid, FactFailed, FactExpired, FactRefunded, FactRefundFailed,
		FactDisputed, FactDisputeWon, FactDisputeLost, FactRenewed, FactEnded}
}

// OrderKey is what makes an order one: the checkout session of an account, in one mode, at one source. SessionID is "" in
// a fact whose provider does not say of which session it tells: its way back to the order is by its references.
type OrderKey struct {
	Source    string
	Account   string
	Live      bool
	SessionID string
}

// Customer is who bought. The address never reaches a log.
type Customer struct {
	Email string `json:"email,omitempty"`
	Name  string `json:"name,omitempty"`
}

// Line is one thing that was bought, as many times as Quantity says.
type Line struct {
	Product  string `json:"product"`         // code in our catalogue; "" when the provider's price is not in it
	Label    string `json:"label,omitempty"` // what the provider calls it, for people
	Quantity int    `json:"quantity"`
	Subtotal Money  `json:"subtotal"` // before discounts and taxes
	Agreed   Money  `json:"agreed"`   // price of one as we offered it at checkout; zero: the catalogue's price counts
}

// Fact is what happened, once. Source, Kind and ObjectID identify it: two events can tell of one change, and one payment
// can have two refunds.
type Fact struct {
	Key       OrderKey
	Kind      FactKind
	ObjectID  string
	PaymentID string // the provider's payment, the way back from refunds and disputes
	// References are other ids by which the provider knows this sale, such as its charge, invoice or subscription. With
	// PaymentID they are the way back of a fact that has no session, in whatever order the two arrive.
	References []string
	Amount     Money
	Customer   Customer
	Lines      []Line
	Until      time.Time // the provider's clock: how long a renewal pays for, or when a subscription ends
	OccurredAt time.Time // the provider's clock: shown, never used to decide
	EventID    string    // our id of the first event that told; "" when we asked the provider ourselves
	// Synthetic is that nobody bought: our own watcher made the session to see whether it could be made.
	Synthetic bool
	// Contradicted is set when the same fact was told in two ways that differ in money or goods.
	Contradicted bool
}

func (f Fact) same(g Fact) bool { return f.Kind == g.Kind && f.ObjectID == g.ObjectID }

func (f Fact) equal(g Fact) bool {
	return slices.Equal(f.Lines, g.Lines) && slices.Equal(f.References, g.References) && f.Until.Equal(g.Until) && f.Key == g.Key && f.same(g) && f.PaymentID == g.PaymentID && f.Amount == g.Amount &&
		f.Customer == g.Customer && f.OccurredAt.Equal(g.OccurredAt) && f.Contradicted == g.Contradicted && f.Synthetic == g.Synthetic
}

// agrees reports whether two tellings of one fact are about the same money and goods. What a telling does not know (its
// lines, the product of a line, the agreed price) contradicts nobody, and labels are for people only.
func (f Fact) agrees(g Fact) bool {
	if f.Amount != g.Amount {
		return false
	}
	return len(f.Lines) == 0 || len(g.Lines) == 0 || slices.EqualFunc(f.Lines, g.Lines, Line.agrees)
}

func (l Line) agrees(m Line) bool {
	return l.Quantity == m.Quantity && l.Subtotal == m.Subtotal &&
		(l.Product == m.Product || l.Product == "" || m.Product == "") &&
		(l.Agreed == m.Agreed || l.Agreed == Money{} || m.Agreed == Money{})
}

// join makes one fact of two tellings, so that order and repetition do not matter: it is commutative, associative and
// idempotent, each field by its own maximum. Tellings that differ in money or goods are marked; which of them is kept is
// arbitrary but fixed.
func (f Fact) join(g Fact) Fact {
	joined := f
	joined.Amount = maxMoney(f.Amount, g.Amount)
	joined.Lines = joinLines(f.Lines, g.Lines)
	joined.Contradicted = f.Contradicted || g.Contradicted || !f.agrees(g)
	joined.Synthetic = f.Synthetic || g.Synthetic
	if cmp.Or(strings.Compare(g.Customer.Email, f.Customer.Email), strings.Compare(g.Customer.Name, f.Customer.Name)) > 0 {
		joined.Customer = g.Customer
	}
	joined.PaymentID = max(f.PaymentID, g.PaymentID)
	joined.References = union(f.References, g.References)
	if g.Until.After(f.Until) {
		joined.Until = g.Until
	}
	if f.OccurredAt.IsZero() || !g.OccurredAt.IsZero() && g.OccurredAt.Before(f.OccurredAt) {
		joined.OccurredAt = g.OccurredAt
	}
	return joined
}

// union is the sorted set of both.
func union(a, b []string) []string {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// Ways are all the references of a fact: its payment and the others, sorted, each once.
func (f Fact) Ways() []string {
	ways := union(f.References, nil)
	if f.PaymentID != "" {
		ways = union(ways, []string{f.PaymentID})
	}
	return ways
}

// joinLines takes the longer list, and of lists of one length the maximum of each field of each line.
func joinLines(a, b []Line) []Line {
	if len(a) != len(b) {
		if len(a) > len(b) {
			return a
		}
		return b
	}
	if len(a) == 0 {
		return nil
	}
	joined := make([]Line, len(a))
	for i := range a {
		joined[i] = Line{
			Product:  max(a[i].Product, b[i].Product),
			Label:    max(a[i].Label, b[i].Label),
			Quantity: max(a[i].Quantity, b[i].Quantity),
			Subtotal: maxMoney(a[i].Subtotal, b[i].Subtotal),
			Agreed:   maxMoney(a[i].Agreed, b[i].Agreed),
		}
	}
	return joined
}

func maxMoney(a, b Money) Money {
	if cmp.Or(cmp.Compare(a.Minor, b.Minor), cmp.Compare(a.Currency, b.Currency)) >= 0 {
		return a
	}
	return b
}
