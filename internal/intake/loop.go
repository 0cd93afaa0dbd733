package intake

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// The window and its bounds (SPEC B2). The store's unique key protects for ever; the window only spares it the work when
// one and the same delivery arrives again and again.
const (
	windowLength = makegood.SignatureTolerance
	// windowMax bounds the marks of one half of the window; with 32 bytes each, both halves hold about 6 MB. Beyond it the
	// window is shorter, and the store does the work.
	windowMax = 50_000
	// loopLeast is how many deliveries a source must have had in the window before their share says anything.
	loopLeast = 20
)

// mark identifies one delivery: its source, what proves it, and its body.
type mark [sha256.Size]byte

// markOf hashes the body and the headers that belong to a proof, whatever the provider calls them. A header too many only
// makes the window miss a repetition. A delivery without any is a ping of a provider who signs nothing: the same words
// again may tell of something new then, so it has no mark.
func markOf(source string, d provider.Delivery) (m mark, ok bool) {
	proof := proofHeaders(d.Header)
	if len(proof) == 0 {
		return m, false
	}
	h := sha256.New()
	h.Write([]byte(source))
	h.Write([]byte{0})
	h.Write(d.Body)
	for _, name := range proof {
		for _, value := range d.Header[name] {
			h.Write([]byte("\x00" + name + "\x00" + value))
		}
	}
	h.Sum(m[:0])
	return m, true
}

func proofHeaders(header http.Header) []string {
	var names []string
	for name := range header {
		if strings.Contains(name, "Signature") || strings.Contains(name, "Hmac") || strings.Contains(name, "Transmission") ||
			strings.HasPrefix(name, "Webhook-") || strings.HasPrefix(name, "Svix-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// window remembers the deliveries of the last minutes, in two halves of which the older is dropped as a whole.
type window struct {
	now      func() time.Time
	mu       sync.Mutex
	recent   map[mark]struct{}
	older    map[mark]struct{}
	turnedAt time.Time
}

func newWindow(now func() time.Time) *window {
	return &window{now: now, recent: map[mark]struct{}{}, turnedAt: now()}
}

func (w *window) has(m mark) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	_, isRecent := w.recent[m]
	_, isOlder := w.older[m]
	return isRecent || isOlder
}

func (w *window) add(m mark) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn()
	w.recent[m] = struct{}{}
}

// turn drops the older half when the recent one is half the window's length old, or full.
func (w *window) turn() {
	age := w.now().Sub(w.turnedAt)
	if age >= 0 && age < windowLength/2 && len(w.recent) < windowMax {
		return
	}
	w.older, w.recent = w.recent, make(map[mark]struct{}, len(w.recent))
	if age < 0 || age >= windowLength {
		w.older = nil
	}
	w.turnedAt = w.now()
}

// share counts the deliveries of a source in the last minutes, and how many of them were repetitions.
type share struct {
	now     func() time.Time
	mu      sync.Mutex
	buckets [10]struct {
		slot          int64
		all, repeated int
	}
	looping bool
}

const slotLength = windowLength / 10

// count adds a delivery and reports whether a loop begins with it.
func (s *share) count(repeated bool) (began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.now().UnixNano() / int64(slotLength)
	b := &s.buckets[slot%10]
	if b.slot != slot {
		b.slot, b.all, b.repeated = slot, 0, 0
	}
	b.all++
	if repeated {
		b.repeated++
	}
	was := s.looping
	s.looping = s.exceeds()
	return s.looping && !was
}

// isLoop reports whether more than half of the deliveries of the window were repetitions.
func (s *share) isLoop() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looping = s.exceeds()
	return s.looping
}

func (s *share) exceeds() bool {
	oldest := s.now().UnixNano()/int64(slotLength) - 9
	all, repeated := 0, 0
	for _, b := range s.buckets {
		if b.slot >= oldest {
			all += b.all
			repeated += b.repeated
		}
	}
	return all >= loopLeast && 2*repeated > all
}
