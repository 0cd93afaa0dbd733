package simulate

import "strings"

// sessionExpansions are the parts of a session that expand[] may ask for.
var sessionExpansions = []string{
	"line_items", "line_items.data.price", "line_items.data.price.product", "payment_intent", "payment_intent.latest_charge",
	"payment_intent.payment_method", "customer", "invoice", "subscription", "setup_intent", "payment_link", "total_details.breakdown",
}

// ignoredSessionParams are known to Stripe (stripe-go v85, CheckoutSessionCreateParams) and make no difference here.
var ignoredSessionParams = []string{
	"adaptive_pricing", "after_expiration", "allow_promotion_codes", "automatic_tax", "billing_address_collection",
	"branding_settings", "consent_collection", "currency", "customer", "customer_account", "customer_creation",
	"customer_update", "custom_fields", "custom_text", "discounts", "excluded_payment_method_types", "integration_identifier",
	"invoice_creation", "name_collection", "optional_items", "origin_context", "payment_method_collection",
	"payment_method_configuration", "payment_method_data", "payment_method_options", "permissions", "phone_number_collection",
	"redirect_on_completion", "return_url", "saved_payment_method_options", "setup_intent_data", "shipping_address_collection",
	"shipping_options", "submit_type", "subscription_data", "tax_id_collection", "ui_mode", "wallet_options",
}

// sessionObject is Stripe's checkout.session. What is null there is null here; LineItems are only there when expanded,
// and therefore never in an event.
type sessionObject struct {
	ID                       string            `json:"id"`
	Object                   string            `json:"object"`
	AdaptivePricing          any               `json:"adaptive_pricing"`
	AfterExpiration          any               `json:"after_expiration"`
	AllowPromotionCodes      any               `json:"allow_promotion_codes"`
	AmountSubtotal           int64             `json:"amount_subtotal"`
	AmountTotal              int64             `json:"amount_total"`
	AutomaticTax             any               `json:"automatic_tax"`
	BillingAddressCollection any               `json:"billing_address_collection"`
	CancelURL                *string           `json:"cancel_url"`
	ClientReferenceID        *string           `json:"client_reference_id"`
	ClientSecret             any               `json:"client_secret"`
	CollectedInformation     any               `json:"collected_information"`
	Consent                  any               `json:"consent"`
	ConsentCollection        any               `json:"consent_collection"`
	Created                  int64             `json:"created"`
	Currency                 *string           `json:"currency"`
	CurrencyConversion       any               `json:"currency_conversion"`
	CustomFields             []any             `json:"custom_fields"`
	CustomText               any               `json:"custom_text"`
	Customer                 any               `json:"customer"`
	CustomerCreation         string            `json:"customer_creation"`
	CustomerDetails          any               `json:"customer_details"`
	CustomerEmail            *string           `json:"customer_email"`
	Discounts                []any             `json:"discounts"`
	ExpiresAt                int64             `json:"expires_at"`
	Invoice                  any               `json:"invoice"`
	InvoiceCreation          any               `json:"invoice_creation"`
	LineItems                any               `json:"line_items,omitempty"`
	Livemode                 bool              `json:"livemode"`
	Locale                   *string           `json:"locale"`
	Metadata                 map[string]string `json:"metadata"`
	Mode                     string            `json:"mode"`
	PaymentIntent            any               `json:"payment_intent"`
	PaymentLink              *string           `json:"payment_link"`
	PaymentMethodCollection  string            `json:"payment_method_collection"`
	PaymentMethodOptions     any               `json:"payment_method_options"`
	PaymentMethodTypes       []string          `json:"payment_method_types"`
	PaymentStatus            string            `json:"payment_status"`
	PhoneNumberCollection    any               `json:"phone_number_collection"`
	RecoveredFrom            any               `json:"recovered_from"`
	SavedPaymentMethods      any               `json:"saved_payment_method_options"`
	SetupIntent              any               `json:"setup_intent"`
	ShippingAddress          any               `json:"shipping_address_collection"`
	ShippingCost             any               `json:"shipping_cost"`
	ShippingOptions          []any             `json:"shipping_options"`
	Status                   string            `json:"status"`
	SubmitType               any               `json:"submit_type"`
	Subscription             any               `json:"subscription"`
	SuccessURL               *string           `json:"success_url"`
	TotalDetails             any               `json:"total_details"`
	UIMode                   string            `json:"ui_mode"`
	URL                      *string           `json:"url"`
	WalletOptions            any               `json:"wallet_options"`
}

