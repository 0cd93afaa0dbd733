package paypal

import "time"

const (
	// transmissionIDBytesMax and webhookIDBytesMax are 50 in PayPal's OpenAPI document of the webhooks
	// (verify_webhook_signature); the first has some room, because it is PayPal's to change.
	transmissionIDBytesMax = 64
	webhookIDBytesMax      = 50
	// transmissionTimeBytesMax: RFC 3339 with nanoseconds and an offset has 35 bytes.
	transmissionTimeBytesMax = 40
	// signatureBytesMax is the base64 of a signature with the longest key that is accepted, 4096 bits: 684. PayPal's
	// keys have 2048 bits.
	signatureBytesMax         = 684
	rsaBitsMin, rsaBitsMax    = 2048, 4096
	certificateURLBytesMax    = 500 // PayPal's OpenAPI document, cert_url
	certificateIDBytesMax     = 100 // those seen have 31: CERT-360caa42-fca2a594-1d93a270
	certificateAnswerBytesMax = 64 << 10
	// certificateBlocksMax caps the chain in one answer. Those seen have the certificate and one or two issuers.
	certificateBlocksMax = 8
	// retryWindow is how long PayPal repeats a delivery that was not answered with 2xx (25 times over three days). Nothing
	// says whether a repetition is signed with a new time, so an old time within the window is no reason to refuse.
	retryWindow = 72 * time.Hour
	// certificateLifetime is how long a good certificate is used without asking again, if it does not end before.
	certificateLifetime = 24 * time.Hour
	// certificatesMax and refusedMax bound the cache. PayPal signs with one certificate at a time per mode, so there are
	// two for the weeks of a change; addresses that were refused come from forgers, and forget one another.
	certificatesMax, refusedMax = 16, 256
	// noSuchLifetime is how long an address is remembered at which PayPal has no certificate, outageLifetime one that
	// could not be asked: the first is a forgery, the second is over when PayPal repeats the delivery minutes later.
	noSuchLifetime, outageLifetime = time.Minute, 5 * time.Second
	// certificateTimeout keeps a delivery from waiting longer than PayPal waits for the answer (30 s, its webhooks guide).
	certificateTimeout = 8 * time.Second
	// fetchesPerMinuteMax bounds what strangers can make us ask of PayPal by making up addresses. A certificate that was
	// good before is not counted, so a flood does not keep it from being renewed.
	fetchesPerMinuteMax = 300
	// tokenMargin is how long before its end a token is renewed, or a tenth of its life if that is less. PayPal's tokens
	// live for hours (28,800 s in a recorded answer).
	tokenMargin = 5 * time.Minute
	// snoozeDefault is how long we wait after "too many requests" when PayPal does not say how long; snoozeMin keeps a
	// Retry-After of zero from becoming a busy loop.
	snoozeDefault, snoozeMin = 5 * time.Second, time.Second
	// idempotencyKeyMax caps what our callers may ask for; what is sent to PayPal is a hash of 32 digits, because its
	// documents name limits from 38 to 108 characters.
	idempotencyKeyMax = 255
	// customIDBytesMax and itemNameBytesMax are PayPal's limits of custom_id, and of an item's name (checkout_orders_v2.json).
	customIDBytesMax, itemNameBytesMax = 127, 127
	// paymentsMax caps the captures and refunds that are read of one order; makegood.FactsMax is far above.
	paymentsMax = 100
	// youngEvent is how long after its receipt something may not be visible by the API yet. PayPal promises no time; after
	// an hour an order that cannot be found counts as gone, and the capture is read without it.
	youngEvent = time.Hour
	// eventPageSize is the page of a list of events, and eventPagesMax how many of them are read at a time: 100,000
	// events are more than a shop makes in the three days that PayPal repeats.
	eventPageSize, eventPagesMax = 100, 1000
)
