package makegood

import (
	"strings"
	"time"
)

// Silence is a time in which nobody is told of incidents whose key fits the pattern. Looking and writing down go on, and who
// was told that something began is told that it is over.
type Silence struct {
	ID      string    `json:"id"`
	Pattern string    `json:"pattern"` // see MatchKey
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	Reason  string    `json:"reason"`
	By      string    `json:"by"`
}

// Covers reports whether the silence holds for a key at a time.
func (s Silence) Covers(key string, now time.Time) bool {
	return !now.Before(s.From) && now.Before(s.Until) && MatchKey(s.Pattern, key)
}

// MatchKey reports whether the key of a finding fits a pattern, in which each * stands for any text: monitor/* fits every
// monitor.
func MatchKey(pattern, key string) bool {
	first, rest, hasStar := strings.Cut(pattern, "*")
	key, ok := strings.CutPrefix(key, first)
	if !ok || !hasStar {
		return ok && key == ""
	}
	for {
		var part string
		part, rest, hasStar = strings.Cut(rest, "*")
		if !hasStar {
			return strings.HasSuffix(key, part)
		}
		_, after, found := strings.Cut(key, part)
		if !found {
			return false
		}
		key = after
	}
}

// ChannelTest is how the last test of a channel ended.
type ChannelTest struct {
	At      time.Time `json:"at"`
	Trouble string    `json:"trouble,omitempty"`
}
