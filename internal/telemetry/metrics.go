package telemetry

import (
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ContentType is the media type of what WriteTo writes: the Prometheus text format, version 0.0.4.
	ContentType = "text/plain; version=0.0.4; charset=utf-8"

	// prefix begins every name.
	prefix = "makegood_"

	// seriesMax bounds the combinations of label values of one name, because a label that somebody outside can choose
	// would otherwise fill our memory and theirs. What comes later is counted under the values "other".
	seriesMax = 200
	overflow  = "other"
)

// buckets are the upper bounds of every histogram, in seconds: from a commit (1 ms) to the longest job (1 min).
var buckets = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Metrics is a set of named counters, gauges and histograms. Make it with NewMetrics. Everything is safe for concurrent
// use; counting costs a map look-up and an atomic addition, and no look-up when the result of With is kept.
//
// Names and labels are given by programmers: a name that Prometheus would refuse, a second definition of a name that
// differs from the first, or a wrong number of label values panics. The prefix makegood_ is added where it is missing.
type Metrics struct {
	mu       sync.Mutex
	families map[string]*family
}

// NewMetrics makes an empty set.
func NewMetrics() *Metrics { return &Metrics{families: map[string]*family{}} }

type kind string

const (
	counterKind   kind = "counter"
	gaugeKind     kind = "gauge"
	histogramKind kind = "histogram"
)

// series is one line, or the lines of one histogram, of a family.
type series interface {
	writeTo(b *strings.Builder, name, labels string)
}

