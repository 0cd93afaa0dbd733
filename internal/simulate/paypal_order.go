package simulate

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PayPalOrder is a copy of an order, for whoever plays the world.
type PayPalOrder struct {
	// ID is 17 characters; Status is CREATED, PAYER_ACTION_REQUIRED, APPROVED, COMPLETED or VOIDED.
	ID, Status string
	// Amount is in the minor unit as PayPal counts it: yen, forint and Taiwan dollars have none.
	Amount    int64
	Currency  string
	CustomID  string
	ReturnURL string
	CancelURL string
	Created   time.Time
	// Captures are the ids of the captures, the oldest first.
	Captures []string
}

type paypalOrder struct {
	PayPalOrder
	Approved time.Time
	email    string
	unit     paypalUnitRequest
	buyer    Customer
	outcome  string // of the next capture: "", PENDING or DECLINED
	payments []*paypalCapture
}

type paypalCapture struct {
	ID, Status string
	Amount     int64
	Refunded   int64
	Created    time.Time
	visible    time.Time
	order      *paypalOrder
	refunds    []*paypalRefund
}

// What an order is made of, as far as this package understands it; anything else is refused.
type (
	paypalOrderRequest struct {
		Intent  string              `json:"intent"`
		Units   []paypalUnitRequest `json:"purchase_units"`
		Source  *paypalSource       `json:"payment_source"`
		Context *paypalContext      `json:"application_context"`
	}
	paypalUnitRequest struct {
		ReferenceID string          `json:"reference_id,omitempty"`
		CustomID    string          `json:"custom_id,omitempty"`
		InvoiceID   string          `json:"invoice_id,omitempty"`
		Description string          `json:"description,omitempty"`
		Amount      paypalUnitTotal `json:"amount"`
		Items       []paypalItem    `json:"items,omitempty"`
	}
	paypalUnitTotal struct {
		paypalMoney
		Breakdown *paypalBreakdown `json:"breakdown,omitempty"`
	}
	paypalBreakdown struct {
		ItemTotal *paypalMoney `json:"item_total,omitempty"`
		TaxTotal  *paypalMoney `json:"tax_total,omitempty"`
		Discount  *paypalMoney `json:"discount,omitempty"`
	}
	paypalMoney struct {
		Currency string `json:"currency_code"`
		Value    string `json:"value"`
	}
	paypalItem struct {
		Name     string      `json:"name"`
		Quantity string      `json:"quantity"`
		Unit     paypalMoney `json:"unit_amount"`
		SKU      string      `json:"sku,omitempty"`
		Category string      `json:"category,omitempty"`
	}
	paypalSource struct {
		PayPal *paypalWallet `json:"paypal"`
	}
	paypalWallet struct {
		Email   string         `json:"email_address"`
		Context *paypalContext `json:"experience_context"`
	}
	paypalContext struct {
		ReturnURL string `json:"return_url"`
		CancelURL string `json:"cancel_url"`
		Action    string `json:"user_action"`
		Shipping  string `json:"shipping_preference"`
	}
)

// paypalDigits is how many digits PayPal wants after the point.
func paypalDigits(currency string) int {
	switch currency {
	case "JPY", "HUF", "TWD":
		return 0
	}
	return 2
}

