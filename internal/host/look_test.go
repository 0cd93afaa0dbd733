package host_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
)

const (
	oldToken     = "Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6_Hj1-Sc0YaUe8WoX"
	userToken    = "cfut_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaUe8WoXb13f8a0c5b"
	accountToken = "cfat_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaUe8WoXb13f8a0c5b"
	githubToken  = "ghp_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaUe8W"
	page         = "https://dash.cloudflare.com/profile/api-tokens"
)

// damages are what happens to a credential between the dashboard and the machine.
var damages = []struct {
	name   string
	damage func(string) string
	want   host.Fault
	tells  string
}{
	{"line feed", func(s string) string { return s + "\n" }, host.LineFeed, "LF"},
	{"line feed before", func(s string) string { return "\n" + s }, host.LineFeed, "LF"},
	{"two line feeds", func(s string) string { return s + "\n\n" }, host.LineFeed, "LF"},
	{"line feed inside", func(s string) string { return s[:20] + "\n" + s[20:] }, host.LineFeed, "LF"},
	{"carriage return", func(s string) string { return s + "\r" }, host.CarriageReturn, "CR"},
	{"carriage return and line feed", func(s string) string { return s + "\r\n" }, host.CarriageLineFeed, "CRLF"},
	{"byte order mark", func(s string) string { return "\uFEFF" + s }, host.ByteOrderMark, "byte order mark"},
	{"no-break space", func(s string) string { return s + "\u00A0" }, host.NoBreakSpace, "no-break"},
	{"zero-width space", func(s string) string { return s[:9] + "\u200B" + s[9:] }, host.NoBreakSpace, "zero-width"},
	{"double quotes", func(s string) string { return `"` + s + `"` }, host.Quoted, "quotation marks"},
	{"single quotes", func(s string) string { return `'` + s + `'` }, host.Quoted, "quotation marks"},
	{"curly quotes", func(s string) string { return "“" + s + "”" }, host.Quoted, "quotation marks"},
	{"one quote", func(s string) string { return s + `"` }, host.Quoted, "quotation marks"},
	{"Bearer", func(s string) string { return "Bearer " + s }, host.Prefixed, "Bearer"},
	{"whole header", func(s string) string { return "Authorization: Bearer " + s }, host.Prefixed, "Bearer"},
	{"doubled", func(s string) string { return s + s }, host.Doubled, "twice"},
	{"doubled over two lines", func(s string) string { return s + "\n" + s }, host.Doubled, "twice"},
	{"cut to a half", func(s string) string { return s[:len(s)/2] }, host.Cut, "too short"},
	{"another service's", func(string) string { return "sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya" }, host.WrongKind, "a Stripe API key"},
	{"missing", func(string) string { return "" }, host.Missing, "no credential"},
	{"nothing but a line end", func(string) string { return "\r\n" }, host.Missing, "no credential"},
	{"blank before", func(s string) string { return " " + s }, host.Broken, "blanks"},
	{"control character", func(s string) string { return s + "\x00" }, host.Broken, "control characters"},
	{"control character before", func(s string) string { return "\x00" + s }, host.Broken, "control characters"},
	{"blank inside", func(s string) string { return s[:20] + " " + s[20:] }, host.Broken, "blanks"},
	{"not expanded", func(string) string { return "${TOKEN}" }, host.Broken, "a variable"},
	{"placeholder", func(string) string { return "your-token-here" }, host.Broken, "placeholder"},
}

func TestLook(t *testing.T) {
	t.Parallel()
	for _, token := range []struct {
		name, value string
		kind        secret.Kind
	}{
		{"old Cloudflare token", oldToken, secret.CloudflareToken},
		{"Cloudflare token of a user", userToken, secret.CloudflareToken},
		{"Cloudflare token of an account", accountToken, secret.CloudflareToken},
		{"GitHub token", githubToken, secret.GitHubToken},
	} {
		if got := host.Look(secret.New(token.value), token.kind, page); got != nil {
			t.Errorf("Look of a whole %s = %v, want nil", token.name, got)
		}
		for _, d := range damages {
			t.Run(token.name+", "+d.name, func(t *testing.T) {
				t.Parallel()
				checkLook(t, d.damage(token.value), token.kind, d.want, d.tells)
			})
		}
	}
}

// What only one of the kinds can suffer.
func TestLookAtOneKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, value string
		kind        secret.Kind
		want        host.Fault
		tells       string
	}{
		{"old token without its last character", oldToken[:39], secret.CloudflareToken, host.Cut, "39 bytes where at least 40"},
		{"old token without its first character", oldToken[1:], secret.CloudflareToken, host.Cut, "cut off"},
		{"user token with a short body", userToken[:44], secret.CloudflareToken, host.Cut, "cut off"},
		{"account token with a short body", accountToken[:44], secret.CloudflareToken, host.Cut, "cut off"},
		{"prefix alone", "cfut_", secret.CloudflareToken, host.Cut, "cut off"},
		{"old token with one character more", oldToken + "q", secret.CloudflareToken, host.WrongKind, "not of the form"},
		{"new global key", "cfk_" + userToken[5:], secret.CloudflareToken, host.WrongKind, "the global API key"},
		{"old global key", "3f8a0c5be61d4972a95c07e2b8d143f60a1b2", secret.CloudflareToken, host.WrongKind, "the global API key"},
		{"id of the account", "3f8a0c5be61d4972a95c07e2b8d143f6", secret.CloudflareToken, host.WrongKind, "the id of an account"},
		{"GitHub token at Cloudflare", githubToken, secret.CloudflareToken, host.WrongKind, "a GitHub token"},
		{"Cloudflare token at GitHub", userToken, secret.GitHubToken, host.WrongKind, "a Cloudflare API token of a user"},
		{"old Cloudflare token at GitHub", oldToken, secret.GitHubToken, host.WrongKind, "something else"},
		{"cut GitHub token", githubToken[:33], secret.GitHubToken, host.Cut, "cut off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkLook(t, tt.value, tt.kind, tt.want, tt.tells)
		})
	}
}

