package synthetic

import "time"

// A look may take ten seconds (SPEC C4, reference D9): this does not compile when its parts together may take longer.
const _ = uint64(10*time.Second - tidyTimeout - lookTimeout - expireTimeout)

const (
	// Together these are below the ten seconds that a look may take. tidyTimeout is for what earlier looks left, lookTimeout
	// for the checkout and its reading, expireTimeout for the end of the session, whatever came before it.
	tidyTimeout   = 2 * time.Second
	lookTimeout   = 5 * time.Second
	expireTimeout = 2500 * time.Millisecond
	// timestampDigitsMax caps the digits of a signed time. Unix seconds have 10; twelve reach the year 33658.
	timestampDigitsMax = 12
	// orphanAge is when a session that is still open was left behind: no look takes longer than ten seconds, and the other
	// watchers of the account are left the minutes by which clocks may differ.
	orphanAge = 5 * time.Minute
	// orphanWindow is how far back the first look goes: after a day Stripe expires a session by itself (its default).
	orphanWindow = 24 * time.Hour
	// leftMax bounds the sessions that are remembered because they could not be expired, and tidyMax how many of them one look tries.
	leftMax, tidyMax = 100, 20
	// pageSize is Stripe's largest page of a list, and pagesMax how many are read in one look: a thousand open sessions. What
	// a first look does not reach ends by itself; later looks need the sessions of a few minutes only.
	pageSize, pagesMax = 100, 10
	// paypalLifetime is when PayPal gives up an order that nobody has captured, by default ("Handle uncaptured payments").
	paypalLifetime = 3 * time.Hour
	// clockTolerance is how far a provider's clock may differ from ours.
	clockTolerance = 5 * time.Minute
	// seenBytesMax cuts what is shown of what others said.
	seenBytesMax = 100
)
