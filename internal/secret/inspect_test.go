package secret_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/makegood/makegood/internal/secret"
)

const (
	goodTest   = "sk_test_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"
	goodLive   = "sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"
	goodResend = "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya"
	goodToken  = "Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6"

	goodCloudflare = "Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6_Hj1-Sc0YaUe8WoX"
	goodIdentity   = "AGE-SECRET-KEY-1Z7QN3V89KX2LM5PW8RD4FG6HJ9SC0YAZQ7TN3V89KX2LM5PW8RD4FG6HJ"
	goodSigning    = "mgs1_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6Hj1Sc0YaZq8Tn4Vb0Ky"
)

func classes(problems []secret.Problem) []secret.Class {
	var list []secret.Class
	for _, p := range problems {
		list = append(list, p.Class)
	}
	return list
}

func TestInspectNamesCorruption(t *testing.T) {
	t.Parallel()
	type C = []secret.Class
	for _, tt := range []struct {
		name, value string
		kind        secret.Kind
		mode        secret.Mode
		want        C
	}{
		{"empty", "", secret.StripeWebhook, "", C{secret.Empty}},
		{"empty password", "", secret.Password, "", C{secret.Empty}},
		{"only blanks", "  ", secret.Token, "", C{secret.Whitespace, secret.Empty}},
		{"only quotes", `""`, secret.Token, "", C{secret.Quotes, secret.Empty}},
		{"blank before", " " + plain, secret.StripeWebhook, "", C{secret.Whitespace}},
		{"blank after", plain + " ", secret.StripeWebhook, "", C{secret.Whitespace}},
		{"tab after", plain + "\t", secret.StripeWebhook, "", C{secret.Whitespace}},
		{"blank inside", plain[:20] + " " + plain[20:], secret.StripeWebhook, "", C{secret.Whitespace}},
		{"line feed", plain + "\n", secret.StripeWebhook, "", C{secret.Newline}},
		{"carriage return", plain + "\r", secret.StripeWebhook, "", C{secret.Newline}},
		{"windows line end", plain + "\r\n", secret.StripeWebhook, "", C{secret.Newline}},
		{"line feed in a password", "swordfish\n", secret.Password, "", C{secret.Newline}},
		{"byte order mark", "\uFEFF" + plain, secret.StripeWebhook, "", C{secret.BOM}},
		{"no-break space", plain + "\u00A0", secret.StripeWebhook, "", C{secret.NBSP}},
		{"narrow no-break space", "\u202F" + plain, secret.StripeWebhook, "", C{secret.NBSP}},
		{"zero-width space", plain[:9] + "\u200B" + plain[9:], secret.StripeWebhook, "", C{secret.NBSP}},
		{"control character", plain + "\x00", secret.StripeWebhook, "", C{secret.Control}},
		{"bytes that are no text", plain + "\xff\xfe", secret.StripeWebhook, "", C{secret.Control}},
		{"double quotes", `"` + plain + `"`, secret.StripeWebhook, "", C{secret.Quotes}},
		{"single quotes", `'` + plain + `'`, secret.StripeWebhook, "", C{secret.Quotes}},
		{"one quote", plain + `"`, secret.StripeWebhook, "", C{secret.Quotes}},
		{"curly quotes", "“" + goodToken + "”", secret.Token, "", C{secret.Quotes}},
		{"quoted password", `"swordfish"`, secret.Password, "", C{secret.Quotes}},
		{"braced variable", "${STRIPE_SECRET}", secret.StripeWebhook, "", C{secret.Unexpanded}},
		{"bare variable", "$STRIPE_SECRET", secret.StripeWebhook, "", C{secret.Unexpanded}},
		{"prefixed variable", "whsec_$SECRET", secret.StripeWebhook, "", C{secret.Unexpanded}},
		{"variable as password", "$SMTP_PASSWORD", secret.Password, "", C{secret.Unexpanded}},
		{"windows variable", "%SMTP_PASSWORD%", secret.Password, "", C{secret.Unexpanded}},
		{"template", "{{ .Values.secret }}", secret.Token, "", C{secret.Unexpanded}},
		{"command", "$(cat secret)", secret.LicenseKey, "", C{secret.Unexpanded}},
		{"bearer", "Bearer " + goodToken, secret.Token, "", C{secret.BearerPrefix}},
		{"bearer and key", "bearer " + goodTest, secret.StripeKey, "", C{secret.BearerPrefix}},
		{"whole header", "Authorization: Bearer " + goodResend, secret.ResendKey, "", C{secret.BearerPrefix}},
		{"dots", "whsec_...", secret.StripeWebhook, "", C{secret.Placeholder}},
		{"ellipsis", "sk_live_…", secret.StripeKey, "", C{secret.Placeholder}},
		{"whsec_xxx", "whsec_xxx", secret.StripeWebhook, "", C{secret.Placeholder}},
		{"many x", "whsec_XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", secret.StripeWebhook, "", C{secret.Placeholder}},
		{"re_xxx", "re_xxxxxxxxx", secret.ResendKey, "", C{secret.Placeholder}},
		{"sk_test dots", "sk_test_...", secret.StripeKey, "", C{secret.Placeholder}},
		{"stars", "sk_test_********", secret.StripeKey, "", C{secret.Placeholder}},
		{"changeme", "changeme", secret.Password, "", C{secret.Placeholder}},
		{"change-me-please", "change-me-please-now", secret.LicenseKey, "", C{secret.Placeholder}},
		{"your-secret", "your-webhook-secret", secret.Token, "", C{secret.Placeholder}},
		{"whsec_your_secret", "whsec_your_secret_goes_here_please", secret.StripeWebhook, "", C{secret.Placeholder}},
		{"todo", "TODO", secret.LicenseKey, "", C{secret.Placeholder}},
		{"todo with a remark", "todo: ask Ann", secret.LicenseKey, "", C{secret.Placeholder}},
		{"WEBHOOK_ID", "WEBHOOK_ID", secret.Token, "", C{secret.Placeholder}},
		{"angle brackets", "<your key>", secret.LicenseKey, "", C{secret.Placeholder}},
		{"zeros", strings.Repeat("0", 32), secret.LicenseKey, "", C{secret.Placeholder}},
		{"doubled", plain + plain, secret.StripeWebhook, "", C{secret.Doubled}},
		{"doubled over two lines", plain + "\n" + plain, secret.StripeWebhook, "", C{secret.Newline, secret.Doubled}},
		{"doubled token", goodToken + goodToken, secret.Token, "", C{secret.Doubled}},
		{"doubled password", "swordfishswordfish", secret.Password, "", C{secret.Doubled}},
		{"cut webhook secret", plain[:20], secret.StripeWebhook, "", C{secret.TooShort}},
		{"prefix alone", "sk_live_", secret.StripeKey, "", C{secret.TooShort}},
		{"cut key", goodLive[:16], secret.StripeKey, "", C{secret.TooShort}},
		{"short licence key", "Zq7Tn3Vb9Kx2Lm5", secret.LicenseKey, "", C{secret.TooShort}},
		{"API key as webhook secret", goodLive, secret.StripeWebhook, "", C{secret.WrongKind}},
		{"endpoint id as webhook secret", "we_1Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6", secret.StripeWebhook, "", C{secret.WrongKind}},
		{"webhook secret as API key", plain, secret.StripeKey, "", C{secret.WrongKind}},
		{"publishable key as API key", "pk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6", secret.StripeKey, secret.Live, C{secret.WrongKind}},
		{"key without mode", "sk_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6", secret.StripeKey, "", C{secret.WrongKind}},
		{"webhook secret as Resend key", plain, secret.ResendKey, "", C{secret.WrongKind}},
		{"API key as licence key", goodLive, secret.LicenseKey, "", C{secret.WrongKind}},
		{"API key as token", goodLive, secret.Token, "", C{secret.WrongKind}},
		{"test key in live mode", goodTest, secret.StripeKey, secret.Live, C{secret.WrongMode}},
		{"live key in test mode", goodLive, secret.StripeKey, secret.Test, C{secret.WrongMode}},
		{"restricted test key in live mode", "rk" + goodTest[2:], secret.StripeKey, secret.Live, C{secret.WrongMode}},
		{"short peer", goodToken + "1234567", secret.Peer, "", C{secret.TooShort}},
		{"API key as peer", goodLive + goodToken, secret.Peer, "", C{secret.WrongKind}},
		{"variable as peer", "${WATCH_SECRET}", secret.Peer, "", C{secret.Unexpanded}},
		{"ntfy token without its beginning", goodToken, secret.NtfyToken, "", C{secret.WrongKind}},
		{"placeholder of ntfy", "tk_xxxxxxxxxxxxxxxx", secret.NtfyToken, "", C{secret.Placeholder}},
		{"token of a Slack user", "xoxp-" + goodToken, secret.SlackToken, "", C{secret.WrongKind}},
		{"cut Slack token", "xoxb-Zq7Tn3Vb9Kx2", secret.SlackToken, "", C{secret.TooShort}},
		{"account of Twilio as its token", "AC0123456789abcdef0123456789abcdef", secret.TwilioToken, "", C{secret.WrongKind}},
		{"cut Twilio token", "3f8a0c5be61d4972a95c07e2b8d143f", secret.TwilioToken, "", C{secret.TooShort}},
		{"long Twilio token", "3f8a0c5be61d4972a95c07e2b8d143f60", secret.TwilioToken, "", C{secret.WrongKind}},
		{"doubled Twilio token", "3f8a0c5be61d4972a95c07e2b8d143f63f8a0c5be61d4972a95c07e2b8d143f6", secret.TwilioToken, "", C{secret.Doubled}},
		{"Slack token as GitHub's", "xoxb-" + goodToken + goodToken[:12], secret.GitHubToken, "", C{secret.WrongKind}},
		{"cut GitHub token", "ghp_" + goodToken, secret.GitHubToken, "", C{secret.TooShort}},
		{"placeholder of GitHub", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", secret.GitHubToken, "", C{secret.Placeholder}},
		{"short PagerDuty key", goodToken, secret.PagerDutyKey, "", C{secret.TooShort}},
		{"PagerDuty key with a mark", "R0b5e1c47f3a49e28d7c1a6f0e9b2d8-", secret.PagerDutyKey, "", C{secret.WrongKind}},
		{"Telegram token without its number", "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawXYZ", secret.TelegramToken, "", C{secret.WrongKind}},
		{"API of Discord", "https://discord.com/api/webhooks/me/3d89bb7572e0fb30d8128367b3b1b44fecd1726de1", secret.DiscordWebhook, "", C{secret.WrongKind}},
		{"another service as Discord", "https://example.com/api/webhooks/223704706495545344/3d89bb7572", secret.DiscordWebhook, "", C{secret.WrongKind}},
		{"DSN without key", "https://o447951.ingest.example.com/5429219", secret.SentryDSN, "", C{secret.WrongKind}},
		{"cut Cloudflare token", goodCloudflare[:39], secret.CloudflareToken, "", C{secret.TooShort}},
		{"long Cloudflare token", goodCloudflare + "q", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"cut new token of a user", "cfut_" + goodCloudflare[:39], secret.CloudflareToken, "", C{secret.TooShort}},
		{"cut new token of an account", "cfat_" + goodCloudflare[:39], secret.CloudflareToken, "", C{secret.TooShort}},
		{"line feed in the middle", goodCloudflare[:20] + "\n" + goodCloudflare[20:], secret.CloudflareToken, "", C{secret.Newline}},
		{"blank in the middle", goodCloudflare[:20] + " " + goodCloudflare[20:], secret.CloudflareToken, "", C{secret.Whitespace}},
		{"zero byte at the end", goodCloudflare + "\x00", secret.CloudflareToken, "", C{secret.Control}},
		{"overlong new token", "cfut_" + goodCloudflare + goodCloudflare[:25], secret.CloudflareToken, "", C{secret.WrongKind}},
		{"placeholder of Cloudflare", "cfut_xxxxxxxx", secret.CloudflareToken, "", C{secret.Placeholder}},
		{"doubled Cloudflare token", goodCloudflare + goodCloudflare, secret.CloudflareToken, "", C{secret.Doubled}},
		{"doubled new token", "cfut_" + goodCloudflare + "cfut_" + goodCloudflare, secret.CloudflareToken, "", C{secret.Doubled}},
		{"new global key", "cfk_" + goodCloudflare + "0a1b2c3d", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"old global key", "3f8a0c5be61d4972a95c07e2b8d143f60a1b2", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"id of an account", "3f8a0c5be61d4972a95c07e2b8d143f6", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"GitHub token of 40 characters", "ghp_" + goodCloudflare[:24] + goodToken[:12], secret.CloudflareToken, "", C{secret.WrongKind}},
		{"Resend key as Cloudflare's", "re_Zq7Tn3Vb_9Kx2Lm5Pw8Rd4Fg6Hj1Sc0Ya", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"ntfy token as Cloudflare's", "tk_q7tn3vb9kx2lm5pw8rd4fg6hj1sc0", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"e-mail address as Cloudflare's", "ann@example.com", secret.CloudflareToken, "", C{secret.WrongKind}},
		{"Cloudflare token as GitHub's", "cfut_" + goodCloudflare, secret.GitHubToken, "", C{secret.WrongKind}},
		{"short topic", "alerts", secret.NtfyTopic, "", C{secret.TooShort}},
		{"address of a topic", "https://ntfy.sh/alerts", secret.NtfyTopic, "", C{secret.WrongKind}},
		{"cut identity", goodIdentity[:73], secret.AgeIdentity, "", C{secret.TooShort}},
		{"identity with a letter that age does not use", goodIdentity[:73] + "B", secret.AgeIdentity, "", C{secret.WrongKind}},
		{"recipient as identity", "age1z7qn3v89kx2lm5pw8rd4fg6hj9sc0yazq7tn3v89kx2lm5pw8rd4fg6hj", secret.AgeIdentity, "", C{secret.WrongKind}},
		{"whole file of age-keygen", "# created: 2026-11-01T00:00:00Z\n# public key: age1z7q\n" + goodIdentity, secret.AgeIdentity, "", C{secret.Newline, secret.Whitespace, secret.WrongKind}},
		{"verification key as signing key", "mgv1_" + goodSigning[5:], secret.SigningKey, "", C{secret.WrongKind}},
		{"cut signing key", goodSigning[:47], secret.SigningKey, "", C{secret.TooShort}},
		{"long signing key", goodSigning + "q", secret.SigningKey, "", C{secret.WrongKind}},
		{"several", "\uFEFF\"" + goodTest + "\"\r\n", secret.StripeKey, secret.Live, C{secret.Newline, secret.BOM, secret.Quotes, secret.WrongMode}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			problems := secret.Inspect(secret.New(tt.value), tt.kind, tt.mode)
			if got := classes(problems); !slices.Equal(got, tt.want) {
				t.Errorf("Inspect(%q, %s, %q) = %v, want %v", tt.value, tt.kind, tt.mode, got, tt.want)
			}
			for _, p := range problems {
				if p.Sentence == "" || leaks(p.Sentence) || strings.Contains(p.Sentence, "Zq7T") {
					t.Errorf("sentence of %s = %q, want one without the secret", p.Class, p.Sentence)
				}
			}
		})
	}
}

