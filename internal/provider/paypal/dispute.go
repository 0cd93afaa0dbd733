package paypal

import (
	"context"

	"github.com/tidwall/gjson"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/provider/extract"
)

// interpretDispute reads a dispute back.
//
//   - In the stage INQUIRY buyer and merchant talk, and no money moves: nothing is suspended. What they agree on comes as a
//     refund of its own.
//   - Later stages (CHARGEBACK, PRE_ARBITRATION, ARBITRATION) suspend until the dispute is resolved.
//   - Resolved: see dispositionOf.
func (s *PayPal) interpretDispute(ctx context.Context, event makegood.Event, id string) (provider.Reading, error) {
	dispute, err := s.retrieve(ctx, disputesPath, id, "dispute_id")
	if err != nil {
		return provider.Reading{}, unlessOdd(err)
	}
	if extract.Identifier(dispute.Get("dispute_life_cycle_stage")) == "INQUIRY" {
		return provider.Reading{Note: "It is an inquiry of the buyer, and no claim yet: nothing is suspended."}, nil
	}
	captureID, note, err := s.disputedPayment(dispute)
	if note != "" || err != nil {
		return provider.Reading{Note: note}, err
	}
	orderID, note, err := s.orderOfPayment(ctx, captureID)
	if note != "" || err != nil {
		return provider.Reading{Note: note}, err
	}
	kind := dispositionOf(dispute)
	if event.Type == typeDisputeResolved && kind == makegood.FactDisputed && extract.Identifier(dispute.Get("status")) != "RESOLVED" {
		return provider.Reading{}, notYet("PayPal's event says that the dispute is resolved, and PayPal's API does not say so yet.")
	}
	amount, _ := money(dispute.Get("dispute_amount"))
	at := "create_time"
	if kind != makegood.FactDisputed {
		at = "update_time"
	}
	return provider.Reading{Facts: []makegood.Fact{{Key: s.key(orderID), Kind: kind, ObjectID: id, PaymentID: captureID, Amount: amount,
		OccurredAt: extract.Moment(dispute.Get(at)), EventID: event.ID}}}, nil
}

// disputedPayment returns the capture that the dispute is about.
func (s *PayPal) disputedPayment(dispute gjson.Result) (captureID, note string, err error) {
	for _, transaction := range dispute.Get("disputed_transactions").Array() {
		id := extract.Identifier(transaction.Get("seller_transaction_id"))
		if !askable.MatchString(id) {
			continue
		}
		if captureID != "" && captureID != id {
			return "", "The dispute is about several payments; a person must look.", nil
		}
		if merchant := extract.Identifier(transaction.Get("seller.merchant_id")); merchant != "" {
			if note, err = s.notOurMerchant(merchant); note != "" || err != nil {
				return "", note, err
			}
		}
		captureID = id
	}
	if captureID == "" {
		return "", "", makegood.Errorf(makegood.ProviderFailed, "PayPal does not say which payment is disputed.")
	}
	return captureID, "", nil
}

// dispositionOf reads the outcome (customer_disputes_v1.json, dispute_outcome.outcome_code). Lost is what the buyer won or
// we accepted. Won is everything after which the money stayed: also NONE, which closes a dispute without a decision
// because another one goes on, and RESOLVED_WITH_PAYOUT, in which PayPal protects one side at its own expense; should
// money leave us all the same, a refund or reversal tells it. An outcome that this version does not know keeps the goods
// suspended, which a person can see.
func dispositionOf(dispute gjson.Result) makegood.FactKind {
	if extract.Identifier(dispute.Get("status")) != "RESOLVED" {
		return makegood.FactDisputed
	}
	switch extract.Identifier(dispute.Get("dispute_outcome.outcome_code")) {
	case "RESOLVED_BUYER_FAVOUR", "ACCEPTED":
		return makegood.FactDisputeLost
	case "RESOLVED_SELLER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "DENIED", "NONE":
		return makegood.FactDisputeWon
	}
	return makegood.FactDisputed
}
