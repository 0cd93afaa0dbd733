package simulate

import "time"

// Every limit of the pretend world. Where the real service publishes one, ours is the same.
const (
	// requestBytesMax bounds the body of any request read; no request this package understands comes near it.
	requestBytesMax = 4 << 20
	// pageSizeMax and pageSizeDefault are Stripe's for every list.
	pageSizeMax     = 100
	pageSizeDefault = 10
	// eventTypesMax is how many types one List Events call may name, as at Stripe.
	eventTypesMax = 20
	// eventAge is how far back List Events reaches, as at Stripe.
	eventAge = 30 * 24 * time.Hour
	// eventsMaxDefault keeps a long benchmark from filling the memory: 100,000 events of 2.5 KB are a quarter of a gigabyte.
	eventsMaxDefault = 100_000
	// keyLifetime is how long both services promise to remember an Idempotency-Key.
	keyLifetime = 24 * time.Hour
	// stripeKeyMax and resendKeyMax are the longest Idempotency-Keys, in characters.
	stripeKeyMax = 255
	resendKeyMax = 256
	// sessionLifetimeMin and sessionLifetimeMax bound expires_at of a session; the upper one is also the default.
	sessionLifetimeMin = 30 * time.Minute
	sessionLifetimeMax = 24 * time.Hour
	// lineItemsMax is Stripe's limit of line items in a payment session.
	lineItemsMax = 100
	// metadataKeysMax, metadataKeyMax and metadataValueMax are Stripe's limits of metadata, in keys and characters.
	metadataKeysMax  = 50
	metadataKeyMax   = 40
	metadataValueMax = 500
	// referenceMax is the longest client_reference_id, in characters.
	referenceMax = 200
	// formDepthMax bounds the nesting of a form key such as a[b][c].
	formDepthMax = 10
	// concurrencyDefault is how many deliveries are in flight at once.
	concurrencyDefault = 8
	// deliveryTimeout is how long one delivery may take before it counts as failed.
	deliveryTimeout = 10 * time.Second
	// answerBytesMax is how much of an endpoint's answer is read, so that the connection can be used again.
	answerBytesMax = 64 << 10
	// hangMax ends a hanging answer even if the client never gives up.
	hangMax = 5 * time.Minute
	// pageRowsMax is how many sessions, events or mails an overview page shows.
	pageRowsMax = 100
	// bodyBytesMaxDefault is how much of the newest mails' bodies a Resend keeps.
	bodyBytesMaxDefault = 64 << 20
	// recipientsMax and batchMax are Resend's limits of addresses per mail and mails per batch.
	recipientsMax = 50
	batchMax      = 100
	// envelopesMax is how many envelopes a Sentry keeps; the oldest go first. itemsMax is Sentry's limit of items in one.
	envelopesMax = 1000
	itemsMax     = 100
	// tagMax is the longest name or value of a Resend tag, in characters.
	tagMax = 256
	// alertLogMax bounds the log of a service that carries alerts.
	alertLogMax = 100_000
	// alertRetryAfter is how long such a service asks to wait when it is told to answer 429.
	alertRetryAfter = 3 * time.Second

	// pagesBuildDefault is how long a deployment of a small project takes at Cloudflare Pages.
	pagesBuildDefault = 45 * time.Second
	// pagesPageMax is the most deployments that Cloudflare lists in one answer; more is refused with 8000024.
	pagesPageMax = 25
	// pagesLogMax bounds the log of writes.
	pagesLogMax = 10_000
	// pagesDepthMax bounds the nesting of a body whose shape is kept.
	pagesDepthMax = 20
	// pagesRetryAfter is how long a pretend Cloudflare asks to wait unless it is told otherwise. The real one limits to 1,200
	// calls in five minutes.
	pagesRetryAfter = 5 * time.Second
	// boxGrace is how long a program in a box has to end before it is killed, as platforms give it.
	boxGrace = 5 * time.Second
	// boxMoment is how long a program must live after a restart to count as started: one that refuses to start ends sooner.
	boxMoment = 300 * time.Millisecond
	// boxDrain is how long the output of a program that has ended is read on.
	boxDrain = time.Second
	// boxCallLimit is above boxGrace and boxMoment together, with time for a busy machine.
	boxCallLimit = 20 * time.Second
)
