// Package notify tells people until somebody answers: an outbox that survives any crash, and a channel for each way to
// reach somebody.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

// Message is what one channel is told at one time. Several incidents may share one.
type Message struct {
	ID        string // the same over repetitions: channels hand it on, so that the receiver can tell them
	Priority  makegood.Priority
	Kind      makegood.NoticeKind // of its gravest part; reminder counts as opened
	Title     string              // one line, for a lock screen
	Body      string              // plain text, some lines
	Link      string              // to the incident, for people; "" when there is none
	AckLink   string              // acknowledges with one tap: a POST acts, a GET shows a button; "" when there is nothing to acknowledge
	Incidents []string            // ids
	// Earlier are the messages in which this channel was told of the incidents that end now. A channel that keeps something
	// open (an issue, a page of PagerDuty, a coloured message) closes those whose Open is 0.
	Earlier []Earlier
	At      time.Time
}

// Earlier is a message of the past.
type Earlier = makegood.EarlierMessage

// Receipt is what a channel's service answered.
type Receipt struct {
	RemoteID  string // how the service calls the message; what a later message needs to find it again
	Delivered bool   // the service says that it arrived, not only that it took it
}

// Channel is one way to one person or room. It is safe for concurrent use, keeps nothing that a restart would miss, and its
// errors are *Error, free of secrets and of people's addresses.
type Channel interface {
	// Send tells, within the time of ctx. Sending the same message again does no harm: where the service allows, it is
	// recognised by its ID.
	Send(ctx context.Context, m Message) (Receipt, error)
	// Test finds out whether the channel would work, with a round trip where the service allows one, and disturbs nobody.
	Test(ctx context.Context) error
}

// Reason says why somebody could not be told. Stable: it is a label of metrics and stands in the time line.
type Reason string

const (
	ReasonAuth      Reason = "auth"       // the credentials are refused: a person has to replace them
	ReasonRateLimit Reason = "rate_limit" // too often; Error.RetryAfter says when again
	ReasonClient    Reason = "client"     // the service does not accept what we say: a wrong address, a topic that is gone
	ReasonServer    Reason = "server"     // the service is in trouble
	ReasonNetwork   Reason = "network"    // the service was not reached
	ReasonTimeout   Reason = "timeout"    // it did not answer in time
	ReasonResting   Reason = "resting"    // it failed repeatedly and is left alone for a moment; nothing was sent
)

// Error is why a channel could not tell.
type Error struct {
	Channel    string // its kind, such as "slack"
	Reason     Reason
	Status     int           // of the answer; 0 when there was none
	Code       string        // the service's own code, when it has one
	RetryAfter time.Duration // when the service says so; else 0
	Doubt      bool          // the message may have been taken after all
	Err        error
}

// Error gives channel, reason and cause.
func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Channel, e.Reason)
	if e.Status != 0 {
		s += fmt.Sprintf(" (status %d)", e.Status)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReasonOf is why err happened; ReasonNetwork when it does not say.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ReasonTimeout
	}
	return ReasonNetwork
}
