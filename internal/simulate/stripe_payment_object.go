package simulate

// chargeExpansions may be asked for. All but the refunds stay ids: nothing stands behind them here.
var chargeExpansions = []string{"customer", "invoice", "balance_transaction", "refunds"}

type address struct {
	City       *string `json:"city"`
	Country    *string `json:"country"`
	Line1      *string `json:"line1"`
	Line2      *string `json:"line2"`
	PostalCode *string `json:"postal_code"`
	State      *string `json:"state"`
}

func (c Customer) address() address {
	return address{orNull(c.City), orNull(c.Country), orNull(c.Line1), orNull(c.Line2), orNull(c.PostalCode), orNull(c.State)}
}

// customerDetails is the customer as a session shows them.
type customerDetails struct {
	Address      address  `json:"address"`
	BusinessName *string  `json:"business_name"`
	Email        *string  `json:"email"`
	Individual   *string  `json:"individual_name"`
	Name         *string  `json:"name"`
	Phone        *string  `json:"phone"`
	TaxExempt    string   `json:"tax_exempt"`
	TaxIDs       []string `json:"tax_ids"`
}

func (c Customer) details() customerDetails {
	return customerDetails{
		Address: c.address(), Email: orNull(c.Email), Name: orNull(c.Name), Phone: orNull(c.Phone), TaxExempt: "none", TaxIDs: []string{},
	}
}

// intentObject is Stripe's payment_intent. It does not know the session, as at the real one.
type intentObject struct {
	ID                        string            `json:"id"`
	Object                    string            `json:"object"`
	Amount                    int64             `json:"amount"`
	AmountCapturable          int64             `json:"amount_capturable"`
	AmountDetails             any               `json:"amount_details"`
	AmountReceived            int64             `json:"amount_received"`
	Application               any               `json:"application"`
	ApplicationFeeAmount      any               `json:"application_fee_amount"`
	AutomaticPaymentMethods   any               `json:"automatic_payment_methods"`
	CanceledAt                any               `json:"canceled_at"`
	CancellationReason        any               `json:"cancellation_reason"`
	CaptureMethod             string            `json:"capture_method"`
	ClientSecret              string            `json:"client_secret"`
	ConfirmationMethod        string            `json:"confirmation_method"`
	Created                   int64             `json:"created"`
	Currency                  string            `json:"currency"`
	Customer                  any               `json:"customer"`
	Description               *string           `json:"description"`
	LastPaymentError          any               `json:"last_payment_error"`
	LatestCharge              any               `json:"latest_charge"`
	Livemode                  bool              `json:"livemode"`
	Metadata                  map[string]string `json:"metadata"`
	NextAction                any               `json:"next_action"`
	OnBehalfOf                any               `json:"on_behalf_of"`
	PaymentMethod             *string           `json:"payment_method"`
	PaymentMethodOptions      any               `json:"payment_method_options"`
	PaymentMethodTypes        []string          `json:"payment_method_types"`
	Processing                any               `json:"processing"`
	ReceiptEmail              any               `json:"receipt_email"`
	Review                    any               `json:"review"`
	SetupFutureUsage          any               `json:"setup_future_usage"`
	Shipping                  any               `json:"shipping"`
	Source                    any               `json:"source"`
	StatementDescriptor       any               `json:"statement_descriptor"`
	StatementDescriptorSuffix any               `json:"statement_descriptor_suffix"`
	Status                    string            `json:"status"`
	TransferData              any               `json:"transfer_data"`
	TransferGroup             any               `json:"transfer_group"`
}

// showIntentOrID renders the intent called id, or only its id when expand is nil.
func (s *Stripe) showIntentOrID(id string, expand map[string]bool) any {
	if pi, ok := s.intents.get(id); ok && expand != nil {
		return s.showIntent(pi, expand)
	}
	return id
}

func (s *Stripe) showIntent(pi *intent, expand map[string]bool) intentObject {
	object := intentObject{
		ID: pi.ID, Object: "payment_intent", Amount: pi.Amount, AmountDetails: map[string]any{"tip": struct{}{}},
		CaptureMethod: "automatic_async", ClientSecret: pi.ID + "_secret_simulated", ConfirmationMethod: "automatic",
		Created: pi.Created.Unix(), Currency: pi.Currency, Description: orNull(pi.session.intentDescription), Livemode: s.livemode,
		Metadata: pi.Metadata, PaymentMethodOptions: struct{}{}, PaymentMethodTypes: []string{"card"}, Status: pi.Status,
	}
	if pi.Status == "succeeded" {
		object.AmountReceived = pi.Amount
	}
	if pi.charge == nil {
		return object
	}
	object.LatestCharge = pi.charge.ID
	if expand["latest_charge"] {
		object.LatestCharge = s.showCharge(pi.charge)
	}
	object.PaymentMethodTypes = []string{pi.charge.method}
	if pi.charge.Status == "failed" {
		object.LastPaymentError = map[string]any{
			"type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "charge": pi.charge.ID,
			"message": "Your card was declined.",
		}
		return object
	}
	object.PaymentMethod = &pi.charge.methodID
	return object
}

