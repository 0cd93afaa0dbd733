package mail

import "time"

const (
	// keyBytesMax is Resend's limit for an idempotency key.
	keyBytesMax = 256
	// addressBytesMax is the longest address that can be used in SMTP (RFC 5321, 4.5.3.1, and its erratum 1690).
	addressBytesMax = 254
	// lineBytesMax is for one header value before encoding; it keeps a header below what servers accept (RFC 5322: 998).
	lineBytesMax = 900
	// headersMax and tagsMax are far above use; Resend takes up to 75 tags.
	headersMax = 32
	tagsMax    = 32
	// bodyBytesMax is for text and for HTML, each. Our mails are below 20 kB; Gmail clips above 102 kB.
	bodyBytesMax = 1 << 20

	// resendRemembers is for how long Resend remembers an idempotency key (its page "Idempotency keys").
	resendRemembers = 24 * time.Hour

	// concurrentWait is for the same message being sent by another worker at this moment: one request of theirs.
	concurrentWait = 3 * time.Second
	// rateWait is used when Resend does not say how long; its limits are per second.
	rateWait = 2 * time.Second
	// quotaWait is used when Resend does not say how long; a quota may also be raised by a person.
	quotaWait = time.Hour
	// waitMin keeps "again in 0 seconds" from becoming a loop, because a snooze does not count as an attempt.
	waitMin = time.Second

	// smtpTimeout is for a whole session, from dialling to the server's last word. RFC 5321 allows ten minutes for the
	// last word alone; servers that take mail from programs need seconds.
	smtpTimeout = 30 * time.Second
	// quitTimeout is for the good-bye, which changes nothing.
	quitTimeout = 2 * time.Second
	// sessionBytesMax is what a server may say in one session, greeting to good-bye, certificates included.
	sessionBytesMax = 1 << 20
)