func (m paypalMoney) minor() (int64, bool) {
	whole, fraction, hasPoint := strings.Cut(m.Value, ".")
	digits := paypalDigits(m.Currency)
	if len(m.Currency) != 3 || strings.ToUpper(m.Currency) != m.Currency || hasPoint && len(fraction) != digits || len(m.Value) > 32 {
		return 0, false
	}
	for len(fraction) < digits {
		fraction += "0"
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	return n, err == nil && n >= 0 && !strings.HasPrefix(m.Value, "+")
}

func moneyOf(minor int64, currency string) paypalMoney {
	digits := paypalDigits(currency)
	text := strconv.FormatInt(minor, 10)
	for len(text) <= digits {
		text = "0" + text
	}
	if digits > 0 {
		text = text[:len(text)-digits] + "." + text[len(text)-digits:]
	}
	return paypalMoney{currency, text}
}

// check adds the unit up as PayPal does.
func (u paypalUnitRequest) check() *paypalError {
	total, ok := u.Amount.minor()
	if !ok || total == 0 {
		return unprocessable("CANNOT_BE_ZERO_OR_NEGATIVE", "The amount must be positive, with the digits of its currency.")
	}
	for _, text := range []string{u.CustomID, u.InvoiceID, u.Description} {
		if len(text) > paypalTextMax {
			return paypalInvalid("INVALID_STRING_MAX_LENGTH", "A value is longer than 127 characters.")
		}
	}
	var items int64
	for _, item := range u.Items {
		unit, isUnit := item.Unit.minor()
		n, err := strconv.ParseInt(item.Quantity, 10, 64)
		if !isUnit || err != nil || n < 1 || item.Name == "" || len(item.Name) > paypalTextMax || len(item.SKU) > paypalTextMax || item.Unit.Currency != u.Amount.Currency {
			return paypalInvalid("INVALID_PARAMETER_VALUE", "An item is not well formed.")
		}
		items += unit * n
	}
	if u.Amount.Breakdown == nil {
		if len(u.Items) > 0 {
			return unprocessable("ITEM_TOTAL_REQUIRED", "If item details are specified, amount.breakdown.item_total is required.")
		}
		return nil
	}
	sum := int64(0)
	for i, part := range []*paypalMoney{u.Amount.Breakdown.ItemTotal, u.Amount.Breakdown.TaxTotal, u.Amount.Breakdown.Discount} {
		if part == nil {
			continue
		}
		minor, ok := part.minor()
		if !ok || part.Currency != u.Amount.Currency {
			return unprocessable("CURRENCY_NOT_SUPPORTED", "The breakdown is not well formed.")
		}
		if i == 0 && len(u.Items) > 0 && minor != items {
			return unprocessable("ITEM_TOTAL_MISMATCH", "Should equal sum of unit_amount * quantity across all items.")
		}
		if i == 2 {
			minor = -minor
		}
		sum += minor
	}
	if sum != total {
		return unprocessable("AMOUNT_MISMATCH", "Should equal item_total + tax_total - discount.")
	}
	return nil
}

// createOrder is POST /v2/checkout/orders.
func (p *PayPal) createOrder(c *paypalCall) (any, *paypalError) {
	var in paypalOrderRequest
	if problem := c.read(&in); problem != nil {
		return nil, problem
	}
	switch {
	case in.Intent != "CAPTURE":
		return nil, unprocessable("PERMISSION_NOT_GRANTED", "This account can capture only.")
	case len(in.Units) != 1:
		return nil, unprocessable("UNSUPPORTED_INTENT", "This account takes orders of one purchase unit.")
	}
	if problem := in.Units[0].check(); problem != nil {
		return nil, problem
	}
	o := &paypalOrder{unit: in.Units[0]}
	o.Amount, _ = in.Units[0].Amount.minor()
	o.Currency, o.CustomID, o.Created, o.Status = in.Units[0].Amount.Currency, in.Units[0].CustomID, c.now, "CREATED"
	flow := in.Context
	if in.Source != nil && in.Source.PayPal != nil {
		o.email, flow, o.Status = in.Source.PayPal.Email, in.Source.PayPal.Context, "PAYER_ACTION_REQUIRED"
	}
	if flow != nil {
		o.ReturnURL, o.CancelURL = flow.ReturnURL, flow.CancelURL
	}
	o.ID = p.id()
	p.orders.add(o.ID, o)
	c.made = true
	return p.orderObject(o, c.now), nil
}

func (p *PayPal) showOrder(c *paypalCall) (any, *paypalError) {
	o, ok := p.orders.get(c.id())
	if !ok {
		return nil, noSuchObject()
	}
	return p.orderObject(o, c.now), nil
}

// captureOrder is POST /v2/checkout/orders/{id}/capture.
func (p *PayPal) captureOrder(c *paypalCall) (any, *paypalError) {
	o, ok := p.orders.get(c.id())
	switch {
	case !ok:
		return nil, noSuchObject()
	case o.Status == "COMPLETED":
		return nil, unprocessable("ORDER_ALREADY_CAPTURED", "Order already captured. If 'intent=CAPTURE' only one capture per order is allowed.")
	case o.Status != "APPROVED":
		return nil, unprocessable("ORDER_NOT_APPROVED", "Payer has not yet approved the Order for payment.")
	case o.outcome == "DECLINED":
		o.Status, o.outcome = "PAYER_ACTION_REQUIRED", ""
		return nil, unprocessable("INSTRUMENT_DECLINED", "The instrument presented was either declined by the processor or bank.")
	}
	k := &paypalCapture{ID: p.id(), Status: "COMPLETED", Amount: o.Amount, Created: c.now, visible: c.now.Add(p.faults.HideFor), order: o}
	kind := "PAYMENT.CAPTURE.COMPLETED"
	if o.outcome == "PENDING" {
		k.Status, kind = "PENDING", "PAYMENT.CAPTURE.PENDING"
	}
	o.Status = "COMPLETED"
	o.payments = append(o.payments, k)
	p.captures.add(k.ID, k)
	changes := []paypalChange{{kind, "capture", p.captureObject(k)}}
	if k.Status == "COMPLETED" {
		changes = append(changes, paypalChange{"CHECKOUT.ORDER.COMPLETED", "checkout-order", p.orderObject(o, k.visible)})
	}
	p.emit(c.now, changes...)
	c.made = true
	return p.orderObject(o, k.visible), nil
}

// PayPalOption changes how a buyer pays.
type PayPalOption func(*paypalOrder)

// Pending lets the capture wait, as an eCheck or a review does, until SettlePending.
func Pending() PayPalOption { return func(o *paypalOrder) { o.outcome = "PENDING" } }

// InstrumentDeclined lets the capture be refused; the buyer may approve again.
func InstrumentDeclined() PayPalOption { return func(o *paypalOrder) { o.outcome = "DECLINED" } }

// Approve plays the buyer who agrees to pay, and delivers CHECKOUT.ORDER.APPROVED. No money moves until the shop captures.
func (p *PayPal) Approve(orderID string, c Customer, options ...PayPalOption) error {
	now := p.begin()
	defer p.mu.Unlock()
	o, ok := p.orders.get(orderID)
	if !ok {
		return fmt.Errorf("%w: order %s", ErrUnknown, orderID)
	}
	if o.Status != "CREATED" && o.Status != "PAYER_ACTION_REQUIRED" {
		return fmt.Errorf("%w: order %s is %s", ErrState, orderID, o.Status)
	}
	o.Status, o.Approved, o.buyer, o.outcome = "APPROVED", now, c, ""
	for _, option := range options {
		option(o)
	}
	p.approved = append(p.approved, o)
	p.emit(now, paypalChange{"CHECKOUT.ORDER.APPROVED", "checkout-order", p.orderObject(o, now)})
	return nil
}

// ReverseApproval gives an approval back that nobody has captured, as happens by itself after three hours, and delivers
// CHECKOUT.PAYMENT-APPROVAL.REVERSED.
func (p *PayPal) ReverseApproval(orderID string) error {
	now := p.begin()
	defer p.mu.Unlock()
	o, ok := p.orders.get(orderID)
	if !ok {
		return fmt.Errorf("%w: order %s", ErrUnknown, orderID)
	}
	if o.Status != "APPROVED" {
		return fmt.Errorf("%w: order %s is %s", ErrState, orderID, o.Status)
	}
	p.reverseApproval(o, now)
	return nil
}

func (p *PayPal) reverseApproval(o *paypalOrder, now time.Time) {
	o.Status = "VOIDED"
	p.emit(now, paypalChange{"CHECKOUT.PAYMENT-APPROVAL.REVERSED", "checkout-order", map[string]any{
		"order_id": o.ID, "purchase_units": []any{p.unitObject(o, now)}, "payment_source": map[string]any{"paypal": map[string]any{}},
	}})
}

// SettlePending ends a pending capture: the money arrives, or it does not and PAYMENT.CAPTURE.DENIED is delivered.
func (p *PayPal) SettlePending(captureID string, ok bool) error {
	now := p.begin()
	defer p.mu.Unlock()
	k, found := p.captures.get(captureID)
	if !found {
		return fmt.Errorf("%w: capture %s", ErrUnknown, captureID)
	}
	if k.Status != "PENDING" {
		return fmt.Errorf("%w: capture %s is %s", ErrState, captureID, k.Status)
	}
	k.Status = "DECLINED"
	kind := "PAYMENT.CAPTURE.DENIED"
	if ok {
		k.Status, kind = "COMPLETED", "PAYMENT.CAPTURE.COMPLETED"
	}
	p.emit(now, paypalChange{kind, "capture", p.captureObject(k)})
	return nil
}

// Order returns a copy of an order.
func (p *PayPal) Order(id string) (PayPalOrder, bool) {
	p.begin()
	defer p.mu.Unlock()
	o, ok := p.orders.get(id)
	if !ok {
		return PayPalOrder{}, false
	}
	return o.copy(), true
}

// Orders returns copies of all orders, newest first.
func (p *PayPal) Orders() []PayPalOrder {
	p.begin()
	defer p.mu.Unlock()
	var all []PayPalOrder
	for _, o := range slices.Backward(p.orders.items) {
		all = append(all, o.copy())
	}
	return all
}

func (o *paypalOrder) copy() PayPalOrder {
	c := o.PayPalOrder
	c.Captures = nil
	for _, k := range o.payments {
		c.Captures = append(c.Captures, k.ID)
	}
	return c
}

func (p *PayPal) link(rel, method, path string) map[string]string {
	return map[string]string{"href": p.options.PublicURL() + path, "rel": rel, "method": method}
}

// orderObject is the order as the API shows it at a time: a capture that is hidden has not happened.
func (p *PayPal) orderObject(o *paypalOrder, now time.Time) map[string]any {
	status := o.Status
	for _, k := range o.payments {
		if now.Before(k.visible) {
			status = "APPROVED"
		}
	}
	rel := "approve"
	if status == "PAYER_ACTION_REQUIRED" {
		rel = "payer-action"
	}
	object := map[string]any{
		"id": o.ID, "intent": "CAPTURE", "status": status, "create_time": stamp(o.Created), "update_time": stamp(now),
		"purchase_units": []any{p.unitObject(o, now)},
		"links": []any{p.link("self", "GET", "/v2/checkout/orders/"+o.ID), p.link(rel, "GET", "/checkoutnow?token="+url.QueryEscape(o.ID)),
			p.link("capture", "POST", "/v2/checkout/orders/"+o.ID+"/capture")},
	}
	if o.buyer != (Customer{}) {
		given, surname, _ := strings.Cut(o.buyer.Name, " ")
		buyer := map[string]any{"email_address": o.buyer.Email, "name": map[string]string{"given_name": given, "surname": surname}}
		object["payer"] = buyer
		object["payment_source"] = map[string]any{"paypal": buyer}
	}
	return object
}

func (p *PayPal) unitObject(o *paypalOrder, now time.Time) map[string]any {
	unit := map[string]any{"reference_id": "default", "amount": o.unit.Amount, "payee": map[string]string{"merchant_id": p.options.MerchantID, "email_address": "owner@example.com"}}
	if o.unit.ReferenceID != "" {
		unit["reference_id"] = o.unit.ReferenceID
	}
	if o.CustomID != "" {
		unit["custom_id"] = o.CustomID
	}
	if o.unit.InvoiceID != "" {
		unit["invoice_id"] = o.unit.InvoiceID
	}
	if len(o.unit.Items) > 0 {
		unit["items"] = o.unit.Items
	}
	captures, refunds := []any{}, []any{}
	for _, k := range o.payments {
		if now.Before(k.visible) {
			continue
		}
		captures = append(captures, p.captureObject(k))
		for _, re := range k.refunds {
			if !now.Before(re.visible) {
				refunds = append(refunds, p.refundObject(re))
			}
		}
	}
	if len(captures) > 0 {
		payments := map[string]any{"captures": captures}
		if len(refunds) > 0 {
			payments["refunds"] = refunds
		}
		unit["payments"] = payments
	}
	return unit
}

func (p *PayPal) showCapture(c *paypalCall) (any, *paypalError) {
	k, ok := p.captures.get(c.id())
	if !ok || c.now.Before(k.visible) {
		return nil, noSuchObject()
	}
	return p.captureObject(k), nil
}

func (p *PayPal) captureObject(k *paypalCapture) map[string]any {
	o := k.order
	object := map[string]any{
		"id": k.ID, "status": k.Status, "amount": moneyOf(k.Amount, o.Currency), "final_capture": true,
		"payee":              map[string]string{"merchant_id": p.options.MerchantID, "email_address": "owner@example.com"},
		"supplementary_data": map[string]any{"related_ids": map[string]string{"order_id": o.ID}},
		"create_time":        stamp(k.Created), "update_time": stamp(k.Created),
		"links": []any{p.link("self", "GET", "/v2/payments/captures/"+k.ID), p.link("refund", "POST", "/v2/payments/captures/"+k.ID+"/refund"),
			p.link("up", "GET", "/v2/checkout/orders/"+o.ID)},
	}
	if o.CustomID != "" {
		object["custom_id"] = o.CustomID
	}
	if k.Status == "PENDING" {
		object["status_details"] = map[string]string{"reason": "ECHECK"}
	}
	return object
}
