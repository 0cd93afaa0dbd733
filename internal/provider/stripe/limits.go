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
	// pageSize is Stripe's largest page of a list.
	pageSize = 100
	// eventPageSize keeps a page of events below outbound.DefaultBodyBytesMax: 20 of 50 kB. They are usually 3 to 20 kB.
	eventPageSize = 20
	// eventPagesMax caps one run over undelivered events: 40,000 of them, more than a shop of ours has in 30 days.
	eventPagesMax = 2000
	// eventAgeMax is how far back Stripe lists events.
	eventAgeMax = 30 * 24 * time.Hour
	// endpointsMax caps the webhook endpoints that are looked through. Stripe allows 16 of an account (its page "Webhooks").
	endpointsMax = 500
	// refundsMax caps the refunds of one charge, each of which is a fact of one order (makegood.FactsMax).
	refundsMax = 500
	// invoiceLinesMax caps the lines of an invoice. Subscriptions have at most 20 items; the others are added by hand.
	invoiceLinesMax = 500
	// quotedMax is the longest id that is looked for. Stripe documents at most 255 characters.
	quotedMax = 255
	// snoozeDefault is how long we wait after "too many requests" and after a lock when Stripe does not say how long.
	snoozeDefault = 2 * time.Second
	// snoozeMin keeps a Retry-After of zero from becoming a busy loop.
	snoozeMin = time.Second
)
