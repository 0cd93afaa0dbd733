package config

import (
	"fmt"
	"maps"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/makegood/makegood"
)

// check says what is wrong with a value, as a sentence that goes on after its path and does not repeat the value; "" when
// nothing is.
type check func(value string) string

// sessionPlace is where the provider puts the session's id.
const sessionPlace = "{CHECKOUT_SESSION_ID}"

// optional lets an empty value pass.
func optional(c check) check {
	return func(s string) string {
		if s == "" {
			return ""
		}
		return c(s)
	}
}

// shaped asks for a pattern.
func shaped(pattern, sentence string) check {
	re := regexp.MustCompile(pattern)
	return func(s string) string {
		if re.MatchString(s) {
			return ""
		}
		return sentence
	}
}

// oneOf asks for one of a few words.
func oneOf(words []string) check {
	return func(s string) string {
		if slices.Contains(words, s) {
			return ""
		}
		return "is not " + strings.Join(words, " or ") + suggestion(s, words)
	}
}

func suggestion(typed string, words []string) string {
	if near, ok := nearest(typed, words); ok {
		return "; did you mean " + near + "?"
	}
	return ""
}

func providerNames() []string { return slices.Sorted(maps.Keys(providers)) }

var (
	sourceName  = shaped(`^[a-z0-9-]{1,64}$`, "is not a name for a source: it has 1 to 64 of a to z, 0 to 9 and dashes")
	nodeName    = shaped(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`, "is not a name for a node: it has 1 to 100 letters, digits, dots, dashes and underscores, and begins with a letter or digit")
	keySecretID = shaped(`^[A-Za-z0-9._-]{1,32}$`, "is not an id: it has 1 to 32 letters, digits, dots, dashes and underscores")
	hostName    = shaped(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$|^[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*$`, "is not the name or the address of a host, without scheme and port")
)

func productCode(s string) string {
	if makegood.ValidProductCode(s) {
		return ""
	}
	return "is not a product code: it has 1 to 64 lower-case letters, digits and inner dashes"
}

func licensePrefix(s string) string {
	if makegood.ValidLicensePrefix(s) {
		return ""
	}
	return "is not a prefix of licence keys: it has 1 to 8 upper-case letters and digits"
}

func price(s string) string {
	m, err := makegood.ParseMoney(s)
	switch {
	case err != nil:
		return "is not an amount with a currency, such as 29.00 USD or 2900 JPY, with the currency's digits after the point or none"
	case m.Minor <= 0:
		return "is not above zero; what is free is not paid for, and so never fulfilled"
	}
	return ""
}

func priceID(s string) string {
	if s == "" || len(s) > priceIDBytesMax || strings.ContainsFunc(s, isBlankOrControl) {
		return "is not a price id: it is empty, too long, or has blanks in it"
	}
	return ""
}

// plainWord asks for printable ASCII without blanks.
func plainWord(s string) string {
	if len(s) > 255 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "is not one word of printable characters"
	}
	return ""
}

// moment asks for a time.
func moment(s string) string {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return "is not a time such as 2026-12-01T00:00:00Z"
	}
	return ""
}

// forwardAddress asks for an address that orders can be told to. A query is refused because it would be the place where
// people put tokens, and addresses are logged.
func forwardAddress(allowPrivate bool) check {
	return func(s string) string {
		u, sentence := parseAddress(s)
		switch {
		case sentence != "":
			return sentence
		case strings.ContainsAny(s, "?#"):
			return "has a query or a fragment; write the address alone, the signature says who we are"
		case !allowPrivate && isPrivate(u.Hostname()):
			return "is on loopback or a private network; set allow_private of this destination if it is meant"
		case !allowPrivate && u.Scheme == "http":
			return "is http; write https, because orders would travel unencrypted"
		}
		return ""
	}
}

func oneLine(bytesMax int) check {
	return func(s string) string {
		switch {
		case strings.TrimSpace(s) == "":
			return "has nothing in it but blanks"
		case len(s) > bytesMax:
			return fmt.Sprintf("is longer than %d bytes", bytesMax)
		case strings.ContainsFunc(s, unicode.IsControl):
			return "has line breaks or other control characters in it"
		}
		return ""
	}
}

func listenAddress(s string) string {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || portErr != nil || strconv.FormatUint(n, 10) != port:
		return "is not of the form host:port, such as 127.0.0.1:8080, with a port up to 65535"
	case host != "" && hostName(host) != "":
		return "has no name or address of this machine before its port"
	}
	return ""
}

