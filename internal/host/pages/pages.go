// Package pages is a project at Cloudflare Pages: its variables, its deployments, and the token that may change them
// (https://developers.cloudflare.com/api/resources/pages/).
//
// What a project runs was built with the variables of that moment; a variable only works from the next deployment on. So mending is
// writing what is missing as secrets, and building again the commit that runs: never the head of the branch, and never by a new
// deployment of it.
//
// Cloudflare has no dry run. That a token may write is known only once it has written: Check proves that it is valid, may be used from
// here and can read the project; the permission to write is told by the first Write.
package pages

import (
	"cmp"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// Options describe a project.
type Options struct {
	Account string // the account's identifier, 32 hexadecimal digits
	Project string // the project's name
	// Token is of a user or of the account, with the permission Cloudflare Pages, Edit. It is asked for each time, so that one
	// that was mended needs no restart.
	Token   func() secret.Value
	APIBase string // https://api.cloudflare.com/client/v4 by default
	Page    string // where the token is mended; the token's own page at the dashboard by default
	HTTP    *outbound.Client
	Now     func() time.Time
	// Look says what is wrong with a token by looking at it; nil does not look.
	Look func(secret.Value) *host.Diagnosis
}

// Target is the production environment of a project.
type Target struct {
	account, project string
	base, page       string
	token            func() secret.Value
	http             *outbound.Client
	now              func() time.Time
	look             func(secret.Value) *host.Diagnosis
}

var _ interface {
	host.Target
	host.Writer
	host.Starter
	host.Reverter
	host.Breaker
} = (*Target)(nil)

var (
	accountText = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)
	projectText = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	nameText    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	idText      = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	wordText    = regexp.MustCompile(`^[a-z_]{1,32}$`)
	headerText  = regexp.MustCompile(`^[!-~]+$`)
)

// New makes the target and connects to nothing. A missing or broken token is no error here: Check tells it.
func New(o Options) (*Target, error) {
	if o.HTTP == nil || o.Now == nil {
		panic("pages: a target without a client or a clock")
	}
	base := strings.TrimRight(cmp.Or(o.APIBase, "https://api.cloudflare.com/client/v4"), "/")
	switch {
	case !accountText.MatchString(o.Account):
		return nil, makegood.Errorf(makegood.Invalid, "The account of a Cloudflare Pages project is not an identifier of letters and digits.")
	case !projectText.MatchString(o.Project):
		return nil, makegood.Errorf(makegood.Invalid, "The name of a Cloudflare Pages project is not of small letters, digits and hyphens.")
	case !isPlainURL(base):
		return nil, makegood.Errorf(makegood.Invalid, "The address of Cloudflare's API is not a plain http or https address.")
	}
	t := &Target{account: o.Account, project: o.Project, base: base, token: o.Token, page: o.Page, http: o.HTTP, now: o.Now, look: o.Look}
	return t, nil
}

// Kind is cloudflare_pages.
func (t *Target) Kind() string { return "cloudflare_pages" }

// tokenPage is where the token is mended: where the options say, or where a token of its kind is kept. An old one of 40 characters does not say whose it is; most are a user's.
func (t *Target) tokenPage() string {
	if t.page != "" {
		return t.page
	}
	if t.isOfAccount() {
		return "https://dash.cloudflare.com/" + t.account + "/api-tokens"
	}
	return "https://dash.cloudflare.com/profile/api-tokens"
}

func (t *Target) isOfAccount() bool { return strings.HasPrefix(t.token().Reveal(), "cfat_") }
func (t *Target) isOfUser() bool    { return strings.HasPrefix(t.token().Reveal(), "cfut_") }

func isPlainURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && !strings.ContainsAny(s, "?#") &&
		headerText.MatchString(s)
}
