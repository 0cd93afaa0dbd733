package smoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/probe"
)

// ClickOptions say where the buy button is, and where it must lead.
type ClickOptions struct {
	Page string // the address of the page with the button
	// Button is a pattern of what it links to, posts to, or of its data-product: * stands for anything. "" is the first
	// that leads to a checkout.
	Button string
	// Checkout are the beginnings of the addresses at which a customer may pay, such as https://checkout.stripe.com/. Nothing
	// there is asked for: arriving is enough.
	Checkout []string
	// API is where the page's script asks for a session when the button has a data-product; /api/checkout when "".
	API string
	// Mark marks what is asked of the shop as synthetic, see synthetic.Marker, so that the session is not a customer's; nil
	// does not. A session that the click makes is not ended: it lapses, or a synthetic checkout finds it by its mark.
	Mark func(*http.Request)
	HTTP *outbound.Client
	Now  func() time.Time // time.Now when nil
}

// Click is the buy button. It is safe for concurrent use.
type Click struct {
	o    ClickOptions
	page *url.URL
	api  *url.URL
}

var _ probe.Prober = (*Click)(nil)

// hopsMax bounds the redirects of one click; browsers follow 20.
const hopsMax = 10

// NewClick returns the prober of a buy button, or why there can be none.
func NewClick(o ClickOptions) (*Click, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.API == "" {
		o.API = "/api/checkout"
	}
	page, err := url.Parse(o.Page)
	if err != nil || page.Host == "" || page.Scheme != "http" && page.Scheme != "https" {
		return nil, errors.New("smoke: the page with the button has no http or https address")
	}
	api, err := page.Parse(o.API)
	if err != nil || api.Host == "" {
		return nil, errors.New("smoke: the checkout's address cannot be read")
	}
	if len(o.Checkout) == 0 || o.HTTP == nil {
		return nil, errors.New("smoke: nothing says where the button may lead")
	}
	for _, allowed := range o.Checkout {
		if u, err := url.Parse(allowed); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("smoke: an address of a checkout must begin with scheme and host")
		}
	}
	return &Click{o: o, page: page, api: api}, nil
}

// Look opens the page, clicks, and follows until the checkout is reached.
func (c *Click) Look(ctx context.Context) probe.Sight {
	started := c.o.Now()
	trouble := ""
	if err := c.walk(ctx); err != nil {
		trouble = err.Error()
	}
	sight := probe.Sight{At: started, Took: c.o.Now().Sub(started), Trouble: trouble}
	if errors.Is(ctx.Err(), context.Canceled) {
		sight.Trouble, sight.Unknown = "", true
	}
	return sight
}

// visitor is one walk, with the cookies that it was given.
type visitor struct {
	*Click
	jar *cookiejar.Jar
}

func (c *Click) walk(ctx context.Context) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return errors.New("no cookies can be kept")
	}
	v := visitor{c, jar}
	page, at, err := v.open(ctx)
	if err != nil {
		return err
	}
	b, err := c.find(buttonsOf(string(page.Body), at))
	if err != nil {
		return err
	}
	if b.product != "" {
		return v.buy(ctx, b.product)
	}
	return v.follow(ctx, b)
}

// open fetches the page with the button.
func (v visitor) open(ctx context.Context) (*outbound.Response, *url.URL, error) {
	at := v.page
	for range hopsMax {
		response, err := v.ask(ctx, http.MethodGet, at, nil, "")
		if err != nil {
			return nil, nil, fmt.Errorf("the page answers (%w)", err)
		}
		if next := location(response, at); next != nil {
			if !v.isOwn(next) {
				return nil, nil, fmt.Errorf("the page stays on its host (it leads to %s)", shown(next))
			}
			at = next
			continue
		}
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		if response.Status != http.StatusOK || kind != "text/html" && kind != "application/xhtml+xml" {
			return nil, nil, fmt.Errorf("the page [STATUS] == 200 and HTML (%d, %s)", response.Status, word(kind))
		}
		return response, at, nil
	}
	return nil, nil, fmt.Errorf("the page is reached within %d redirects", hopsMax)
}

// find chooses the button.
func (c *Click) find(all []button) (button, error) {
	for _, b := range all {
		if !c.means(b) {
			continue
		}
		if b.dead != "" {
			return button{}, fmt.Errorf("the button can be clicked (%s)", b.dead)
		}
		return b, nil
	}
	return button{}, fmt.Errorf("the page has the button (none of its %d links, forms and buttons leads there)", len(all))
}

// means reports whether a button is the one.
func (c *Click) means(b button) bool {
	if c.o.Button == "" {
		return b.product != "" || b.address != nil && (c.isCheckout(b.address) || b.address.Host == c.api.Host && b.address.Path == c.api.Path)
	}
	if b.product != "" {
		return matches(c.o.Button, b.product) || matches(c.o.Button, c.api.Path) || matches(c.o.Button, c.api.String())
	}
	return matches(c.o.Button, b.address.String()) || matches(c.o.Button, b.address.RequestURI()) || matches(c.o.Button, b.address.Path)
}

// matches compares a text with a pattern in which * stands for anything, also for nothing and for slashes.
func matches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	text, ok := strings.CutPrefix(text, parts[0])
	if len(parts) == 1 {
		return ok && text == ""
	}
	last := parts[len(parts)-1]
	for _, part := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(text, part)
		text, ok = after, ok && found
	}
	return ok && strings.HasSuffix(text, last)
}

