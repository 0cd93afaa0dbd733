package makegood

import "time"

// Entry is one line of the audit: who did what to which thing, when, and what it was before and after. Entries are only
// ever added. They carry ids and states, never a customer's address, a key or a secret.
type Entry struct {
	ID     string // sorts by time
	At     time.Time
	Actor  string // for example "event:evt…", "operator:cli", "system:effects"
	Action string // noun.verb, for example "license.issued"
	Target string // an id of ours
	Before string // the state before, "" when there was none
	After  string
}