// parseAddress reads an absolute http or https URL without a user.
func parseAddress(s string) (*url.URL, string) {
	u, err := url.Parse(s)
	switch {
	case err != nil, strings.ContainsFunc(s, isBlankOrControl), u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", strings.Contains(s, `\`):
		return nil, "is not an absolute http or https address, such as https://shop.example.com"
	case u.User != nil:
		return nil, "has a user or password in it, which everybody who sees the address would see"
	}
	return u, ""
}

// bareAddress asks for scheme and host alone.
func bareAddress(s string) string {
	u, sentence := parseAddress(s)
	switch {
	case sentence != "":
		return sentence
	case u.Path != "" && u.Path != "/", strings.ContainsAny(s, "?#"):
		return "has a path, a query or a fragment; write scheme and host alone"
	}
	return ""
}

// pageAddress asks for an address at which customers can be, and where nobody listens when money is real: the session in
// it opens the licence.
func pageAddress(live bool) check {
	return func(s string) string {
		u, sentence := parseAddress(s)
		switch {
		case sentence != "":
			return sentence
		case live && u.Scheme == "http" && !isLoopback(u.Hostname()):
			return "is http, but a source is live; write https, because whoever listens could take the licences"
		}
		return ""
	}
}

// apiAddress asks for an address that can be called with a key.
func apiAddress(allowPrivate bool) check {
	return func(s string) string {
		u, sentence := parseAddress(s)
		switch {
		case sentence != "":
			return sentence
		case strings.ContainsAny(s, "?#"):
			return "has a query or a fragment; write the address alone"
		case !allowPrivate && isPrivate(u.Hostname()):
			return "is on loopback or a private network, and outbound.allow_private is false: every call would be refused"
		case !allowPrivate && u.Scheme == "http":
			return "is http; write https, because the key would travel unencrypted"
		}
		return ""
	}
}

func hasSession(s string) string {
	if strings.Contains(s, sessionPlace) {
		return ""
	}
	return "does not contain " + sessionPlace + ", so that the page could not tell whose purchase it is"
}

func mailAddress(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil || len(a.Address) > addressBytesMax || len(s) > headerBytesMax ||
		strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsFunc(a.Name, unicode.IsControl) || strings.ContainsAny(a.Address, "<>") {
		return "is not one address of mail, such as shop@example.com or Shop <shop@example.com>"
	}
	return ""
}

func databaseURL(s string) string {
	path, isSQLite := strings.CutPrefix(s, "sqlite:")
	switch {
	case strings.ContainsFunc(s, unicode.IsControl):
		return "has a line break or another control character in it"
	case isSQLite && path == "":
		return "names no file after sqlite:, such as sqlite:makegood.db"
	case isSQLite && path == ":memory:":
		return "would forget everything when the program ends; name a file, such as sqlite:makegood.db"
	case isSQLite && strings.ContainsAny(path, "?#%"):
		return "has a path with one of ? # % in it, the folder of the configuration included, which SQLite reads as something else"
	case isSQLite:
		return ""
	}
	return postgresURL(s)
}

// postgresURL never says what the driver says, because that repeats the URL, and a password may be in it.
func postgresURL(s string) string {
	u, err := url.Parse(s)
	if !strings.HasPrefix(s, "postgres://") && !strings.HasPrefix(s, "postgresql://") {
		return "is neither sqlite:PATH nor postgres://USER@HOST:PORT/NAME"
	}
	switch {
	case err != nil:
		return "cannot be read as postgres://USER@HOST:PORT/NAME; characters with a meaning in an address, such as @ / : # in a password, are written as %40 %2F %3A %23"
	case u.Host == "" && u.Query().Get("host") == "":
		return "names no host; write postgres://USER@HOST:PORT/NAME"
	case strings.Trim(u.Path, "/") == "" && u.Query().Get("dbname") == "":
		return "names no database; write postgres://USER@HOST:PORT/NAME"
	}
	return ""
}

func proxy(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return ""
	}
	network, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return "is neither an address nor a network, such as 127.0.0.1 or 10.0.0.0/8"
	case network.Bits() == 0:
		return "is the whole Internet, and anybody could claim any address"
	}
	return ""
}

func isBlankOrControl(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// isLoopback judges by the look and asks no name server. Package mail judges in the same way.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// isPrivate knows what package outbound would refuse for certain; what it does not know fails at the first call.
func isPrivate(host string) bool {
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	return isLoopback(host) || strings.HasSuffix(strings.ToLower(host), ".localhost") ||
		err == nil && (addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified())
}
