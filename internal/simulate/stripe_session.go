package simulate

import (
	"container/heap"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Session is a Checkout Session as the account remembers it. What the API shows of it is Stripe's object.
type Session struct {
	// ID is cs_test_… or cs_live_….
	ID string
	// Mode is payment, setup or subscription; Status is open, complete or expired; PaymentStatus is paid, unpaid or
	// no_payment_required. Only PaymentStatus says whether money came.
	Mode, Status, PaymentStatus string
	// Currency is three lower-case letters, the amounts are in its minor unit.
	Currency                    string
	AmountSubtotal, AmountTotal int64
	// CustomerEmail is what the seller filled in beforehand; Customer is what the customer gave, nil until complete.
	CustomerEmail string
	Customer      *Customer
	// PaymentIntent is pi_…, empty until the customer first tries to pay, and for ever if there is nothing to pay.
	PaymentIntent string
	// Subscription (sub_…) and Invoice (in_…) are those of a completed session in subscription mode. Its payment belongs to
	// the invoice, so PaymentIntent stays empty, as at Stripe.
	Subscription, Invoice string
	ClientReferenceID     string
	Metadata              map[string]string
	LineItems             []LineItem
	// SuccessURL may contain {CHECKOUT_SESSION_ID}. URL is the hosted page, empty once the session is no longer open.
	SuccessURL, CancelURL, URL string
	// PaymentLink is plink_… if the session came from one.
	PaymentLink        string
	Created, ExpiresAt time.Time
	Livemode           bool

	intentID          string // PaymentIntent, or the one of the first invoice
	intentMetadata    map[string]string
	intentDescription string
	paymentMethods    []string
	locale            string
}

// LineItem is one line of a session.
type LineItem struct {
	ID       string // li_…
	Price    Price
	Quantity int64
}

// Amount is the price times the quantity, in minor units.
func (l LineItem) Amount() int64 { return l.Price.UnitAmount * l.Quantity }

// SessionParams describe a session to be made without the HTTP API, as a Payment Link makes them.
type SessionParams struct {
	// LineItems must be one or more of one currency, except in setup mode.
	LineItems []LineItemParams
	// Mode is payment by default.
	Mode string
	// SuccessURL is where the customer goes after paying; https://example.com/success?session_id={CHECKOUT_SESSION_ID} by default.
	SuccessURL, CancelURL            string
	CustomerEmail, ClientReferenceID string
	Metadata                         map[string]string
	// PaymentIntentMetadata goes to the payment intent and its charge; the session's own metadata does not.
	PaymentIntentMetadata map[string]string
	// PaymentLink is plink_… for a session of a Payment Link.
	PaymentLink string
	// ExpiresAt is 24 hours from now by default.
	ExpiresAt time.Time

	intentDescription string
	paymentMethods    []string
	locale            string
}

// LineItemParams are one line of a session to be made: the id of a price of the catalogue, or a price of its own.
type LineItemParams struct {
	// Price is the id of a price of the catalogue; if empty, PriceData is used.
	Price     string
	PriceData Price
	// Quantity is 1 by default.
	Quantity int64
}

// sessionsByExpiry is a heap of the sessions that may expire, the next one first.
type sessionsByExpiry []*Session

func (h sessionsByExpiry) Len() int           { return len(h) }
func (h sessionsByExpiry) Less(i, j int) bool { return h[i].ExpiresAt.Before(h[j].ExpiresAt) }
func (h sessionsByExpiry) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap.
func (h *sessionsByExpiry) Push(x any) { *h = append(*h, x.(*Session)) }

// Pop removes the last element.
func (h *sessionsByExpiry) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return x
}

// Errors of the world controls. They are wrapped with the id in question.
var (
	// ErrUnknown means that no object has the given id.
	ErrUnknown = errors.New("simulate: no such object")
	// ErrState means that the object is not in a state that allows what was asked.
	ErrState = errors.New("simulate: not possible in this state")
)

// CreateSession makes a session without the HTTP API, as a Payment Link does, and returns a copy of it. It panics if
// the parameters could not have made a session (no line item, an unknown price), because that is a mistake of the caller.
func (s *Stripe) CreateSession(p SessionParams) *Session {
	setDefault(&p.Mode, "payment")
	setDefault(&p.SuccessURL, "https://example.com/success?session_id={CHECKOUT_SESSION_ID}")
	for i := range p.LineItems {
		setDefault(&p.LineItems[i].Quantity, 1)
	}
	base := s.options.PublicURL()
	now := s.begin()
	defer s.mu.Unlock()
	session, problem := s.makeSession(p, base, now)
	if problem != nil {
		panic("simulate: " + problem.Message)
	}
	return new(session.clone())
}

