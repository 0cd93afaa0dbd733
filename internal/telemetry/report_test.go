package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/telemetry"
)

const trackerAt = "http://tracker.example"

// desk is a Reporter whose tracker is the simulation, and the log that goes through it.
type desk struct {
	*telemetry.Reporter
	tracker *simulate.Sentry
	metrics *telemetry.Metrics
	log     *slog.Logger
	lines   *bytes.Buffer // what the operator reads
	own     *bytes.Buffer // what the Reporter says of itself
}

// newDesk must be called within a synctest bubble.
func newDesk(t *testing.T, change ...func(*telemetry.ReporterOptions)) *desk {
	t.Helper()
	d := &desk{tracker: simulate.NewSentry(simulate.SentryOptions{}), metrics: telemetry.NewMetrics(), lines: new(bytes.Buffer), own: new(bytes.Buffer)}
	o := telemetry.ReporterOptions{
		DSN: secret.New(d.tracker.DSN(trackerAt)), Environment: "staging", Release: "makegood@1.2.3", Server: "front",
		Log: slog.New(slog.NewTextHandler(d.own, nil)), Metrics: d.metrics, HTTP: simulate.Transport{Handler: d.tracker},
	}
	for _, c := range change {
		c(&o)
	}
	var err error
	if d.Reporter, err = telemetry.NewReporter(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.tracker.Close()
		_ = d.Close(context.Background())
	})
	d.log = slog.New(d.Handler(slog.NewTextHandler(d.lines, nil))).With("component", "queue")
	return d
}

func (d *desk) counted(result string) uint64 {
	return d.metrics.Counter("error_reports_total", "", "result").With(result).Value()
}

// sent waits until all that was queued is sent, and returns the reports.
func (d *desk) sent(t *testing.T, want int) []simulate.ErrorReport {
	t.Helper()
	synctest.Wait()
	got := d.tracker.Reports()
	if len(got) != want {
		t.Fatalf("the tracker was told of %d errors, want %d: %+v", len(got), want, got)
	}
	return got
}

// stackOf is the stack of a panic of which, as a server logs it.
func stackOf(which func()) (stack string) {
	defer func() {
		if recover() != nil {
			stack = string(debug.Stack())
		}
	}()
	which()
	return ""
}

func breakMap()   { var m map[string]int; m["x"] = 1 }
func breakSlice() { var s []int; s[len(os.Args)]++ }

func TestReportOfAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.log.With("job", "effect").Error("job given up", "attempt", 3, "kind", "email", "err",
			errors.New("to ann@example.com at 10.0.0.7: refused"), "order", "ord_secretname", "event", "evt_7")
		d.log.Warn("not worth it")
		got := d.sent(t, 1)[0]
		want := simulate.ErrorReport{
			ID: got.ID, Message: "job given up", Level: "error", Release: "makegood@1.2.3", Environment: "staging", Server: "front",
			Fingerprint: []string{"job given up", "queue"},
			Tags:        map[string]string{"component": "queue", "job": "effect", "attempt": "3", "kind": "email"},
			Exception:   []simulate.ErrorException{{Type: "job given up", Value: "to [redacted] at 10.0.0.7: refused"}},
			Raw:         got.Raw, ReceivedAt: got.ReceivedAt,
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("report (-got +want):\n%s", diff)
		}
		if lines := d.lines.String(); !strings.Contains(lines, "order=ord_secretname") || !strings.Contains(lines, "not worth it") {
			t.Errorf("log = %q, want everything passed on as it was", lines)
		}
		if d.counted("sent") != 1 {
			t.Errorf("sent = %d, want 1", d.counted("sent"))
		}
	})
}

