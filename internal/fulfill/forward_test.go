package fulfill_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
)

// signingSecret is a secret of so many bytes, all of which are b.
func signingSecret(b byte, size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, size))
}

var (
	oldSecret   = signingSecret('o', 24)
	newSecret   = signingSecret('n', 32)
	otherSecret = signingSecret('x', 64)
)

// listener is an application of the owner: it keeps what it is told and answers as it is told to.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	told   []telling
	answer http.HandlerFunc // nil is 204
}

// telling is one request.
type telling struct {
	header http.Header
	body   []byte
}

func (t telling) id() string { return t.header.Get("webhook-id") }

func listen(t *testing.T, answer http.HandlerFunc) *listener {
	t.Helper()
	l := &listener{answer: answer}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("told by %s with %q, %v, want a POST of JSON", r.Method, r.Header.Get("Content-Type"), err)
		}
		l.mu.Lock()
		l.told = append(l.told, telling{r.Header.Clone(), body})
		l.mu.Unlock()
		if l.answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		l.answer(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *listener) heard() []telling {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.told)
}

// verifies asks the official library whether a telling is signed with a secret, at this moment.
func verifies(t *testing.T, secret string, told telling) bool {
	t.Helper()
	hook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return hook.Verify(told.body, told.header) == nil
}

func forwardTo(t *testing.T, url string, change ...func(*fulfill.ForwardOptions)) *fulfill.Forward {
	t.Helper()
	client := outbound.New(outbound.Options{AllowPrivate: true, Timeout: 5 * time.Second, BodyBytesMax: 64 << 10})
	t.Cleanup(client.CloseIdle)
	o := fulfill.ForwardOptions{Name: "shop", URL: url, Client: client, Now: time.Now, Secrets: []fulfill.SigningSecret{{Value: secret.New(newSecret)}}}
	for _, c := range change {
		c(&o)
	}
	f, err := fulfill.NewForward(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func toldOf(t *testing.T, f *fulfill.Forward, step string) []byte {
	t.Helper()
	message, err := f.Make(twoLines(), step)
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// Whoever verifies with the official library and any secret that is not over takes the telling, and nobody else does.
func TestForwardSigns(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, tt := range []struct {
		name    string
		secrets []fulfill.SigningSecret
		good    []string
		bad     []string
	}{
		{"one secret", []fulfill.SigningSecret{{Value: secret.New(newSecret)}}, []string{newSecret}, []string{oldSecret, otherSecret}},
		{"two during a rotation", []fulfill.SigningSecret{{Value: secret.New(newSecret)}, {Value: secret.New(oldSecret)}}, []string{newSecret, oldSecret}, []string{otherSecret}},
		{"one that is retiring", []fulfill.SigningSecret{{Value: secret.New(newSecret)}, {Value: secret.New(oldSecret), NotAfter: now}}, []string{newSecret, oldSecret}, nil},
		{"one that is over", []fulfill.SigningSecret{{Value: secret.New(newSecret)}, {Value: secret.New(oldSecret), NotAfter: now.Add(-time.Nanosecond)}}, []string{newSecret}, []string{oldSecret}},
		{"the first is over", []fulfill.SigningSecret{{Value: secret.New(oldSecret), NotAfter: now.Add(-time.Hour)}, {Value: secret.New(newSecret)}}, []string{newSecret}, []string{oldSecret}},
		{"the longest", []fulfill.SigningSecret{{Value: secret.New(otherSecret)}}, []string{otherSecret}, []string{newSecret}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, nil)
			f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) { o.Secrets, o.Now = tt.secrets, func() time.Time { return now } })
			if _, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0); err != nil {
				t.Fatalf("Bring = %v", err)
			}
			told := l.heard()[0]
			for _, s := range tt.good {
				if !verifies(t, s, told) {
					t.Errorf("the telling does not verify with a secret that signs; headers %v", told.header)
				}
			}
			for _, s := range tt.bad {
				if verifies(t, s, told) {
					t.Error("the telling verifies with a secret that must not sign (any more)")
				}
			}
			if got := strings.Fields(told.header.Get("webhook-signature")); len(got) != len(tt.good) {
				t.Errorf("%d signatures, want %d", len(got), len(tt.good))
			}
			altered := telling{told.header, append(slices.Clone(told.body), ' ')}
			renamed := telling{told.header.Clone(), told.body}
			renamed.header.Set("webhook-id", "other")
			aged := telling{told.header.Clone(), told.body}
			aged.header.Set("webhook-timestamp", fmt.Sprint(now.Unix()+1))
			for what, forged := range map[string]telling{"body": altered, "id": renamed, "time": aged} {
				if verifies(t, tt.good[0], forged) {
					t.Errorf("a telling with another %s verifies", what)
				}
			}
		})
	}
}

