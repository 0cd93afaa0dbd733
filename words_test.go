package makegood

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want Money
		show string
	}{
		{"29.00 USD", Money{2900, "usd"}, "29.00 USD"},
		{"29 usd", Money{2900, "usd"}, "29.00 USD"},
		{"0.05 EUR", Money{5, "eur"}, "0.05 EUR"},
		{"2900 JPY", Money{2900, "jpy"}, "2900 JPY"},
		{"1.250 KWD", Money{1250, "kwd"}, "1.250 KWD"},
		{"29.0 USD", Money{}, ""},
		{"29.001 USD", Money{}, ""},
		{"29.00 JPY", Money{}, ""},
		{"-1 USD", Money{}, ""},
		{"29.00", Money{}, ""},
		{"1e3 USD", Money{}, ""},
		{". USD", Money{}, ""},
		{"29. USD", Money{}, ""},
		{"99999999999999999999 USD", Money{}, ""},
		{"29.00 US1", Money{}, ""},
	} {
		got, err := ParseMoney(tt.text)
		if got != tt.want || (err == nil) != (tt.show != "") {
			t.Errorf("ParseMoney(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
		if err == nil && got.String() != tt.show {
			t.Errorf("ParseMoney(%q).String() = %q, want %q", tt.text, got.String(), tt.show)
		}
	}
	if got := (Money{-5, "usd"}).String(); got != "-0.05 USD" {
		t.Errorf("minus five cents = %q", got)
	}
	if _, ok := (Money{1 << 62, "usd"}).Times(3); ok {
		t.Error("Times overflows in silence")
	}
}

func TestValidProductCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"az-900": true, "a": true, "0": true, strings.Repeat("a", 64): true,
		"": false, "AZ-900": false, "az_900": false, "-az": false, "az-": false, "az 900": false, strings.Repeat("a", 65): false,
		"az-900\n": false, "az/900": false,
	} {
		if got := ValidProductCode(code); got != want {
			t.Errorf("ValidProductCode(%q) = %v, want %v", code, got, want)
		}
	}
}

func TestByProviderPrice(t *testing.T) {
	t.Parallel()
	c := Catalogue{"a": {Code: "a", ProviderPrice: map[string]string{"stripe": "price_1"}}, "b": {Code: "b"}}
	if p, ok := c.ByProviderPrice("stripe", "price_1"); !ok || p.Code != "a" {
		t.Errorf("ByProviderPrice(price_1) = %v, %v, want a", p.Code, ok)
	}
	for _, price := range []string{"", "price_2"} {
		if _, ok := c.ByProviderPrice("stripe", price); ok {
			t.Errorf("ByProviderPrice(%q) found something", price)
		}
	}
}

func TestNewID(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	low := NewID(EventPrefix, at, bytes.NewReader(make([]byte, 8)))
	high := NewID(EventPrefix, at, bytes.NewReader(bytes.Repeat([]byte{0xff}, 8)))
	later := NewID(EventPrefix, at.Add(time.Millisecond), bytes.NewReader(make([]byte, 8)))
	if len(low) != 23 || !(low < high && high < later) {
		t.Errorf("ids %s, %s, %s do not sort by time", low, high, later)
	}
	for _, c := range later {
		if !strings.ContainsRune(idAlphabet, c) && !strings.ContainsRune(EventPrefix, c) {
			t.Errorf("id %s has %q", later, c)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("NewID without randomness did not panic")
		}
	}()
	NewID(EventPrefix, at, bytes.NewReader(nil))
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{Attempts: 10, Base: time.Second, Cap: time.Minute}
	for _, tt := range []struct {
		attempt int
		jitter  float64
		want    time.Duration
	}{
		{1, 0.5, time.Second}, {2, 0.5, 2 * time.Second}, {5, 0.5, 16 * time.Second}, {7, 0.5, time.Minute},
		{5000, 0.5, time.Minute}, {0, 0.5, time.Second}, {1, 0, 750 * time.Millisecond}, {7, 0.999999, 75 * time.Second},
	} {
		got := p.Backoff(tt.attempt, tt.jitter)
		if d := got - tt.want; d < -time.Millisecond || d > time.Millisecond {
			t.Errorf("Backoff(%d, %v) = %v, want %v", tt.attempt, tt.jitter, got, tt.want)
		}
	}
	var all time.Duration
	for attempt := 1; attempt < DefaultRetryPolicy.Attempts; attempt++ {
		all += DefaultRetryPolicy.Backoff(attempt, 0)
	}
	if all < 60*time.Hour {
		t.Errorf("the default policy gives up after %v, want to outlive most of a provider's three days", all)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial tcp: refused")
	err := fmt.Errorf("ask: %w", Wrap(cause, Unavailable, "Not just now."))
	if !errors.Is(err, Unavailable) || !errors.Is(err, cause) || errors.Is(err, NotFound) {
		t.Errorf("%v is not what it was made of", err)
	}
	if CodeOf(err) != Unavailable || MessageOf(err) != "Not just now." {
		t.Errorf("code and message of %v = %s, %q", err, CodeOf(err), MessageOf(err))
	}
	if CodeOf(cause) != Internal || strings.Contains(MessageOf(cause), "refused") {
		t.Errorf("an error of others = %s, %q, want internal and none of its words", CodeOf(cause), MessageOf(cause))
	}
	if CodeOf(fmt.Errorf("x: %w", NotFound)) != NotFound || Wrap(nil, Internal, "x") != nil {
		t.Error("a bare code or a nil is not understood")
	}
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] || c == "" {
			t.Errorf("code %q is listed twice or empty", c)
		}
		seen[c] = true
	}
	for _, err := range []error{&Permanent{Err: cause}, &Snooze{time.Second, cause}} {
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("%T hides its cause", err)
		}
	}
}

func TestJob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		job         Job
		args, queue string
	}{
		{InterpretJob("evt1", "stripe"), `{"event":"evt1","source":"stripe"}`, QueuePayments},
		{EffectJob("ord1", "email"), `{"order":"ord1","step":"email"}`, QueueEffects},
	} {
		if tt.job.Args() != tt.args || tt.job.Queue() != tt.queue {
			t.Errorf("job %+v = %s in %s, want %s in %s", tt.job, tt.job.Args(), tt.job.Queue(), tt.args, tt.queue)
		}
	}
}