// family is all series of one name.
type family struct {
	name, help string
	kind       kind
	labels     []string
	fresh      func() series

	mu     sync.RWMutex
	series map[string]series // by rendered labels
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]*$`)
)

func (m *Metrics) family(name, help string, k kind, labels []string, fresh func() series) *family {
	if !strings.HasPrefix(name, prefix) {
		name = prefix + name
	}
	check(metricName.MatchString(name), "no name for a metric: "+name)
	for _, label := range labels {
		check(labelName.MatchString(label) && label != "le", "no name for a label: "+label)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.families[name]; ok {
		check(f.kind == k && slices.Equal(f.labels, labels), "another metric has the name "+name)
		return f
	}
	f := &family{name: name, help: help, kind: k, labels: slices.Clone(labels), fresh: fresh, series: map[string]series{}}
	m.families[name] = f
	return f
}

func check(ok bool, broken string) {
	if !ok {
		panic("telemetry: " + broken)
	}
}

// with finds or makes the series of the label values.
func (f *family) with(values []string) series {
	check(len(values) == len(f.labels), "wrong number of label values for "+f.name)
	key := labelText(f.labels, values)
	f.mu.RLock()
	s, ok := f.series[key]
	f.mu.RUnlock()
	if ok {
		return s
	}
	return f.add(key)
}

func (f *family) add(key string) series {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, ok := f.series[key]; !ok && len(f.series) >= seriesMax {
		key = labelText(f.labels, slices.Repeat([]string{overflow}, len(f.labels)))
	}
	if s, ok := f.series[key]; ok {
		return s
	}
	s := f.fresh()
	f.series[key] = s
	return s
}

// CounterVec is a counter for each combination of label values.
type CounterVec struct{ f *family }

// Counter only ever grows, until the process ends.
type Counter struct{ n atomic.Uint64 }

// Counter defines a counter, or returns the one that is already defined. By custom the name ends in _total.
func (m *Metrics) Counter(name, help string, labels ...string) *CounterVec {
	return &CounterVec{m.family(name, help, counterKind, labels, func() series { return new(Counter) })}
}

// With returns the counter for the values of the labels, in the order of their definition.
func (v *CounterVec) With(values ...string) *Counter { return v.f.with(values).(*Counter) }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n. A counter never falls: a negative n is ignored.
func (c *Counter) Add(n int) {
	if n > 0 {
		c.n.Add(uint64(n))
	}
}

// Value returns the count.
func (c *Counter) Value() uint64 { return c.n.Load() }

func (c *Counter) writeTo(b *strings.Builder, name, labels string) {
	line(b, name, labels, strconv.FormatUint(c.n.Load(), 10))
}

// GaugeVec is a gauge for each combination of label values.
type GaugeVec struct{ f *family }

// Gauge is a value that rises and falls.
type Gauge struct{ bits atomic.Uint64 }

// Gauge defines a gauge, or returns the one that is already defined.
func (m *Metrics) Gauge(name, help string, labels ...string) *GaugeVec {
	return &GaugeVec{m.family(name, help, gaugeKind, labels, func() series { return new(Gauge) })}
}

// With returns the gauge for the values of the labels, in the order of their definition.
func (v *GaugeVec) With(values ...string) *Gauge { return v.f.with(values).(*Gauge) }

// Set makes the value x.
func (g *Gauge) Set(x float64) { g.bits.Store(math.Float64bits(x)) }

// Add adds x, which may be negative.
func (g *Gauge) Add(x float64) {
	for {
		old := g.bits.Load()
		if g.bits.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+x)) {
			return
		}
	}
}

// Value returns the value.
func (g *Gauge) Value() float64 { return math.Float64frombits(g.bits.Load()) }

func (g *Gauge) writeTo(b *strings.Builder, name, labels string) {
	line(b, name, labels, number(g.Value()))
}

type gaugeFunc func() float64

func (f gaugeFunc) writeTo(b *strings.Builder, name, labels string) {
	line(b, name, labels, number(f()))
}

// GaugeFunc defines a gauge that is asked when the metrics are written: value must be quick and safe for concurrent
// use. Pairs are the names and values of fixed labels in turn; the same name can be defined once for each set of values,
// and a second definition of the same set replaces the first.
func (m *Metrics) GaugeFunc(name, help string, value func() float64, pairs ...string) {
	check(len(pairs)%2 == 0, "a label of "+name+" has no value")
	check(value != nil, name+" has no function")
	var labels, values []string
	for i := 0; i < len(pairs); i += 2 {
		labels, values = append(labels, pairs[i]), append(values, pairs[i+1])
	}
	f := m.family(name, help, gaugeKind, labels, func() series { return new(Gauge) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.series[labelText(labels, values)] = gaugeFunc(value)
}

// HistogramVec is a histogram for each combination of label values.
type HistogramVec struct{ f *family }

// Histogram counts durations in fixed buckets from 1 ms to 60 s.
type Histogram struct {
	counts [len(buckets) + 1]atomic.Uint64 // each bucket alone; the last is for what is above all bounds
	sum    atomic.Int64                    // nanoseconds: 292 years of it
}

// Histogram defines a histogram of durations, or returns the one that is already defined. By custom the name ends in
// _seconds.
func (m *Metrics) Histogram(name, help string, labels ...string) *HistogramVec {
	return &HistogramVec{m.family(name, help, histogramKind, labels, func() series { return new(Histogram) })}
}

// With returns the histogram for the values of the labels, in the order of their definition.
func (v *HistogramVec) With(values ...string) *Histogram { return v.f.with(values).(*Histogram) }

// Observe counts one duration. A negative one, as from a clock that was set back, counts as zero.
func (h *Histogram) Observe(took time.Duration) {
	took = max(took, 0)
	i, _ := slices.BinarySearch(buckets[:], took.Seconds())
	h.counts[i].Add(1)
	h.sum.Add(int64(took))
}

// writeTo counts each bucket once, so that the total is the last bucket even while others observe.
func (h *Histogram) writeTo(b *strings.Builder, name, labels string) {
	sum := time.Duration(h.sum.Load()).Seconds()
	var total uint64
	for i := range h.counts {
		total += h.counts[i].Load()
		bound := "+Inf"
		if i < len(buckets) {
			bound = number(buckets[i])
		}
		line(b, name+"_bucket", joinLabels(labels, `le="`+bound+`"`), strconv.FormatUint(total, 10))
	}
	line(b, name+"_sum", labels, number(sum))
	line(b, name+"_count", labels, strconv.FormatUint(total, 10))
}

// WriteTo writes everything in the Prometheus text format, sorted by name and labels, and returns the number of bytes
// and the error of w.
func (m *Metrics) WriteTo(w io.Writer) (int64, error) {
	m.mu.Lock()
	families := slices.Collect(maps.Values(m.families))
	m.mu.Unlock()
	slices.SortFunc(families, func(a, b *family) int { return strings.Compare(a.name, b.name) })

	var b strings.Builder
	for _, f := range families {
		f.writeTo(&b)
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// writeTo takes the series out first, because a GaugeFunc may itself count something.
func (f *family) writeTo(b *strings.Builder) {
	f.mu.RLock()
	all := maps.Clone(f.series)
	f.mu.RUnlock()
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n", f.name, helpEscaper.Replace(f.help), f.name, f.kind)
	for _, labels := range slices.Sorted(maps.Keys(all)) {
		all[labels].writeTo(b, f.name, labels)
	}
}

var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	valueEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// labelText renders labels as they are written, without the braces; it is the key of a series as well.
func labelText(names, values []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
		b.WriteString(`="`)
		b.WriteString(valueEscaper.Replace(strings.ToValidUTF8(values[i], "\uFFFD")))
		b.WriteByte('"')
	}
	return b.String()
}

func joinLabels(labels, more string) string {
	if labels == "" {
		return more
	}
	return labels + "," + more
}

func line(b *strings.Builder, name, labels, value string) {
	b.WriteString(name)
	if labels != "" {
		b.WriteByte('{')
		b.WriteString(labels)
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.WriteString(value)
	b.WriteByte('\n')
}

func number(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "+Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}
