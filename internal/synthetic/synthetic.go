// Package synthetic buys without paying: it asks the shop for a checkout session through the public door, reads the session
// back at the provider with the watcher's own key, holds every field of it against what must be offered, and ends it. What
// is wrong with a sale is so found before a customer meets it: a product code that does not fit, another price, a key of
// the other mode, an address that leads nowhere.
//
// Its sessions are marked (mark.go). The server never takes one for a customer's: it gives nothing for it, and leaves it
// out of every listing and figure.
package synthetic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
	"github.com/makegood/makegood/internal/secret"
)

// Options say what is bought where, and what must be offered.
type Options struct {
	Shop     string       // where the shop's API is, such as https://shop.example; a path is kept
	Secret   secret.Value // shared with the server, which takes no mark without it
	Desk     Desk         // the provider, see NewStripe and NewPayPal
	Source   string       // the source to buy at; "" is the shop's usual one
	Product  string       // its code in the catalogue
	Quantity int          // 1 when 0
	Live     bool         // whether money is real

	// What the session must say.
	Mode       string         // payment when ""; of PayPal it is CAPTURE
	Amount     makegood.Money // of all of them together; a multiple of Quantity
	LineName   string         // what the customer reads; "" is not asked
	Price      string         // the provider's id of the price; "" is not asked
	SuccessURL string         // its beginning; "" is not asked. At Stripe it must contain {CHECKOUT_SESSION_ID} in any case
	CancelURL  string         // its beginning; "" is not asked
	Hosts      []string       // where the customer may be sent to pay; the provider's own when empty

	HTTP    *outbound.Client
	Now     func() time.Time // time.Now when nil
	Timeout time.Duration    // of the checkout and its reading; 5 s when 0, which is also the longest
}

// Checkout is a synthetic checkout. It is safe for concurrent use.
type Checkout struct {
	o                      Options
	tidyWithin, endsWithin time.Duration

	mu    sync.Mutex
	left  []string  // sessions that could not be ended
	swept time.Time // up to when nothing is left open at the provider; zero before the first look
	last  string    // the session of the look before
}

var _ probe.Prober = (*Checkout)(nil)

// New returns a synthetic checkout, or every reason why it could not work.
func New(o Options) (*Checkout, error) {
	if o.Quantity == 0 {
		o.Quantity = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 || o.Timeout > lookTimeout {
		o.Timeout = lookTimeout
	}
	if err := o.problems(); err != nil {
		return nil, err
	}
	if o.Mode == "" {
		o.Mode = o.Desk.usualMode()
	}
	if len(o.Hosts) == 0 {
		o.Hosts = o.Desk.Hosts()
	}
	o.Shop = strings.TrimSuffix(o.Shop, "/")
	return &Checkout{o: o, tidyWithin: tidyTimeout, endsWithin: expireTimeout}, nil
}

func (o Options) problems() error {
	var found []error
	complain := func(yes bool, sentence string) {
		if yes {
			found = append(found, errors.New("synthetic checkout: "+sentence))
		}
	}
	shop, err := url.Parse(o.Shop)
	complain(err != nil || shop.Host == "" || shop.Scheme != "http" && shop.Scheme != "https", "the shop is no http or https address")
	complain(o.Secret.Empty(), "there is no secret that the server shares; it would take the session for a customer's")
	complain(o.Desk == nil || o.HTTP == nil, "there is no provider to read back from")
	complain(!makegood.ValidProductCode(o.Product), "the product is no product code")
	complain(o.Quantity < 1 || o.Quantity > makegood.QuantityMax, fmt.Sprintf("the quantity must be 1 to %d", makegood.QuantityMax))
	complain(o.Amount.Minor <= 0 || len(o.Amount.Currency) != 3 || strings.ToLower(o.Amount.Currency) != o.Amount.Currency, "the amount must be positive, in a lower-case currency")
	complain(o.Quantity > 0 && o.Amount.Minor%int64(o.Quantity) != 0, "the amount is no multiple of the quantity")
	return errors.Join(found...)
}

// Look makes one session, reads it back and ends it. The trouble has a line for everything that was found at once. It ends
// within ten seconds. A session that could not be ended, because the process died or the provider did not answer, is ended
// by a later look: it is remembered, and what is still open and marked is looked for at the provider.
//
// A look that was called off is Unknown, after its session was ended.
func (c *Checkout) Look(ctx context.Context) probe.Sight {
	started := c.o.Now()
	var found troubles
	c.tidy(ctx, &found, started)
	c.buy(ctx, &found, started)
	sight := probe.Sight{At: started, Took: c.o.Now().Sub(started), Trouble: found.text()}
	if errors.Is(ctx.Err(), context.Canceled) {
		sight.Trouble, sight.Unknown = "", true
	}
	return sight
}

// buy makes a session and holds it against what was expected. Whatever happens, it is ended.
func (c *Checkout) buy(ctx context.Context, t *troubles, started time.Time) {
	looking, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	offered, ok := c.ask(looking, t)
	if !ok {
		return // a session that was made all the same has no name here; a later look finds it by its mark
	}
	ended := false
	defer func() {
		if !ended {
			c.end(ctx, t, offered.SessionID)
		}
	}()
	t.that(offered.ExpiresAt.After(c.o.Now()), "expires_at of the answer is in the future", offered.ExpiresAt.UTC().Format(time.RFC3339))
	t.that(c.isNew(offered.SessionID), "session_id is new", "the same as before")
	session, err := c.o.Desk.Read(looking, offered.SessionID)
	if err != nil {
		t.add("the session can be read back (%s)", shown(err.Error()))
		return
	}
	c.examine(t, offered, session, started)
	ended = hasEnded(session)
}

// hasEnded reports whether nobody can pay in a session any more.
func hasEnded(s Session) bool { return s.Status == "expired" || s.Status == "complete" }

// isNew remembers a session, and reports whether the look before did not have it.
func (c *Checkout) isNew(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last
	c.last = id
	return id != before
}

// end ends a session in a time of its own, also when the look has none left.
func (c *Checkout) end(ctx context.Context, t *troubles, id string) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.endsWithin)
	defer cancel()
	if err := c.o.Desk.Expire(ending, id); err != nil {
		t.add("the session is expired afterwards (%s)", shown(err.Error()))
		if !errors.Is(err, errUnknown) {
			c.remember(id)
		}
	}
}

