package telemetry

import (
	"context"
	"log/slog"
)

// NoticePanics passes records on and tells of those that carry a stack: a panic that was caught. tell gets the constant
// message of the record and its component; it must not block, and what it logs must carry no stack.
func NoticePanics(next slog.Handler, tell func(component, message string)) slog.Handler {
	return panicHandler{next: next, tell: tell}
}

type panicHandler struct {
	next      slog.Handler
	tell      func(component, message string)
	component string
	hasStack  bool
}

// Enabled is always true for errors: a panic is told of even when nobody reads the log.
func (h panicHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || h.next.Enabled(ctx, level)
}

// Handle passes the record on first: that it is told must not cost the log.
func (h panicHandler) Handle(ctx context.Context, r slog.Record) error {
	var err error
	if h.next.Enabled(ctx, r.Level) {
		err = h.next.Handle(ctx, r)
	}
	hasStack, component := h.hasStack, h.component
	r.Attrs(func(a slog.Attr) bool {
		hasStack = hasStack || a.Key == stackFact
		if a.Key == "component" {
			component = a.Value.String()
		}
		return true
	})
	if hasStack && r.Level >= slog.LevelError {
		h.tell(component, r.Message)
	}
	return err
}

// WithAttrs remembers the component.
func (h panicHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.hasStack = h.hasStack || a.Key == stackFact
		if a.Key == "component" {
			h.component = a.Value.String()
		}
	}
	h.next = h.next.WithAttrs(attrs)
	return h
}

// WithGroup passes it on.
func (h panicHandler) WithGroup(name string) slog.Handler {
	h.next = h.next.WithGroup(name)
	return h
}
