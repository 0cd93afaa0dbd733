package notify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

// TestRefusedOptions: what cannot work is refused at the start, and what was given is not repeated.
func TestRefusedOptions(t *testing.T) {
	t.Parallel()
	c := client(t)
	ntfy := func(change func(*notify.NtfyOptions)) error {
		o := notify.NtfyOptions{Topic: "alerts", HTTP: c, Now: clock}
		change(&o)
		_, err := notify.NewNtfy(o)
		return err
	}
	slack := func(token, room string) error {
		_, err := notify.NewSlack(notify.SlackOptions{Token: secret.New(token), Room: room, HTTP: c, Now: clock})
		return err
	}
	sms := func(change func(*notify.SMSOptions)) error {
		o := notify.SMSOptions{Account: simulate.TwilioAccount, Token: secret.New("token"), From: "+15005550006", To: []string{phone}, HTTP: c, Now: clock}
		change(&o)
		_, err := notify.NewSMS(o)
		return err
	}
	github := func(token, repo string) error {
		_, err := notify.NewGitHub(notify.GitHubOptions{Token: secret.New(token), Repo: repo, HTTP: c, Now: clock})
		return err
	}
	webhook := func(url, key string) error {
		_, err := notify.NewWebhook(notify.WebhookOptions{URL: url, Secret: secret.New(key), HTTP: c, Now: clock})
		return err
	}
	pagerduty := func(key, base string) error {
		_, err := notify.NewPagerDuty(notify.PagerDutyOptions{Key: secret.New(key), Base: base, HTTP: c, Now: clock})
		return err
	}
	telegram := func(token, room string) error {
		_, err := notify.NewTelegram(notify.TelegramOptions{Token: secret.New(token), Room: room, HTTP: c, Now: clock})
		return err
	}
	discord := func(webhook, base string) error {
		_, err := notify.NewDiscord(notify.DiscordOptions{Webhook: secret.New(webhook), Base: base, HTTP: c, Now: clock})
		return err
	}
	email := func(from string, to ...string) error {
		_, err := notify.NewEmail(notify.EmailOptions{Sender: fakeSender{}, From: from, To: to})
		return err
	}
	for name, err := range map[string]error{
		"ntfy good": ntfy(func(*notify.NtfyOptions) {}), "slack good": slack(simulate.SlackToken, "C0123456789"), "sms good": sms(func(*notify.SMSOptions) {}),
		"sms by a service": sms(func(o *notify.SMSOptions) { o.From = "MG" + strings.Repeat("a", 32) }), "sms by name": sms(func(o *notify.SMSOptions) { o.From = "My Shop" }),
		"github good": github(simulate.GitHubToken, "a/b.c"), "webhook good": webhook("https://a.example/x?y=z", simulate.WebhookSecret),
		"pagerduty good": pagerduty(simulate.PagerDutyKey, ""), "telegram good": telegram(simulate.TelegramToken, "-100123"), "telegram channel": telegram(simulate.TelegramToken, "@shop_alerts"),
		"discord good": discord(simulate.DiscordWebhook, ""), "email good": email("Shop <a@b.example>", "x@y.example"),
	} {
		if err != nil {
			t.Errorf("%s: %v, want it accepted", name, err)
		}
	}
	const bad = "hunter2"
	for name, err := range map[string]error{
		"ntfy without topic":       ntfy(func(o *notify.NtfyOptions) { o.Topic = "" }),
		"ntfy topic":               ntfy(func(o *notify.NtfyOptions) { o.Topic = bad + "/x" }),
		"ntfy token":               ntfy(func(o *notify.NtfyOptions) { o.Token = secret.New(bad + "\n") }),
		"ntfy base":                ntfy(func(o *notify.NtfyOptions) { o.Base = "ftp://" + bad }),
		"ntfy base with user":      ntfy(func(o *notify.NtfyOptions) { o.Base = "https://me:" + bad + "@ntfy.sh" }),
		"ntfy base with query":     ntfy(func(o *notify.NtfyOptions) { o.Base = "https://ntfy.sh?auth=" + bad }),
		"slack without token":      slack("", "C0123456789"),
		"slack user token":         slack("xoxp-"+bad+"-1234567890", "C0123456789"),
		"slack token with newline": slack("xoxb-"+bad+"-1234567890\n", "C0123456789"),
		"slack room name":          slack(simulate.SlackToken, "#"+bad),
		"sms account":              sms(func(o *notify.SMSOptions) { o.Account = "AC" + bad }),
		"sms without token":        sms(func(o *notify.SMSOptions) { o.Token = secret.Value{} }),
		"sms token":                sms(func(o *notify.SMSOptions) { o.Token = secret.New(bad + " ") }),
		"sms sender":               sms(func(o *notify.SMSOptions) { o.From = bad + bad }),
		"sms sender of digits":     sms(func(o *notify.SMSOptions) { o.From = "12345" }),
		"sms to nobody":            sms(func(o *notify.SMSOptions) { o.To = nil }),
		"sms to too many":          sms(func(o *notify.SMSOptions) { o.To = make([]string, 21) }),
		"sms to a national":        sms(func(o *notify.SMSOptions) { o.To = []string{"015112345678"} }),
		"sms twice":                sms(func(o *notify.SMSOptions) { o.To = []string{phone, phone} }),
		"sms call-back":            sms(func(o *notify.SMSOptions) { o.StatusCallback = bad }),
		"github without token":     github("", "a/b"),
		"github token":             github(bad, "a/b"),
		"github blank":             github(simulate.GitHubToken+" ", "a/b"),
		"github repo":              github(simulate.GitHubToken, bad),
		"github dots":              github(simulate.GitHubToken, bad+"/.."),
		"webhook address":          webhook(bad, simulate.WebhookSecret),
		"webhook user":             webhook("https://a:"+bad+"@b.example", simulate.WebhookSecret),
		"webhook without secret":   webhook("https://a.example", ""),
		"webhook short secret":     webhook("https://a.example", "whsec_aHVudGVyMg=="),
		"webhook newline":          webhook("https://a.example", simulate.WebhookSecret+"\n"),
		"pagerduty key":            pagerduty(bad, ""),
		"pagerduty base":           pagerduty(simulate.PagerDutyKey, bad),
		"telegram token":           telegram(bad, "1"),
		"telegram room":            telegram(simulate.TelegramToken, "t.me/"+bad),
		"discord elsewhere":        discord("https://example.com/api/webhooks/123456789012345678/"+strings.Repeat("a", 30), ""),
		"discord look-alike":       discord("https://discord.com.example.com/api/webhooks/123456789012345678/"+strings.Repeat("a", 30), ""),
		"discord path":             discord("https://discord.com/api/"+bad, ""),
		"discord http":             discord("http"+strings.TrimPrefix(simulate.DiscordWebhook, "https"), ""),
		"discord query":            discord(simulate.DiscordWebhook+"?wait="+bad, ""),
		"discord base":             discord(simulate.DiscordWebhook, bad),
		"email sender":             email(bad, "x@y.example"),
		"email to nobody":          email("a@b.example"),
		"email address":            email("a@b.example", bad),
		"email twice":              email("a@b.example", "x@y.example", "X <x@Y.example>"),
	} {
		if !errors.Is(err, makegood.Invalid) {
			t.Errorf("%s: %v, want it refused as invalid", name, err)
			continue
		}
		if text := err.Error() + makegood.MessageOf(err); strings.Contains(text, bad) || strings.Contains(text, phone) {
			t.Errorf("%s: %s, want nothing of the value in it", name, text)
		}
	}
}

// TestBrokenWiring: without a client or a clock there is no channel.
func TestBrokenWiring(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(){
		"client":  func() { _, _ = notify.NewNtfy(notify.NtfyOptions{Topic: "a", Now: clock}) },
		"clock":   func() { _, _ = notify.NewNtfy(notify.NtfyOptions{Topic: "a", HTTP: outbound.New(outbound.Options{})}) },
		"webhook": func() { _, _ = notify.NewWebhook(notify.WebhookOptions{URL: "https://a.example"}) },
		"sender":  func() { _, _ = notify.NewEmail(notify.EmailOptions{From: "a@b.example", To: []string{"a@b.example"}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("without %s: no panic", name)
				}
			}()
			make()
		}()
	}
}
