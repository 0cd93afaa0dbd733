package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/telemetry"
)

var formats = []string{"text", "json"}

// logged returns what a line with these attributes looks like.
func logged(format, message string, args ...any) string {
	var buf bytes.Buffer
	telemetry.NewLogger(&buf, format, nil).Info(message, args...)
	return buf.String()
}

type person struct {
	Name, Email string
	Password    string `json:"password"`
}

type loud struct{ text string }

func (l loud) LogValue() slog.Value { return slog.StringValue(l.text) }

func TestLoggerRedacts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		args   []any
		hidden string
	}{
		{"key that looks secret", []any{"webhook_secret", "hunter22"}, "hunter22"},
		{"key in camel case", []any{"apiKey", "hunter22"}, "hunter22"},
		{"key with hyphen", []any{"Api-Key", "hunter22"}, "hunter22"},
		{"authorization", []any{"Authorization", "hunter22"}, "hunter22"},
		{"group that looks secret", []any{slog.Group("secrets", "stripe", "hunter22")}, "hunter22"},
		{"secret key with any value", []any{"password", []string{"hunter22"}}, "hunter22"},
		{"e-mail address", []any{"err", "no mailbox for ann.o'neil+x@shop.example.com here"}, "neil"},
		{"e-mail address of another alphabet", []any{"x", "bücher@österreich.example"}, "bücher"},
		{"e-mail address in a URL", []any{"url", "https://x.example/?to=ann%40example.com"}, "ann%40"},
		{"webhook secret", []any{"x", "got whsec_Zq7Tn3Vb9Kx2Lm5P"}, "Zq7Tn3"},
		{"Stripe key", []any{"x", "sk_live_Zq7Tn3Vb9Kx2Lm5P"}, "Zq7Tn3"},
		{"restricted Stripe key", []any{"x", "rk_test_Zq7Tn3Vb9Kx2Lm5P"}, "Zq7Tn3"},
		{"Resend key", []any{"x", "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6"}, "9Kx2Lm5"},
		{"licence key", []any{"x", "sold GD-ABCD-EF23-WXYZ to"}, "WXYZ"},
		{"licence key without prefix", []any{"x", "ABCD-EFGH-WXYZ"}, "WXYZ"},
		{"licence key as typed", []any{"x", "gd-abcd-ef23-wxyz"}, "wxyz"},
		{"password in a URL", []any{"x", "postgres://app:hunter22@db/x"}, "hunter22"},
		{"token in a query", []any{"x", "/hook?token=hunter22&x=1"}, "hunter22"},
		{"password in JSON", []any{"x", `{"password":"hunter22"}`}, "hunter22"},
		{"bearer", []any{"x", "sent Bearer aGVsbG8gd29ybGQ"}, "aGVsbG8"},
		{"error", []any{"err", fmt.Errorf("to ann@example.com: %w", errors.New("x"))}, "ann@"},
		{"bytes", []any{"x", []byte("ann@example.com")}, "ann@"},
		{"struct", []any{"x", person{Email: "ann@example.com"}}, "ann@"},
		{"struct pointer", []any{"x", &person{Email: "ann@example.com"}}, "ann@"},
		{"field that looks secret", []any{"x", person{Password: "hunter22"}}, "hunter22"},
		{"map", []any{"x", map[string]string{"a": "ann@example.com"}}, "ann@"},
		{"map with a secret key", []any{"x", map[string]string{"api_key": "hunter22"}}, "hunter22"},
		{"LogValuer", []any{"x", loud{"ann@example.com"}}, "ann@"},
		{"nested group", []any{slog.Group("a", slog.Group("b", "c", "ann@example.com"))}, "ann@"},
		{"address as key", []any{"ann@example.com", 1}, "ann@"},
		{"secret.Value", []any{"x", secret.New("hunter22")}, "hunter22"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, format := range formats {
				if got := logged(format, "x", tt.args...); strings.Contains(got, tt.hidden) {
					t.Errorf("%s line = %s, want no %s", format, got, tt.hidden)
				}
			}
		})
	}
	for _, format := range formats {
		if got := logged(format, "mail to ann@example.com"); strings.Contains(got, "ann@") {
			t.Errorf("%s message = %s, want no address", format, got)
		}
		var buf bytes.Buffer
		telemetry.NewLogger(&buf, format, nil).With("x", "ann@example.com").WithGroup("g").Info("x", "y", "bob@example.com")
		if got := buf.String(); strings.Contains(got, "ann@") || strings.Contains(got, "bob@") {
			t.Errorf("%s line of a child = %s, want no address", format, got)
		}
	}
}

// TestLoggerKeepsFacts: what an operator needs must not be lost to the guard.
func TestLoggerKeepsFacts(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"evt_1Nispe2eZvKYlo2Cd31jOCgZ", "re_1Nispe2eZvKYlo2Cd31jOCgZ", "pi_3MtwBwLkdIwHu7ix28a3tqPa", "ord_01jx2k3m4n5p6q7r8s9t",
		"123e4567-e89b-42d3-a456-426614174234", "2026-03-01T12:00:00Z", "that-then-went", "https://api.resend.com", "sources[2].secret: is empty",
		"four-2222-3333-4444x", "checkout.session.completed", "127.0.0.1:8080", "12ms", "store_keys_and_more", "1234-5678-9234-5678",
		"token expired", "the password is wrong", "fingerprint 03bd9f30", "user@localhost",
	} {
		for _, format := range formats {
			if got := logged(format, "x", "event", value); !strings.Contains(got, value) {
				t.Errorf("%s line = %s, want %s in it", format, got, value)
			}
		}
	}
	got := logged("text", "claimed", "tokens", 7, "took", 3*time.Millisecond, "err", errors.New("refused"), "list", []string{"a"})
	for _, want := range []string{"tokens=7", "took=3ms", "err=refused", "list=[a]", "msg=claimed", "level=INFO"} {
		if !strings.Contains(got, want) {
			t.Errorf("line = %s, want %s in it", got, want)
		}
	}
}

func TestLoggerFormatAndLevel(t *testing.T) {
	t.Parallel()
	var line map[string]any
	if err := json.Unmarshal([]byte(logged("json", "claimed", "job", 7)), &line); err != nil {
		t.Fatal(err)
	}
	if line["msg"] != "claimed" || line["job"] != 7.0 || !strings.HasSuffix(line["time"].(string), "Z") {
		t.Errorf("json line = %v, want message, job and a time in UTC", line)
	}
	var buf bytes.Buffer
	level := new(slog.LevelVar)
	log := telemetry.NewLogger(&buf, "text", level)
	log.Debug("quiet")
	level.Set(slog.LevelDebug)
	log.Debug("heard")
	if got := buf.String(); strings.Contains(got, "quiet") || !strings.Contains(got, "heard") {
		t.Errorf("lines = %s, want the level to be asked each time", got)
	}
}

func TestRedactIsIdempotent(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"a ann@example.com b", "x://u:p@h/", "token=abc", `{"secret":"x y"}`, "Bearer abcdefgh12", "GD-ABCD-EF23-WXYZ", "whsec_abcdefgh"} {
		once := telemetry.Redact(s)
		if twice := telemetry.Redact(once); twice != once {
			t.Errorf("Redact(Redact(%q)) = %q, want %q", s, twice, once)
		}
		if once == s {
			t.Errorf("Redact(%q) changed nothing", s)
		}
	}
}
