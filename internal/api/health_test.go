package api_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/makegood/makegood/internal/api"
)

func well(context.Context) error { return nil }

func ill(context.Context) error { return errors.New("password hunter2 was refused by 10.0.0.7") }

func absent(context.Context) error { return fmt.Errorf("backup: %w", api.ErrNotConfigured) }

func broken(context.Context) error { panic("nil pointer") }

func TestHealth(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		checks []api.Check
		status api.Status
		code   int
		parts  map[string]api.Status
		logged []string
	}{
		{"nothing to look at", nil, api.Healthy, 200, map[string]api.Status{}, nil},
		{"all well", []api.Check{{"database", true, well}, {"email", false, well}, {"backup", false, absent}}, api.Healthy, 200,
			map[string]api.Status{"database": api.Healthy, "email": api.Healthy, "backup": api.NotConfigured}, nil},
		{"something waits", []api.Check{{"database", true, well}, {"email", false, ill}}, api.Degraded, 200,
			map[string]api.Status{"database": api.Healthy, "email": api.Degraded}, []string{"email"}},
		{"database away", []api.Check{{"database", true, ill}, {"email", false, ill}}, api.Down, 503,
			map[string]api.Status{"database": api.Down, "email": api.Degraded}, []string{"database", "email"}},
		{"database away, told last", []api.Check{{"email", false, ill}, {"database", true, ill}}, api.Down, 503,
			map[string]api.Status{"database": api.Down, "email": api.Degraded}, []string{"database", "email"}},
		{"a check that panics", []api.Check{{"email", false, broken}}, api.Degraded, 200,
			map[string]api.Status{"email": api.Degraded}, []string{"email"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var logged []string
			h := api.NewHealth(tt.checks, func() time.Time { return noon }, func(component string, err error) {
				mu.Lock()
				defer mu.Unlock()
				logged = append(logged, component)
			})
			w := ask(t, h.Answer, "GET", "/api/health", "")
			var got api.Report
			decode(t, w, &got)
			parts := map[string]api.Status{}
			for name, c := range got.Components {
				parts[name] = c.Status
			}
			slices.Sort(logged)
			if w.Code != tt.code || got.Status != tt.status || !got.CheckedAt.Equal(noon) || !cmp.Equal(parts, tt.parts) || !cmp.Equal(logged, tt.logged) {
				t.Errorf("= %d %s %v, logged %v, want %d %s %v, logged %v", w.Code, got.Status, parts, logged, tt.code, tt.status, tt.parts, tt.logged)
			}
			for _, secret := range []string{"hunter2", "10.0.0.7", "nil pointer"} {
				if strings.Contains(w.Body.String(), secret) {
					t.Errorf("answer %s has the cause in it", w.Body)
				}
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control = %q, want no-store", got)
			}
		})
	}
}

// However often it is asked, and by however many at once, the components are looked at once in five seconds.
func TestHealthCached(t *testing.T) {
	t.Parallel()
	at := noon
	looks := 0 // guarded by the one look at a time, which the race detector checks
	h := api.NewHealth([]api.Check{{"database", true, func(context.Context) error { looks++; return nil }}}, func() time.Time { return at }, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := h.Report(t.Context()).Status; got != api.Healthy {
				t.Errorf("status = %s, want healthy", got)
			}
		})
	}
	all.Wait()
	for _, tt := range []struct {
		wait time.Duration
		want int
	}{{0, 1}, {5*time.Second - time.Nanosecond, 1}, {time.Nanosecond, 2}, {time.Hour, 3}} {
		at = at.Add(tt.wait)
		if h.Report(t.Context()); looks != tt.want {
			t.Errorf("looks after %v more = %d, want %d", tt.wait, looks, tt.want)
		}
	}
}

// A check that hangs, even one that ignores its deadline, costs three seconds and its own component only.
func TestHealthHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		deaf := func(context.Context) error { <-release; return nil }
		waits := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		h := api.NewHealth([]api.Check{{"database", true, well}, {"email", false, deaf}, {"provider:stripe", false, waits}}, time.Now,
			func(string, error) {})
		began := time.Now()
		// The caller's own impatience must not spoil the report for those who come after.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := h.Report(ctx)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want the 3 s of one look", took)
		}
		want := map[string]api.Component{"database": {api.Healthy, 0}, "email": {api.Degraded, 3000}, "provider:stripe": {api.Degraded, 3000}}
		if r.Status != api.Degraded || !cmp.Equal(r.Components, want) {
			t.Errorf("report = %s %v, want degraded %v", r.Status, r.Components, want)
		}
	})
}
