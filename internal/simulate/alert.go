package simulate

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// AlertOptions are what every pretend service that carries alerts is made of. Every field has a useful zero value.
type AlertOptions struct {
	// Now is the clock for everything stored, time.Now by default.
	Now func() time.Time
	// Rand is where ids come from, crypto/rand by default. It need not be safe for concurrent use.
	Rand io.Reader
}

// AlertFaults are the ways in which a service that carries alerts can misbehave. The zero value behaves well.
type AlertFaults struct {
	// Latency is added to every call before it acts.
	Latency time.Duration
	// Fail is asked before a call acts; a status (or Hang, or Abort) other than 0 is the answer, in the service's own
	// words, and nothing happens.
	Fail func(*http.Request) int
	// FailAfter is asked after a call has acted; a status (or Hang, or Abort) other than 0 replaces the answer.
	FailAfter func(*http.Request) int
	// RetryAfter is how long 429 asks for; 3 seconds by default.
	RetryAfter time.Duration
}

// Accepted is one thing that a service took: for the log of a drill.
type Accepted struct {
	Channel string    `json:"channel"`
	ID      string    `json:"id"`    // as the service calls it
	Kind    string    `json:"kind"`  // what was done, such as post, update, trigger, resolve, close
	Title   string    `json:"title"` // its first words
	At      time.Time `json:"at"`
}

// alertDesk is what the services have in common: clock, faults, and the log.
type alertDesk struct {
	channel string
	now     func() time.Time
	rand    io.Reader
	refuse  func(d *alertDesk, r *http.Request, status int) alertAnswer
	handler http.Handler
	stop    chan struct{}
	closing sync.Once

	mu     sync.Mutex
	faults AlertFaults
	log    []Accepted
	calls  int
}

// alertAnswer is a status, headers and a body.
type alertAnswer struct {
	status int
	header map[string]string
	body   any // JSON, or a string as it is
}

func newAlertDesk(channel string, o AlertOptions, refuse func(*alertDesk, *http.Request, int) alertAnswer) *alertDesk {
	d := &alertDesk{channel: channel, now: o.Now, rand: o.Rand, refuse: refuse, stop: make(chan struct{})}
	if d.now == nil {
		d.now = time.Now
	}
	if d.rand == nil {
		d.rand = rand.Reader
	}
	return d
}

// SetFaults replaces the faults from now on. Zero AlertFaults end all misbehaviour.
func (d *alertDesk) SetFaults(faults AlertFaults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = faults
}

// Log lists what was taken, oldest first.
func (d *alertDesk) Log() []Accepted {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.log)
}

// Calls is how many requests came, refused ones included.
func (d *alertDesk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Close ends answers that hang. Closing twice is harmless.
func (d *alertDesk) Close() { d.closing.Do(func() { close(d.stop) }) }

// took writes the log. The lock is held.
func (d *alertDesk) took(id, kind, title string) {
	title, _, _ = strings.Cut(title, "\n")
	d.log = append(d.log, Accepted{d.channel, id, kind, title, d.now().UTC()})
	if len(d.log) > alertLogMax {
		d.log = slices.Delete(d.log, 0, len(d.log)-alertLogMax)
	}
}

// ServeHTTP misbehaves if asked to, and serves.
func (d *alertDesk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.calls++
	faults := d.faults
	d.mu.Unlock()
	body, err := readBody(w, r)
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if status := ask(faults.Fail, r); status != 0 {
		d.misbehave(w, r, status)
		return
	}
	waitFor(r.Context(), d.stop, faults.Latency)
	rec := &recorder{header: http.Header{}}
	d.handler.ServeHTTP(rec, r)
	if status := ask(faults.FailAfter, r); status != 0 {
		d.misbehave(w, r, status)
		return
	}
	rec.WriteHeader(http.StatusOK)
	for name, values := range rec.sent {
		w.Header()[name] = values
	}
	w.WriteHeader(rec.status)
	_, _ = w.Write(rec.body.Bytes()) // a client that has gone away misses its answer
}

func (d *alertDesk) misbehave(w http.ResponseWriter, r *http.Request, status int) {
	if status == Hang || status == Abort {
		misbehave(w, r, d.stop, status, answer{})
		return
	}
	d.refuse(d, r, status).write(w)
}

// retryAfter is how long 429 asks for, in seconds.
func (d *alertDesk) retryAfter() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(cmp.Or(d.faults.RetryAfter, alertRetryAfter).Seconds())
}

func (a alertAnswer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if text, ok := a.body.(string); ok {
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		}
		w.WriteHeader(cmp.Or(a.status, http.StatusOK))
		_, _ = io.WriteString(w, text) // a client that has gone away misses its answer
		return
	}
	body, err := json.Marshal(a.body)
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: our own types
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	_, _ = w.Write(body) // a client that has gone away misses its answer
}

// alertHandler makes a handler of what answers.
func alertHandler(act func(*http.Request) alertAnswer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { act(r).write(w) }
}

// waiting are the headers of an answer that asks to wait.
func (d *alertDesk) waiting(status int) map[string]string {
	if status != http.StatusTooManyRequests {
		return nil
	}
	return map[string]string{"Retry-After": strconv.Itoa(d.retryAfter())}
}

// hasBearer reports whether the request carries a token.
func hasBearer(r *http.Request, token string) bool {
	return r.Header.Get("Authorization") == "Bearer "+token
}

// newHex returns prefix followed by n hexadecimal digits.
func newHex(random io.Reader, prefix string, n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	mustRead(random, b)
	for i := range b {
		b[i] = digits[b[i]&15]
	}
	return prefix + string(b)
}