// TestOnlyTheAllowedLeaves reads every byte: the names in the JSON are the ones we know, and nothing planted is there.
func TestOnlyTheAllowedLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		var all []any
		var text strings.Builder
		for _, p := range planted {
			fmt.Fprintf(&text, "%s ", p.text)
		}
		names := []string{"component", "source", "kind", "route", "job", "check", "channel", "code", "attempt", "status", "err", "body", "email", "order"}
		for _, name := range names {
			all = append(all, name, text.String())
		}
		all = append(all, "password", secret.New("hunter22"), slog.Group("g", "code", text.String()), "stack", stackOf(breakMap))
		d.log.Error("broke on "+text.String(), all...)
		d.CheckIn("backup", true, time.Second)
		d.sent(t, 1)
		raw := d.tracker.Envelopes()
		if len(raw) != 2 {
			t.Fatalf("envelopes = %d, want the error and the check-in", len(raw))
		}
		for _, p := range planted {
			if bytes.Contains(raw[0], []byte(p.hidden)) {
				t.Errorf("%s left", p.name)
			}
		}
		host, _ := os.Hostname()
		here, _ := os.Getwd()
		for _, s := range []string{"hunter22", here, runtime.GOROOT(), "modules", `"` + host + `"`} {
			event := bytes.SplitN(raw[0], []byte("\n"), 2)[1] // the first line has the DSN itself
			if s != "" && bytes.Contains(event, []byte(s)) {
				t.Errorf("%q left", s)
			}
		}
		var event map[string]any
		if err := json.Unmarshal(d.tracker.Reports()[0].Raw, &event); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			of   any
			want []string
		}{
			{event, []string{"contexts", "environment", "event_id", "exception", "fingerprint", "level", "message", "platform", "release",
				"sdk", "server_name", "tags", "timestamp", "user"}},
			{event["tags"], []string{"attempt", "channel", "check", "code", "component", "job", "kind", "route", "source", "status"}},
			{event["contexts"], []string{"os", "runtime"}},
			{event["user"], nil},
		} {
			of, _ := tt.of.(map[string]any)
			if got := slices.Sorted(maps.Keys(of)); !slices.Equal(got, tt.want) {
				t.Errorf("names = %v, want %v and nothing else", got, tt.want)
			}
		}
	})
}

func TestReportOfAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.log.Error("request panicked", "request", "req01jx2k3m4n5p6q7r8s9t", "err", "assignment to entry in nil map", "stack", stackOf(breakMap))
		d.log.Error("request panicked", "request", "b", "err", "assignment to entry in nil map", "stack", stackOf(breakMap))
		d.log.Error("request panicked", "request", "c", "err", "index out of range", "stack", stackOf(breakSlice))
		d.log.Error("request panicked", "request", "d", "stack", "no stack at all, of ann@example.com")
		got := d.sent(t, 3)
		if id := got[0].Tags["request"]; id != "req01jx2k3m4n5p6q7r8s9t" {
			t.Errorf("request = %q, want the id as it is", id)
		}
		frames := got[0].Exception[0].Stacktrace.Frames
		inner := slices.IndexFunc(frames, func(f simulate.ErrorFrame) bool { return f.Function == "breakMap" })
		if inner < 1 || frames[inner-1].Function != "stackOf" || !frames[inner].InApp || frames[inner].Line == 0 ||
			frames[inner].File != "github.com/makegood/makegood/internal/telemetry_test/report_test.go" {
			t.Errorf("frames = %+v, want stackOf and then breakMap in it", frames)
		}
		if slices.ContainsFunc(frames, func(f simulate.ErrorFrame) bool { return f.Module == "runtime/debug" || f.Function == "stackOf.func1" }) {
			t.Errorf("frames = %+v, want nothing of how the panic was caught", frames)
		}
		if got[1].Tags["request"] != "c" || got[1].Fingerprint[2] == got[0].Fingerprint[2] {
			t.Errorf("the other panic = %+v, want it to be another error", got[1])
		}
		if raw := string(got[2].Raw); !strings.Contains(raw, "no stack at all") || strings.Contains(raw, "ann@") {
			t.Errorf("a stack that cannot be read = %s, want its text, scrubbed", raw)
		}
	})
}

func TestSameErrorOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for range 5 {
			d.log.Error("store is full", "err", "x")
		}
		d.log.Error("another", "err", "x")
		d.log.With("component", "api").Error("store is full")
		d.sent(t, 3)
		time.Sleep(time.Minute - time.Nanosecond)
		d.log.Error("store is full")
		d.sent(t, 3)
		time.Sleep(time.Nanosecond)
		d.log.Error("store is full")
		got := d.sent(t, 4)
		if got[0].Tags["left_out"] != "" || got[3].Tags["left_out"] != "5" || d.counted("repeated") != 5 {
			t.Errorf("left out = %q then %q, counted %d; want none, 5, 5", got[0].Tags["left_out"], got[3].Tags["left_out"], d.counted("repeated"))
		}
		time.Sleep(time.Hour)
		d.log.Error("store is full")
		if got := d.sent(t, 5); got[4].Tags["left_out"] != "" {
			t.Errorf("left out after an hour of quiet = %q, want none", got[4].Tags["left_out"])
		}
	})
}

