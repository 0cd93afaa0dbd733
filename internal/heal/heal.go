// Package heal mends what it knows how to mend, within limits, and leaves a record of everything that it did and refused to do.
//
// A trouble that has lasted longer than any blip is looked at: what is it (Classify)? Only a fault that a remedy is known for is
// touched; whatever else it is, people are told already. Before anything is changed, the credential, the source of truth and
// the place itself have to be good, and an attempt is written down: that row is the lock, the limit and the cooldown. What was
// changed is verified from outside, and taken back when it did not help.
//
// Every place has one home, the program whose configuration names it, and that program's ledger holds its attempts. The other
// side asks for nothing but attention: it says in its beats what ails it, and the home decides. So server and watcher can both
// want the same thing, and one attempt is made.
package heal

import (
	"context"
	"log/slog"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// Target is a place and what is known of mending it.
type Target struct {
	Name  string
	Place host.Target
	// Truth has the values of Needs, which the place must have; nil for a place without variables.
	Truth vault.Source
	Needs []vault.Need
	Mode  secret.Mode // which world the secrets belong to; "" does not care
	// When are patterns of the keys of findings that may come from this place (see makegood.MatchKey).
	When []string
	// Auto allows it to be mended without a person.
	Auto bool
	// Drill allows it to be broken on purpose.
	Drill bool
	// Patience is how long a trouble must have lasted before anything is changed: longer than any blip.
	Patience time.Duration
	// StartWithin is how long a run may take that we began.
	StartWithin time.Duration
	// Verify looks from outside, through the public way, whether it is well: by its health and by an order that is tried
	// without paying. trouble "" is well.
	Verify func(ctx context.Context) (trouble string)
	// Steady is how often in a row it must be well, VerifyEvery apart, and VerifyWithin how long that may take.
	Steady       int
	VerifyEvery  time.Duration
	VerifyWithin time.Duration
	// Serve has done what an outage left behind that began at since; whoever got something after began, when the attempt began, had
	// waited. It is called again for as long as somebody waits. nil when there is nothing to serve.
	Serve func(ctx context.Context, since, began time.Time, attempt string) (Served, error)
	// Reported are the names of variables that the running program itself says have another value than the truth, by their
	// fingerprints; nil when it says nothing. held has the truth's.
	Reported func(truth map[string]string) (wrong []string)
}

// Served is what became of those who waited.
type Served struct {
	Waited  int           `json:"waited"`  // paid during the outage and had nothing when it ended
	Waiting int           `json:"waiting"` // of them, who still have nothing
	Longest time.Duration `json:"longest"` // from paying to having, or until now
	Pulled  int           `json:"pulled"`  // events that the provider could not deliver
	Again   int           `json:"again"`   // dead letters and failed jobs that were done again
	Note    string        `json:"note,omitempty"`
}

// Trouble is an open incident, or what the other side says of itself.
type Trouble struct {
	IncidentID string // "" when the record is the other side's
	Key        string
	Since      time.Time // the first red look
}

// Outside is what the healer knows of how things stand.
type Outside interface {
	// Troubles lists what is open.
	Troubles(ctx context.Context) ([]Trouble, error)
	// Look looks now at what a trouble is about; still is whether it is red, and known is false when nothing can be said.
	Look(ctx context.Context, t Trouble) (still, known bool)
	// Others counts what is looked at and has nothing to do with the patterns, and how much of it is down.
	Others(patterns []string) (down, all int)
	// Blind reports whether we cannot see at all.
	Blind() bool
}

// Ledger keeps attempts, the brake, and what was last found good of a source of truth. Each method commits before it returns.
type Ledger interface {
	BeginAttempt(ctx context.Context, a makegood.HealAttempt, l makegood.HealLimits, lease time.Duration) (makegood.HealAttempt, error)
	KeepRefusal(ctx context.Context, a makegood.HealAttempt) error
	AmendAttempt(ctx context.Context, id string, fence int64, lease time.Duration, change func(*makegood.HealAttempt) error) (makegood.HealAttempt, error)
	TakeAttempt(ctx context.Context, id, holder string, lease time.Duration) (makegood.HealAttempt, error)
	HealStanding(ctx context.Context, l makegood.HealLimits) (makegood.HealStanding, error)
	HealBrake(ctx context.Context) (makegood.Brake, error)
	HouseValue(ctx context.Context, name string, first func() string) (string, error)
	KeepHouseValue(ctx context.Context, name, value string) error
}

// Record is where people read what was done. Its methods say how it is and may be called again; what they cannot keep they log.
type Record interface {
	// Line adds a line to the record of an incident; without an id it does nothing.
	Line(ctx context.Context, incidentID string, kind makegood.MomentKind, text string)
	// Found opens an incident of the healer's own: HealRefused, HealFailed or Healed of a target. felt is whether people feel the
	// trouble that it is about: what nobody feels yet wakes nobody.
	Found(ctx context.Context, check, target, detail string, felt bool)
	// Cleared ends it.
	Cleared(ctx context.Context, check, target, why string)
}

// The checks of the healer's own findings.
const (
	HealRefused = "heal-refused" // it should be mended and cannot be, and a person can change that
	HealFailed  = "heal-failed"  // an attempt did not help
	Healed      = "healed"       // it was mended; the cause is still to be found
)

// Options are what a healer stands on.
type Options struct {
	Ledger  Ledger
	Outside Outside
	Record  Record
	Holder  string // who we are, in the ledger
	Limits  makegood.HealLimits
	Now     func() time.Time // for times that are kept; waiting is by the machine's own time
	NewID   func(prefix string) string
	Log     *slog.Logger
	// Changed is told of every change of an attempt, for whoever watches; nil is nobody. It must not block.
	Changed func(makegood.HealAttempt)
}

// The pace of the healer, and its patience.
const (
	// DefaultPatience is longer than a blip of a minute.
	DefaultPatience = 61 * time.Second
	// DefaultStartWithin is SPEC C5: six minutes at most.
	DefaultStartWithin  = 6 * time.Minute
	DefaultSteady       = 2
	DefaultVerifyEvery  = time.Second
	DefaultVerifyWithin = time.Minute

	// lookEvery is how often troubles are looked for.
	lookEvery = time.Second
	// askTimeout bounds one question to a place or to the source of truth, and actTimeout one change, a command included.
	askTimeout = 15 * time.Second
	actTimeout = 90 * time.Second
	// lease is after how long without a word whoever has an attempt is taken for dead; it is renewed three times as often.
	lease = 15 * time.Second
	// pollEvery is how often a run is asked how far it is, and brakeEvery how often the brake is looked at: whoever puts it on is
	// obeyed within a second. No change is made on a look at it that is older.
	pollEvery  = time.Second
	brakeEvery = 500 * time.Millisecond
	// resumeWithin is how old an attempt may be that somebody died over and that is gone on with. After it the world is another.
	resumeWithin = 15 * time.Minute
	// adoptTries is how often a run is looked for whose name was lost, pollEvery apart.
	adoptTries = 10
	// changeTries is how often a change is tried that the place did not take and that may be repeated without harm.
	changeTries = 3
	// askAgain is after how long a target is looked into again that was not mended: a place takes a few hundred questions in
	// five minutes, and a look is three.
	askAgain = 5 * time.Second
	// serveBack is how far back those who waited are looked for when nobody knows since when it was broken.
	serveBack = time.Hour
	// serveWithin is for how long we stay with those who waited, serveEvery apart.
	serveWithin = 2 * time.Minute
	serveEvery  = time.Second
	// serveFound is for how long we look for a server that can be asked: an older one never will be, and until then nobody is
	// told that it is fixed.
	serveFound = 10 * time.Second
	// refusalAgain is after how long the same refusal of the same trouble is written down again.
	refusalAgain = 10 * time.Minute
	// healthyLeast is which share of everything else must be well; downLeast is how much must be down to speak of a mass.
	healthyLeast = 0.5
	downLeast    = 2
)
