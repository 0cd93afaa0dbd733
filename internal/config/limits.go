package config

import "time"

const (
	// fileBytesMax bounds the file. A product is about 150 bytes, so it holds a catalogue of some thousand.
	fileBytesMax = 1 << 20
	// nestingMax bounds lists and mappings within each other. Our deepest key is four levels down; the parser needs
	// quadratic time and a growing stack for what is nested without end.
	nestingMax = 16
	// nameBytesMax is Stripe's limit for the name of a product.
	nameBytesMax = 250
	// priceIDBytesMax is Stripe's limit for the id of an object.
	priceIDBytesMax = 255
	// addressBytesMax is the longest address that can be used in SMTP (RFC 5321, 4.5.3.1, and its erratum 1690).
	addressBytesMax = 254
	// headerBytesMax keeps From and Reply-To below what mail servers accept in one line (RFC 5322: 998).
	headerBytesMax = 900
	// socketBytesMax is below the shortest limit of an address of a unix socket (macOS: 104).
	socketBytesMax = 100
	// rungAfterMax is what makegood.Escalation.Check allows; the others are what somebody may still mean.
	rungAfterMax = 7 * 24 * time.Hour
	repeatMax    = 24 * time.Hour
	ackForMax    = 7 * 24 * time.Hour
	// inARowMax bounds how often in a row a monitor must be seen red or green.
	inARowMax = 100
	// meansBytesMax bounds the sentence of a monitor: more is no sentence.
	meansBytesMax = 1000
	// headerValueBytesMax is what HTTP servers accept in a header.
	headerValueBytesMax = 4096
	// conditionBytesMax bounds one condition; the longest of our manual has 60 bytes.
	conditionBytesMax = 500
)
