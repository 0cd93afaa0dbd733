// Package monitor looks again until it is sure. It keeps the time of every look, so that a hung target delays nobody, and
// tells findings from blips, and from its own blindness.
package monitor

import (
	"context"
	"errors"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/probe"
)

// State is how sure we are of a thing.
type State string

const (
	Pending     State = "pending"     // nothing was seen yet
	Up          State = "up"          // it is well
	Suspect     State = "suspect"     // the last looks were red, too few to believe it; nobody is told
	Down        State = "down"        // it is believed: there is a finding
	Healing     State = "healing"     // down, and something is being done about it
	Recovering  State = "recovering"  // green again, not yet for long enough
	Blind       State = "blind"       // we cannot see; it is neither up nor down
	Maintenance State = "maintenance" // looked at and recorded; nobody is told
)

// Monitor is one thing to look at.
type Monitor struct {
	Check   makegood.Check // how often, how sure, how grave, and what it means
	Subject string         // which of several; "" when there is only one. makegood.FindingKey(Check.Code, Subject) is unique
	Prober  probe.Prober
	Timeout time.Duration // of one look
	// Second looks from another place and has to agree before a finding is believed; nil is nobody.
	Second probe.Prober
	// Local is that looking needs no network: it goes on while we are blind.
	Local bool
	// DependsOn are keys of findings that explain this one.
	DependsOn []string
}

// Key is the key of the monitor's findings.
func (m Monitor) Key() string { return makegood.FindingKey(m.Check.Code, m.Subject) }

// Ledger is told what is believed. Both calls may come again and again for the same key: they say how it is, not what has
// changed, so one that was lost in a crash is made good by the next. They must return soon.
type Ledger interface {
	// Found says that something is wrong.
	Found(ctx context.Context, f makegood.Finding) error
	// Cleared says that the trouble of a key is over, or never was.
	Cleared(ctx context.Context, key, why string) error
}

// ErrLater is what a ledger answers that is well and wants to hear the same again a little later.
var ErrLater = errors.New("say it again later")

// Status is how a monitor stands, for people.
type Status struct {
	Key      string        `json:"key"`
	Check    string        `json:"check"`
	Subject  string        `json:"subject,omitempty"`
	State    State         `json:"state"`
	Since    time.Time     `json:"since"`
	LookedAt time.Time     `json:"looked_at,omitzero"`
	Took     time.Duration `json:"took"`
	Trouble  string        `json:"trouble,omitempty"`
	// Note says why a red monitor is not called down, such as that the second vantage sees it well.
	Note string `json:"note,omitempty"`
	// Believed is the state below Maintenance and Blind: looking and counting go on in maintenance, and what was believed
	// before we went blind stands until we see again.
	Believed   State `json:"believed"`
	Maintained bool  `json:"maintained,omitempty"`
	Looks      int64 `json:"looks"`
	RedLooks   int64 `json:"red_looks"`
}
