package simulate

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// SentryOptions are what a pretend Sentry is made of. Every field has a useful zero value.
type SentryOptions struct {
	// Key is the only public key accepted, 32 letters d by default.
	Key string
	// Project is the only project there is, 1 by default.
	Project string
	// Now is the clock for everything stored, time.Now by default.
	Now func() time.Time
	// Rand is where ids come from for events that have none, crypto/rand by default.
	Rand io.Reader
}

// ErrorReport is an event that was accepted: what Sentry would have been told of one error.
type ErrorReport struct {
	ID          string            `json:"event_id"`
	Message     string            `json:"message"`
	Level       string            `json:"level"`
	Release     string            `json:"release"`
	Environment string            `json:"environment"`
	Server      string            `json:"server_name"`
	Fingerprint []string          `json:"fingerprint"`
	Tags        map[string]string `json:"tags"`
	Exception   []ErrorException  `json:"exception"`
	// Raw is the event as it came.
	Raw        json.RawMessage `json:"-"`
	ReceivedAt time.Time       `json:"-"`
}

// ErrorException is the error's text and, for a panic, the calls that led to it, outermost first.
type ErrorException struct {
	Type       string `json:"type"`
	Value      string `json:"value"`
	Stacktrace struct {
		Frames []ErrorFrame `json:"frames"`
	} `json:"stacktrace"`
}

// ErrorFrame is one call.
type ErrorFrame struct {
	Function string `json:"function"`
	Module   string `json:"module"`
	File     string `json:"filename"`
	Line     int    `json:"lineno"`
	InApp    bool   `json:"in_app"`
}

// MonitorCheckIn is a check-in of a cron monitor that was accepted.
type MonitorCheckIn struct {
	ID          string  `json:"check_in_id"`
	Slug        string  `json:"monitor_slug"`
	Status      string  `json:"status"`
	Seconds     float64 `json:"duration"`
	Release     string  `json:"release"`
	Environment string  `json:"environment"`
	// Config is how the monitor is to be made, empty if the check-in does not say.
	Config     json.RawMessage `json:"monitor_config"`
	ReceivedAt time.Time       `json:"-"`
}

// SentryFaults are the ways in which a pretend Sentry can misbehave. The zero value behaves well.
type SentryFaults struct {
	// Fail is asked about each envelope with a good key, counted from 1, before it is read; a status (or Hang, or Abort)
	// other than 0 is the answer, and nothing is kept.
	Fail func(n int, r *http.Request) int
	// RetryAfter and RateLimits are the headers Retry-After, in whole seconds, and X-Sentry-Rate-Limits, such as
	// "60:error:organization", of every answer to an envelope, also of a good one.
	RetryAfter time.Duration
	RateLimits string
	// Latency is added to every envelope.
	Latency time.Duration
}

// Sentry is a pretend Sentry that remembers what it was told. It is an http.Handler with the ingestion of envelopes at
// /api/{project}/envelope/ and a page of what would have been sent at /. All methods may be called from several goroutines
// at once. It has no goroutines of its own; Close is only needed to end answers that hang.
type Sentry struct {
	options SentryOptions
	handler http.Handler
	stop    chan struct{}
	closing sync.Once

	mu        sync.Mutex
	faults    SentryFaults
	calls     int
	envelopes [][]byte
	reports   []ErrorReport
	checkIns  []MonitorCheckIn
}

var _ http.Handler = (*Sentry)(nil)

// NewSentry returns a Sentry that was told nothing yet.
func NewSentry(o SentryOptions) *Sentry {
	setDefault(&o.Key, strings.Repeat("d", 32))
	setDefault(&o.Project, "1")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	s := &Sentry{options: o, stop: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/{project}/envelope/{$}", s.ingest)
	mux.HandleFunc("GET /{$}", s.showReports)
	s.handler = mux
	return s
}

// ServeHTTP answers the ingestion and the page.
func (s *Sentry) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends answers that hang. Closing twice is harmless.
func (s *Sentry) Close() { s.closing.Do(func() { close(s.stop) }) }

// DSN is what a program is given to report here, when the Sentry is served at base, such as http://127.0.0.1:8080.
func (s *Sentry) DSN(base string) string {
	scheme, host, _ := strings.Cut(base, "://")
	return scheme + "://" + s.options.Key + "@" + strings.TrimSuffix(host, "/") + "/" + s.options.Project
}

// SetFaults replaces the faults from now on.
func (s *Sentry) SetFaults(faults SentryFaults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Calls is how many envelopes came with a good key, also those that a fault refused.
func (s *Sentry) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Reports are the errors that were accepted, oldest first.
func (s *Sentry) Reports() []ErrorReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]ErrorReport(nil), s.reports...)
}

