package telemetry

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Scrub returns s without what may not leave the house: all that Redact takes away, and besides whatever stands on both
// sides of an at sign, the query and fragment of every address, the tokens of the services we know, licence keys within
// longer words, public network addresses, and every long run of letters and digits that looks drawn by lot (hexadecimal,
// base64). It is stricter than Redact, because a log stays with the operator and a report does not: ids of orders and
// events go too. It cannot know names and postal addresses; those are never attributes.
func Scrub(s string) string {
	return scrub(s, true)
}

// scrubID is Scrub for something that is itself long and drawn by lot: the id of a request.
func scrubID(s string) string {
	return scrub(s, false)
}

var (
	query       = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>?#]*)[?#][^\s"'<>]*`)
	pathQuery   = regexp.MustCompile(`\?[^\s"'<>]*=[^\s"'<>]*`)
	aroundAt    = regexp.MustCompile(`[^\s<>"(),;\[\]]+(?:@|%40)[^\s<>"'(),;\[\]]+`)
	knownTokens = regexp.MustCompile(`(?:[prs]k_(?:live|test)_\w+` + // Stripe
		`|whsec_[\w+/=-]+` + // Standard Webhooks, Stripe, Resend
		`|\bre_\w{6,}` + // Resend; a refund of Stripe's too
		`|xox[a-z]-[\w-]+|xapp-[\w-]+` + // Slack
		`|\bgh[a-z]_\w{6,}|github_pat_\w+` + // GitHub
		`|\bcf[uak]t?_[\w-]{6,}|AGE-SECRET-KEY-\w+|\bmg[sv]1_[\w-]+` + // Cloudflare, age, our own keys
		`|glpat-[\w-]+|\bAKIA[A-Z0-9]{12,}|\bSG\.[\w-]+\.[\w-]+` + // GitLab, AWS, SendGrid
		`|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?)`) // JSON Web Tokens
	credential = regexp.MustCompile(`(?i)\b((?:(?:bearer|basic)\s+)+)\S+`)
	// openQuote is an assignment whose value was cut before its closing quote, which Redact's assignment does not know.
	openQuote = regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api_?key|authorization)\w*["']?\s*[=:]\s*)["'][^"']*$`)
	longRun   = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}={0,2}`)
	address4  = regexp.MustCompile(`[0-9]{1,3}(?:\.[0-9]{1,3}){3}`)
	address6  = regexp.MustCompile(`[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,7}`)
)

func scrub(s string, runs bool) string {
	s = strings.ToValidUTF8(s, "?")
	s = credential.ReplaceAllString(s, "${1}"+redacted)  // before Redact, which takes the word Bearer for a secret in some texts
	s = userinfo.ReplaceAllString(s, "://"+redacted+"@") // keeps the host, which the next line would not
	s = aroundAt.ReplaceAllString(s, redacted)
	s = Redact(s)
	s = query.ReplaceAllString(s, "${1}?"+redacted)
	s = pathQuery.ReplaceAllString(s, "?"+redacted)
	s = knownTokens.ReplaceAllString(s, redacted)
	s = openQuote.ReplaceAllString(s, "${1}"+redacted)
	if runs {
		s = hyphenated.ReplaceAllStringFunc(s, redactedIf(holdsLicenseKey))
		s = longRun.ReplaceAllStringFunc(s, redactedIf(drawnByLot))
		s = address4.ReplaceAllStringFunc(s, redactedIf(isPublicAddress))
		s = address6.ReplaceAllStringFunc(s, redactedIf(isPublicAddress))
	}
	return s
}

func redactedIf(is func(string) bool) func(string) string {
	return func(part string) string {
		if is(part) {
			return redacted
		}
		return part
	}
}

// holdsLicenseKey knows a key anywhere in a word with hyphens, where isLicenseKey wants it at the end. It takes some UUIDs
// for keys, which in a report does not matter.
func holdsLicenseKey(s string) bool {
	groups := strings.Split(s, "-")
	for end := 3; end <= len(groups); end++ {
		if isLicenseKey(strings.Join(groups[end-3:end], "-")) {
			return true
		}
	}
	return false
}

// The lengths, in characters, from which a run looks drawn by lot. The shortest secrets of the services we speak to have
// 24; a path or a name in our texts has no digit, or a slash every few letters.
const (
	hexRun     = 16 // hexadecimal with a digit in it
	mixedRun   = 20 // letters and digits
	letterRun  = 32 // letters alone
	slashedRun = 32 // base64 may have slashes: with them it has to have capitals, small letters and digits
)

// drawnByLot reports whether a run looks like a key, a digest or an id.
func drawnByLot(run string) bool {
	for part := range strings.SplitSeq(run, "/") {
		has := classesOf(part)
		switch {
		case len(part) >= hexRun && has.digit && has.onlyHex,
			len(part) >= mixedRun && has.digit && (has.upper || has.lower),
			has.stretch >= letterRun:
			return true
		}
	}
	has := classesOf(run)
	return len(run) >= slashedRun && has.digit && has.upper && has.lower
}

// classes say what characters a run has.
type classes struct {
	digit, upper, lower, onlyHex bool
	stretch                      int // the longest run of letters and digits alone
}

func classesOf(s string) classes {
	c := classes{onlyHex: true}
	stretch := 0
	for _, b := range []byte(s) {
		stretch++
		switch {
		case b >= '0' && b <= '9':
			c.digit = true
		case b >= 'A' && b <= 'Z':
			c.upper = true
		case b >= 'a' && b <= 'z':
			c.lower = true
		default:
			stretch = 0
		}
		c.onlyHex = c.onlyHex && strings.IndexByte("0123456789abcdefABCDEF", b) >= 0
		c.stretch = max(c.stretch, stretch)
	}
	return c
}

// isPublicAddress: an address of the house itself helps to find a fault and tells of nobody; any other may be a customer's.
func isPublicAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && !a.IsPrivate() && !a.IsLoopback() && !a.IsUnspecified()
}

// clipped returns at most limit bytes of s, ended at a blank, so that no secret is cut in two and then not known for one.
// Text without a blank is not shown at all.
func clipped(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := strings.LastIndexAny(s[:limit], " \t\n")
	if end < 0 {
		return redacted
	}
	return s[:end] + " [cut]"
}

// shortened returns at most limit bytes of s without cutting a character. Use it on what is scrubbed already.
func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