// A message that is not constant fills neither our memory nor the tracker.
func TestManyDifferentErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for i := range 1000 {
			d.log.Error(fmt.Sprintf("broke at %d", i))
			synctest.Wait()
		}
		d.log.Error("one more")
		d.sent(t, 1000)
		if d.counted("dropped") != 1 {
			t.Errorf("dropped = %d, want the one above the limit", d.counted("dropped"))
		}
		time.Sleep(time.Minute)
		d.log.Error("one more")
		synctest.Wait()
		if d.counted("sent") != 1001 {
			t.Errorf("sent = %d, want one more after a minute", d.counted("sent"))
		}
	})
}

func TestCheckIns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(o *telemetry.ReporterOptions) {
			o.Monitors = map[string]time.Duration{"daily backup": 24 * time.Hour}
		})
		d.CheckIn("Daily Backup", true, 1500*time.Millisecond)
		d.CheckIn("sweep", false, -time.Second)
		synctest.Wait()
		got := d.tracker.CheckIns()
		if len(got) != 2 {
			t.Fatalf("check-ins = %+v, want 2", got)
		}
		want := []simulate.MonitorCheckIn{
			{ID: got[0].ID, Slug: "daily-backup", Status: "ok", Seconds: 1.5, Release: "makegood@1.2.3", Environment: "staging",
				Config: json.RawMessage(`{"schedule":{"type":"interval","value":1440,"unit":"minute"},"checkin_margin":1440}`), ReceivedAt: got[0].ReceivedAt},
			{ID: got[1].ID, Slug: "sweep", Status: "error", Release: "makegood@1.2.3", Environment: "staging", ReceivedAt: got[1].ReceivedAt},
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("check-ins (-got +want):\n%s", diff)
		}
		if len(got[0].ID) != 32 || got[0].ID == got[1].ID {
			t.Errorf("ids = %q, %q, want two of 32 digits", got[0].ID, got[1].ID)
		}
	})
}

// A tracker that is away, slow or wrong costs reports and nothing else, and the operator hears of it once.
func TestTrackerThatDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, result string
		faults       simulate.SentryFaults
		asked        int // of three reports
	}{
		{"server error", "refused", simulate.SentryFaults{Fail: func(int, *http.Request) int { return 500 }}, 3},
		{"redirect", "refused", simulate.SentryFaults{Fail: func(int, *http.Request) int { return 307 }}, 3},
		{"no answer", "failed", simulate.SentryFaults{Fail: func(int, *http.Request) int { return simulate.Abort }}, 3},
		{"hangs", "failed", simulate.SentryFaults{Fail: func(int, *http.Request) int { return simulate.Hang }}, 3},
		{"asks to wait", "limited", simulate.SentryFaults{Fail: func(int, *http.Request) int { return 429 }, RetryAfter: 10 * time.Minute}, 1},
		{"asks to wait for errors", "limited", simulate.SentryFaults{Fail: func(int, *http.Request) int { return 429 },
			RateLimits: "600:error:organization"}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t)
				d.tracker.SetFaults(tt.faults)
				began := time.Now()
				for i := range 3 {
					d.log.Error(fmt.Sprintf("broke %d", i))
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("three errors held the caller up for %v", took)
				}
				time.Sleep(time.Minute)
				if d.counted(tt.result) != 3 || d.tracker.Calls() != tt.asked {
					t.Errorf("%s = %d with %d calls, want 3 with %d", tt.result, d.counted(tt.result), d.tracker.Calls(), tt.asked)
				}
				d.tracker.SetFaults(simulate.SentryFaults{})
				time.Sleep(10 * time.Minute)
				d.log.Error("well again")
				d.sent(t, 1)
				if own := d.own.String(); strings.Count(own, "not taken") != 1 || strings.Count(own, "taken again") != 1 || strings.Contains(own, "ERROR") {
					t.Errorf("the Reporter's own log = %q, want one warning and one end of it", own)
				}
			})
		})
	}
}

