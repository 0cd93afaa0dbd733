package telemetry

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/makegood/makegood/internal/secret"
)

// The limits of reporting. Sentry itself takes events of at most 1 MiB and tags of at most 200 characters.
const (
	reportsWaiting = 100              // reports that may wait to be sent; with all their text at its limit they are 5 MiB
	sendWithin     = 10 * time.Second // one report
	closeWithin    = 5 * time.Second  // all that still wait when the program ends
	quiet          = time.Minute      // how long the same error is not reported again
	knownMax       = 1000             // errors that are remembered for that
	errBytesMax    = 16 << 10         // of an error's text before it is scrubbed
	stackBytesMax  = 32 << 10         // of a stack's text
	valueBytesMax  = 4 << 10          // of an error's text when it is sent
	tagBytesMax    = 200
	slugBytesMax   = 50
)

// reportedFacts is the allow-list of attributes that leave with a report, as tags. Everything else stays in the log.
var reportedFacts = map[string]bool{"component": true, "source": true, "kind": true, "route": true, "job": true, "check": true,
	"channel": true, "code": true, "attempt": true, "status": true, "request": true}

// The attributes that are no tags: the error's text, and the stack of a panic.
const (
	errFact   = "err"
	stackFact = "stack"
)

// ReporterOptions are what a Reporter is made of. Only the DSN decides whether anything is ever sent.
type ReporterOptions struct {
	// DSN is where reports go, of Sentry or of what speaks like it. Empty sends nothing anywhere.
	DSN secret.Value
	// Environment and Release are on every report; "production" and "unknown" when empty.
	Environment, Release string
	// Server names this machine on every report. Empty names none: the machine's own name never leaves.
	Server string
	// Monitors says how often each slug checks in, so that Sentry makes the monitor itself. A slug that is missing here
	// must have been made in Sentry, which otherwise refuses its check-ins.
	Monitors map[string]time.Duration
	// Log hears, as a warning and once, that reports are not taken, and once that they are again. Nil is silence.
	Log *slog.Logger
	// Metrics counts what became of the reports, in error_reports_total. Nil counts for nobody.
	Metrics *Metrics
	// HTTP carries the reports; a transport of its own when nil. It must honour the context of a request.
	HTTP http.RoundTripper
	// Now is the clock for "at most once a minute", time.Now when nil.
	Now func() time.Time
	// Random is where ids of reports come from, crypto/rand when nil.
	Random io.Reader
}

// Reporter tells an error tracker what the log calls an error. Make it with NewReporter. All methods are safe for
// concurrent use, never wait for the network (but for Close) and never fail: a tracker that is away, slow, full or wrong
// costs reports, which are counted, and nothing else. Reports that wait are lost in a crash; the log has them.
//
// It uses Sentry's transport and events, and not its client: that reads the environment, asks git for a version, adds the
// name of the machine and the list of modules to every event, and starts goroutines. What leaves is what event and checkIn
// below put together, and nothing adds to it.
type Reporter struct {
	options ReporterOptions
	results *CounterVec

	queue   chan report // nil sends nothing
	cancel  context.CancelFunc
	done    chan struct{}
	courier *sentry.HTTPSyncTransport
	client  *http.Client
	witness *witness

	mu      sync.Mutex
	closed  bool
	known   map[errorKey]*repetition
	refused bool // the last report was not taken; only the sender knows it
}

// report is what waits to be sent: either an error or a check-in.
type report struct {
	at      time.Time
	message string
	facts   map[string]string // tags, err and stack, not scrubbed yet
	frames  []sentry.Frame
	key     errorKey
	leftOut int // how many like it were not reported before it

	slug string // of a check-in
	ok   bool
	took time.Duration
}

// errorKey is what makes two errors the same: the constant message, who says it, and for a panic where it was.
type errorKey struct{ message, component, where string }

// repetition is when an error was last reported, and how many of it have been left out since.
type repetition struct {
	at      time.Time
	leftOut int
}

// What becomes of a report, as counted in error_reports_total{result}.
const (
	resultSent     = "sent"
	resultRepeated = "repeated" // the same within a minute
	resultDropped  = "dropped"  // too many wait, or the program ended first
	resultLimited  = "limited"  // the tracker asked us to wait
	resultRefused  = "refused"  // the tracker said no
	resultFailed   = "failed"   // the tracker did not answer
)

