package notify

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/makegood/makegood/internal/secret"
)

// VerifyTwilio reports whether a status call-back is Twilio's: X-Twilio-Signature is the base64 of the HMAC-SHA1, under the
// account's auth token, over the whole address as Twilio was given it and then every field of the form, sorted by name,
// each name followed by its value (https://www.twilio.com/docs/usage/security). Of a field that comes several times each
// value counts once, sorted, as in Twilio's own libraries; and as they do, the port that goes without saying may be there or
// not. An empty token proves nothing. It compares in constant time.
func VerifyTwilio(authToken secret.Value, address string, form url.Values, signature string) bool {
	got, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || authToken.Empty() {
		return false
	}
	isGenuine := false
	for _, a := range twilioAddresses(address) {
		mac := hmac.New(sha1.New, []byte(authToken.Reveal()))
		mac.Write([]byte(a))
		for _, name := range slices.Sorted(maps.Keys(form)) {
			values := slices.Clone(form[name])
			slices.Sort(values)
			for _, value := range slices.Compact(values) {
				mac.Write([]byte(name + value))
			}
		}
		isGenuine = hmac.Equal(got, mac.Sum(nil)) || isGenuine
	}
	return isGenuine
}

// twilioAddresses are the address itself, and with or without the port that goes without saying.
func twilioAddresses(address string) []string {
	all := []string{address}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return all
	}
	port, begin := map[string]string{"http": ":80", "https": ":443"}[u.Scheme], u.Scheme+"://"+u.Host
	rest, ok := strings.CutPrefix(address, begin)
	switch {
	case !ok || port == "":
	case u.Port() == "":
		all = append(all, begin+port+rest)
	case strings.HasSuffix(begin, port):
		all = append(all, strings.TrimSuffix(begin, port)+rest)
	}
	return all
}

// TwilioStatus reads a status call-back: of which message, whether it arrived or certainly did not, and Twilio's code of
// why. A status in between, such as sent, is neither. A form that is none has no sid.
func TwilioStatus(form url.Values) (sid string, delivered, failed bool, code string) {
	sid = form.Get("MessageSid")
	if !twilioMessage.MatchString(sid) {
		return "", false, false, ""
	}
	switch form.Get("MessageStatus") {
	case "delivered", "read":
		delivered = true
	case "failed", "undelivered", "canceled":
		failed = true
	}
	return sid, delivered, failed, safeCode(form.Get("ErrorCode"))
}
