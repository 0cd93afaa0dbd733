package recipe

import "time"

const (
	// signatureHeaderBytesMax caps a header with signatures: makegood.SignaturesMax of 128 hexadecimal digits fit.
	signatureHeaderBytesMax = 4096
	// idBytesMax caps the id that a delivery carries in a header.
	idBytesMax = 255
	// timestampDigitsMax caps the digits of a signed time: milliseconds have 13 until the year 2286.
	timestampDigitsMax = 15
	// itemsMax caps the items of one delivery that is signed item by item; Adyen documents one to six.
	itemsMax = 100
	// factsMax caps the facts of one reading, far below makegood.FactsMax, which bounds an order.
	factsMax = 100
	// tokenBytesMin is the shortest token that may stand in for a signature in the address: 96 bits of base64.
	tokenBytesMin = 16
	// hexKeyBytesMin is the shortest key that is written in hexadecimal digits, in bytes; Adyen's have 32.
	hexKeyBytesMin = 16
	// The size of a Standard Webhooks secret, in bytes (spec/standard-webhooks.md, "Signature scheme").
	whsecBytesMin = 24
	whsecBytesMax = 64
	svixBytesMin  = 16
	// snoozeDefault is how long we wait after "too many requests" when the provider does not say how long, and snoozeMin
	// keeps a Retry-After of zero from becoming a busy loop.
	snoozeDefault = 2 * time.Second
	snoozeMin     = time.Second
)