// CheckIns are the check-ins that were accepted, oldest first.
func (s *Sentry) CheckIns() []MonitorCheckIn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]MonitorCheckIn(nil), s.checkIns...)
}

// Envelopes are all accepted envelopes as they came, unpacked, oldest first: every byte that left.
func (s *Sentry) Envelopes() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]byte(nil), s.envelopes...)
}

// Reset forgets what it was told.
func (s *Sentry) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.envelopes, s.reports, s.checkIns = 0, nil, nil, nil
}

// ingest takes one envelope, as the real one does: a good key or 403, a readable envelope or 400, then 200 with the id.
func (s *Sentry) ingest(w http.ResponseWriter, r *http.Request) {
	body, err := readEnvelope(w, r)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) || errors.Is(err, errTooLarge) {
		sentryAnswer(http.StatusRequestEntityTooLarge, "detail", "envelope exceeded size limits").write(w)
		return
	} else if err != nil {
		sentryAnswer(http.StatusBadRequest, "detail", "failed to read the request body").write(w)
		return
	}
	header, items, err := parseEnvelope(body)
	if key := keyOf(r, header.DSN); key == "" {
		sentryAnswer(http.StatusUnauthorized, "detail", "missing authorization information").write(w)
		return
	} else if key != s.options.Key || r.PathValue("project") != s.options.Project {
		sentryAnswer(http.StatusForbidden, "detail", "event submission rejected with_reason: ProjectId").write(w)
		return
	}
	if s.misbehaves(w, r) {
		return
	}
	var kept kept
	if err == nil {
		kept, err = s.read(header, items)
	}
	if err != nil {
		sentryAnswer(http.StatusBadRequest, "detail", "invalid envelope: "+err.Error()).write(w)
		return
	}
	s.keep(body, kept)
	sentryAnswer(http.StatusOK, "id", kept.id).write(w)
}

// misbehaves counts the envelope and answers it as the faults want, if they want anything.
func (s *Sentry) misbehaves(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	s.calls++
	n, faults := s.calls, s.faults
	s.mu.Unlock()
	if faults.Latency > 0 {
		waitFor(r.Context(), s.stop, faults.Latency)
	}
	if faults.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(faults.RetryAfter.Seconds())))
	}
	if faults.RateLimits != "" {
		w.Header().Set("X-Sentry-Rate-Limits", faults.RateLimits)
	}
	if faults.Fail == nil {
		return false
	}
	status := faults.Fail(n, r)
	if status == 0 {
		return false
	}
	misbehave(w, r, s.stop, status, sentryAnswer(status, "detail", cmp.Or(http.StatusText(status), "fault")))
	return true
}

// kept is what one envelope tells.
type kept struct {
	id       string
	reports  []ErrorReport
	checkIns []MonitorCheckIn
}

// read takes the events and check-ins out of the items. Other items (client reports, sessions) tell of nobody's errors and
// are only in Envelopes.
func (s *Sentry) read(header envelopeHeader, items []envelopeItem) (kept, error) {
	k := kept{id: header.EventID}
	now := s.options.Now().UTC()
	for _, item := range items {
		switch item.kind {
		case "event":
			report := ErrorReport{Raw: item.payload, ReceivedAt: now}
			if err := json.Unmarshal(item.payload, &report); err != nil {
				return kept{}, errors.New("an event is not JSON")
			}
			report.ID = cmp.Or(report.ID, header.EventID, strings.ReplaceAll(newUUID(s.options.Rand), "-", ""))
			k.reports = append(k.reports, report)
		case "check_in":
			checkIn := MonitorCheckIn{ReceivedAt: now}
			if err := json.Unmarshal(item.payload, &checkIn); err != nil || !monitorSlug.MatchString(checkIn.Slug) {
				return kept{}, errors.New("a check-in is not one")
			}
			k.checkIns = append(k.checkIns, checkIn)
		}
	}
	return k, nil
}