// Session returns a copy of a session as it is now.
func (s *Stripe) Session(id string) (Session, bool) {
	s.begin()
	defer s.mu.Unlock()
	session, ok := s.sessions.get(id)
	if !ok {
		return Session{}, false
	}
	return session.clone(), true
}

// Sessions returns copies of all sessions, newest first.
func (s *Stripe) Sessions() []Session {
	s.begin()
	defer s.mu.Unlock()
	all := make([]Session, 0, len(s.sessions.items))
	for _, session := range slices.Backward(s.sessions.items) {
		all = append(all, session.clone())
	}
	return all
}

// Expire ends an open session at once and tells of it. It also happens by itself at ExpiresAt, observed by the next
// call to the account.
func (s *Stripe) Expire(sessionID string) error {
	s.begin()
	defer s.mu.Unlock()
	session, ok := s.sessions.get(sessionID)
	if !ok {
		return fmt.Errorf("%w: session %s", ErrUnknown, sessionID)
	}
	if session.Status != "open" {
		return fmt.Errorf("%w: session %s is %s", ErrState, sessionID, session.Status)
	}
	s.expire(session, origin{})
	return nil
}

func (s *Stripe) expire(session *Session, from origin) {
	session.Status, session.URL = "expired", ""
	s.emit(from, change{"checkout.session.expired", s.showSession(session, nil)})
}

func (session *Session) clone() Session {
	c := *session
	c.Metadata = maps.Clone(c.Metadata)
	c.LineItems = slices.Clone(c.LineItems)
	for i := range c.LineItems {
		price := &c.LineItems[i].Price
		price.Metadata, price.ProductMetadata = maps.Clone(price.Metadata), maps.Clone(price.ProductMetadata)
	}
	if c.Customer != nil {
		c.Customer = new(*c.Customer)
	}
	return c
}

// makeSession checks p as the API would and keeps the new session.
func (s *Stripe) makeSession(p SessionParams, base string, now time.Time) (*Session, *apiError) {
	session := &Session{
		ID: s.id("cs_"+s.mode()+"a1", 58), Mode: p.Mode, Status: "open", PaymentStatus: "unpaid",
		CustomerEmail: p.CustomerEmail, ClientReferenceID: p.ClientReferenceID, Metadata: ownMap(p.Metadata),
		SuccessURL: p.SuccessURL, CancelURL: p.CancelURL, PaymentLink: p.PaymentLink, Created: now,
		ExpiresAt: p.ExpiresAt, Livemode: s.livemode, intentMetadata: ownMap(p.PaymentIntentMetadata),
		intentDescription: p.intentDescription, paymentMethods: p.paymentMethods, locale: p.locale,
	}
	setDefault(&session.ExpiresAt, now.Add(sessionLifetimeMax))
	if len(session.paymentMethods) == 0 {
		session.paymentMethods = []string{"card"}
	}
	if problem := s.addLineItems(session, p.LineItems, now); problem != nil {
		return nil, problem
	}
	session.URL = strings.TrimSuffix(base, "/") + "/pay/" + session.ID
	s.sessions.add(session.ID, session)
	heap.Push(&s.open, session)
	return session, nil
}

func (s *Stripe) addLineItems(session *Session, params []LineItemParams, now time.Time) *apiError {
	if len(params) == 0 && session.Mode != "setup" {
		return invalid("parameter_missing", "line_items", "You must provide `line_items` in `"+session.Mode+"` mode.")
	}
	for i, p := range params {
		price, problem := s.priceOf(p, i, now)
		if problem != nil {
			return problem
		}
		setDefault(&session.Currency, price.Currency)
		if price.Currency != session.Currency {
			return invalid("", "line_items", "All prices on a Checkout Session must use the same currency.")
		}
		item := LineItem{ID: s.id("li_1", 23), Price: price, Quantity: p.Quantity}
		session.LineItems = append(session.LineItems, item)
		session.AmountSubtotal += item.Amount()
	}
	session.AmountTotal = session.AmountSubtotal
	return nil
}

func (s *Stripe) priceOf(p LineItemParams, i int, now time.Time) (Price, *apiError) {
	if p.Price == "" {
		p.PriceData.isInline = true
		return s.completePrice(p.PriceData, now), nil
	}
	price, ok := s.prices.get(p.Price)
	if !ok {
		return Price{}, invalid("resource_missing", fmt.Sprintf("line_items[%d][price]", i), "No such price: '"+p.Price+"'")
	}
	return *price, nil
}

