package cli

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// An error of a program that runs is reported once, with its release and without what is nobody's business; without a DSN
// the log is the very log that it was.
func TestReporting(t *testing.T) {
	t.Parallel()
	collector := simulate.NewSentry(simulate.SentryOptions{})
	defer collector.Close()
	service := httptest.NewServer(collector)
	defer service.Close()
	s := &surroundings{ctx: t.Context()}
	var out bytes.Buffer
	plain := slog.New(slog.NewTextHandler(&out, nil))

	log, done, err := s.reporting(plain, config.Errors{DSN: secret.New(collector.DSN(service.URL)), Environment: "drill"}, "server")
	if err != nil {
		t.Fatal(err)
	}
	log.Error("order cannot be read", "component", "store", "err", errors.New("ann@example.com has none"))
	done()
	reports := collector.Reports()
	if len(reports) != 1 || !strings.Contains(out.String(), "order cannot be read") {
		t.Fatalf("%d reports, log %q, want one of each", len(reports), out.String())
	}
	for _, envelope := range collector.Envelopes() {
		if bytes.Contains(envelope, []byte("ann@example.com")) {
			t.Errorf("an envelope has the address of a person: %s", envelope)
		}
	}
	if checkIns := collector.CheckIns(); len(checkIns) != 1 {
		t.Errorf("check-ins = %+v, want the first", checkIns)
	}

	log, done, err = s.reporting(plain, config.Errors{}, "server")
	if err != nil || log != plain {
		t.Errorf("without a DSN the log is another one, %v", err)
	}
	done()
}