func (c *Checkout) remember(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) < leftMax && !slices.Contains(c.left, id) {
		c.left = append(c.left, id)
	}
}

// tidy ends what earlier looks left: the sessions that are remembered, and those that are found at the provider, where a
// process that died has left them. It does not depend on the look's context, or a target that hangs would keep sessions open.
func (c *Checkout) tidy(ctx context.Context, t *troubles, now time.Time) {
	tidying, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.tidyWithin)
	defer cancel()
	c.mu.Lock()
	left, from := c.left, c.swept.Add(-clockTolerance)
	c.left = nil
	if c.swept.IsZero() {
		from = now.Add(-orphanWindow)
	}
	c.mu.Unlock()
	until := now.Add(-orphanAge)
	orphans, err := c.o.Desk.Left(tidying, from, until)
	if err != nil {
		t.add("sessions that were left open can be listed (%s)", shown(err.Error()))
	} else {
		c.mu.Lock()
		c.swept = until
		c.mu.Unlock()
	}
	for _, id := range orphans {
		if !slices.Contains(left, id) {
			left = append(left, id)
		}
	}
	var failed error
	stillOpen := 0
	for i, id := range left {
		if i < tidyMax {
			if err := c.o.Desk.Expire(tidying, id); err == nil || errors.Is(err, errUnknown) {
				continue
			} else {
				failed = err
			}
		}
		stillOpen++
		c.remember(id)
	}
	if failed != nil {
		t.add("sessions of earlier looks are expired (%d are not: %s)", stillOpen, shown(failed.Error()))
	}
}

// offer is what the shop answered.
type offer struct {
	SessionID string    `json:"session_id"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// ask is the public door, as a customer's browser uses it. The second result is whether there is a session to go on with.
func (c *Checkout) ask(ctx context.Context, t *troubles) (offer, bool) {
	body, err := json.Marshal(map[string]any{"product": c.o.Product, "quantity": c.o.Quantity, "source": c.o.Source})
	if err != nil {
		t.add("the checkout can be asked (%s)", shown(err.Error()))
		return offer{}, false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.Shop+"/api/checkout", bytes.NewReader(body))
	if err != nil {
		t.add("the checkout can be asked (its address cannot be read)")
		return offer{}, false
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	Marker(c.o.Secret, c.o.Now)(request)
	response, err := c.o.HTTP.Do(ctx, request)
	if err != nil {
		t.add("checkout answers (%s)", unanswered(err))
		return offer{}, false
	}
	return c.readOffer(t, response)
}

// unanswered says why there was no answer.
func unanswered(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return shown(err.Error())
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// readOffer reads the answer as far as it goes. A status that is not 201 is trouble, but where there is a session all the
// same it has to be looked at, and ended.
func (c *Checkout) readOffer(t *troubles, r *outbound.Response) (offer, bool) {
	var answer struct {
		offer
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	isJSON := kind == "application/json" && json.Unmarshal(r.Body, &answer) == nil
	if r.Status != http.StatusCreated {
		said := ""
		if errorCode.MatchString(answer.Error.Code) {
			said = " " + answer.Error.Code
		}
		if r.Status == http.StatusUnauthorized {
			said += ": have watcher and server the same secret, and the same time?"
		}
		t.add("checkout [STATUS] == 201 (%d%s)", r.Status, said)
	}
	if !isJSON {
		if r.Status == http.StatusCreated || r.Status == http.StatusOK {
			t.add("checkout answers JSON (%s of %d bytes)", shown(kind), len(r.Body))
		}
		return offer{}, false
	}
	if !c.o.Desk.Known(answer.SessionID) {
		if r.Status == http.StatusCreated || r.Status == http.StatusOK {
			t.add("session_id is one of the provider's (%s)", shown(answer.SessionID))
		}
		return offer{}, false
	}
	return answer.offer, true
}
