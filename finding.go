package makegood

import (
	"fmt"
	"time"
)

// Priority says who is told of an incident and how soon. The four and what they mean are SPEC B11; which channels serve
// them is an [Escalation].
type Priority string

const (
	P0 Priority = "P0" // payments or goods stand still: everybody at once
	P1 Priority = "P1" // it will soon: somebody within 15 minutes
	P2 Priority = "P2" // it gets worse: somebody within the hour
	P3 Priority = "P3" // worth knowing: written down
)

// Priorities lists every priority once, the gravest first.
func Priorities() []Priority { return []Priority{P0, P1, P2, P3} }

// Graver reports whether p is graver than q.
func (p Priority) Graver(q Priority) bool { return p < q }

// ParsePriority reads "P0" to "P3".
func ParsePriority(s string) (Priority, error) {
	switch p := Priority(s); p {
	case P0, P1, P2, P3:
		return p, nil
	}
	return "", fmt.Errorf("%q is none of P0, P1, P2, P3", s)
}

// Check is one thing that is looked at again and again.
type Check struct {
	Code      string        // stable; docs/runbooks/CODE.md says what to do
	Title     string        // what is wrong when it is red, in a few words
	Means     string        // what that means for customers, as a sentence
	Priority  Priority      // of its findings
	Every     time.Duration // between two looks
	Again     time.Duration // between two looks while it is suspect
	Failures  int           // how many looks in a row must be red before it is believed; at least 1
	Successes int           // how many must be green before it is over; at least 1
}

// Finding is what the looks of one check agree on: something is wrong, and this is what was seen.
type Finding struct {
	Check     string   // the code
	Subject   string   // which of several it is about: a source, a monitor, a channel; "" when there is only one
	Priority  Priority // of the check, or graver
	Title     string
	Detail    string // the condition that failed with its actual value; free of secrets and addresses of people
	Means     string
	DependsOn []string  // keys of incidents that explain this one: while one of them is open nobody is told of this
	Since     time.Time // the first red look
}

// FindingKey makes one incident of all findings that have the same check and subject.
func FindingKey(check, subject string) string {
	if subject == "" {
		return check
	}
	return check + "/" + subject
}

// Key is the finding's FindingKey.
func (f Finding) Key() string { return FindingKey(f.Check, f.Subject) }