// A secret that is over stops to sign while the server runs, and without any left nothing is sent.
func TestForwardSecretEndsLater(t *testing.T) {
	t.Parallel()
	now := &clock{at: time.Now()}
	l := listen(t, nil)
	f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) {
		o.Now = now.now
		o.Secrets = []fulfill.SigningSecret{{Value: secret.New(oldSecret), NotAfter: now.now().Add(time.Minute)}}
	})
	message := toldOf(t, f, "forward:shop")
	now.move(time.Minute)
	if _, err := f.Bring(t.Context(), message, 0); err != nil || !verifies(t, oldSecret, l.heard()[0]) {
		t.Errorf("Bring in the last moment of the secret = %v, want it signed", err)
	}
	now.move(time.Nanosecond)
	_, err := f.Bring(t.Context(), message, 0)
	var none *fulfill.NoEffect
	var gone *makegood.Permanent
	if !errors.As(err, &none) || !errors.As(err, &gone) || len(l.heard()) != 1 {
		t.Errorf("Bring without a secret = %v, told %d times, want it given up and nothing sent", err, len(l.heard()))
	}
}

// A repetition has the same id and the same bytes, at another time; a round is another telling with the same bytes.
func TestForwardRepeats(t *testing.T) {
	t.Parallel()
	now := &clock{at: time.Now().Add(-2 * time.Minute)}
	l := listen(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) { o.Now = now.now })
	message := toldOf(t, f, "forward:shop:2")
	for _, round := range []int{0, 0, 0, 1, 1, 12} {
		if _, err := f.Bring(t.Context(), message, round); err == nil {
			t.Fatal("Bring = nil, want the error of the listener")
		}
		now.move(20 * time.Second)
	}
	first := "ord00000000000000000001_forward_shop_2"
	ids := []string{first, first, first, first + "_again1", first + "_again1", first + "_again12"}
	times := map[string]bool{}
	for i, told := range l.heard() {
		if told.id() != ids[i] || strings.Contains(told.id(), ".") || told.header.Get("Idempotency-Key") != told.id() {
			t.Errorf("telling %d has the id %q and key %q, want %q, without a full stop", i, told.id(), told.header.Get("Idempotency-Key"), ids[i])
		}
		if !bytes.Equal(told.body, l.heard()[0].body) || len(told.body) == 0 {
			t.Errorf("telling %d has other bytes than the first:\n%s", i, cmp.Diff(string(l.heard()[0].body), string(told.body)))
		}
		if !verifies(t, newSecret, told) {
			t.Errorf("telling %d does not verify", i)
		}
		times[told.header.Get("webhook-timestamp")] = true
	}
	if len(times) != len(ids) {
		t.Errorf("%d different times in %d tellings, want each its own: a listener refuses old ones", len(times), len(ids))
	}
	other := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) { o.Name, o.Now = "erp", now.now })
	if _, err := other.Bring(t.Context(), toldOf(t, other, "forward:erp"), 0); err == nil {
		t.Fatal("Bring = nil, want the error of the listener")
	}
	if got := l.heard()[len(ids)].id(); got != "ord00000000000000000001_forward_erp" {
		t.Errorf("id of another destination = %q, want one of its own", got)
	}
}