// NewReporter makes a Reporter. With an empty DSN it has no goroutine and no connection, and its Handler is the handler it
// is given. A DSN that cannot be read is an error that does not repeat it. Close ends the Reporter.
func NewReporter(o ReporterOptions) (*Reporter, error) {
	if o.DSN.Empty() {
		return &Reporter{}, nil
	}
	if _, err := sentry.NewDsn(o.DSN.Reveal()); err != nil { // whose text may hold the DSN
		return nil, errors.New("the DSN for error reports cannot be read; it must look like https://KEY@HOST/PROJECT")
	}
	o.Environment, o.Release = cmp.Or(o.Environment, "production"), cmp.Or(o.Release, "unknown")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.HTTP == nil {
		o.HTTP = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 1,
			IdleConnTimeout: time.Minute, TLSHandshakeTimeout: sendWithin}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	r := &Reporter{options: o, known: map[errorKey]*repetition{}, queue: make(chan report, reportsWaiting), done: make(chan struct{})}
	r.results = o.Metrics.Counter("error_reports_total", "What became of reports to the error tracker.", "result")
	r.witness = &witness{next: o.HTTP}
	r.client = &http.Client{Transport: r.witness, Timeout: sendWithin,
		// A report goes where the operator said, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	r.courier = sentry.NewHTTPSyncTransport()
	r.courier.Configure(sentry.ClientOptions{Dsn: o.DSN.Reveal(), HTTPClient: r.client})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.sendAll(ctx) // ended by Close
	return r, nil
}

// Close takes no more reports and sends those that wait until ctx ends, five seconds at most; then it gives up, counts them
// as dropped and returns the context's error. A second Close does nothing but wait.
func (r *Reporter) Close(ctx context.Context) error {
	if r.queue == nil {
		return nil
	}
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, closeWithin)
	defer cancel()
	defer r.client.CloseIdleConnections()
	defer r.cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
	}
	r.cancel() // ends the request in flight; the rest is counted and thrown away, which takes no time
	<-r.done
	return fmt.Errorf("send the last error reports: %w", ctx.Err())
}

// CheckIn tells Sentry's cron monitors that a regular task was done, well or not, and how long it took. The slug is
// brought into Sentry's form: small letters, digits and hyphens, 50 at most.
func (r *Reporter) CheckIn(slug string, ok bool, took time.Duration) {
	if r.queue == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.enqueue(report{slug: slugOf(slug), ok: ok, took: max(took, 0)})
}

func slugOf(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, s)
	return shortened(s, slugBytesMax)
}

// enqueue counts the report when there is no room for it, and says whether there was. The caller holds the lock, so that
// the queue is not closed in between.
func (r *Reporter) enqueue(rep report) bool {
	if !r.closed {
		select {
		case r.queue <- rep:
			return true
		default:
		}
	}
	r.results.With(resultDropped).Inc()
	return false
}

// take reports one error, unless the same was reported within the last minute; then it is counted, and the next report of
// it says how many were left out.
func (r *Reporter) take(rep report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.options.Now()
	last := r.known[rep.key]
	if last != nil && now.Sub(last.at) < quiet {
		last.leftOut++
		r.results.With(resultRepeated).Inc()
		return
	}
	if last == nil {
		if last = r.remember(rep.key, now); last == nil {
			r.results.With(resultDropped).Inc()
			return
		}
	}
	rep.leftOut, last.at = last.leftOut, now
	if r.enqueue(rep) {
		last.leftOut = 0
	} else {
		last.leftOut++
	}
}

// remember makes room for an error by forgetting those that have been quiet. When all are recent there are a thousand
// different ones a minute, and one more tells nobody anything: nil.
func (r *Reporter) remember(key errorKey, now time.Time) *repetition {
	if len(r.known) >= knownMax {
		for k, last := range r.known {
			if now.Sub(last.at) >= quiet {
				delete(r.known, k)
			}
		}
		if len(r.known) >= knownMax {
			return nil
		}
	}
	r.known[key] = &repetition{}
	return r.known[key]
}

// sendAll sends what is queued, one after another, until the queue is closed and empty. When ctx has ended it only counts.
func (r *Reporter) sendAll(ctx context.Context) {
	defer close(r.done)
	for rep := range r.queue {
		result := resultDropped
		if ctx.Err() == nil {
			result = r.send(ctx, rep)
		}
		r.results.With(result).Inc()
		if isRefused := result != resultSent; isRefused != r.refused && ctx.Err() == nil {
			r.refused = isRefused
			r.tell(result)
		}
	}
}

// tell says once that reports are not taken, and once that they are again. It never says error: that would be reported.
func (r *Reporter) tell(result string) {
	if result == resultSent {
		r.options.Log.Info("error reports are taken again")
		return
	}
	r.options.Log.Warn("error reports are not taken by the tracker", "result", result, "status", r.witness.status)
}

