// Package mail sends one message to one person, by Resend or by SMTP, and says exactly what became of it.
//
// A Message is rendered once and stored; every attempt sends the same bytes under the same key, so that a provider that
// remembers keys sends it once. What it cannot promise it says: RemembersFor tells for how long a repetition is safe, and
// ErrUncertain marks an attempt that may have gone out all the same.
package mail

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/makegood/makegood"
)

// The sentinels that errors of Send and Check wrap; ask for them with errors.Is.
var (
	// ErrConfiguration: our key, sender, certificate or server settings are refused. No repetition helps until a person
	// has repaired them, and then every message can still go out: raise an alarm, keep the job.
	ErrConfiguration = errors.New("mail is not configured rightly")
	// ErrQuota: the sending quota of the day or month is used up. The error is also a *makegood.Snooze.
	ErrQuota = errors.New("sending quota is used up")
	// ErrPayloadChanged: a message with another content was already sent under the same key. The error is also a
	// *makegood.Permanent: the customer has a mail, and it must not be sent again.
	ErrPayloadChanged = errors.New("already sent with another payload; do not retry")
	// ErrUncertain: the attempt failed after the message had left, so that it may have been accepted. Within
	// RemembersFor a repetition is safe; after it, a person decides.
	ErrUncertain = errors.New("the message may have been accepted")
)

// Receipt is the proof that a message was accepted for delivery, which is less than that it arrived.
type Receipt struct {
	Via        string    // "resend" or "smtp"
	RemoteID   string    // the provider's id of the message; over SMTP its Message-ID
	AcceptedAt time.Time // by our clock, UTC
}

// Sender sends messages. Its errors name neither the customer's address nor a credential, and say what to do:
// *makegood.Permanent never again, *makegood.Snooze after a while, anything else soon again.
type Sender interface {
	// Send hands m over. It is safe for concurrent use.
	Send(ctx context.Context, m Message) (Receipt, error)
	// Check asks cheaply and within a bounded time whether sending would be allowed, and sends nothing.
	Check(ctx context.Context) error
	// RemembersFor says for how long after the first attempt the same message is recognised as a repetition.
	RemembersFor() time.Duration
}

var (
	_ Sender = (*Resend)(nil)
	_ Sender = (*SMTP)(nil)
)

func permanent(err error) error { return &makegood.Permanent{Err: err} }

// misconfigured gives the cause, free of secrets, a sentence for people outside.
func misconfigured(format string, args ...any) error {
	cause := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrConfiguration)
	return makegood.Wrap(cause, makegood.Unavailable, "Mail cannot be sent just now; an operator has to look at its settings.")
}

// uncertain marks err as one of an attempt that may have succeeded.
func uncertain(err error) error { return fmt.Errorf("%w: %w", ErrUncertain, err) }