type totalDetails struct {
	AmountDiscount int64 `json:"amount_discount"`
	AmountShipping int64 `json:"amount_shipping"`
	AmountTax      int64 `json:"amount_tax"`
}

type onlyEnabled struct {
	Enabled bool `json:"enabled"`
}

// orNull is nil for an empty string, because Stripe writes null where nothing was given.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// showSession renders a session; expand says which parts to include.
func (s *Stripe) showSession(session *Session, expand map[string]bool) sessionObject {
	object := sessionObject{
		ID: session.ID, Object: "checkout.session", AmountSubtotal: session.AmountSubtotal, AmountTotal: session.AmountTotal,
		AdaptivePricing: onlyEnabled{}, AutomaticTax: automaticTax{}, CancelURL: orNull(session.CancelURL),
		ClientReferenceID: orNull(session.ClientReferenceID), Created: session.Created.Unix(), Currency: orNull(session.Currency),
		CustomFields: []any{}, CustomText: customText{}, CustomerCreation: "if_required", CustomerEmail: orNull(session.CustomerEmail),
		Discounts: []any{}, ExpiresAt: session.ExpiresAt.Unix(), InvoiceCreation: onlyEnabled{}, Livemode: session.Livemode,
		Locale: orNull(session.locale), Metadata: session.Metadata, Mode: session.Mode, PaymentLink: orNull(session.PaymentLink),
		PaymentMethodCollection: "if_required", PaymentMethodOptions: struct{}{}, PaymentMethodTypes: session.paymentMethods,
		PaymentStatus: session.PaymentStatus, PhoneNumberCollection: onlyEnabled{}, ShippingOptions: []any{}, Status: session.Status,
		SuccessURL: orNull(session.SuccessURL), TotalDetails: totalDetails{}, UIMode: "hosted", URL: orNull(session.URL),
	}
	if session.Customer != nil {
		object.CustomerDetails = session.Customer.details()
	}
	if session.PaymentIntent != "" {
		object.PaymentIntent = s.showIntentOrID(session.PaymentIntent, innerExpansion(expand, "payment_intent"))
	}
	if session.Subscription != "" {
		object.Subscription, object.Invoice, object.PaymentMethodCollection = session.Subscription, session.Invoice, "always"
	}
	if expand["line_items"] {
		object.LineItems = s.showLineItems(session, expand["line_items.data.price.product"])
	}
	return object
}

// innerExpansion returns the part of expand under name, or nil if name itself is not to be expanded.
func innerExpansion(expand map[string]bool, name string) map[string]bool {
	if !expand[name] {
		return nil
	}
	inner := map[string]bool{}
	for path := range expand {
		if rest, ok := strings.CutPrefix(path, name+"."); ok {
			inner[rest] = true
		}
	}
	return inner
}

type automaticTax struct {
	Enabled   bool `json:"enabled"`
	Liability any  `json:"liability"`
	Provider  any  `json:"provider"`
	Status    any  `json:"status"`
}

type customText struct {
	AfterSubmit              any `json:"after_submit"`
	ShippingAddress          any `json:"shipping_address"`
	Submit                   any `json:"submit"`
	TermsOfServiceAcceptance any `json:"terms_of_service_acceptance"`
}

func (s *Stripe) showLineItems(session *Session, withProduct bool) listObject {
	list := listObject{Object: "list", Data: []any{}, URL: "/v1/checkout/sessions/" + session.ID + "/line_items"}
	for _, item := range session.LineItems {
		if len(list.Data) == pageSizeDefault { // an expanded list is cut like any other
			list.HasMore = true
			break
		}
		list.Data = append(list.Data, s.showLineItem(item, withProduct))
	}
	return list
}

type lineItemObject struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	AmountDiscount int64             `json:"amount_discount"`
	AmountSubtotal int64             `json:"amount_subtotal"`
	AmountTax      int64             `json:"amount_tax"`
	AmountTotal    int64             `json:"amount_total"`
	Currency       string            `json:"currency"`
	Description    string            `json:"description"`
	Metadata       map[string]string `json:"metadata"`
	Price          priceObject       `json:"price"`
	Quantity       int64             `json:"quantity"`
}

func (s *Stripe) showLineItem(item LineItem, withProduct bool) lineItemObject {
	return lineItemObject{
		ID: item.ID, Object: "item", AmountSubtotal: item.Amount(), AmountTotal: item.Amount(), Currency: item.Price.Currency,
		Description: item.Price.Product, Metadata: map[string]string{}, Price: s.showPrice(&item.Price, withProduct),
		Quantity: item.Quantity,
	}
}
