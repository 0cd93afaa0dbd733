package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Status is how a component or the whole is.
type Status string

const (
	Healthy       Status = "healthy"
	Degraded      Status = "degraded"       // orders are kept, but something waits
	Down          Status = "down"           // orders cannot be kept or made good
	NotConfigured Status = "not_configured" // it is not used here, which is no fault
)

// Check looks at one component. Its error's text never leaves: it goes to the log.
type Check struct {
	Name string
	// Critical: without it orders are lost or cannot be made good, so the whole is down, not degraded.
	Critical bool
	// Look returns nil when all is well, and an error that says what is not. ErrNotConfigured is no fault.
	Look func(ctx context.Context) error
}

// ErrNotConfigured says that a component is not used here.
var ErrNotConfigured = errors.New("not configured")

// Health answers GET /api/health.
type Health struct {
	checks []Check
	now    func() time.Time
	failed func(component string, err error)

	mu      sync.Mutex
	at      time.Time
	current Report
}

// Report is the answer: one word for the whole and one for each component.
type Report struct {
	Status     Status               `json:"status"`
	CheckedAt  time.Time            `json:"checked_at"`
	Components map[string]Component `json:"components"`
}

// Component is one part of a Report.
type Component struct {
	Status Status `json:"status"`
	TookMS int64  `json:"took_ms"`
}

const (
	healthCached  = 5 * time.Second // however often it is asked, the components are looked at no more often
	healthTimeout = 3 * time.Second // of each look
)

// NewHealth wires the checks. failed is told of each look that found something wrong, for the log.
func NewHealth(checks []Check, now func() time.Time, failed func(component string, err error)) *Health {
	return &Health{checks: checks, now: now, failed: failed}
}

// Answer answers 200 with the report, or 503 with it when the whole is down, so that a load balancer that only looks at
// the status understands.
func (h *Health) Answer(w http.ResponseWriter, r *http.Request) error {
	report := h.Report(r.Context())
	status := http.StatusOK
	if report.Status == Down {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, status, report)
	return nil
}

// Report looks at all components at once, or returns the last look while it is fresh. Callers that come together share
// one look.
func (h *Health) Report(ctx context.Context) Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.at.IsZero() && h.now().Sub(h.at) < healthCached {
		return h.current
	}
	// One caller's impatience must not spoil the report for the others.
	h.current = h.look(context.WithoutCancel(ctx))
	h.at = h.now()
	return h.current
}

func (h *Health) look(ctx context.Context) Report {
	report := Report{Status: Healthy, CheckedAt: h.now().UTC(), Components: make(map[string]Component, len(h.checks))}
	found := make([]Component, len(h.checks))
	var all sync.WaitGroup
	for i, check := range h.checks {
		all.Go(func() { found[i] = h.lookAt(ctx, check) })
	}
	all.Wait()
	for i, check := range h.checks {
		report.Components[check.Name] = found[i]
		if found[i].Status == Down || found[i].Status == Degraded && report.Status == Healthy {
			report.Status = found[i].Status
		}
	}
	return report
}

// safely turns a panic of a look into its error: a broken check must not take the server down.
func safely(ctx context.Context, look func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the check panicked: %v", p)
		}
	}()
	return look(ctx)
}

func (h *Health) lookAt(ctx context.Context, check Check) Component {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	began := time.Now()
	done := make(chan error, 1) // a look that ignores its deadline is left behind
	go func() { done <- safely(ctx, check.Look) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	c := Component{Status: Healthy, TookMS: time.Since(began).Milliseconds()}
	switch {
	case errors.Is(err, ErrNotConfigured):
		c.Status = NotConfigured
	case err != nil && check.Critical:
		c.Status = Down
	case err != nil:
		c.Status = Degraded
	}
	if err != nil && c.Status != NotConfigured {
		h.failed(check.Name, err)
	}
	return c
}
