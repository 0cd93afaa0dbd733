// Package probe takes one look at one thing: a page, a port, a name, a certificate, a disk, a job that reports by itself.
// Every look has an end, and says what was expected and what was seen.
//
// What is expected are conditions, such as "[STATUS] == 200" or "[BODY].status == healthy": see [Parse].
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
	// It is free of secrets. "" is that all is well. When the sight is Unknown it says why.
	Trouble string
	// Unknown is that nothing can be said: whoever looks could not. It is neither well nor ill.
	Unknown bool
	// Sure is until when nothing changes by itself: whoever looks may wait so long with the next look, unless he is told that
	// something has changed. The zero time makes no such promise. It makes a hundred thousand jobs cheap to watch.
	Sure time.Time
}

// Red reports whether the sight says that something is wrong.
func (s Sight) Red() bool { return !s.Unknown && s.Trouble != "" }

// Green reports whether the sight says that all is well.
func (s Sight) Green() bool { return !s.Unknown && s.Trouble == "" }

// Prober looks at one thing. Look ends soon after its context, and is safe for concurrent use.
type Prober interface {
	Look(ctx context.Context) Sight
}

// Kind is a sort of thing to look at. It decides which placeholders a condition may use.
type Kind string

const (
	KindHTTP      Kind = "http"      // a page or an API
	KindTCP       Kind = "tcp"       // a port
	KindDNS       Kind = "dns"       // a name, at a name server
	KindDisk      Kind = "disk"      // room on a disk of this machine
	KindHeartbeat Kind = "heartbeat" // a job that reports by itself
)

// Kinds lists every kind once.
func Kinds() []Kind { return []Kind{KindHTTP, KindTCP, KindDNS, KindDisk, KindHeartbeat} }
