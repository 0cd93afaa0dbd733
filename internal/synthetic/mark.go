package synthetic

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
)

// Header carries the mark of a synthetic checkout: t=<unix seconds>,v1=<hex HMAC-SHA256 of "makegood synthetic v1\n<t>"
// under the secret that watcher and server share>.
const Header = "Makegood-Synthetic"

const signedPrefix = "makegood synthetic v1\n"

// Mark makes the value of Header at a time. Whoever reads it on its way can use it for makegood.SignatureTolerance, to make
// sessions that nobody can pay for; it opens nothing else.
func Mark(key secret.Value, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(macOf(key, t))
}

// Marker marks requests at the time at which they are made, for whoever asks the shop in another way.
func Marker(key secret.Value, now func() time.Time) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(Header, Mark(key, now())) }
}

func macOf(key secret.Value, t string) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(signedPrefix + t))
	return mac.Sum(nil)
}

// Reason says why a mark was refused. Reasons are few and stable: they are counted.
type Reason string

const (
	ReasonUnconfigured Reason = "unconfigured" // we have no secret that a mark could be made with
	ReasonMalformed    Reason = "malformed"    // not what Mark makes
	ReasonMismatch     Reason = "mismatch"     // made with another secret
	ReasonTooOld       Reason = "too_old"      // made with our secret, too long ago
	ReasonFuture       Reason = "future"       // made with our secret, in our future: somebody's clock is wrong
)

// RefusedError is a mark that proves nothing. It is makegood.Unauthorized.
type RefusedError struct{ Reason Reason }

// Error names the reason and never the mark.
func (e *RefusedError) Error() string { return "synthetic mark refused: " + string(e.Reason) }

// Is makes a RefusedError makegood.Unauthorized.
func (e *RefusedError) Is(target error) bool { return target == makegood.Unauthorized }

// Verify proves that a mark was made with the secret at most makegood.SignatureTolerance from now, both ends included. Any
// other is a *RefusedError; under an empty secret every mark is, because anybody could have made it.
func Verify(mark string, key secret.Value, now time.Time) error {
	if key.Empty() {
		return &RefusedError{ReasonUnconfigured}
	}
	t, v1, ok := strings.Cut(mark, ",")
	t, isTime := strings.CutPrefix(t, "t=")
	v1, isMAC := strings.CutPrefix(v1, "v1=")
	seconds, err := strconv.ParseInt(t, 10, 64)
	given, hexErr := hex.DecodeString(v1)
	if !ok || !isTime || !isMAC || err != nil || hexErr != nil || len(t) > timestampDigitsMax || len(given) != sha256.Size {
		return &RefusedError{ReasonMalformed}
	}
	if !hmac.Equal(given, macOf(key, t)) {
		return &RefusedError{ReasonMismatch}
	}
	switch age := now.Sub(time.Unix(seconds, 0)); {
	case age > makegood.SignatureTolerance:
		return &RefusedError{ReasonTooOld}
	case age < -makegood.SignatureTolerance:
		return &RefusedError{ReasonFuture}
	}
	return nil
}
