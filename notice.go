package makegood

import (
	"math"
	"time"
)

// NoticeKind says what a person is told.
type NoticeKind string

const (
	NoticeOpened   NoticeKind = "opened"   // something is wrong
	NoticeReminder NoticeKind = "reminder" // it still is, and nobody has answered
	NoticeResolved NoticeKind = "resolved" // it is over; sent to whoever was told that it began
)

// NoticeState is how far a notice has come. Accepted is less than delivered, and delivered less than read: only an
// acknowledgement proves that somebody knows.
type NoticeState string

const (
	NoticeQueued    NoticeState = "queued"    // to be sent at NotBefore
	NoticeSending   NoticeState = "sending"   // a teller has it until LeaseUntil
	NoticeAccepted  NoticeState = "accepted"  // the channel's service took it
	NoticeDelivered NoticeState = "delivered" // the service says that it arrived
	NoticeFailed    NoticeState = "failed"    // given up after NoticePatience, or told by the service afterwards
	NoticeDropped   NoticeState = "dropped"   // not needed any more before it was sent
)

// Notice is one thing that one channel is told of one incident: a row of the outbox, made in the same commit as the change
// that makes it necessary.
type Notice struct {
	ID         string
	IncidentID string
	Channel    string
	Kind       NoticeKind
	Priority   Priority
	Group      string // notices of one group may be told together: the code of the check
	Span       int    // how often the incident had been reopened before, when it was made or told
	Round      int
	Rung       int
	State      NoticeState
	NotBefore  time.Time
	LeaseUntil time.Time
	MessageID  string // the message it was last told in: the same over repetitions, so that the receiver can tell them
	Attempts   int
	Doubt      bool // an attempt ended in a way that leaves open whether somebody was told
	Doubts     int  // how many attempts did
	DoubtedAt  time.Time
	RemoteID   string // what the service calls the message
	Error      string // of the last attempt, free of secrets
	CreatedAt  time.Time
	SentAt     time.Time // when it was accepted
	ArrivedAt  time.Time // when it was delivered
}

// IsAlarm reports whether the notice says that something is wrong.
func (n Notice) IsAlarm() bool { return n.Kind != NoticeResolved }

// HasTold reports whether somebody was told by it, or may have been.
func (n Notice) HasTold() bool {
	return n.State == NoticeAccepted || n.State == NoticeDelivered || n.Doubt
}

// isWaiting reports whether it is still to be sent.
func (n Notice) isWaiting() bool { return n.State == NoticeQueued || n.State == NoticeSending }

// The pace of repeated attempts of one notice: soon at first, because somebody sleeps through an outage meanwhile.
const (
	noticeRetryFirst = 2 * time.Second
	noticeRetryMost  = time.Minute
)

// NoticeBackoff is the wait after a failed attempt (1 for the first): two seconds, doubled each time up to a minute, and
// anything between half of it and the whole, by jitter in [0,1).
func NoticeBackoff(attempt int, jitter float64) time.Duration {
	wait := min(float64(noticeRetryFirst)*math.Pow(2, float64(max(attempt, 1)-1)), float64(noticeRetryMost))
	return time.Duration(wait * (0.5 + jitter/2))
}

// SentMessage is a message that a channel accepted, or may have: several notices told together.
type SentMessage struct {
	ID       string
	Group    string
	IsAlarm  bool
	Priority Priority // the gravest of what it says is wrong; when it says that all is over, the gravest of that
	At       time.Time
	Accepted bool
	Doubts   int // how many attempts of it may have been taken beside
}

// EarlierMessage is a message in which a channel told that something had begun.
type EarlierMessage struct {
	MessageID string
	RemoteID  string // what the service calls it
	Open      int    // how many of its incidents are not over
}
