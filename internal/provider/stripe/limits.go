package stripe

import "time"

const (
	// signatureHeaderBytesMax caps the Stripe-Signature header. With makegood.SignaturesMax signatures of 68 bytes it is
	// about 1,200 bytes; Stripe sends 160 to 230.
	signatureHeaderBytesMax = 4096
	// timestampDigitsMax caps the digits of the signed time. Unix seconds have 10; twelve reach the year 33658.
	timestampDigitsMax = 12
	// idempotencyKeyMax is Stripe's limit of an Idempotency-Key, in characters.
	idempotencyKeyMax = 255
	// linePageSize is Stripe's largest page of a list.
	linePageSize = 100
	// snoozeDefault is how long we wait after "too many requests" and after a lock when Stripe does not say how long.
	snoozeDefault = 2 * time.Second
	// snoozeMin keeps a Retry-After of zero from becoming a busy loop.
	snoozeMin = time.Second
)