// A report goes where the operator said, even when the tracker says that it has moved.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		d := newDesk(t, func(o *telemetry.ReporterOptions) {
			o.HTTP = simulate.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Host)
				http.Redirect(w, r, "http://elsewhere.example/", http.StatusTemporaryRedirect)
			})}
		})
		d.log.Error("broke")
		synctest.Wait()
		if !slices.Equal(asked, []string{"tracker.example"}) || d.counted("refused") != 1 {
			t.Errorf("asked %v, refused = %d, want the tracker alone, and 1", asked, d.counted("refused"))
		}
	})
}

// What is limited for errors is not for check-ins.
func TestRateLimitsAreByKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.tracker.SetFaults(simulate.SentryFaults{RateLimits: "600:error:organization"})
		d.log.Error("one")
		d.log.Error("two")
		d.CheckIn("backup", true, 0)
		d.sent(t, 1)
		if len(d.tracker.CheckIns()) != 1 || d.counted("limited") != 1 {
			t.Errorf("check-ins = %d, limited = %d, want 1 and 1", len(d.tracker.CheckIns()), d.counted("limited"))
		}
	})
}

// The queue is bounded, and the end of the program is too.
func TestCloseOfAHangingTracker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.tracker.SetFaults(simulate.SentryFaults{Fail: func(int, *http.Request) int { return simulate.Hang }})
		for i := range 150 {
			d.log.Error(fmt.Sprintf("broke %d", i))
			if i == 0 {
				synctest.Wait() // the first is in flight
			}
		}
		if d.counted("dropped") != 49 {
			t.Errorf("dropped = %d, want what is above one in flight and 100 waiting", d.counted("dropped"))
		}
		began := time.Now()
		if err := d.Close(context.Background()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 5*time.Second {
			t.Errorf("Close = %v after %v, want the end of its time after 5 s", err, time.Since(began))
		}
		if all := d.counted("dropped") + d.counted("failed"); all != 150 {
			t.Errorf("dropped and failed = %d, want all 150", all)
		}
		d.log.Error("after the end")
		d.CheckIn("late", true, 0)
		if d.counted("dropped")+d.counted("failed") != 152 {
			t.Error("what comes after Close is not counted as dropped")
		}
		if err := d.Close(context.Background()); err != nil {
			t.Errorf("the second Close = %v", err)
		}
	})
}

func TestCloseSendsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.tracker.SetFaults(simulate.SentryFaults{Latency: time.Second})
		for i := range 3 {
			d.log.Error(fmt.Sprintf("broke %d", i))
		}
		if err := d.Close(t.Context()); err != nil {
			t.Errorf("Close = %v", err)
		}
		d.sent(t, 3)
	})
}

// An error that falls behind a full queue is counted for the next report of it.
func TestDroppedCountsAsLeftOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.tracker.SetFaults(simulate.SentryFaults{Latency: 9 * time.Second})
		for i := range 101 {
			d.log.Error(fmt.Sprintf("broke %d", i))
			if i == 0 {
				synctest.Wait()
			}
		}
		d.log.Error("one too many")
		time.Sleep(time.Hour)
		d.log.Error("one too many")
		time.Sleep(10 * time.Second)
		if got := d.sent(t, 102); got[101].Tags["left_out"] != "1" {
			t.Errorf("left out = %q, want the one that was dropped", got[101].Tags["left_out"])
		}
	})
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	panic("a Reporter without a DSN connected")
}

// Without a DSN there is no client, no goroutine and no connection, whatever the environment says to Sentry's library.
func TestWithoutDSN(t *testing.T) {
	t.Setenv("SENTRY_DSN", "https://key@tracker.example/1")
	before := runtime.NumGoroutine()
	r, err := telemetry.NewReporter(telemetry.ReporterOptions{Environment: "x", HTTP: refusing{}})
	if err != nil {
		t.Fatal(err)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("goroutines = %d, want the %d from before", after, before)
	}
	var lines bytes.Buffer
	next := slog.NewTextHandler(&lines, nil)
	if r.Handler(next) != slog.Handler(next) {
		t.Error("Handler is not the one it was given")
	}
	slog.New(r.Handler(next)).Error("broke", "stack", "x")
	r.CheckIn("backup", true, time.Second)
	if err := r.Close(t.Context()); err != nil || !strings.Contains(lines.String(), "broke") {
		t.Errorf("Close = %v, log = %q", err, lines.String())
	}
}

func TestDSNThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"hunter22", "https://tracker.example/hunter22", "ftp://hunter22@tracker.example/1", "https://hunter22@tracker.example",
		"https://hunter22@tracker.example:x/1", "https://hunter22\x7f@/1", "https://hunter22@/1"} {
		if _, err := telemetry.NewReporter(telemetry.ReporterOptions{DSN: secret.New(dsn)}); err == nil || strings.Contains(fmt.Sprintf("%+v %#v", err, err), "hunter22") {
			t.Errorf("NewReporter of the DSN %q = %v, want an error that does not repeat it", dsn, err)
		}
	}
}

// deaf takes nothing below its level and fails on what it takes.
type deaf struct {
	slog.Handler
	took int
}

func (d *deaf) Enabled(context.Context, slog.Level) bool  { return false }
func (d *deaf) Handle(context.Context, slog.Record) error { d.took++; return io.ErrClosedPipe }
func (d *deaf) WithAttrs([]slog.Attr) slog.Handler        { return d }
func (d *deaf) WithGroup(string) slog.Handler             { return d }

type exploding struct{}

func (exploding) Error() string { panic("no text") }

func TestHandlerPassesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		next := &deaf{}
		h := d.Handler(next)
		if !h.Enabled(t.Context(), slog.LevelError) || h.Enabled(t.Context(), slog.LevelWarn) {
			t.Error("Enabled: want errors, and of the rest what the next wants")
		}
		slog.New(h).Error("reported though nobody logs it")
		if d.sent(t, 1); next.took != 0 {
			t.Errorf("a handler that is not interested took %d", next.took)
		}
		failing := d.Handler(slog.NewTextHandler(failingWriter{}, nil))
		if err := failing.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelError, "x", 0)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Handle = %v, want the error of the next", err)
		}
		d.sent(t, 2)
		slog.New(d.Handler(&deaf{})).Error("explodes", "err", exploding{})
		if d.sent(t, 2); d.counted("dropped") != 1 {
			t.Errorf("dropped = %d, want the one that cannot be printed", d.counted("dropped"))
		}
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestHandlerCollectsAttributes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		base := d.log.With("source", "stripe", "secretthing", "x")
		base.With("component", "api").Error("one", slog.Group("", "code", "inner"), "status", 500)
		base.WithGroup("g").With("kind", "hidden").Error("two", "code", "hidden", "err", "hidden")
		base.Error("three", "err", []byte("bytes"), "code", struct{ A int }{7}, "check", strings.Repeat("é ", 300))
		base.Error("four", "err", strings.Repeat("x ann@example.com ", 2000))
		base.Error("five", "err", strings.Repeat("y", 20000))
		got := d.sent(t, 5)
		for i, want := range []map[string]string{
			{"component": "api", "source": "stripe", "code": "inner", "status": "500"},
			{"component": "queue", "source": "stripe"},
			{"component": "queue", "source": "stripe", "code": "{7}", "check": strings.Repeat("é ", 66) + "é"},
			{"component": "queue", "source": "stripe"},
			{"component": "queue", "source": "stripe"},
		} {
			got[i].Tags["check"] = strings.TrimRight(got[i].Tags["check"], " ")
			if got[i].Tags["check"] == "" {
				delete(got[i].Tags, "check")
			}
			if diff := cmp.Diff(got[i].Tags, want); diff != "" {
				t.Errorf("tags of %s (-got +want):\n%s", got[i].Message, diff)
			}
		}
		if len(got[1].Exception) != 0 || got[2].Exception[0].Value != "bytes" {
			t.Errorf("exceptions = %+v and %+v", got[1].Exception, got[2].Exception)
		}
		if v := got[3].Exception[0].Value; len(v) > 4096 || strings.Contains(v, "ann") {
			t.Errorf("a long error has %d bytes: %.60s…, want at most 4096 and no address", len(v), v)
		}
		if v := got[4].Exception[0].Value; v != "[redacted]" {
			t.Errorf("a long error without a blank = %.60q, want nothing of it", v)
		}
	})
}

// A random source that fails costs reports and not the program.
func TestNoRandomness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, func(o *telemetry.ReporterOptions) { o.Random = strings.NewReader("") })
		d.log.Error("broke")
		d.sent(t, 0)
		if d.counted("failed") != 1 {
			t.Errorf("failed = %d, want 1", d.counted("failed"))
		}
	})
}
