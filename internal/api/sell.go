package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	netmail "net/mail"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/synthetic"
)

// Shop answers what a customer's browser and a sold program ask.
type Shop struct {
	Source     string // the name of the source that sells when none is asked for
	Sellers    map[string]provider.Seller
	LiveOnly   bool // money is real here, so licences that were bought in test mode are worth nothing
	Catalogue  makegood.Catalogue
	SuccessURL string
	CancelURL  string
	Store      Store
	// Ask reads a session back from its provider and settles its order, see interpret.Interpreter.Ask.
	Ask      func(ctx context.Context, actor, source, sessionID string) (makegood.Order, error)
	NewToken func() string // a random idempotency key
	Now      func() time.Time
	// WatcherSecret proves the marks of synthetic checkouts; when it is empty none is believed.
	WatcherSecret secret.Value
	// SyntheticSeen counts checkouts that say that they are synthetic: "made", "failed", or the reason of a refusal. It may
	// be nil.
	SyntheticSeen func(result string)
}

// Store is what the API needs to read.
type Store interface {
	// OrderBySession returns the order of a session, or makegood.NotFound.
	OrderBySession(ctx context.Context, source, sessionID string) (makegood.Order, error)
	// LicenseByKey returns a licence by its key as issued, or makegood.NotFound.
	LicenseByKey(ctx context.Context, key string) (l makegood.License, orderID string, live bool, err error)
}

// Checkout answers POST /api/checkout: it creates a session in which a customer can pay for a product. A product that the
// catalogue does not have is refused before the provider is called. The header Idempotency-Key makes a repetition harmless.
//
// A request that is marked as synthetic makes a session that nobody will pay for, see package synthetic. A mark that
// proves nothing is refused and never ignored: a watcher with the wrong secret would fill the shop with customers.
func (s *Shop) Checkout(w http.ResponseWriter, r *http.Request) error {
	marked, err := s.marked(r)
	if err != nil {
		return err
	}
	err = s.checkout(w, r, marked)
	if marked && err != nil {
		s.sawSynthetic("failed")
	} else if marked {
		s.sawSynthetic("made")
	}
	return err
}

// marked reports whether a request is genuinely marked as synthetic. Several marks are one that cannot be read.
func (s *Shop) marked(r *http.Request) (bool, error) {
	marks := r.Header.Values(synthetic.Header)
	if len(marks) == 0 {
		return false, nil
	}
	err := synthetic.Verify(strings.Join(marks, "&"), s.WatcherSecret, s.Now())
	if refused := (*synthetic.RefusedError)(nil); errors.As(err, &refused) {
		s.sawSynthetic(string(refused.Reason))
	}
	return err == nil, makegood.Wrap(err, makegood.Unauthorized, "The mark of a synthetic checkout is not made with the secret of this server's watcher, or not now.")
}

func (s *Shop) sawSynthetic(result string) {
	if s.SyntheticSeen != nil {
		s.SyntheticSeen(result)
	}
}

// Apart serves genuinely marked checkouts by one handler and all others, forged ones too, by another: what a watcher asks
// takes nothing of the rate of customers.
func (s *Shop) Apart(watchers, customers Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if synthetic.Verify(r.Header.Get(synthetic.Header), s.WatcherSecret, s.Now()) == nil {
			return watchers(w, r)
		}
		return customers(w, r)
	}
}

