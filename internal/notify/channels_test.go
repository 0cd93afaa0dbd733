package notify_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/notify"
	"github.com/makegood/makegood/internal/notify/notifytest"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
)

var now = time.Date(2026, 8, 3, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func options() simulate.AlertOptions { return simulate.AlertOptions{Now: clock} }

// faulty is a pretend service that can misbehave.
type faulty interface {
	http.Handler
	SetFaults(simulate.AlertFaults)
	Close()
}

// service makes a Service of a pretend one. What tells is refused, nothing else.
func service(t *testing.T, f faulty, tells func(*http.Request) bool, told, open func() int) notifytest.Service {
	t.Cleanup(f.Close)
	return notifytest.Service{Handler: f, Told: told, Open: open, Refuse: func(status int) {
		f.SetFaults(simulate.AlertFaults{Fail: func(r *http.Request) int {
			if tells(r) {
				return status
			}
			return 0
		}})
	}}
}

func isPost(r *http.Request) bool { return r.Method == http.MethodPost }

const (
	phone   = "+4915112345678"
	address = "night.watch@example.com"
)

// suites are the nine channels over their pretend services.
func suites() map[string]notifytest.Suite {
	isSlackPost := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "postMessage") }
	isIssue := func(r *http.Request) bool { return isPost(r) && strings.HasSuffix(r.URL.Path, "/issues") }
	return map[string]notifytest.Suite{
		"ntfy": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewNtfy(notify.NtfyOptions{Base: base, Topic: "shop-alerts", Token: secret.New(simulate.NtfyToken), HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				n := simulate.NewNtfy(options())
				return service(t, n, isPost, func() int {
					told := 0
					for _, m := range n.Shown() {
						if m.Priority > 1 {
							told++
						}
					}
					return told
				}, nil)
			},
			Recognises: true, Secrets: []string{simulate.NtfyToken, "shop-alerts"},
		},
		"slack": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewSlack(notify.SlackOptions{Base: base, Token: secret.New(simulate.SlackToken), Room: simulate.SlackRoom, HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				s := simulate.NewSlack(options())
				return service(t, s, isSlackPost, func() int { return len(s.Messages()) }, func() int {
					open := 0
					for _, m := range s.Messages() {
						if m.Color != "#2b8a3e" {
							open++
						}
					}
					return open
				})
			},
			Tells: isSlackPost, Secrets: []string{simulate.SlackToken},
		},
		"sms": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewSMS(notify.SMSOptions{Base: base, Account: simulate.TwilioAccount, Token: secret.New(simulate.TwilioToken),
					From: "+15005550006", To: []string{phone}, HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				w := simulate.NewTwilio(simulate.TwilioOptions{AlertOptions: options()})
				return service(t, w, isPost, func() int { return len(w.Messages()) }, nil)
			},
			Secrets: []string{simulate.TwilioToken, phone, phone[1:], "15005550006"},
		},
		"github": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewGitHub(notify.GitHubOptions{Base: base, Token: secret.New(simulate.GitHubToken), Repo: simulate.GitHubRepo, HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				g := simulate.NewGitHub(options())
				return service(t, g, isIssue, func() int { return len(g.Issues()) }, func() int {
					open := 0
					for _, i := range g.Issues() {
						if i.State == "open" {
							open++
						}
					}
					return open
				})
			},
			Tells: isIssue, Recognises: true, Secrets: []string{simulate.GitHubToken, simulate.GitHubRepo},
		},
		"webhook": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewWebhook(notify.WebhookOptions{URL: base + "/hooks/pathsecret?key=querysecret", Secret: secret.New(simulate.WebhookSecret), HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				w := simulate.NewWebhook(options())
				return service(t, w, isPost, func() int {
					told := 0
					for _, d := range w.Deliveries() {
						if d.Type != "alert.test" {
							told++
						}
					}
					return told
				}, nil)
			},
			Recognises: true, AnyAnswer: true, Secrets: []string{simulate.WebhookSecret, "pathsecret", "querysecret"},
		},
		"pagerduty": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewPagerDuty(notify.PagerDutyOptions{Base: base, Key: secret.New(simulate.PagerDutyKey), HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				p := simulate.NewPagerDuty(options())
				return service(t, p, isPost, func() int { return len(p.Alerts()) }, func() int {
					open := 0
					for _, a := range p.Alerts() {
						if a.Status == "triggered" {
							open++
						}
					}
					return open
				})
			},
			Recognises: true, Secrets: []string{simulate.PagerDutyKey},
		},
		"telegram": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewTelegram(notify.TelegramOptions{Base: base, Token: secret.New(simulate.TelegramToken), Room: simulate.TelegramRoom, HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				s := simulate.NewTelegram(options())
				return service(t, s, isPost, func() int { return len(s.Messages()) }, nil)
			},
			Reasons: map[int]notify.Reason{404: notify.ReasonAuth}, Secrets: []string{simulate.TelegramToken, simulate.TelegramToken[:20], simulate.TelegramRoom},
		},
		"discord": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				return notify.NewDiscord(notify.DiscordOptions{Webhook: secret.New(simulate.DiscordWebhook), Base: base, HTTP: c, Now: clock})
			},
			Start: func(t *testing.T) notifytest.Service {
				d := simulate.NewDiscord(options())
				return service(t, d, isPost, func() int { return len(d.Messages()) }, func() int {
					open := 0
					for _, m := range d.Messages() {
						if m.Color != 0x2B8A3E {
							open++
						}
					}
					return open
				})
			},
			Secrets: []string{"simulated-simulated", "123456789012345678"},
		},
		"email": {
			New: func(base string, c *outbound.Client) (notify.Channel, error) {
				sender, err := mail.NewResend(c, base, secret.New("re_alertsalertsalerts"), clock)
				if err != nil {
					return nil, err
				}
				return notify.NewEmail(notify.EmailOptions{Sender: sender, From: "Shop <shop@example.com>", To: []string{address}})
			},
			Start: func(t *testing.T) notifytest.Service {
				r := simulate.NewResend(simulate.ResendOptions{APIKey: "re_alertsalertsalerts", Now: clock})
				t.Cleanup(r.Close)
				return notifytest.Service{Handler: r, Told: r.Count, Refuse: func(status int) {
					r.SetFaults(simulate.ResendFaults{FailSend: func(int, *http.Request) (int, string) { return status, "" }})
				}}
			},
			Recognises: true, NoStatus: true, Reasons: map[int]notify.Reason{404: notify.ReasonAuth}, Secrets: []string{"re_alerts", address},
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, suite := range suites() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			suite.Now = now
			suite.Run(t)
		})
	}
}

// TestKindsAreTheSuites holds the list and the conformance together: no channel without it.
func TestKindsAreTheSuites(t *testing.T) {
	t.Parallel()
	all := suites()
	for _, k := range notify.Kinds() {
		if _, ok := all[k.Name]; !ok {
			t.Errorf("%s has no conformance", k.Name)
		}
		delete(all, k.Name)
	}
	if len(all) != 0 {
		t.Errorf("not among the kinds: %v", all)
	}
}

// client makes an outbound client for a test; the counter is of requests.
func client(t *testing.T) *outbound.Client {
	t.Helper()
	c := outbound.New(outbound.Options{AllowPrivate: true, Now: clock})
	t.Cleanup(c.CloseIdle)
	return c
}

// counted counts requests.
func counted(h http.Handler, n *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { n.Add(1); h.ServeHTTP(w, r) })
}