// follow clicks a link or sends a form, and goes where the shop sends the visitor, on its own host only, until that is the
// checkout.
func (v visitor) follow(ctx context.Context, b button) error {
	method, at := b.method, b.address
	var body []byte
	kind := ""
	switch {
	case b.fields != nil && method == http.MethodPost:
		body, kind = []byte(b.fields.Encode()), "application/x-www-form-urlencoded"
	case b.fields != nil: // a form that asks replaces the query of its address
		address := *at
		address.RawQuery = b.fields.Encode()
		at = &address
	}
	for range hopsMax {
		if v.isCheckout(at) {
			return nil
		}
		if !v.isOwn(at) {
			return fmt.Errorf("the button leads to a checkout (it leads to %s)", shown(at))
		}
		response, err := v.ask(ctx, method, at, body, kind)
		if err != nil {
			return fmt.Errorf("the button's target answers (%w)", err)
		}
		next := location(response, at)
		if next == nil {
			return fmt.Errorf("the button leads to a checkout (it ends at %s with status %d)", shown(at), response.Status)
		}
		if response.Status != http.StatusTemporaryRedirect && response.Status != http.StatusPermanentRedirect {
			method, body, kind = http.MethodGet, nil, "" // as every browser does
		}
		at = next
	}
	return fmt.Errorf("the button leads to a checkout within %d redirects", hopsMax)
}

var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// buy asks the shop for a session, as the script of the page would.
func (v visitor) buy(ctx context.Context, product string) error {
	asked, err := json.Marshal(map[string]string{"product": product})
	if err != nil {
		return errors.New("the button's product can be asked for")
	}
	response, err := v.ask(ctx, http.MethodPost, v.api, asked, "application/json")
	if err != nil {
		return fmt.Errorf("the checkout answers (%w)", err)
	}
	var said struct {
		URL   string `json:"url"`
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	readErr := json.Unmarshal(response.Body, &said)
	if response.Status != http.StatusCreated && response.Status != http.StatusOK {
		code := ""
		if errorCode.MatchString(said.Error.Code) {
			code = " " + said.Error.Code
		}
		return fmt.Errorf("the checkout [STATUS] == 201 (%d%s)", response.Status, code)
	}
	to, err := url.Parse(said.URL)
	if readErr != nil || err != nil || said.URL == "" {
		return errors.New("the checkout answers with an address (there is none that can be read)")
	}
	if !v.isCheckout(to) {
		return fmt.Errorf("the button leads to a checkout (it leads to %s)", shown(to))
	}
	return nil
}

// ask sends one request to the shop. Cookies go along and are kept, as forms that know their visitor need it.
func (v visitor) ask(ctx context.Context, method string, at *url.URL, body []byte, kind string) (*outbound.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("its address cannot be read")
	}
	request.Header.Set("Accept", "text/html,application/json;q=0.9,*/*;q=0.8")
	if kind != "" {
		request.Header.Set("Content-Type", kind)
		request.Header.Set("Origin", v.page.Scheme+"://"+v.page.Host)
		request.Header.Set("Referer", v.page.Scheme+"://"+v.page.Host+"/")
	}
	for _, cookie := range v.jar.Cookies(at) {
		request.AddCookie(cookie)
	}
	if v.o.Mark != nil {
		v.o.Mark(request)
	}
	response, err := v.o.HTTP.Do(ctx, request)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, errors.New("no answer in time")
	}
	if err != nil {
		return nil, err
	}
	v.jar.SetCookies(at, (&http.Response{Header: response.Header}).Cookies())
	return response, nil
}

// location is where a redirect leads, or nil.
func location(r *outbound.Response, from *url.URL) *url.URL {
	switch r.Status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	to, err := from.Parse(r.Header.Get("Location"))
	if err != nil || r.Header.Get("Location") == "" {
		return nil
	}
	return to
}

// isOwn reports whether an address is on the shop's own host, the one of the page or that of its API. One that gives up TLS
// is not: what the visitor sends could be read on its way.
func (c *Click) isOwn(u *url.URL) bool {
	for _, own := range []*url.URL{c.page, c.api} {
		if u.Hostname() == own.Hostname() && u.User == nil {
			isUpgrade := own.Scheme == "http" && u.Scheme == "https"
			if isUpgrade || u.Scheme == own.Scheme && u.Host == own.Host {
				return true
			}
		}
	}
	return false
}

// isCheckout reports whether an address begins with one of those at which a customer may pay. The host is compared as a
// whole: checkout.stripe.com.evil.example is none of Stripe's.
func (c *Click) isCheckout(u *url.URL) bool {
	for _, allowed := range c.o.Checkout {
		a, err := url.Parse(allowed)
		if err == nil && u.Scheme == a.Scheme && u.Host == a.Host && u.User == nil && strings.HasPrefix(u.String(), allowed) {
			return true
		}
	}
	return false
}

// shown is what may be shown of an address: what comes after the question mark can be a secret.
func shown(u *url.URL) string {
	text := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
	if len(text) > shownBytesMax {
		text = strings.ToValidUTF8(text[:shownBytesMax], "") + "…"
	}
	return word(text)
}

// shownBytesMax cuts what is shown of an address that somebody else made.
const shownBytesMax = 150

func word(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