// What a listener answers, and what becomes of it.
func TestForwardVerdict(t *testing.T) {
	t.Parallel()
	type verdict struct {
		Done, Permanent, NoEffect bool
		Snooze                    time.Duration
	}
	again := verdict{}
	for _, tt := range []struct {
		name   string
		status int
		header string // Retry-After
		want   verdict
	}{
		{"200", 200, "", verdict{Done: true}},
		{"202", 202, "", verdict{Done: true}},
		{"204", 204, "", verdict{Done: true}},
		{"299", 299, "", verdict{Done: true}},
		{"300", 300, "", again},
		{"301", 301, "", again},
		{"302", 302, "", again},
		{"307", 307, "", again},
		{"308", 308, "", again},
		{"400", 400, "", again},
		{"401", 401, "", again},
		{"404", 404, "", again},
		{"409", 409, "", again},
		{"410", 410, "", verdict{Permanent: true}},
		{"410 with Retry-After", 410, "7", verdict{Permanent: true}},
		{"429", 429, "", again},
		{"429 with Retry-After", 429, "7", verdict{Snooze: 7 * time.Second}},
		{"429 with a date", 429, "Wed, 04 Mar 2026 12:00:30 GMT", verdict{Snooze: 30 * time.Second}},
		{"429 at once", 429, "0", verdict{Snooze: time.Second}},
		{"429 in a year", 429, "31536000", verdict{Snooze: 24 * time.Hour}},
		{"429 whenever", 429, "soon", again},
		{"503 with Retry-After", 503, "120", verdict{Snooze: 2 * time.Minute}},
		{"503", 503, "", again},
		{"500", 500, "", again},
		{"500 with Retry-After", 500, "7", again},
		{"504", 504, "", again},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var elsewhere atomic.Int32
			target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
			defer target.Close()
			l := listen(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", target.URL)
				if tt.header != "" {
					w.Header().Set("Retry-After", tt.header)
				}
				w.WriteHeader(tt.status)
			})
			f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) { o.Now = func() time.Time { return noon } })
			receipt, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0)
			var none *fulfill.NoEffect
			var gone *makegood.Permanent
			var snooze *makegood.Snooze
			got := verdict{Done: err == nil, Permanent: errors.As(err, &gone), NoEffect: errors.As(err, &none)}
			if errors.As(err, &snooze) {
				got.Snooze = snooze.For
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || (receipt != "") != tt.want.Done {
				t.Errorf("Bring = %q, %v (-want +got):\n%s", receipt, err, diff)
			}
			if len(l.heard()) != 1 || elsewhere.Load() != 0 {
				t.Errorf("told %d times, and %d times at the address of the redirect, want once and never", len(l.heard()), elsewhere.Load())
			}
		})
	}
}

// What of an answer is kept is one short line, whatever the listener sends.
func TestForwardReceipt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, want string
	}{
		{"nothing", "", "status 200"},
		{"a word", "ok", "status 200: ok"},
		{"several lines", "\r\n a\tb\n\n c \n", "status 200: a b c"},
		{"only blanks", " \n\t ", "status 200"},
		{"a terminal's orders", "\x1b[31mred\x1b]0;title\a\x00", "status 200: [31mred ]0;title"},
		{"no UTF-8", "a\xff\xfeb", "status 200: a\uFFFDb"},
		{"too long", strings.Repeat("x", 301), "status 200: " + strings.Repeat("x", 300) + "…"},
		{"just short enough", strings.Repeat("x", 300), "status 200: " + strings.Repeat("x", 300)},
		{"cut in a letter", strings.Repeat("x", 299) + "é", "status 200: " + strings.Repeat("x", 299) + "\uFFFD…"},
		{"far too long", strings.Repeat("y", 64<<10+1), "status 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, tt.body) })
			f := forwardTo(t, l.URL)
			got, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0)
			if err != nil || got != tt.want {
				t.Errorf("Bring = %q, %v, want %q", got, err, tt.want)
			}
			if !utf8.ValidString(got) || strings.ContainsFunc(got, unicode.IsControl) || len(got) > 1000 {
				t.Errorf("receipt %q of %d bytes is not one short, harmless line", got, len(got))
			}
		})
	}
}

// The status is the answer. A body that is too large, breaks off or never ends takes nothing away from it: the listener
// would be told for ever.
func TestForwardAnswerWithoutItsBody(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   func(http.ResponseWriter, *http.Request)
		done   bool
		gone   bool
	}{
		{"too large", 200, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 65<<10)) }, true, false},
		{"announced too large", 200, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "70000")
			w.Write(make([]byte, 70000))
		}, true, false},
		{"breaks off", 201, func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, true, false},
		{"never ends", 202, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, true, false},
		{"gone, at length", 410, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 65<<10)) }, false, true},
		{"broken, at length", 500, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 65<<10)) }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.name == "announced too large" {
					w.Header().Set("Content-Length", "70000")
				}
				w.WriteHeader(tt.status)
				tt.body(w, r)
			})
			f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) {
				o.Client = outbound.New(outbound.Options{AllowPrivate: true, Timeout: 300 * time.Millisecond, BodyBytesMax: 64 << 10})
			})
			receipt, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0)
			var gone *makegood.Permanent
			if (err == nil) != tt.done || errors.As(err, &gone) != tt.gone || tt.done && receipt != fmt.Sprintf("status %d", tt.status) {
				t.Errorf("Bring = %q, %v, want it done: %v, gone: %v", receipt, err, tt.done, tt.gone)
			}
		})
	}
}

