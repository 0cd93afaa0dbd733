package synthetic

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// troubles collects everything that is wrong, each in a line such as `metadata product == az-900 (az900)`.
type troubles []string

func (t *troubles) add(format string, args ...any) { *t = append(*t, fmt.Sprintf(format, args...)) }

// equal holds that a field is what it must be.
func (t *troubles) equal(name, seen, want string) {
	if seen != want {
		t.add("%s == %s (%s)", name, want, shown(seen))
	}
}

// that holds a condition about a field.
func (t *troubles) that(holds bool, condition, seen string) {
	if !holds {
		t.add("%s (%s)", condition, shown(seen))
	}
}

// text is one line for each trouble.
func (t troubles) text() string { return strings.Join(t, "\n") }

// shown is what may be shown of what others said: printable, and not much of it.
func shown(seen string) string {
	seen = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(seen, "?"))
	if len(seen) > seenBytesMax {
		seen = strings.ToValidUTF8(seen[:seenBytesMax], "") + "…"
	}
	return cmp.Or(seen, "nothing")
}

// address is what may be shown of an address: what comes after the question mark can be a secret.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "an address that cannot be read"
	}
	return shown((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String())
}

// beginsWith reports whether an address begins with another. The host must be the whole host: shop.example.evil.example is
// not at shop.example.
func beginsWith(seen, want string) bool {
	s, err := url.Parse(seen)
	w, wantErr := url.Parse(want)
	return err == nil && wantErr == nil && s.Host == w.Host && s.User == nil && strings.HasPrefix(seen, want)
}

// examine holds everything that a session must say, as the provider tells it.
func (c *Checkout) examine(t *troubles, offered offer, s Session, started time.Time) {
	t.equal("id", s.ID, offered.SessionID)
	t.equal("livemode", strconv.FormatBool(s.Live), strconv.FormatBool(c.o.Live))
	t.equal("mode", s.Mode, c.o.Mode)
	t.equal("amount_total", strconv.FormatInt(s.Amount.Minor, 10), strconv.FormatInt(c.o.Amount.Minor, 10))
	t.equal("currency", s.Amount.Currency, c.o.Amount.Currency)
	t.that(!s.HasCustomer, "customer_email is empty", "there is one")
	for _, f := range c.o.Desk.Expected(c.o) {
		t.equal(f.name, f.seen(s), f.want)
	}
	c.examineLines(t, s)
	c.examineTimes(t, s, started)
	c.examineAddresses(t, offered, s)
}

func (c *Checkout) examineLines(t *troubles, s Session) {
	if len(s.Lines) != 1 || s.HasMoreLines {
		more := ""
		if s.HasMoreLines {
			more = " and more"
		}
		t.add("line items == 1 (%d%s)", len(s.Lines), more)
		return
	}
	line := s.Lines[0]
	if c.o.LineName != "" {
		t.equal("line item name", line.Name, c.o.LineName)
	}
	if c.o.Price != "" {
		t.equal("line item price", line.Price, c.o.Price)
	}
	t.equal("line item quantity", strconv.FormatInt(line.Quantity, 10), strconv.Itoa(c.o.Quantity))
	unit := c.o.unit()
	t.equal("line item unit amount", strconv.FormatInt(line.Unit.Minor, 10), strconv.FormatInt(unit.Minor, 10))
	t.equal("line item currency", line.Unit.Currency, unit.Currency)
}

// examineTimes compares the provider's clock with ours. A session that was made before we asked comes from some cache: the
// next customer would share it.
func (c *Checkout) examineTimes(t *troubles, s Session, started time.Time) {
	now := c.o.Now()
	t.that(s.ExpiresAt.After(now), "expires_at is in the future", s.ExpiresAt.UTC().Format(time.RFC3339))
	isFresh := s.CreatedAt.After(started.Add(-clockTolerance)) && s.CreatedAt.Before(now.Add(clockTolerance))
	t.that(isFresh, "created is now", s.CreatedAt.UTC().Format(time.RFC3339))
}

const placeholder = "{CHECKOUT_SESSION_ID}"

func (c *Checkout) examineAddresses(t *troubles, offered offer, s Session) {
	if c.o.Desk.tellsReturn(s) {
		c.examineReturn(t, "success_url", s.SuccessURL, c.o.SuccessURL)
		c.examineReturn(t, "cancel_url", s.CancelURL, c.o.CancelURL)
	}
	if c.o.Desk.fillsIn() {
		t.that(strings.Contains(s.SuccessURL, placeholder), "success_url contains "+placeholder, address(s.SuccessURL))
	}
	for _, place := range []struct{ name, address string }{{"url of the answer", offered.URL}, {"url", s.URL}} {
		u, err := url.Parse(place.address)
		isThere := err == nil && slices.Contains(c.o.Hosts, u.Host) && u.User == nil
		t.that(isThere, place.name+" is at "+strings.Join(c.o.Hosts, " or "), address(place.address))
		t.that(err == nil && (u.Scheme == "https" || !c.o.Live && !c.isSecure()), place.name+" is https", address(place.address))
	}
	t.that(withoutFragment(offered.URL) == withoutFragment(s.URL), "url is that of the answer", address(s.URL))
}

// withoutFragment is an address without what only the page itself reads; nothing says that Stripe writes it the same twice.
func withoutFragment(text string) string {
	text, _, _ = strings.Cut(text, "#")
	return text
}

// examineReturn holds where a customer comes back to. The path is compared without what the provider puts in.
func (c *Checkout) examineReturn(t *troubles, name, seen, want string) {
	if want != "" {
		t.that(beginsWith(seen, want), name+" begins with "+address(want), address(seen))
	}
	if c.isSecure() && seen != "" {
		t.that(strings.HasPrefix(seen, "https://"), name+" is https", address(seen))
	}
}

// isSecure reports whether the shop is asked over TLS. Then nothing that it hands out may be without.
func (c *Checkout) isSecure() bool { return strings.HasPrefix(c.o.Shop, "https://") }

// stripeFields are what our checkout writes into a session at Stripe. They are written down here a second time on purpose:
// a watcher that took them from the package that writes them would not see that they changed.
func stripeFields(o Options) []field {
	unit := o.unit()
	metadata := func(key string) func(Session) string { return func(s Session) string { return s.Metadata[key] } }
	return []field{
		{"status", "open", func(s Session) string { return s.Status }},
		{"payment_status", "unpaid", func(s Session) string { return s.PaymentStatus }},
		{"metadata product", o.Product, metadata("product")},
		{"metadata quantity", strconv.Itoa(o.Quantity), metadata("quantity")},
		{"metadata unit_amount", strconv.FormatInt(unit.Minor, 10), metadata("unit_amount")},
		{"metadata currency", unit.Currency, metadata("currency")},
		{"metadata " + provider.SyntheticMark, "true", metadata(provider.SyntheticMark)},
	}
}

// unit is what one costs.
func (o Options) unit() makegood.Money {
	return makegood.Money{Minor: o.Amount.Minor / int64(o.Quantity), Currency: o.Amount.Currency}
}
