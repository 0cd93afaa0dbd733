package makegood

import "time"

// Every loop, queue, body, retry and list has a limit, and it stands here with its unit and its reason.
const (
	// DeliveryBytesMax caps a provider's delivery before it is read. Stripe's bodies are under 20 kB.
	DeliveryBytesMax = 1 << 20
	// RequestBytesMax caps a JSON request to our own API. The largest, a checkout, needs a few hundred bytes.
	RequestBytesMax = 64 << 10
	// SignatureTolerance is how far a signed timestamp may lie from our clock, on both sides. Stripe's libraries use
	// 300 s for the past side; Standard Webhooks asks for both.
	SignatureTolerance = 300 * time.Second
	// SignaturesMax caps the signatures read from one header. Providers sign once per active secret, of which there are
	// two during a rotation.
	SignaturesMax = 16
	// WriteBatchMax caps the writes that share one commit. Above 256 the commit is no cheaper per row (measured).
	WriteBatchMax = 256
	// WriteQueueMax bounds the writes that wait for a commit; beyond it a delivery is answered 503 and repeated by its
	// provider. At 10,000 writes a second it is less than half a second of waiting.
	WriteQueueMax = 4096
	// LinesMax, QuantityMax and FactsMax bound one order. Stripe allows 100 line items in a session.
	LinesMax    = 100
	QuantityMax = 1000
	FactsMax    = 1000
	// JobTimeout bounds one run of a job, and JobRescueAfter is when a run that never came back is taken up again. Every
	// node looks for such runs five times in that time, so a lost job runs again within half a minute.
	JobTimeout     = 20 * time.Second
	JobRescueAfter = 25 * time.Second
	// ListMax caps every listing; a caller pages with a cursor.
	ListMax = 1000
	// ShutdownTimeout bounds how long a stop waits for requests and jobs in flight.
	ShutdownTimeout = 15 * time.Second
	// RungsMax bounds a ladder, and RoundsMax how often one is climbed: a P0 that nobody answers repeats for a day.
	RungsMax  = 10
	RoundsMax = 288
	// NoticesMax bounds the notices of one incident; with ten channels that is the whole of a day's rounds.
	NoticesMax = 3000
	// ReopenedMax is how often one incident comes back before the next time is a record of its own.
	ReopenedMax = 50
	// TimelineMax bounds what one incident tells; after it only what a person does is added.
	TimelineMax = 2000
	// ReopenWithin is how soon after its end an incident that comes back is the same one.
	ReopenWithin = 10 * time.Minute
	// SendTimeout bounds one attempt to tell somebody, and NoticeLease is when a teller that took a notice and never said how
	// it ended is taken for dead: longer than an attempt, so that a living one is never overtaken.
	SendTimeout = 5 * time.Second
	NoticeLease = 8 * time.Second
	// NoticePatience is how long a notice is tried again before a person has to see that nobody could be told.
	NoticePatience = 72 * time.Hour
	// MuteRecheck is how often a muted incident is looked at for whether it still is.
	MuteRecheck = 10 * time.Second
)