// One visit mends everything, so everything is told, the gravest first.
func TestLookTellsAll(t *testing.T) {
	t.Parallel()
	d := host.Look(secret.New("\uFEFF\"Bearer "+oldToken[:30]+"\"\r\n"), secret.CloudflareToken, page)
	if d == nil || d.Fault != host.CarriageLineFeed {
		t.Fatalf("Look = %v, want %s", d, host.CarriageLineFeed)
	}
	for _, want := range []string{"CRLF", "byte order mark", "quotation marks", "too short"} {
		if !strings.Contains(d.Sentence, want) {
			t.Errorf("sentence = %q, want it to tell %q", d.Sentence, want)
		}
	}
}

func checkLook(t *testing.T, value string, kind secret.Kind, want host.Fault, tells string) {
	t.Helper()
	d := host.Look(secret.New(value), kind, page)
	if d == nil || d.Fault != want || d.Page != page {
		t.Fatalf("Look(%q, %s) = %v, want the fault %s and the page", value, kind, d, want)
	}
	if !strings.Contains(d.Sentence, tells) || !strings.HasSuffix(d.Sentence, ".") {
		t.Errorf("sentence of Look(%q, %s) = %q, want one that tells %q", value, kind, d.Sentence, tells)
	}
	if run := shownRun(d.Error(), value); run != "" {
		t.Errorf("diagnosis %q shows %q of the credential", d.Error(), run)
	}
}

// shownRun returns the first six bytes of the value in a row that stand in the text and in no text that has nothing to do
// with the value; "" when there are none. Digits are all alike, because lengths are told.
func shownRun(text, value string) string {
	text, value = alike(text), alike(value)
	for i := 0; i+6 <= len(value); i++ {
		if run := value[i : i+6]; strings.Contains(text, run) && !strings.Contains(ownWords, run) {
			return run
		}
	}
	return ""
}

var digit = regexp.MustCompile(`[0-9]`)

func alike(s string) string { return digit.ReplaceAllString(s, "0") }

// ownWords are all sentences of Look about values that share nothing with each other but their prefix.
var ownWords = func() string {
	var b strings.Builder
	b.WriteString(alike(page))
	values := []string{"", "a", "\n", "\r", "\r\n", "\uFEFF", "\u00A0", `"`, " ", "\x00", "${A}", "...", "a a", "Bearer a", "qwe4rt qwe4rt", "a@b.c"}
	for _, prefix := range strings.Fields("whsec_ sk_ rk_ pk_ re_ we_ xoxb- xoxp- xapp- AC SK ghp_ ghs_ gho_ ghu_ github_pat_ tk_ cfut_ cfat_ cfk_ v1.0- " +
		"AGE-SECRET-KEY-PQ-1 AGE-SECRET-KEY-1 AGE-PLUGIN- #_created: age1 mgs1_ mgv1_ http sk_test_ sk_live_ rk_test_ rk_live_ pk_test_ pk_live_") {
		prefix = strings.ReplaceAll(prefix, "#_", "# ")
		values = append(values, prefix, prefix+strings.Repeat("0a1b2c3d", 9))
	}
	for n := range 1100 { // every number of digits that a length can have
		if n < 66 || n%100 == 0 {
			values = append(values, strings.Repeat("0f", n)[:n], strings.Repeat("Z9-", n)[:n], "re_"+strings.Repeat("Q1", n)[:n], "tk_"+strings.Repeat("q1", n)[:n])
		}
	}
	values = append(values, "re_Q1Q1Q1Q1_Q1Q1Q1Q1Q1Q1Q1Q1Q1Q1Q1Q1", "3f8a0c5be61d4972a95c07e2b8d143f60a1b2", "3f8a0c5be61d4972a95c07e2b8d143f6")
	for _, v := range values {
		for _, kind := range []secret.Kind{secret.CloudflareToken, secret.GitHubToken} {
			if d := host.Look(secret.New(v), kind, page); d != nil {
				b.WriteString(alike(d.Error()) + "\n")
			}
		}
	}
	return b.String()
}()

func FuzzLook(f *testing.F) {
	for _, d := range damages {
		f.Add(d.damage(userToken))
		f.Add(d.damage(githubToken))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []secret.Kind{secret.CloudflareToken, secret.GitHubToken} {
			d := host.Look(secret.New(s), kind, page)
			if d == nil {
				continue
			}
			if d.Fault == "" || d.Sentence == "" {
				t.Errorf("Look(%q, %s) = %+v, want a fault and a sentence", s, kind, d)
			}
			if run := shownRun(d.Error(), s); run != "" {
				t.Errorf("diagnosis %q shows %q of the credential %q", d.Error(), run, s)
			}
		}
	})
}
