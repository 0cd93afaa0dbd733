package makegood

import (
	"slices"
	"time"
)

// Policy says what the trouble of a payment does to the goods of a product. The zero Policy is the usual one: a partial
// refund changes nothing, an open dispute suspends, a lost one revokes, what was revoked goes back on the shelf, and a
// licence that is paid for by the month ends with it.
type Policy struct {
	PartialRefund Entitlement // EntitledFully, EntitledOnHold or EntitledNoMore; "" is EntitledFully
	Dispute       Entitlement // while one is open; "" is EntitledOnHold
	DisputeLost   Entitlement // "" is EntitledNoMore
	// KeepsGone leaves the stock alone when a licence is revoked: the goods left the house and do not come back by
	// themselves.
	KeepsGone bool
	Grace     time.Duration // how long a licence outlives what it is paid until, so that a late renewal locks nobody out
}

// standing is what the money leaves of a product. Of a dispute and a partial refund the stricter counts.
func (p Policy) standing(m tally) Entitlement {
	partial := EntitledFully
	if m.refunded > 0 && p.PartialRefund != "" {
		partial = p.PartialRefund
	}
	switch m.state {
	case PaymentPaid, PaymentPartiallyRefunded:
		return partial
	case PaymentRefunded:
		return EntitledNoMore
	case PaymentDisputed:
		disputed := EntitledOnHold
		if p.Dispute != "" {
			disputed = p.Dispute
		}
		if m.lost {
			disputed = EntitledNoMore
			if p.DisputeLost != "" {
				disputed = p.DisputeLost
			}
		}
		return stricter(partial, disputed)
	}
	return EntitledNot
}

// byWorth lists the entitlements from the least to the most.
var byWorth = []Entitlement{EntitledNot, EntitledNoMore, EntitledOnHold, EntitledFully}

func stricter(a, b Entitlement) Entitlement {
	if slices.Index(byWorth, a) <= slices.Index(byWorth, b) {
		return a
	}
	return b
}

func better(a, b Entitlement) Entitlement {
	if stricter(a, b) == a {
		return b
	}
	return a
}
