package telemetry_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/telemetry"
)

func TestNoticePanics(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var told []string
	log := slog.New(telemetry.NoticePanics(slog.NewTextHandler(&out, nil), func(component, message string) {
		told = append(told, component+": "+message)
	}))
	log.Error("request failed", "component", "http")
	log.Warn("a warning", "stack", "main.go:1")
	log.With("component", "queue").Error("job given up", "stack", "main.go:1")
	log.Error("request panicked", "component", "http", "stack", "main.go:2")
	log.WithGroup("g").With("stack", "main.go:3").Error("odd")
	if want := []string{"queue: job given up", "http: request panicked", ": odd"}; !slices.Equal(told, want) {
		t.Errorf("told = %q, want %q", told, want)
	}
	if n := strings.Count(out.String(), "\n"); n != 5 {
		t.Errorf("%d records were passed on, want 5:\n%s", n, out.String())
	}
}