func (s *Shop) checkout(w http.ResponseWriter, r *http.Request, isSynthetic bool) error {
	var ask struct {
		Product  string `json:"product"`
		Quantity int    `json:"quantity"`
		Email    string `json:"email"`
		Source   string `json:"source"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	source := cmp.Or(ask.Source, s.Source)
	seller, ok := s.Sellers[source]
	if !ok {
		return makegood.Errorf(makegood.Invalid, "No source of this name sells here. makegood config check shows the sources; stripe and paypal can sell.")
	}
	product, err := s.product(ask.Product)
	if err != nil {
		return err
	}
	if ask.Quantity == 0 {
		ask.Quantity = 1
	}
	if ask.Quantity < 0 || ask.Quantity > makegood.QuantityMax {
		return makegood.Errorf(makegood.Invalid, "The quantity must be 1 to %d.", makegood.QuantityMax)
	}
	if ask.Email != "" && !isAddress(ask.Email) {
		return makegood.Errorf(makegood.Invalid, "The e-mail address cannot be read.")
	}
	if ask.Email != "" && isSynthetic {
		return makegood.Errorf(makegood.Invalid, "A synthetic checkout has no customer, and so no address.")
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > 200 {
		return makegood.Errorf(makegood.Invalid, "The Idempotency-Key may have at most 200 characters.")
	}
	if key == "" {
		key = s.NewToken()
	}
	session, err := seller.CreateCheckout(r.Context(), provider.CheckoutRequest{Product: product, Quantity: ask.Quantity,
		Email: ask.Email, SuccessURL: s.successURL(source), CancelURL: s.CancelURL, IdempotencyKey: purpose(isSynthetic) + key, Synthetic: isSynthetic})
	if err != nil {
		return providerTrouble(err)
	}
	private(w)
	writeJSON(w, http.StatusCreated, map[string]any{"session_id": session.SessionID, "url": session.URL, "expires_at": session.ExpiresAt})
	return nil
}

// purpose begins the idempotency key, so that a customer and a watcher with the same token never share a session.
func purpose(isSynthetic bool) string {
	if isSynthetic {
		return "synthetic-"
	}
	return "checkout-"
}

// successURL is where a customer of a source comes back to. The page must know which source to ask.
func (s *Shop) successURL(source string) string {
	if source == s.Source {
		return s.SuccessURL
	}
	address, fragment, hasFragment := strings.Cut(s.SuccessURL, "#")
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	address += separator + "source=" + url.QueryEscape(source)
	if hasFragment {
		address += "#" + fragment
	}
	return address
}

// SessionOf reads source and session from the address to which a customer came back. PayPal names the session token.
func SessionOf(r *http.Request) (source, sessionID string) {
	query := r.URL.Query()
	return query.Get("source"), cmp.Or(query.Get("session_id"), query.Get("token"))
}

// isAddress reports whether s is an address alone: a provider takes none with a name, as in "Ann <ann@example.com>".
func isAddress(s string) bool {
	a, err := netmail.ParseAddress(s)
	return err == nil && a.Address == s
}

// product finds what is to be sold. The hint names what there is, so that a slug that went wrong is seen at once.
func (s *Shop) product(code string) (makegood.Product, error) {
	if product, ok := s.Catalogue[code]; ok {
		return product, nil
	}
	known := make([]string, 0, len(s.Catalogue))
	for c := range s.Catalogue {
		known = append(known, c)
	}
	slices.Sort(known)
	if len(known) > 20 {
		known = append(known[:20], "…")
	}
	hint := "Known codes: " + strings.Join(known, ", ") + "."
	if !makegood.ValidProductCode(code) {
		return makegood.Product{}, makegood.Errorf(makegood.UnknownProduct,
			"This is not a product code: 1 to 64 lower-case letters, digits and inner dashes. %s", hint)
	}
	return makegood.Product{}, makegood.Errorf(makegood.UnknownProduct, "The catalogue has no product %q. %s", code, hint)
}

// providerTrouble keeps from the customer what the provider said, and what is wrong between it and us: the sentences of a
// source are for the operator. Only what is wrong with the request itself is told as it is. That the provider limits us is
// no fault of the caller either.
func providerTrouble(err error) error {
	switch makegood.CodeOf(err) {
	case makegood.Invalid:
		return err
	case makegood.Unavailable, makegood.RateLimited, makegood.Conflict:
		return makegood.Wrap(err, makegood.Unavailable, "This cannot be done just now; please try again in a moment.")
	}
	return makegood.Wrap(err, makegood.ProviderFailed, "The payment provider cannot be reached just now; please try again.")
}

// Purchase is what a customer may see of an order.
type Purchase struct {
	SessionID   string                    `json:"session_id"`
	OrderID     string                    `json:"order_id"`
	Payment     makegood.PaymentState     `json:"payment"`
	Fulfillment makegood.FulfillmentState `json:"fulfillment"`
	Licenses    []PurchasedLicense        `json:"licenses"`
	ByMail      bool                      `json:"by_mail"` // whether the keys are sent as well; false without an address
}

// PurchasedLicense is one key of a purchase.
type PurchasedLicense struct {
	Product string                 `json:"product"`
	Name    string                 `json:"name"`
	Key     string                 `json:"key"`
	Status  makegood.LicenseStatus `json:"status"`
}

// Verify answers GET /api/verify?session_id=, with &source= where it is not the usual one, which the page asks after the customer came back from paying. It reads the
// session back from the provider and fulfils through the same function as the webhook, so whoever comes first, the keys
// are the same. The session id is a bearer token, so the answer is kept by no cache, and a session that is not known
// takes the same call to the provider as one that is.
func (s *Shop) Verify(w http.ResponseWriter, r *http.Request) error {
	private(w)
	source, sessionID := SessionOf(r)
	purchase, err := s.Purchase(r.Context(), source, sessionID)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, purchase)
	return nil
}

// Purchase makes good what a session at a source ("" is the usual one) paid for and says what the customer may see of it. makegood.NotPaid when the money
// is not there (yet), makegood.NotFound when the provider does not know the session.
func (s *Shop) Purchase(ctx context.Context, source, sessionID string) (Purchase, error) {
	source = cmp.Or(source, s.Source)
	if sessionID == "" {
		return Purchase{}, makegood.Errorf(makegood.Invalid, "The parameter session_id is missing.")
	}
	order, err := s.Ask(ctx, "customer:verify", source, sessionID)
	if err != nil && !errors.Is(err, makegood.NotFound) {
		// The provider is down. What was issued before is still the customer's.
		kept, missing := s.Store.OrderBySession(ctx, source, sessionID)
		if missing != nil || len(kept.Licenses) == 0 {
			return Purchase{}, providerTrouble(err)
		}
		order, err = kept, nil
	}
	if err != nil {
		return Purchase{}, makegood.Wrap(err, makegood.NotFound, "There is no such session.")
	}
	if order.ID == "" || order.Payment == makegood.PaymentPending {
		return Purchase{}, makegood.Errorf(makegood.NotPaid, "The payment has not arrived yet; this address can be asked again.")
	}
	return s.purchase(order), nil
}

func (s *Shop) purchase(o makegood.Order) Purchase {
	p := Purchase{SessionID: o.Key.SessionID, OrderID: o.ID, Payment: o.Payment, Fulfillment: o.Fulfillment,
		Licenses: []PurchasedLicense{}, ByMail: o.Step(makegood.EffectEmail) != nil}
	for _, l := range o.Licenses {
		name := s.Catalogue[l.Product].Name
		p.Licenses = append(p.Licenses, PurchasedLicense{Product: l.Product, Name: name, Key: l.Key, Status: l.Status})
	}
	return p
}

// The reasons of a validation. Stable: sold programs compare with them.
const (
	valid        = "VALID"
	unknownKey   = "NOT_FOUND"
	malformed    = "MALFORMED"
	suspended    = "SUSPENDED"
	revoked      = "REVOKED"
	expired      = "EXPIRED"
	testMode     = "TEST_MODE"
	wrongProduct = "WRONG_PRODUCT"
)

// Validate answers POST /api/licenses/validate with 200 and a reason for every key, known or not: a revoked licence is an
// answer, not an error. A product, when given, must be the one the key was sold for.
func (s *Shop) Validate(w http.ResponseWriter, r *http.Request) error {
	var ask struct {
		Key     string `json:"key"`
		Product string `json:"product"`
	}
	if err := readJSON(w, r, &ask); err != nil {
		return err
	}
	private(w)
	answer := struct {
		Valid   bool   `json:"valid"`
		Code    string `json:"code"`
		Message string `json:"message"`
		Product string `json:"product,omitempty"`
	}{Code: malformed}
	key, err := makegood.NormalizeKey(ask.Key)
	if err != nil {
		answer.Message = makegood.MessageOf(err)
		writeJSON(w, http.StatusOK, answer)
		return nil
	}
	license, _, live, err := s.Store.LicenseByKey(r.Context(), key)
	if err != nil && !errors.Is(err, makegood.NotFound) {
		return err
	}
	answer.Code, answer.Message = verdict(license, ask.Product, s.Now(), live || !s.LiveOnly)
	answer.Valid = answer.Code == valid
	if answer.Code != unknownKey && answer.Code != wrongProduct {
		answer.Product = license.Product
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func verdict(l makegood.License, product string, now time.Time, counts bool) (code, message string) {
	switch {
	case l.ID == "":
		return unknownKey, "There is no such licence."
	case product != "" && l.Product != product:
		return wrongProduct, "The licence is for another product."
	case !counts:
		return testMode, "The licence was bought in test mode, and this server sells for real money."
	case l.Status == makegood.LicenseSuspended:
		return suspended, "The licence is suspended while its payment is disputed."
	case l.Status == makegood.LicenseRevoked:
		return revoked, "The licence was revoked because its payment went back."
	case l.Expired(now):
		return expired, "The licence's time is over; renewing the subscription makes it valid again."
	default:
		return valid, "The licence is valid."
	}
}
