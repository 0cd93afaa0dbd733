// Package probe takes one look at one thing: a page, a port, a name, a certificate, a disk. Every look has an end, and says
// what was expected and what was seen.
package probe

import (
	"context"
	"time"
)

// Sight is what one look saw.
type Sight struct {
	At   time.Time     // when the look began
	Took time.Duration // how long it took
	// Trouble is what is wrong: the conditions that failed, each with the value that was seen, such as "[STATUS] == 200 (503)".
	// It is free of secrets. "" is that all is well.
	Trouble string
	// Unknown is that nothing can be said: whoever looks could not. It is neither well nor ill.
	Unknown bool
}

// Prober looks at one thing. Look ends soon after its context, and is safe for concurrent use.
type Prober interface {
	Look(ctx context.Context) Sight
}
