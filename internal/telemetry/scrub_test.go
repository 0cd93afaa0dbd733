package telemetry_test

import (
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/telemetry"
)

// planted are things that may not leave, and the part of each that must be gone.
var planted = []struct{ name, text, hidden string }{
	{"e-mail address", "ann.o'neil+x@shop.example.com", "ann.o"},
	{"e-mail address without a dot", "zoe7@localhost", "zoe7"},
	{"e-mail address escaped", "ann%40example.com", "%40"},
	{"e-mail address of another alphabet", "bücher@österreich.example", "reich"},
	{"Stripe key", "sk_live_Zq7Tn3Vb9Kx2Lm5P", "Zq7"},
	{"restricted Stripe key", "rk_test_Zq7Tn3", "Zq7"},
	{"webhook secret", "whsec_Zq7Tn3Vb+/9Kx2Lm5P==", "Kx2"},
	{"Resend key", "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6", "Kx2"},
	{"short Resend key", "re_Zq7Tn3Vb", "Zq7"},
	{"Slack token", "xoxb-1234-5678-Zq7Tn3Vb", "Zq7"},
	{"GitHub token", "ghp_Zq7Tn3Vb9Kx2", "Zq7"},
	{"GitHub token of the new kind", "github_pat_11ABC_Zq7Tn3", "Zq7"},
	{"Cloudflare token", "cfut_Zq7Tn3", "Zq7"},
	{"Cloudflare token of an account", "cfat_Zq7Tn3", "Zq7"},
	{"Cloudflare global key", "cfk_Zq7Tn3", "Zq7"},
	{"age identity", "AGE-SECRET-KEY-1ZQ7TN3", "ZQ7"},
	{"key that seals", "mgs1_Zq7Tn3", "Zq7"},
	{"AWS key", "AKIAZQTNVBKXLMPW", "ZQTN"},
	{"JSON Web Token", "eyJhbGciOi.eyJzdWIi.c2ln", "c2ln"},
	{"bearer", "Bearer short", "short"},
	{"basic", "Authorization: Basic dTpw", "dTpw"},
	{"query", "https://shop.example/thanks?session=abc&name=Ann", "Ann"},
	{"fragment", "https://shop.example/thanks#name-Ann", "Ann"},
	{"query of a path", "/thanks?name=Ann", "Ann"},
	{"password in a URL", "postgres://app:hunter22@db/x", "hunter22"},
	{"password with an at sign in a URL", "postgres://app:hunt@er22@db/x", "er22"},
	{"password with a slash in a URL", "postgres://app:hunt/er22@db/x", "er22"},
	{"secret assigned", "api_key=hunter22", "hunter22"},
	{"licence key", "GD-ABCD-EF23-WXYZ", "WXYZ"},
	{"licence key as typed", "gd-abcd-ef23-wxyz", "wxyz"},
	{"licence key within a word", "ABCD-EFGH-WXYZ-x", "WXYZ"},
	{"long hexadecimal", "9f86d081884c7d65", "884c"},
	{"long base64", "Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6", "Lm5"},
	{"long base64 with slashes", "aB3/cD4/eF5/gH6/iJ7/kL8/mN9/oP0/qR1=", "iJ7"},
	{"long run of letters", strings.Repeat("qwfpgj", 6), "qwf"},
	{"card number", "4242424242424242", "4242"},
	{"public address", "203.0.113.7", "203.0"},
	{"public IPv6 address", "2001:db8::17", "db8"},
}

func TestScrub(t *testing.T) {
	t.Parallel()
	for _, tt := range planted {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, around := range [][2]string{{"", ""}, {"before ", " after"}, {`"`, `"`}, {"(", ")"}, {"x=", ", y"}, {"to:\n", "\n"}} {
				s := around[0] + tt.text + around[1]
				got := telemetry.Scrub(s)
				if strings.Contains(got, tt.hidden) {
					t.Errorf("Scrub(%q) = %q, want no %q", s, got, tt.hidden)
				}
				if again := telemetry.Scrub(got); again != got {
					t.Errorf("Scrub(Scrub(%q)) = %q, want %q", s, again, got)
				}
			}
		})
	}
	if got := telemetry.Scrub(`token="hunter22 and mo`); strings.Contains(got, "hunter22") {
		t.Errorf("Scrub of a value cut before its closing quote = %q", got)
	}
}

// What a developer needs to find the fault stays.
func TestScrubKeepsTheFault(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"dial tcp 127.0.0.1:5432: connect: connection refused", "dial tcp 10.0.0.7:443: i/o timeout", "read [::1]:53: refused",
		"POST /api/licenses/validate", "internal/fulfill/forward.go:12: no such step", "invariant broken: assignment to entry in nil map",
		"runtime error: index out of range [7] with length 3", "context deadline exceeded", "ERROR: deadlock detected (SQLSTATE 40P01)",
		"checkout.session.completed", "12:34:56", "https://api.stripe.com/v1/checkout/sessions", "is it so? perhaps",
		"github.com/makegood/makegood/internal/queue", "unknown_product", "token expired",
	} {
		if got := telemetry.Scrub(s); got != s {
			t.Errorf("Scrub(%q) = %q, want it as it is", s, got)
		}
	}
}

// FuzzScrub puts each planted thing between any two texts: it never survives.
func FuzzScrub(f *testing.F) {
	f.Add("could not write to", "because of x", 0)
	f.Add(`{"secret":"`, `"}`, 4)
	f.Add("Bearer", "@", 24)
	f.Add("https://x.example/?a", "\xff\x00", 26)
	f.Fuzz(func(t *testing.T, before, after string, n int) {
		tt := planted[(n%len(planted)+len(planted))%len(planted)]
		if strings.Contains(before, tt.hidden) || strings.Contains(after, tt.hidden) {
			return // the surroundings say it too
		}
		s := before + " " + tt.text + " " + after
		if got := telemetry.Scrub(s); strings.Contains(got, tt.hidden) {
			t.Errorf("Scrub(%q) = %q, want no %q", s, got, tt.hidden)
		}
		telemetry.Scrub(before + after)
	})
}
