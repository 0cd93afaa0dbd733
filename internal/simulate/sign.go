package simulate

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
)

// Sign returns the value of a Stripe-Signature header: t=seconds, then one v1= for each secret, the hex HMAC-SHA256 of
// "seconds.body". The key is the whole secret with its whsec_ prefix, as Stripe has it. Several secrets are what a
// delivery carries while a secret is being rolled.
func Sign(body []byte, t time.Time, secrets ...string) string {
	seconds := strconv.FormatInt(t.Unix(), 10)
	header := "t=" + seconds
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(seconds))
		mac.Write([]byte{'.'})
		mac.Write(body)
		header += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return header
}