// createSession is POST /v1/checkout/sessions.
func (s *Stripe) createSession(c *call) (any, *apiError) {
	expand := c.expansion("", sessionExpansions...)
	p := readSessionParams(c.form, c.now)
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	session, problem := s.makeSession(p, s.options.PublicURL(), c.now)
	if problem != nil {
		return nil, problem
	}
	return s.showSession(session, expand), nil
}

func readSessionParams(f *form, now time.Time) SessionParams {
	p := SessionParams{
		Mode:              f.required("mode"),
		SuccessURL:        f.text("success_url"),
		CancelURL:         f.text("cancel_url"),
		CustomerEmail:     f.text("customer_email"),
		ClientReferenceID: f.text("client_reference_id"),
		Metadata:          f.metadata("metadata"),
		paymentMethods:    f.texts("payment_method_types"),
		locale:            f.text("locale"),
	}
	f.oneOf("mode", "payment", "setup", "subscription")
	intent := f.field("payment_intent_data")
	p.PaymentIntentMetadata, p.intentDescription = intent.metadata("metadata"), intent.text("description")
	intent.accept("application_fee_amount", "capture_method", "on_behalf_of", "receipt_email", "setup_future_usage", "shipping",
		"statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group")
	if expires := f.number("expires_at", 0); expires != 0 {
		p.ExpiresAt = time.Unix(expires, 0)
	}
	p.LineItems = readLineItems(f)
	if !f.has("line_items") && p.Mode != "setup" {
		f.fail("parameter_missing", "line_items", "Missing required param: line_items.")
	}
	f.accept(ignoredSessionParams...)
	checkSessionParams(f, p, now)
	return p
}

// checkSessionParams refuses what Stripe refuses.
func checkSessionParams(f *form, p SessionParams, now time.Time) {
	if f.text("ui_mode") == "" || f.text("ui_mode") == "hosted" {
		f.required("success_url")
	}
	for _, name := range []string{"success_url", "cancel_url"} {
		if f.has(name) && !isURL(f.text(name)) {
			f.fail("url_invalid", name, "Not a valid URL")
		}
	}
	if f.has("customer_email") && !isEmail(p.CustomerEmail) {
		f.fail("email_invalid", "customer_email", "Invalid email address: "+p.CustomerEmail)
	}
	if len([]rune(p.ClientReferenceID)) > referenceMax {
		f.fail("", "client_reference_id", "Invalid string: must be at most 200 characters")
	}
	// a minute of tolerance, because the client's clock is not ours
	lifetime := p.ExpiresAt.Sub(now)
	if !p.ExpiresAt.IsZero() && (lifetime < sessionLifetimeMin-time.Minute || lifetime > sessionLifetimeMax+time.Minute) {
		f.fail("", "expires_at", "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation.")
	}
}

func isURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

func isEmail(address string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && local != "" && strings.Contains(domain, ".") && !strings.ContainsAny(address, " \t\r\n<>,;")
}

func readLineItems(f *form) []LineItemParams {
	var items []LineItemParams
	elements := f.list("line_items")
	if len(elements) > lineItemsMax {
		f.fail("", "line_items", "You can pass at most 100 line items.")
	}
	for _, item := range elements {
		items = append(items, readLineItem(item))
	}
	return items
}

func readLineItem(f *form) LineItemParams {
	p := LineItemParams{Price: f.text("price"), Quantity: f.number("quantity", 0)}
	data := f.field("price_data")
	switch {
	case f.has("price") == f.has("price_data"):
		f.fail("", f.path, "You must specify either `price` or `price_data` for each line item, and not both.")
	case f.has("price_data"):
		p.PriceData = readPriceData(data)
	}
	if p.Quantity <= 0 {
		f.fail("", f.pathOf("quantity"), "Quantity is required. Add `quantity` to `"+f.path+"`")
	}
	f.metadata("metadata")
	f.accept("adjustable_quantity", "dynamic_tax_rates", "tax_rates")
	return p
}