// TestInspectAcceptsGoodSecrets makes over five thousand secrets as the providers and our manual make them.
func TestInspectAcceptsGoodSecrets(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	alnum := func(n int) string {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		b := make([]byte, n)
		for i := range b {
			b[i] = letters[random.IntN(len(letters))]
		}
		return string(b)
	}
	check := func(s string, kind secret.Kind, mode secret.Mode) {
		if got := secret.Inspect(secret.New(s), kind, mode); got != nil {
			t.Errorf("Inspect(%q, %s, %q) = %v, want nil", s, kind, mode, got)
		}
	}
	for i := range 250 { // twenty-eight secrets each
		sum := sha256.Sum256(fmt.Append(nil, i))
		check("whsec_"+alnum(32), secret.StripeWebhook, secret.Live)
		check("whsec_"+hex.EncodeToString(sum[:]), secret.StripeWebhook, secret.Test)
		check("whsec_"+base64.StdEncoding.EncodeToString(sum[:24]), secret.StripeWebhook, "")
		check("whsec_"+base64.StdEncoding.EncodeToString(sum[:]), secret.Token, "")
		check("sk_test_"+alnum(24), secret.StripeKey, secret.Test)
		check("rk_live_"+alnum(99), secret.StripeKey, secret.Live)
		check("re_"+alnum(8)+"_"+alnum(24), secret.ResendKey, "")
		check("re_"+alnum(8)+"_"+alnum(24), secret.Password, "")
		check(hex.EncodeToString(sum[:16]), secret.LicenseKey, "")
		check(base64.StdEncoding.EncodeToString(sum[:]), secret.LicenseKey, "")
		check(base64.RawURLEncoding.EncodeToString(sum[:]), secret.Token, "")
		check(alnum(16), secret.Token, "")
		check(alnum(1+i%20), secret.Password, "")
		check(hex.EncodeToString(sum[:]), secret.Peer, "")
		check("tk_"+strings.ToLower(alnum(29)), secret.NtfyToken, "")
		check("xoxb-17653672481-19874698323-"+alnum(24), secret.SlackToken, "")
		check(hex.EncodeToString(sum[:16]), secret.TwilioToken, "")
		check("ghp_"+alnum(36), secret.GitHubToken, "")
		check("github_pat_"+alnum(22)+"_"+alnum(59), secret.GitHubToken, "")
		check(strings.ToLower(alnum(32)), secret.PagerDutyKey, "")
		check(fmt.Sprintf("%d:AA%s", 100000000+i, alnum(33)), secret.TelegramToken, "")
		check(fmt.Sprintf("https://discord.com/api/webhooks/2237047064955453%d/%s", 10+i%90, alnum(68)), secret.DiscordWebhook, "")
		check(base64.RawURLEncoding.EncodeToString(sum[:30]), secret.CloudflareToken, "")
		check("cfut_"+alnum(40)+hex.EncodeToString(sum[:4]), secret.CloudflareToken, "")
		check("cfat_"+alnum(40)+alnum(6), secret.CloudflareToken, "")
		check("shop-"+hex.EncodeToString(sum[:8]), secret.NtfyTopic, "")
		check(identity(sum[:]), secret.AgeIdentity, "")
		check("mgs1_"+base64.RawURLEncoding.EncodeToString(sum[:]), secret.SigningKey, "")
	}
	for _, s := range []string{"haha", "aa", "pa$$word1", "p", "two words", `it's "fine"`, "naïve-pâté", "$5 a month", "100%!"} {
		check(s, secret.Password, "")
	}
	check("correct horse battery staple", secret.LicenseKey, "")
	for _, dsn := range []string{"https://3d89bb7572e0fb30d8128367b3b1b44f@o447951.ingest.us.sentry.io/5429219", "https://3d89bb7572e0fb30:b3b1b44f@errors.example.com/sub/7",
		"http://3d89bb7572e0fb30d8128367b3b1b44f@127.0.0.1:8000/1"} {
		check(dsn, secret.SentryDSN, "")
	}
}

