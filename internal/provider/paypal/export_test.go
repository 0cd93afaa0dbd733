package paypal

import (
	"strconv"

	"github.com/tidwall/gjson"
)

// CertificateFetches is how often a certificate of an address that was never good was asked for, within the last minute.
func (s *PayPal) CertificateFetches() int {
	s.certificates.mu.Lock()
	defer s.certificates.mu.Unlock()
	return s.certificates.fetches
}

// CertificateAllowed reports whether a certificate may be fetched from an address.
func (s *PayPal) CertificateAllowed(address string) bool { return s.certificates.isAllowed(address) }

// CustomID is what CreateCheckout writes of an offer.
var CustomID = (*PayPal).customID

// IsSynthetic reports whether a custom_id of ours says that nobody buys.
func IsSynthetic(s *PayPal, customID string) bool {
	return s.isSynthetic(gjson.Parse(strconv.Quote(customID)))
}

// Limits for tests.
const (
	RetryWindow         = retryWindow
	FetchesPerMinuteMax = fetchesPerMinuteMax
	CertificateLifetime = certificateLifetime
	CertificatesMax     = certificatesMax
	RefusedMax          = refusedMax
	CustomIDBytesMax    = customIDBytesMax
)
