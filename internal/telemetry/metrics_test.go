package telemetry_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/telemetry"
)

func written(t *testing.T, m *telemetry.Metrics) string {
	t.Helper()
	var b strings.Builder
	n, err := m.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo = %d, %v, want %d, nil", n, err, b.Len())
	}
	return b.String()
}

func TestMetricsFormat(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	events := m.Counter("events_total", "Events kept.", "source", "result")
	events.With("stripe", "new").Add(3)
	events.With("paypal", "known").Inc()
	m.Counter("restarts_total", "Restarts.").With().Inc()
	m.Counter("makegood_prefixed_total", "Once only.").With().Inc()
	m.Counter("unused_total", "Never counted.", "x")
	m.Gauge("jobs", "Jobs that wait.").With().Set(2.5)
	m.GaugeFunc("depth", "Depth.", func() float64 { return 7 }, "queue", "mail")
	m.GaugeFunc("depth", "Depth.", func() float64 { return math.Inf(1) }, "queue", "fulfill")
	want := `# HELP makegood_depth Depth.
# TYPE makegood_depth gauge
makegood_depth{queue="fulfill"} +Inf
makegood_depth{queue="mail"} 7
# HELP makegood_events_total Events kept.
# TYPE makegood_events_total counter
makegood_events_total{source="paypal",result="known"} 1
makegood_events_total{source="stripe",result="new"} 3
# HELP makegood_jobs Jobs that wait.
# TYPE makegood_jobs gauge
makegood_jobs 2.5
# HELP makegood_prefixed_total Once only.
# TYPE makegood_prefixed_total counter
makegood_prefixed_total 1
# HELP makegood_restarts_total Restarts.
# TYPE makegood_restarts_total counter
makegood_restarts_total 1
`
	if diff := cmp.Diff(want, written(t, m)); diff != "" {
		t.Errorf("WriteTo (-want +got):\n%s", diff)
	}
}

func TestMetricsEscape(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.Counter("x_total", "Back\\slash,\nnew line and \"quotes\".", "path").With("a\\b\"c\nd\xff").Inc()
	want := `# HELP makegood_x_total Back\\slash,\nnew line and "quotes".
# TYPE makegood_x_total counter
makegood_x_total{path="a\\b\"c\nd` + "\uFFFD" + `"} 1
`
	if diff := cmp.Diff(want, written(t, m)); diff != "" {
		t.Errorf("WriteTo (-want +got):\n%s", diff)
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	h := m.Histogram("took_seconds", "Time.", "kind").With("mail")
	for _, d := range []time.Duration{-time.Second, time.Millisecond, time.Millisecond + 1, 30 * time.Second, time.Hour} {
		h.Observe(d)
	}
	got := written(t, m)
	for _, want := range []string{
		"# TYPE makegood_took_seconds histogram\n",
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"0.001\"} 2\n", // a bound belongs to its bucket
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"0.0025\"} 3\n",
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"10\"} 3\n",
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"30\"} 4\n",
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"60\"} 4\n",
		"makegood_took_seconds_bucket{kind=\"mail\",le=\"+Inf\"} 5\n",
		"makegood_took_seconds_sum{kind=\"mail\"} 3630.002000001\n",
		"makegood_took_seconds_count{kind=\"mail\"} 5\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("WriteTo = %s, want %s in it", got, want)
		}
	}
}

func TestCardinalityIsCapped(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	c := m.Counter("hits_total", "Hits.", "path", "code")
	for i := range 1000 {
		c.With(fmt.Sprint("/", i), "404").Inc()
	}
	got := written(t, m)
	if lines := strings.Count(got, "\n"); lines != 203 {
		t.Errorf("%d lines, want 2 of comment, 200 of series and 1 of the rest", lines)
	}
	if want := `makegood_hits_total{path="other",code="other"} 800`; !strings.Contains(got, want) {
		t.Errorf("WriteTo = %s, want %s in it", got, want)
	}
	c.With("/7", "404").Inc()
	if got, want := c.With("/7", "404").Value(), uint64(2); got != want {
		t.Errorf("a series from before the cap = %d, want %d", got, want)
	}
}

func TestCounterNeverFalls(t *testing.T) {
	t.Parallel()
	c := telemetry.NewMetrics().Counter("x_total", "X.").With()
	c.Add(5)
	c.Add(-3)
	if got, want := c.Value(), uint64(5); got != want {
		t.Errorf("Value() = %d, want %d", got, want)
	}
}

func TestMetricsAreConcurrent(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				m.Counter("n_total", "N.", "k").With(fmt.Sprint(j % 7)).Inc()
				m.Gauge("g", "G.").With().Add(1)
				m.Histogram("h_seconds", "H.").With().Observe(time.Duration(i) * time.Millisecond)
				if j%100 == 0 {
					m.GaugeFunc("f", "F.", func() float64 { return 1 })
					m.WriteTo(&strings.Builder{})
				}
			}
		})
	}
	wg.Wait()
	var n uint64
	for k := range 7 {
		n += m.Counter("n_total", "N.", "k").With(fmt.Sprint(k)).Value()
	}
	if g := m.Gauge("g", "G.").With().Value(); n != 8000 || g != 8000 {
		t.Errorf("counter = %d, gauge = %v, want 8000 each", n, g)
	}
	if got, want := written(t, m), "makegood_h_seconds_count 8000\n"; !strings.Contains(got, want) {
		t.Errorf("WriteTo = %s, want %s in it", got, want)
	}
}

// TestGaugeFuncMayCount: a function that itself uses the metrics must not lock them up.
func TestGaugeFuncMayCount(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.GaugeFunc("f", "F.", func() float64 {
		m.Gauge("f", "F.", "which").With("made while asked").Add(1)
		return 1
	}, "which", "asked")
	written(t, m)
	if got := m.Gauge("f", "F.", "which").With("made while asked").Value(); got != 1 {
		t.Errorf("asked %v times, want 1", got)
	}
}

func TestMetricsPanicOnBrokenDefinitions(t *testing.T) {
	t.Parallel()
	for name, define := range map[string]func(*telemetry.Metrics){
		"bad name":       func(m *telemetry.Metrics) { m.Counter("a-b", "") },
		"bad label":      func(m *telemetry.Metrics) { m.Counter("a", "", "b c") },
		"reserved label": func(m *telemetry.Metrics) { m.Histogram("a", "", "le") },
		"other kind":     func(m *telemetry.Metrics) { m.Counter("a", ""); m.Gauge("a", "") },
		"other labels":   func(m *telemetry.Metrics) { m.Counter("a", "", "x"); m.Counter("a", "", "y") },
		"missing value":  func(m *telemetry.Metrics) { m.Counter("a", "", "x").With() },
		"odd pairs":      func(m *telemetry.Metrics) { m.GaugeFunc("a", "", func() float64 { return 0 }, "x") },
		"no function":    func(m *telemetry.Metrics) { m.GaugeFunc("a", "", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("did not panic")
				}
			}()
			define(telemetry.NewMetrics())
		})
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteToReturnsTheError(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.Counter("a_total", "A.").With().Inc()
	if _, err := m.WriteTo(broken{}); !errors.Is(err, errBroken) {
		t.Errorf("WriteTo = %v, want %v", err, errBroken)
	}
}

func BenchmarkCounterWith(b *testing.B) {
	c := telemetry.NewMetrics().Counter("n_total", "N.", "source", "result")
	for b.Loop() {
		c.With("stripe", "new").Inc()
	}
}