// send sends one report and says what became of it. What a library panics with here is no reason to end the program.
func (r *Reporter) send(ctx context.Context, rep report) (result string) {
	defer func() {
		if recover() != nil {
			result = resultFailed
		}
	}()
	event := r.event(rep)
	r.witness.asked, r.witness.status = false, 0
	r.courier.SendEventWithContext(ctx, event)
	switch status := r.witness.status; {
	case !r.witness.asked || status == http.StatusTooManyRequests: // Sentry's transport waits as long as it was asked to
		return resultLimited
	case status == 0:
		return resultFailed
	case status/100 != 2:
		return resultRefused
	}
	return resultSent
}

// event is everything that leaves.
func (r *Reporter) event(rep report) *sentry.Event {
	event := &sentry.Event{
		EventID:     r.newID(),
		Environment: r.options.Environment,
		Release:     r.options.Release,
		Sdk:         sentry.SdkInfo{Name: "sentry.go", Version: sentry.SDKVersion},
	}
	if rep.slug != "" {
		return r.checkIn(event, rep)
	}
	event.Timestamp = rep.at.UTC()
	event.Level = sentry.LevelError
	event.Platform = "go"
	event.ServerName = r.options.Server
	event.Message = Scrub(rep.message)
	event.Fingerprint = []string{event.Message, Scrub(rep.key.component)}
	if rep.key.where != "" {
		event.Fingerprint = append(event.Fingerprint, rep.key.where)
	}
	event.Tags = tagsOf(rep)
	event.Contexts = map[string]sentry.Context{
		"runtime": {"name": "go", "version": runtime.Version()},
		"os":      {"name": runtime.GOOS},
	}
	addException(event, rep)
	return event
}

func (r *Reporter) checkIn(event *sentry.Event, rep report) *sentry.Event {
	event.Type = "check_in" // Sentry's name for it; the constant is not exported
	event.CheckIn = &sentry.CheckIn{ID: r.newID(), MonitorSlug: rep.slug, Status: sentry.CheckInStatusError, Duration: rep.took}
	if rep.ok {
		event.CheckIn.Status = sentry.CheckInStatusOK
	}
	for slug, every := range r.options.Monitors {
		if slugOf(slug) == rep.slug {
			minutes := max(int64(every/time.Minute), 1) // the shortest interval that Sentry knows
			event.MonitorConfig = &sentry.MonitorConfig{CheckInMargin: minutes,
				Schedule: sentry.IntervalSchedule(minutes, sentry.MonitorScheduleUnitMinute)}
		}
	}
	return event
}

// newID is a random UUID without hyphens, the form of Sentry's ids. A random source that fails is a broken machine, and
// send counts the report as failed.
func (r *Reporter) newID() sentry.EventID {
	var b [16]byte
	if _, err := io.ReadFull(r.options.Random, b[:]); err != nil {
		panic("telemetry: no randomness: " + err.Error())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return sentry.EventID(hex.EncodeToString(b[:]))
}

func tagsOf(rep report) map[string]string {
	tags := map[string]string{}
	for name, value := range rep.facts {
		if !reportedFacts[name] {
			continue
		}
		clean := Scrub
		if name == "request" {
			clean = scrubID
		}
		tags[name] = shortened(clean(value), tagBytesMax)
	}
	if rep.leftOut > 0 {
		tags["left_out"] = strconv.Itoa(rep.leftOut)
	}
	return tags
}

// addException adds the error's text, and the stack of a panic: as frames, or scrubbed as it is when it cannot be read.
func addException(event *sentry.Event, rep report) {
	text, stack := rep.facts[errFact], rep.facts[stackFact]
	if text == "" && stack == "" {
		return
	}
	exception := sentry.Exception{Type: event.Message, Value: shortened(Scrub(text), valueBytesMax)}
	if stack != "" {
		handled := true // every panic that is logged was caught
		exception.Mechanism = &sentry.Mechanism{Type: "panic", Handled: &handled}
	}
	if len(rep.frames) > 0 {
		exception.Stacktrace = &sentry.Stacktrace{Frames: rep.frames}
	} else if stack != "" {
		event.Contexts["stack"] = sentry.Context{"text": Scrub(stack)}
	}
	event.Exception = []sentry.Exception{exception}
}

// witness sees what became of a request. Only the one goroutine that sends uses it.
type witness struct {
	next   http.RoundTripper
	asked  bool
	status int // 0 is no answer
}

// RoundTrip passes the request on.
func (w *witness) RoundTrip(request *http.Request) (*http.Response, error) {
	w.asked = true
	response, err := w.next.RoundTrip(request)
	if err == nil {
		w.status = response.StatusCode
	}
	return response, err
}

// CloseIdleConnections passes it on, for http.Client looks for it.
func (w *witness) CloseIdleConnections() {
	if c, ok := w.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
