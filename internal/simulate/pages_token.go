package simulate

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// PagesToken is a credential at a pretend Cloudflare.
type PagesToken struct {
	Name  string // for the control door, which shows no value
	Value string
	State PagesTokenState
	// Read and Write are the permissions "Pages Read" and "Pages Write" of the account. Write may read too.
	Read, Write bool
	// Addresses are the prefixes from which it may be used, such as 203.0.113.0/24; none is everywhere.
	Addresses []string
	// OfAccount is set for a token of 40 characters that belongs to the account; the newer kinds say it themselves.
	OfAccount bool
}

// PagesTokenState is what became of a token.
type PagesTokenState string

// The states of a token.
const (
	PagesTokenActive   PagesTokenState = "active" // "" too
	PagesTokenDisabled PagesTokenState = "disabled"
	PagesTokenExpired  PagesTokenState = "expired"
	PagesTokenNotYet   PagesTokenState = "not_yet" // valid from an hour after now on
	PagesTokenDeleted  PagesTokenState = "deleted" // deleted or rolled: nobody knows it any more
)

// pagesBearer is what a token looks like: 40 characters for the old kinds; prefix, 40 characters and a checksum for the new
// ones (Cloudflare documentation, token formats). How long the checksum is, is inferred. A global key (37 digits, or cfk_) is
// no bearer.
var pagesBearer = regexp.MustCompile(`^(?:[A-Za-z0-9_-]{40}|cf[ua]t_[A-Za-z0-9_-]{40,64})$`)

// isOfAccount reports whether a token belongs to the account, and not to a person.
func (t *PagesToken) isOfAccount() bool {
	return t.OfAccount || strings.HasPrefix(t.Value, "cfat_")
}

// SetToken replaces the token of that name, or adds one.
func (p *Pages) SetToken(t PagesToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.IndexFunc(p.tokens, func(known *PagesToken) bool { return known.Name == t.Name }); i >= 0 {
		p.tokens[i] = &t
		return
	}
	p.tokens = append(p.tokens, &t)
}

// SetTokenState changes what became of the token of that name, and reports whether there is one.
func (p *Pages) SetTokenState(name string, state PagesTokenState) bool {
	return p.changeToken(name, func(t *PagesToken) { t.State = state })
}

func (p *Pages) changeToken(name string, change func(*PagesToken)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.tokens, func(t *PagesToken) bool { return t.Name == name })
	if i < 0 {
		return false
	}
	change(p.tokens[i])
	return true
}

// bearer finds the token of a request. The lock is held.
func (p *Pages) bearer(r *http.Request) (*PagesToken, *pagesRefusal) {
	if len(r.Header["Authorization"]) == 0 {
		return nil, refusePages(http.StatusBadRequest, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
	}
	value, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !isBearer || !pagesBearer.MatchString(value) {
		e := refusePages(http.StatusBadRequest, 6003, "Invalid request headers")
		e.Chain = []pagesRefusal{{Code: 6111, Message: "Invalid format for Authorization header"}}
		return nil, e
	}
	i := slices.IndexFunc(p.tokens, func(t *PagesToken) bool { return t.Value == value })
	if i < 0 || p.tokens[i].State == PagesTokenDeleted {
		return nil, refusePages(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	if t := p.tokens[i]; !t.isAllowedFrom(r.RemoteAddr) {
		host, _, _ := strings.Cut(r.RemoteAddr, ":")
		return nil, refusePages(http.StatusForbidden, 9109, "Cannot use the access token from location: "+host)
	}
	return p.tokens[i], nil
}

func (t *PagesToken) isAllowedFrom(remote string) bool {
	from, err := netip.ParseAddrPort(remote)
	return len(t.Addresses) == 0 || err == nil && slices.ContainsFunc(t.Addresses, func(s string) bool {
		prefix, err := netip.ParsePrefix(s)
		return err == nil && prefix.Contains(from.Addr().Unmap())
	})
}

// admit says whether a token may do something with the account's projects. That a token which is disabled, expired or not yet
// valid gets the same answer as one without the permission is inferred: only the verify call tells them apart. The lock is held.
func (p *Pages) admit(t *PagesToken, account string, writes bool) *pagesRefusal {
	isActive := t.State == "" || t.State == PagesTokenActive
	if !isActive || account != p.options.Account || !t.Write && (writes || !t.Read) {
		return refusePages(http.StatusForbidden, 10000, "Authentication error")
	}
	return nil
}

// verify tells a token how it stands. A token of the account is unknown to the call for users, and the other way round.
func (p *Pages) verify(c *pagesCall, ofAccount bool) (any, *pagesRefusal) {
	t, refused := p.bearer(c.r)
	switch {
	case refused != nil:
		return nil, refused
	case t.isOfAccount() != ofAccount, ofAccount && c.r.PathValue("account") != p.options.Account:
		return nil, refusePages(http.StatusUnauthorized, 1000, "Invalid API Token")
	}
	now := p.options.Now().UTC()
	said := map[string]any{"id": "ed17574386854bf78a67040be0a770b0", "status": "active"}
	switch t.State {
	case PagesTokenDisabled:
		said["status"] = "disabled"
	case PagesTokenExpired:
		said["status"], said["expires_on"] = "expired", now.Add(-time.Hour).Truncate(time.Second)
	case PagesTokenNotYet: // that it is called active is inferred: the list of states has no other word
		said["not_before"] = now.Add(time.Hour).Truncate(time.Second)
	}
	return said, nil
}
