package makegood

import "time"

// BeatKind is what something that reports by itself says.
type BeatKind string

const (
	BeatStart   BeatKind = "start"
	BeatSuccess BeatKind = "success"
	BeatFail    BeatKind = "fail"
)

// Beat is what it last said.
type Beat struct {
	FirstSeenAt time.Time // since when it is expected
	StartedAt   time.Time
	SucceededAt time.Time
	FailedAt    time.Time
	Took        time.Duration // of the last run that said when it began
	Note        string        // of the last failure
}

// Say learns a report.
func (b *Beat) Say(kind BeatKind, note string, now time.Time) {
	if kind == BeatStart {
		b.StartedAt = now
		return
	}
	ended := later(b.SucceededAt, b.FailedAt)
	if !b.StartedAt.IsZero() && !b.StartedAt.Before(ended) {
		b.Took = max(0, now.Sub(b.StartedAt)) // the clock may have been set back meanwhile
	}
	if kind == BeatFail {
		b.FailedAt, b.Note = now, note
		return
	}
	b.SucceededAt, b.Note = now, ""
}

// PeerBeat is what server and watcher tell each other every few seconds, signed: that they are alive, that they get on, and
// how well they could tell people.
type PeerBeat struct {
	From     string    `json:"from"`
	Role     string    `json:"role"`     // server or watcher
	Sequence int64     `json:"sequence"` // rises; an old one heard again is refused
	At       time.Time `json:"at"`       // by the sender's clock
	// Host tells two processes of one machine: a fingerprint of it.
	Host string `json:"host"`
	// Boot tells a restart.
	Boot      string `json:"boot"`
	Drill     bool   `json:"drill,omitempty"`
	Incidents int    `json:"incidents"` // open ones
	// UnsentSince is since when the oldest notice waits that is due; zero when none does.
	UnsentSince time.Time `json:"unsent_since,omitzero"`
	// Blind is that the sender cannot see the network.
	Blind bool `json:"blind,omitempty"`
	// BackupAt is when the newest proved backup was made; zero when there is none.
	BackupAt time.Time `json:"backup_at,omitzero"`
	// Ails are the keys of the server's open incidents with their first red look, at most AilsMax of them: whoever may heal
	// reads there what the server cannot heal itself.
	Ails map[string]time.Time `json:"ails,omitempty"`
	// Secrets are the fingerprints of the secrets that the server runs with, by the variable that each came from. Passwords, which
	// could be guessed against them, are left out.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Ill is what the sender knows to be wrong with itself; "" when nothing is.
	Ill string `json:"ill,omitempty"`
}

// AilsMax bounds what a beat says of open incidents, so that it stays a few kilobytes.
const AilsMax = 50