// chargeObject is Stripe's charge of a recent API version: it has neither refunds nor invoice.
type chargeObject struct {
	ID                            string            `json:"id"`
	Object                        string            `json:"object"`
	Amount                        int64             `json:"amount"`
	AmountCaptured                int64             `json:"amount_captured"`
	AmountRefunded                int64             `json:"amount_refunded"`
	Application                   any               `json:"application"`
	ApplicationFee                any               `json:"application_fee"`
	ApplicationFeeAmount          any               `json:"application_fee_amount"`
	BalanceTransaction            *string           `json:"balance_transaction"`
	BillingDetails                any               `json:"billing_details"`
	CalculatedStatementDescriptor string            `json:"calculated_statement_descriptor"`
	Captured                      bool              `json:"captured"`
	Created                       int64             `json:"created"`
	Currency                      string            `json:"currency"`
	Customer                      any               `json:"customer"`
	Description                   *string           `json:"description"`
	Destination                   any               `json:"destination"`
	Dispute                       *string           `json:"dispute"`
	Disputed                      bool              `json:"disputed"`
	FailureBalanceTransaction     any               `json:"failure_balance_transaction"`
	FailureCode                   *string           `json:"failure_code"`
	FailureMessage                *string           `json:"failure_message"`
	FraudDetails                  any               `json:"fraud_details"`
	Livemode                      bool              `json:"livemode"`
	Metadata                      map[string]string `json:"metadata"`
	OnBehalfOf                    any               `json:"on_behalf_of"`
	Outcome                       any               `json:"outcome"`
	Paid                          bool              `json:"paid"`
	PaymentIntent                 string            `json:"payment_intent"`
	PaymentMethod                 string            `json:"payment_method"`
	PaymentMethodDetails          any               `json:"payment_method_details"`
	ReceiptEmail                  any               `json:"receipt_email"`
	ReceiptNumber                 any               `json:"receipt_number"`
	ReceiptURL                    any               `json:"receipt_url"`
	Refunded                      bool              `json:"refunded"`
	Refunds                       any               `json:"refunds,omitempty"`
	Review                        any               `json:"review"`
	Shipping                      any               `json:"shipping"`
	Source                        any               `json:"source"`
	SourceTransfer                any               `json:"source_transfer"`
	StatementDescriptor           any               `json:"statement_descriptor"`
	Status                        string            `json:"status"`
	TransferData                  any               `json:"transfer_data"`
	TransferGroup                 any               `json:"transfer_group"`
}

type billingDetails struct {
	Address address `json:"address"`
	Email   *string `json:"email"`
	Name    *string `json:"name"`
	Phone   *string `json:"phone"`
	TaxID   *string `json:"tax_id"`
}

type chargeOutcome struct {
	NetworkStatus string  `json:"network_status"`
	Reason        *string `json:"reason"`
	RiskLevel     string  `json:"risk_level"`
	RiskScore     int     `json:"risk_score"`
	SellerMessage string  `json:"seller_message"`
	Type          string  `json:"type"`
}

type methodDetails struct {
	Card  *cardDetails `json:"card,omitempty"`
	Debit *struct{}    `json:"sepa_debit,omitempty"`
	Type  string       `json:"type"`
}

type cardDetails struct {
	Brand    string `json:"brand"`
	Country  string `json:"country"`
	ExpMonth int    `json:"exp_month"`
	ExpYear  int    `json:"exp_year"`
	Funding  string `json:"funding"`
	Last4    string `json:"last4"`
	Network  string `json:"network"`
}

func (s *Stripe) showCharge(ch *charge) chargeObject {
	c := ch.Customer
	object := chargeObject{
		ID: ch.ID, Object: "charge", Amount: ch.Amount, AmountRefunded: ch.AmountRefunded,
		BillingDetails:                billingDetails{Address: c.address(), Email: orNull(c.Email), Name: orNull(c.Name), Phone: orNull(c.Phone)},
		CalculatedStatementDescriptor: "SIMULATED SHOP", Captured: ch.Status == "succeeded",
		Created: ch.Created.Unix(), Currency: ch.Currency, Description: orNull(ch.intent.session.intentDescription),
		Disputed: ch.dispute != nil && ch.dispute.isFormal(), FraudDetails: struct{}{}, Livemode: s.livemode, Metadata: ch.intent.Metadata,
		Paid: ch.Status == "succeeded", PaymentIntent: ch.intent.ID, PaymentMethod: ch.methodID, PaymentMethodDetails: ch.details(),
		Refunded: ch.AmountRefunded == ch.Amount, Status: ch.Status,
	}
	object.Outcome = chargeOutcome{
		NetworkStatus: "approved_by_network", RiskLevel: "normal", RiskScore: 12, SellerMessage: "Payment complete.", Type: "authorized",
	}
	switch ch.Status {
	case "succeeded":
		object.AmountCaptured = ch.Amount
		object.BalanceTransaction = orNull("txn_" + ch.ID[len("ch_"):])
	case "failed":
		object.FailureCode, object.FailureMessage = orNull("card_declined"), orNull("Your card was declined.")
		object.Outcome = chargeOutcome{
			NetworkStatus: "declined_by_network", Reason: orNull("generic_decline"), RiskLevel: "normal", RiskScore: 12,
			SellerMessage: "The bank did not return any further details with this decline.", Type: "issuer_declined",
		}
	}
	if ch.dispute != nil {
		object.Dispute = &ch.dispute.ID
	}
	return object
}

func (ch *charge) details() methodDetails {
	if ch.method != "card" {
		return methodDetails{Debit: &struct{}{}, Type: ch.method}
	}
	return methodDetails{Type: "card", Card: &cardDetails{
		Brand: "visa", Country: "US", ExpMonth: 12, ExpYear: 2034, Funding: "credit", Last4: "4242", Network: "visa",
	}}
}