// monitorSlug is the form of Sentry's slugs.
var monitorSlug = regexp.MustCompile(`^[a-z0-9_-]{1,50}$`)

func (s *Sentry) keep(body []byte, k kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.envelopes = newestOf(append(s.envelopes, body))
	s.reports = newestOf(append(s.reports, k.reports...))
	s.checkIns = newestOf(append(s.checkIns, k.checkIns...))
}

func newestOf[T any](all []T) []T {
	return append([]T(nil), all[max(len(all)-envelopesMax, 0):]...)
}

// showReports is the page of what would have been sent, newest first.
func (s *Sentry) showReports(w http.ResponseWriter, _ *http.Request) {
	reports, checkIns := s.Reports(), s.CheckIns()
	showPage(w, http.StatusOK, "sentry", map[string]any{"Reports": newestFirst(reports), "CheckIns": newestFirst(checkIns)})
}

func newestFirst[T any](all []T) []T {
	var page []T
	for i := len(all) - 1; i >= 0 && len(page) < pageRowsMax; i-- {
		page = append(page, all[i])
	}
	return page
}

// sentryAnswer is an answer in Sentry's form: an id, or why not as its detail.
func sentryAnswer(status int, name, value string) answer {
	body, err := json.Marshal(map[string]string{name: value})
	if err != nil {
		panic("simulate: " + err.Error()) // unreachable: strings only
	}
	return answer{status: status, body: body}
}

// sentryKey finds the public key in X-Sentry-Auth.
var sentryKey = regexp.MustCompile(`(?:^Sentry |[ ,])sentry_key=([^ ,]+)`)

// keyOf is the key of a request: in its header, its query, or the DSN of the envelope, in this order.
func keyOf(r *http.Request, dsn string) string {
	if m := sentryKey.FindStringSubmatch(r.Header.Get("X-Sentry-Auth")); m != nil {
		return m[1]
	}
	if key := r.URL.Query().Get("sentry_key"); key != "" {
		return key
	}
	if u, err := url.Parse(dsn); err == nil {
		return u.User.Username()
	}
	return ""
}

var errTooLarge = errors.New("simulate: too large when unpacked")

// readEnvelope reads a body, unpacked if it is packed, and bounded either way.
func readEnvelope(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, requestBytesMax)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unpacked
	}
	b, err := io.ReadAll(io.LimitReader(body, requestBytesMax+1))
	if err == nil && len(b) > requestBytesMax {
		err = errTooLarge
	}
	return b, err
}

type envelopeHeader struct {
	EventID string `json:"event_id"`
	DSN     string `json:"dsn"`
}

type envelopeItem struct {
	kind    string
	payload []byte
}

// parseEnvelope reads an envelope: a line of JSON, then for each item a line of JSON and a payload, which has the length
// that its line says, or else ends with the line (https://develop.sentry.dev/sdk/data-model/envelopes/).
func parseEnvelope(body []byte) (envelopeHeader, []envelopeItem, error) {
	var header envelopeHeader
	line, rest, _ := bytes.Cut(body, []byte("\n"))
	if err := json.Unmarshal(line, &header); err != nil {
		return header, nil, errors.New("the header is not JSON")
	}
	var items []envelopeItem
	for len(bytes.TrimSpace(rest)) > 0 {
		if len(items) == itemsMax {
			return header, nil, errors.New("too many items")
		}
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		var itemHeader struct {
			Type   string `json:"type"`
			Length *int   `json:"length"`
		}
		if err := json.Unmarshal(line, &itemHeader); err != nil || itemHeader.Type == "" {
			return header, nil, errors.New("the header of an item is not JSON, or has no type")
		}
		item := envelopeItem{kind: itemHeader.Type}
		if itemHeader.Length == nil {
			item.payload, rest, _ = bytes.Cut(rest, []byte("\n"))
		} else if n := *itemHeader.Length; n < 0 || n > len(rest) {
			return header, nil, errors.New("an item is shorter than it says")
		} else {
			item.payload, rest = rest[:n], bytes.TrimPrefix(rest[n:], []byte("\n"))
		}
		items = append(items, item)
	}
	return header, items, nil
}