func readPriceData(f *form) Price {
	p := Price{Currency: strings.ToLower(f.required("currency")), UnitAmount: f.number("unit_amount", 0)}
	if len(p.Currency) != 3 || strings.Trim(p.Currency, "abcdefghijklmnopqrstuvwxyz") != "" {
		f.fail("", f.pathOf("currency"), "Invalid currency: "+p.Currency)
	}
	if !f.has("unit_amount") {
		f.fail("parameter_missing", f.pathOf("unit_amount"), "Missing required param: "+f.pathOf("unit_amount")+".")
	}
	if p.UnitAmount < 0 || p.UnitAmount > 99_999_999 {
		f.fail("parameter_invalid_integer", f.pathOf("unit_amount"), "This value must be between 0 and 99999999.")
	}
	product := f.field("product_data")
	p.ProductID = f.text("product")
	if (product == nil) == (p.ProductID == "") {
		f.fail("", f.path, "You must specify either `product` or `product_data`, and not both.")
	}
	if product != nil {
		p.Product, p.ProductMetadata = product.required("name"), product.metadata("metadata")
		product.accept("description", "images", "tax_code", "unit_label")
	}
	if recurring := f.field("recurring"); recurring != nil {
		p.Interval = recurring.oneOf("interval", "day", "week", "month", "year")
		recurring.accept("interval_count")
	}
	f.accept("tax_behavior")
	return p
}

func (s *Stripe) sessionOf(c *call) (*Session, *apiError) {
	if problem := c.form.check(); problem != nil {
		return nil, problem
	}
	session, ok := s.sessions.get(c.id())
	if !ok {
		return nil, noSuch("checkout.session", c.id(), "session")
	}
	return session, nil
}

func (s *Stripe) retrieveSession(c *call) (any, *apiError) {
	expand := c.expansion("", sessionExpansions...)
	session, problem := s.sessionOf(c)
	if problem != nil {
		return nil, problem
	}
	return s.showSession(session, expand), nil
}

// updateSession changes the metadata, which is all that Stripe lets one change in every state.
func (s *Stripe) updateSession(c *call) (any, *apiError) {
	expand := c.expansion("", sessionExpansions...)
	metadata := c.form.field("metadata")
	changes := c.form.metadata("metadata")
	session, problem := s.sessionOf(c)
	if problem != nil {
		return nil, problem
	}
	merge(session.Metadata, metadata, changes)
	return s.showSession(session, expand), nil
}

// merge sets keys, and removes those given with an empty value; an empty metadata= removes all.
func merge(into map[string]string, given *form, changes map[string]string) {
	if given != nil && given.isValue {
		clear(into)
	}
	if given != nil {
		for key := range given.fields {
			delete(into, key)
		}
	}
	maps.Copy(into, changes)
}

func (s *Stripe) expireSession(c *call) (any, *apiError) {
	expand := c.expansion("", sessionExpansions...)
	session, problem := s.sessionOf(c)
	if problem != nil {
		return nil, problem
	}
	if session.Status != "open" {
		return nil, outcome("", "", "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of "+session.Status+".")
	}
	s.expire(session, c.origin())
	return s.showSession(session, expand), nil
}

func (s *Stripe) listSessions(c *call) (any, *apiError) {
	f := c.form
	expand := c.expansion("data.", sessionExpansions...)
	intentID, link := f.text("payment_intent"), f.text("payment_link")
	status := f.oneOf("status", "open", "complete", "expired")
	email := f.field("customer_details").text("email")
	subscriptionID := f.text("subscription")
	strangers := f.text("customer") != "" // all our customers are guests, so nothing matches
	from := &s.sessions
	if pi, ok := s.intents.get(intentID); ok { // the one session of an intent is found without a search
		from = &ledger[*Session]{}
		from.add(pi.session.ID, pi.session)
	}
	match := func(session *Session) bool {
		return !strangers &&
			(intentID == "" || session.PaymentIntent == intentID) &&
			(subscriptionID == "" || session.Subscription == subscriptionID) &&
			(link == "" || session.PaymentLink == link) &&
			(status == "" || session.Status == status) &&
			(email == "" || session.Customer != nil && session.Customer.Email == email)
	}
	return pageOf(c, from, func(session *Session) time.Time { return session.Created }, match,
		func(session *Session) any { return s.showSession(session, expand) })
}

func (s *Stripe) listLineItems(c *call) (any, *apiError) {
	expand := c.expansion("data.", "price", "price.product")
	session, ok := s.sessions.get(c.id())
	if !ok {
		return nil, noSuch("checkout.session", c.id(), "session")
	}
	var items ledger[LineItem]
	for _, item := range slices.Backward(session.LineItems) { // line items are listed in their own order
		items.add(item.ID, item)
	}
	return pageOf(c, &items, func(LineItem) time.Time { return session.Created }, func(LineItem) bool { return true },
		func(item LineItem) any { return s.showLineItem(item, expand["price.product"]) })
}
