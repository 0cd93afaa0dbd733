package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
)

// Handler returns a handler that passes everything on to next and reports every record of level error or above, whether
// next is interested in it or not. Of the record leave its message, which is a constant phrase, the attributes component,
// source, kind, route, job, check, channel, code, attempt, status and request as tags, and err and stack: all scrubbed.
// Attributes within groups do not leave.
//
// The log of the Reporter's own options may be one with this handler, because it never says error.
func (r *Reporter) Handler(next slog.Handler) slog.Handler {
	if r.queue == nil {
		return next
	}
	return &reportingHandler{next: next, reporter: r}
}

type reportingHandler struct {
	next     slog.Handler
	reporter *Reporter
	facts    map[string]string // of With; never changed
	grouped  bool
}

// Enabled is true for all that is reported.
func (h *reportingHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.next.Enabled(ctx, level)
}

// Handle gives the record to next, whose error it returns, and reports it.
func (h *reportingHandler) Handle(ctx context.Context, record slog.Record) error {
	var err error
	if h.next.Enabled(ctx, record.Level) {
		err = h.next.Handle(ctx, record)
	}
	if record.Level >= slog.LevelError {
		h.report(record)
	}
	return err
}

// WithAttrs keeps what may leave of the attributes.
func (h *reportingHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	child := *h
	child.next = h.next.WithAttrs(attrs)
	if !h.grouped {
		child.facts = maps.Clone(h.facts)
		if child.facts == nil {
			child.facts = map[string]string{}
		}
		for _, a := range attrs {
			keep(child.facts, a)
		}
	}
	return &child
}

// WithGroup begins a group. What is in it does not leave.
func (h *reportingHandler) WithGroup(name string) slog.Handler {
	child := *h
	child.next = h.next.WithGroup(name)
	child.grouped = h.grouped || name != ""
	return &child
}

// report takes what may leave out of the record while its values are what they were when it was logged. The costly part,
// scrubbing and sending, is the sender's. A value that panics when it is printed is no reason to fail the caller.
func (h *reportingHandler) report(record slog.Record) {
	defer func() {
		if recover() != nil {
			h.reporter.results.With(resultDropped).Inc()
		}
	}()
	facts := maps.Clone(h.facts)
	if facts == nil {
		facts = map[string]string{}
	}
	if !h.grouped {
		record.Attrs(func(a slog.Attr) bool {
			keep(facts, a)
			return true
		})
	}
	rep := report{at: record.Time, message: clipped(record.Message, valueBytesMax), facts: facts}
	rep.key = errorKey{message: rep.message, component: facts["component"]}
	if stack := facts[stackFact]; stack != "" {
		rep.frames = framesOf(stack)
		rep.key.where = whereOf(rep.frames)
	}
	h.reporter.take(rep)
}

// keep adds an attribute to what leaves, if it may.
func keep(facts map[string]string, a slog.Attr) {
	limit := errBytesMax
	switch {
	case a.Key == "" && a.Value.Kind() == slog.KindGroup: // whose members slog writes as if they were not in a group
		for _, member := range a.Value.Group() {
			keep(facts, member)
		}
		return
	case a.Key == stackFact:
		limit = stackBytesMax
	case a.Key != errFact && !reportedFacts[a.Key]:
		return
	}
	value := a.Value.Resolve()
	text := value.String()
	if err, ok := value.Any().(error); ok {
		text = err.Error()
	} else if b, ok := value.Any().([]byte); ok {
		text = string(b)
	} else if value.Kind() == slog.KindAny {
		text = fmt.Sprint(value.Any())
	}
	facts[a.Key] = clipped(text, limit)
}