// Only what certainly was not heard is told so, and everything is tried again.
func TestForwardNoAnswer(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + closed.Addr().String()
	closed.Close()
	slow := listen(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	rude := listen(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	broken := listen(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	for _, tt := range []struct {
		name    string
		url     string
		private bool
		before  int // attempts before the one that is looked at
		none    bool
		snoozed bool
		says    string
	}{
		{"it does not answer in time", slow.URL, true, 0, false, false, ""},
		{"it hangs up", rude.URL, true, 0, false, false, ""},
		{"nobody is there", nobody, true, 0, true, false, ""},
		{"no such name", "http://shop.invalid", true, 0, true, false, ""},
		{"its address is private", slow.URL, false, 0, true, false, "allow_private"},
		{"it failed too often", broken.URL, true, 5, true, true, "left alone"},
		{"its address cannot be read", "http://shop.example:port/", true, 0, true, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := forwardTo(t, tt.url, func(o *fulfill.ForwardOptions) {
				o.Client = outbound.New(outbound.Options{AllowPrivate: tt.private, Timeout: 200 * time.Millisecond})
			})
			message := toldOf(t, f, "forward:shop")
			for range tt.before {
				f.Bring(t.Context(), message, 0)
			}
			_, err := f.Bring(t.Context(), message, 0)
			var none *fulfill.NoEffect
			var snooze *makegood.Snooze
			if err == nil || errors.As(err, &none) != tt.none || errors.As(err, &snooze) != tt.snoozed || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Bring = %v, no effect %v, snoozed %v, want %v, %v and %q", err, errors.As(err, &none), errors.As(err, &snooze), tt.none, tt.snoozed, tt.says)
			}
		})
	}
	f := forwardTo(t, slow.URL)
	var gone *makegood.Permanent
	if _, err := f.Bring(t.Context(), []byte("{"), 0); !errors.As(err, &gone) {
		t.Errorf("Bring of bytes that are no telling = %v, want it given up", err)
	}
}

// An error of a listener is for people to read: it never has the secret, the address behind the host, or the customer in it.
func TestForwardErrorsAreHarmless(t *testing.T) {
	t.Parallel()
	l := listen(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	f := forwardTo(t, l.URL+"/t0ken-in-the-path", func(o *fulfill.ForwardOptions) {
		o.Client = outbound.New(outbound.Options{AllowPrivate: true, Timeout: 50 * time.Millisecond})
	})
	_, err := f.Bring(t.Context(), toldOf(t, f, "forward:shop"), 0)
	for _, hidden := range []string{"t0ken", "ann@example.com", strings.TrimPrefix(newSecret, "whsec_"), "GD-AAAA"} {
		if err == nil || strings.Contains(err.Error(), hidden) {
			t.Errorf("error = %v, want one without %s", err, hidden)
		}
	}
}

// In no second are more begun than the destination allows. Who would wait for long goes back to the queue, unsent and
// without losing an attempt.
func TestForwardRateLimit(t *testing.T) {
	t.Parallel()
	for _, perSecond := range []int{1, 5, 100} {
		t.Run(fmt.Sprint(perSecond), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				// An address that is refused before any network: what counts is when its turn came.
				f := forwardTo(t, "http://127.0.0.1:9", func(o *fulfill.ForwardOptions) {
					o.Client, o.PerSecond = outbound.New(outbound.Options{}), perSecond
				})
				message := toldOf(t, f, "forward:shop")
				var mu sync.Mutex
				var began []time.Time
				snoozed := 0
				var wg sync.WaitGroup
				for range 4 * perSecond {
					wg.Go(func() {
						for {
							_, err := f.Bring(t.Context(), message, 0)
							var none *fulfill.NoEffect
							if !errors.As(err, &none) {
								t.Errorf("Bring = %v, want no effect", err)
							}
							mu.Lock()
							var snooze *makegood.Snooze
							if !errors.As(err, &snooze) {
								began = append(began, time.Now())
								mu.Unlock()
								return
							}
							snoozed++
							mu.Unlock()
							if snooze.For <= time.Second {
								t.Errorf("snoozed for %v, want longer than a worker may wait", snooze.For)
							}
							time.Sleep(snooze.For)
						}
					})
				}
				wg.Wait()
				for i := range began {
					if i >= perSecond && began[i].Sub(began[i-perSecond]) < time.Second-time.Millisecond {
						t.Fatalf("%d began within %v, want at most %d a second", perSecond+1, began[i].Sub(began[i-perSecond]), perSecond)
					}
				}
				if snoozed == 0 || began[len(began)-1].Sub(began[0]) > 10*time.Second {
					t.Errorf("%d were snoozed, all were done after %v, want some to go back and the pace kept up", snoozed, began[len(began)-1].Sub(began[0]))
				}
			})
		})
	}
}

