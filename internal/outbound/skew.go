package outbound

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Skew is how far our clock was from that of one destination, by the Date of its last answer that had one (RFC 9110, 6.6.1).
type Skew struct {
	Target string // scheme and host
	// By is how much our clock is ahead at least; negative is behind. What the way and the whole seconds of Date leave
	// open is taken off, so that zero is all that a good clock ever shows.
	By time.Duration
	At time.Time // by our clock
}

// skewsMax bounds the destinations that are remembered. A client has a handful.
const skewsMax = 64

// skews remembers the last measure of each destination.
type skews struct {
	mu  sync.Mutex
	all map[string]Skew
}

// Skews returns the last measure of every destination that told its time, sorted by target.
func (c *Client) Skews() []Skew {
	c.skews.mu.Lock()
	defer c.skews.mu.Unlock()
	list := make([]Skew, 0, len(c.skews.all))
	for _, s := range c.skews.all {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Skew) int { return strings.Compare(a.Target, b.Target) })
	return list
}

// measure takes the time that an answer tells. The answer was made between sent and received, and its Date cuts off the
// fraction of its second; of that interval the best case for our clock is kept. An answer with an Age comes from a cache
// and tells the time of another day.
func (s *skews) measure(target string, header http.Header, sent, received time.Time) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" || received.Before(sent) {
		return
	}
	by := time.Duration(0)
	if ahead := sent.Sub(date.Add(time.Second)); ahead > 0 {
		by = ahead
	} else if behind := received.Sub(date); behind < 0 {
		by = behind
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.all[target]; !known && len(s.all) >= skewsMax {
		return
	}
	s.all[target] = Skew{Target: target, By: by, At: received}
}