// identity has the look of an age identity.
func identity(random []byte) string {
	const letters = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
	var b strings.Builder
	b.WriteString("AGE-SECRET-KEY-1")
	for i := range 58 {
		b.WriteByte(letters[(int(random[i%len(random)])+i)%len(letters)])
	}
	return b.String()
}

// What the wrong kind is, is said: a global key is the likeliest mistake with Cloudflare, and the most dangerous.
func TestInspectNamesTheOtherKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value string
		kind  secret.Kind
		want  string
	}{
		{"cfk_" + goodCloudflare + "0a1b2c3d", secret.CloudflareToken, "the global API key"},
		{"3f8a0c5be61d4972a95c07e2b8d143f60a1b2", secret.CloudflareToken, "the global API key"},
		{"3f8a0c5be61d4972a95c07e2b8d143f6", secret.CloudflareToken, "the id of an account"},
		{"ghs_" + goodCloudflare[:36], secret.CloudflareToken, "a GitHub token"},
		{"cfat_" + goodCloudflare, secret.GitHubToken, "a Cloudflare API token of an account"},
		{"AGE-SECRET-KEY-PQ-1" + goodIdentity[16:], secret.AgeIdentity, "post-quantum"},
		{"# created: 2026-11-01T00:00:00Z\n" + goodIdentity, secret.AgeIdentity, "the whole file of age-keygen"},
		{"mgv1_" + goodSigning[5:], secret.SigningKey, "a verification key"},
	} {
		problems := secret.Inspect(secret.New(tt.value), tt.kind, "")
		if len(problems) == 0 || !strings.Contains(problems[len(problems)-1].Sentence, tt.want) {
			t.Errorf("Inspect(%q, %s) = %v, want a sentence with %q", tt.value, tt.kind, problems, tt.want)
		}
	}
}

func TestKindExists(t *testing.T) {
	t.Parallel()
	if !secret.CloudflareToken.Exists() || secret.Kind("").Exists() || secret.Kind("no such kind").Exists() {
		t.Error("Exists does not tell the kinds that there are from others")
	}
}

func TestInspectPanicsOnUnknownKind(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("Inspect of an unknown kind did not panic")
		}
	}()
	secret.Inspect(secret.New("x"), "no such kind", "")
}

func FuzzInspectNeverShowsASecret(f *testing.F) {
	f.Add(plain)
	f.Add("\"\uFEFFBearer \r\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, kind := range []secret.Kind{secret.StripeWebhook, secret.StripeKey, secret.ResendKey, secret.LicenseKey, secret.Token, secret.Password,
			secret.TwilioToken, secret.TelegramToken, secret.DiscordWebhook, secret.SentryDSN, secret.CloudflareToken, secret.AgeIdentity} {
			for _, p := range secret.Inspect(secret.New(s), kind, secret.Live) {
				if len(s) > 24 && strings.Contains(p.Sentence, s) {
					t.Errorf("sentence %q contains %q", p.Sentence, s)
				}
			}
		}
	})
}