// Waiting for one's turn ends with the job.
func TestForwardRateLimitCancelled(t *testing.T) {
	t.Parallel()
	l := listen(t, nil)
	f := forwardTo(t, l.URL, func(o *fulfill.ForwardOptions) { o.PerSecond = 2 })
	message := toldOf(t, f, "forward:shop")
	if _, err := f.Bring(t.Context(), message, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextThatEnds(t)
	defer cancel()
	_, err := f.Bring(ctx, message, 0)
	var none *fulfill.NoEffect
	if !errors.As(err, &none) || len(l.heard()) != 1 {
		t.Errorf("Bring that was cancelled while it waited = %v, told %d times, want no effect", err, len(l.heard()))
	}
}

// The whole telling, as text files: change them with go test ./internal/fulfill -update, and look at the difference. What
// is in them is a promise to the owners' applications: it only ever grows.
func TestForwardGolden(t *testing.T) {
	t.Parallel()
	paid := twoLines()
	paid.Key = makegood.OrderKey{Source: "stripe", SessionID: "cs_test_1", Account: "acct_1"}
	paid.PaymentID, paid.Payment, paid.Entitlement, paid.Fulfillment = "pi_1", makegood.PaymentPaid, makegood.EntitledFully, makegood.InProgress
	paid.PaidAt = noon.Add(-1500 * time.Microsecond)
	paid.Lines[0].Subtotal, paid.Lines[1].Subtotal = makegood.Money{Minor: 5800, Currency: "usd"}, makegood.Money{Minor: 3900, Currency: "usd"}
	refunded := paid
	refunded.Payment, refunded.Entitlement, refunded.Fulfillment = makegood.PaymentRefunded, makegood.EntitledNoMore, makegood.Revoked
	refunded.Licenses = slices.Clone(paid.Licenses)
	for i := range refunded.Licenses {
		refunded.Licenses[i].Status = makegood.LicenseRevoked
	}
	renewed := paid
	renewed.Key.Live, renewed.Fulfillment = true, makegood.Fulfilled
	renewed.Lines, renewed.Licenses = paid.Lines[:1], slices.Clone(paid.Licenses[:1])
	renewed.Licenses[0].ExpiresAt = noon.AddDate(0, 1, 0)
	bare := makegood.Order{ID: paid.ID, Key: paid.Key, Payment: makegood.PaymentPaid, Entitlement: makegood.EntitledFully, PaidAt: noon,
		Lines: []makegood.Line{{Product: "az-900", Quantity: 1}}}
	for _, tt := range []struct {
		name, step string
		order      makegood.Order
		wantType   string
		sequence   int
	}{
		{"forward_paid", "forward:shop", paid, "order.paid", 1},
		{"forward_refunded", "forward:shop:2", refunded, "order.refunded", 2},
		{"forward_renewed", "forward:shop:3", renewed, "order.updated", 3},
		{"forward_bare", "forward:shop", bare, "order.paid", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forwardTo(t, "https://shop.example", func(o *fulfill.ForwardOptions) { o.Now = func() time.Time { return noon.Add(1500 * time.Microsecond) } })
			message, err := f.Make(tt.order, tt.step)
			if err != nil {
				t.Fatal(err)
			}
			var kept struct {
				ID   string
				Body []byte
			}
			var event fulfill.OrderEvent
			if err := errors.Join(json.Unmarshal(message, &kept), json.Unmarshal(kept.Body, &event)); err != nil {
				t.Fatal(err)
			}
			if event.Type != tt.wantType || event.Data.Sequence != tt.sequence || strings.Contains(kept.ID, ".") {
				t.Errorf("told %s as number %d under %q, want %s as number %d", event.Type, event.Data.Sequence, kept.ID, tt.wantType, tt.sequence)
			}
			var got bytes.Buffer
			if err := json.Indent(&got, kept.Body, "", "  "); err != nil {
				t.Fatal(err)
			}
			got.WriteByte('\n')
			golden := filepath.Join("testdata", tt.name+".json")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
		})
	}
}

// What an order is called when it is told.
func TestForwardTypes(t *testing.T) {
	t.Parallel()
	f := forwardTo(t, "https://shop.example")
	for _, tt := range []struct {
		step    string
		payment makegood.PaymentState
		want    string
	}{
		{"forward:shop", makegood.PaymentPaid, "order.paid"},
		{"forward:shop", makegood.PaymentRefunded, "order.paid"}, // before the first telling was made
		{"forward:shop:2", makegood.PaymentPaid, "order.updated"},
		{"forward:shop:2", makegood.PaymentRefunded, "order.refunded"},
		{"forward:shop:2", makegood.PaymentPartiallyRefunded, "order.partially_refunded"},
		{"forward:shop:9", makegood.PaymentDisputed, "order.disputed"},
	} {
		o := twoLines()
		o.Payment = tt.payment
		message, err := f.Make(o, tt.step)
		if err != nil {
			t.Fatal(err)
		}
		var kept struct{ Body []byte }
		var event fulfill.OrderEvent
		if err := errors.Join(json.Unmarshal(message, &kept), json.Unmarshal(kept.Body, &event)); err != nil || event.Type != tt.want {
			t.Errorf("%s of an order that is %s = %s, %v, want %s", tt.step, tt.payment, event.Type, err, tt.want)
		}
	}
	if f.Name() != "forward:shop" || f.RemembersFor() != 0 {
		t.Errorf("effect %s remembers for %v, want forward:shop, which never does", f.Name(), f.RemembersFor())
	}
}

func TestNewForwardRefuses(t *testing.T) {
	t.Parallel()
	over := time.Now().Add(-time.Second)
	for _, tt := range []struct {
		name    string
		secrets []fulfill.SigningSecret
		ok      bool
	}{
		{"no secret", nil, false},
		{"an empty one", []fulfill.SigningSecret{{}}, false},
		{"without its prefix", []fulfill.SigningSecret{{Value: secret.New(strings.TrimPrefix(newSecret, "whsec_"))}}, false},
		{"a public key", []fulfill.SigningSecret{{Value: secret.New("whpk_" + strings.TrimPrefix(newSecret, "whsec_"))}}, false},
		{"no base64", []fulfill.SigningSecret{{Value: secret.New("whsec_" + strings.Repeat("!", 44))}}, false},
		{"base64 for addresses", []fulfill.SigningSecret{{Value: secret.New("whsec_" + base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, 30)))}}, false},
		{"cut off", []fulfill.SigningSecret{{Value: secret.New(newSecret[:len(newSecret)-1])}}, false},
		{"with a line break", []fulfill.SigningSecret{{Value: secret.New(newSecret + "\n")}}, false},
		{"too short", []fulfill.SigningSecret{{Value: secret.New(signingSecret('s', 23))}}, false},
		{"too long", []fulfill.SigningSecret{{Value: secret.New(signingSecret('s', 65))}}, false},
		{"the second is bad", []fulfill.SigningSecret{{Value: secret.New(newSecret)}, {Value: secret.New("whsec_s3cret")}}, false},
		{"all are over", []fulfill.SigningSecret{{Value: secret.New(newSecret), NotAfter: over}}, false},
		{"the shortest", []fulfill.SigningSecret{{Value: secret.New(signingSecret('s', 24))}}, true},
		{"the longest", []fulfill.SigningSecret{{Value: secret.New(signingSecret('s', 64))}}, true},
		{"one over, one not", []fulfill.SigningSecret{{Value: secret.New(oldSecret), NotAfter: over}, {Value: secret.New(newSecret)}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := fulfill.NewForward(fulfill.ForwardOptions{Name: "shop", URL: "https://shop.example", Secrets: tt.secrets, Now: time.Now})
			if (err == nil) != tt.ok {
				t.Fatalf("NewForward = %v, want it refused: %v", err, !tt.ok)
			}
			for _, s := range tt.secrets {
				if err != nil && !s.Value.Empty() && strings.Contains(err.Error(), strings.TrimPrefix(s.Value.Reveal(), "whsec_")) {
					t.Errorf("error %v shows the secret", err)
				}
			}
			if err != nil && !strings.Contains(err.Error(), `"shop"`) {
				t.Errorf("error %v does not name the destination", err)
			}
		})
	}
}

func contextThatEnds(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 20*time.Millisecond)
}
