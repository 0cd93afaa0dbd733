package app_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/desk"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
	"github.com/makegood/makegood/internal/watch"
)

const (
	controlToken = "control-token-of-the-tests-1"
	operator     = "operator:ann@tests"
)

func withToken(c *config.Config) { c.Control.Token = secret.New(controlToken) }

// act asks an admin address as an operator's program does.
func (w *world) act(method, path, body string, into any) answer {
	w.t.Helper()
	a := w.ask(method, path, body, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+controlToken)
		r.Header.Set(api.ActorHeader, "ann@tests")
	})
	if into != nil {
		if a.status != http.StatusOK {
			w.t.Fatalf("%s %s = %d %s, want 200", method, path, a.status, a.body)
		}
		w.must("read the answer", json.Unmarshal([]byte(a.body), into))
	}
	return a
}

func (w *world) makeGood(quoted string, resend bool) api.MakeGoodAnswer {
	w.t.Helper()
	var did api.MakeGoodAnswer
	w.act("POST", "/api/admin/orders/make-good", fmt.Sprintf(`{"quoted":%q,"resend":%t}`, quoted, resend), &did)
	return did
}

// audit is everything that an operator did, as "action target".
func (w *world) audit() []string {
	w.t.Helper()
	const statement = `SELECT action, target FROM audit_entries WHERE actor = '` + operator + `' ORDER BY at, ordinal`
	var done []string
	if _, reader := w.Store().SQLite(); reader != nil {
		rows, err := reader.QueryContext(w.t.Context(), statement)
		w.must("read the audit", err)
		defer rows.Close()
		for rows.Next() {
			var action, target string
			w.must("read the audit", rows.Scan(&action, &target))
			done = append(done, action+" "+target)
		}
		w.must("read the audit", rows.Err())
		return done
	}
	rows, err := w.Store().Postgres().Query(w.t.Context(), statement)
	w.must("read the audit", err)
	defer rows.Close()
	for rows.Next() {
		var action, target string
		w.must("read the audit", rows.Scan(&action, &target))
		done = append(done, action+" "+target)
	}
	w.must("read the audit", rows.Err())
	return done
}

func (w *world) expectAudited(entries ...string) {
	w.t.Helper()
	all := w.audit()
	for _, e := range entries {
		if !slices.Contains(all, e) {
			w.t.Errorf("the audit of the operator has %q, want %q in it", all, e)
		}
	}
}

func (w *world) openLetters() []makegood.DeadLetter {
	w.t.Helper()
	letters, err := w.Store().DeadLetters(w.t.Context(), store.DeadLetterFilter{State: makegood.DeadOpen})
	w.must("list the dead letters", err)
	return letters
}

// refuseFor is a mail service that refuses the mails to some people for good.
func refuseFor(who ...string) simulate.ResendFaults {
	return simulate.ResendFaults{FailSend: func(_ int, r *http.Request) (int, string) {
		var m struct{ To []string }
		if json.NewDecoder(r.Body).Decode(&m) == nil && len(m.To) > 0 && slices.Contains(who, m.To[0]) {
			return http.StatusUnprocessableEntity, "validation_error"
		}
		return 0, ""
	}}
}

// The admin addresses are not there without a token, and open to nobody without it.
func TestAdminIsClosed(t *testing.T) {
	t.Parallel()
	bare := startWorld(t, storetest.SQLite(t))
	if a := bare.act("POST", "/api/admin/orders/find", `{"quoted":"x"}`, nil); a.status != http.StatusNotFound {
		t.Errorf("the admin addresses of a server without a token = %d %s, want 404", a.status, a.body)
	}
	w := startWorld(t, storetest.SQLite(t), configured(withToken))
	for _, address := range []struct{ method, path string }{
		{"POST", "/api/admin/orders/find"}, {"GET", "/api/admin/orders/ord1"}, {"POST", "/api/admin/orders/make-good"},
		{"POST", "/api/admin/dead-letters/retry"}, {"POST", "/api/admin/dead-letters/dlq1/discard"}, {"POST", "/api/admin/sources/stripe/events/pull"},
	} {
		for _, header := range []string{"", "Bearer ", "Bearer " + controlToken[1:], "Basic " + controlToken} {
			a := w.ask(address.method, address.path, "{}", func(r *http.Request) { r.Header.Set("Authorization", header) })
			if a.status != http.StatusUnauthorized || a.code() != "unauthorized" || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s with %q = %d %s, want 401, and nothing for other origins", address.method, address.path, header, a.status, a.body)
			}
		}
	}
	if strings.Contains(w.logs.String(), controlToken) {
		t.Error("the token is in the log")
	}
}

// What an operator does at three in the morning.
func TestMakeGood(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(withToken))

		w.sentence("nothing arrived here: it is found at the provider and made good", func(w *world) {
			w.Stripe.SetFaults(simulate.Faults{Drop: func(simulate.Event) bool { return true }})
			session := w.buy("az-900", 2, address("ann"))
			w.Stripe.SetFaults(simulate.Faults{})
			var found api.FindAnswer
			w.act("POST", "/api/admin/orders/find", fmt.Sprintf(`{"quoted":%q}`, address("ann")), &found)
			if len(found.Orders) != 1 || found.Orders[0].ID != "" || found.Orders[0].SessionID != session || len(found.Unasked) != 0 {
				w.t.Fatalf("found = %+v, want the session that only the provider knows", found)
			}
			did := w.makeGood(address("ann"), false)
			if did.Order.Payment != makegood.PaymentPaid || did.Order.Licenses != 2 || len(did.Did) != 1 {
				w.t.Errorf("made good = %+v, want it paid with two licences", did)
			}
			o := w.expectFulfilled(session, address("ann"), 2)
			again := w.makeGood(session, false)
			w.quiet()
			if len(w.Resend.Inbox(address("ann"))) != 1 || again.Order.Fulfillment != makegood.Fulfilled {
				w.t.Errorf("made good again = %+v with %d mails, want nothing more", again, len(w.Resend.Inbox(address("ann"))))
			}
			w.expectAudited("order.payment "+o.ID, "order.made_good "+o.ID)
		})

		w.sentence("the mail was refused, and the cause repaired", func(w *world) {
			w.Resend.SetFaults(refuseFor(address("bob")))
			session := w.buy("az-900", 1, address("bob"))
			if o := w.settled(session); o.Fulfillment != makegood.Stuck {
				w.t.Fatalf("order = %s, want stuck", o.Fulfillment)
			}
			w.Resend.SetFaults(simulate.ResendFaults{})
			letters := w.openLetters()
			did := w.makeGood(w.order(session).PaymentID, false)
			if !slices.Contains(did.Did, "run again: email") {
				w.t.Errorf("did %q, want the mail run again", did.Did)
			}
			w.awaitFulfilled(session)
			o := w.expectFulfilled(session, address("bob"), 1)
			w.expectAudited("dead_letter.retried "+letters[0].ID, "order.made_good "+o.ID)
		})

		w.sentence("the mail was refused, and its letter discarded by mistake", func(w *world) {
			w.Resend.SetFaults(refuseFor(address("cleo")))
			session := w.buy("az-900", 1, address("cleo"))
			w.settled(session)
			w.Resend.SetFaults(simulate.ResendFaults{})
			letters := w.openLetters()
			w.act("POST", "/api/admin/dead-letters/"+letters[0].ID+"/discard", `{"why":"I thought it was a test"}`, &struct{}{})
			if len(w.openLetters()) != 0 {
				w.t.Error("the letter is still open")
			}
			did := w.makeGood(session, false)
			if !slices.Contains(did.Did, "run again: email") {
				w.t.Errorf("did %q, want the mail run again", did.Did)
			}
			w.awaitFulfilled(session)
			o := w.expectFulfilled(session, address("cleo"), 1)
			w.expectAudited("dead_letter.discarded "+letters[0].ID, "step.again "+o.ID, "order.made_good "+o.ID)
			if a := w.act("POST", "/api/admin/dead-letters/"+letters[0].ID+"/discard", `{"why":"again"}`, nil); a.status != http.StatusNotFound {
				w.t.Errorf("discard again = %d %s, want 404", a.status, a.body)
			}
		})

		w.sentence("sent once more: the same bytes under another key", func(w *world) {
			session := w.buy("az-900", 1, address("dan"))
			w.expectFulfilled(session, address("dan"), 1)
			for round := 1; round <= 2; round++ {
				w.makeGood(session, true)
				w.eventually("one mail more", func() bool { return len(w.Resend.Inbox(address("dan"))) == round+1 })
				w.quiet()
			}
			inbox := w.Resend.Inbox(address("dan"))
			keys := map[string]bool{}
			for _, m := range inbox {
				keys[m.IdempotencyKey] = true
				if string(m.Raw) != string(inbox[0].Raw) || len(m.Raw) == 0 {
					w.t.Errorf("sent once more:\n%s\nat first:\n%s", m.Raw, inbox[0].Raw)
				}
			}
			o := w.order(session)
			if len(inbox) != 3 || len(keys) != 3 || o.Step(makegood.EffectEmail).Receipt != inbox[2].ID || o.Fulfillment != makegood.Fulfilled {
				w.t.Errorf("%d mails under %d keys, step %+v, want three, and the last one's receipt", len(inbox), len(keys), o.Step(makegood.EffectEmail))
			}
			w.expectAudited("step.again " + o.ID)
		})

		w.sentence("not paid, unknown, several, and the provider down", func(w *world) {
			open := w.open("az-900", 1)
			w.buy("az-900", 1, address("eve"))
			w.buy("az-900", 1, address("eve"))
			w.quiet()
			for _, tt := range []struct {
				quoted, code string
				status       int
			}{
				{open, "not_paid", http.StatusPaymentRequired}, {"cs_test_nosuch", "not_found", http.StatusNotFound},
				{address("nobody"), "not_found", http.StatusNotFound}, {address("eve"), "conflict", http.StatusConflict}, {" ", "invalid", http.StatusBadRequest},
			} {
				a := w.act("POST", "/api/admin/orders/make-good", fmt.Sprintf(`{"quoted":%q}`, tt.quoted), nil)
				if a.status != tt.status || a.code() != tt.code {
					w.t.Errorf("make-good %q = %d %s, want %d %s", tt.quoted, a.status, a.body, tt.status, tt.code)
				}
			}
			w.Stripe.SetFaults(simulate.Faults{FailAPI: func(*http.Request) int { return http.StatusInternalServerError }})
			defer w.Stripe.SetFaults(simulate.Faults{})
			var found api.FindAnswer
			w.act("POST", "/api/admin/orders/find", fmt.Sprintf(`{"quoted":%q}`, address("eve")), &found)
			if len(found.Orders) != 2 || found.Unasked["stripe"] == "" {
				w.t.Errorf("found while the provider is down = %+v, want what is known here, and who was not asked", found)
			}
			if a := w.act("POST", "/api/admin/orders/make-good", `{"quoted":"pi_nosuch"}`, nil); a.status != http.StatusServiceUnavailable {
				w.t.Errorf("make-good of what nobody can look for = %d %s, want 503", a.status, a.body)
			}
		})

		w.sentence("sold what the catalogue does not have, and the catalogue repaired", func(w *world) {
			product := w.Config.Catalogue["az-900"]
			session := w.open("az-900", 1)
			delete(w.Config.Catalogue, "az-900")
			w.must("restart the server", w.RestartServer(w.t.Context(), store.Options{}, makegood.ShutdownTimeout))
			w.pay(session, address("fay"))
			if o := w.settled(session); o.Reason != makegood.ReasonUnknownProduct {
				w.t.Fatalf("order = %s %q, want it stuck on an unknown product", o.Fulfillment, o.Reason)
			}
			if did := w.makeGood(session, false); did.Order.Fulfillment != makegood.Stuck || did.Order.Reason != makegood.ReasonUnknownProduct {
				w.t.Errorf("made good before the repair = %+v, want it stuck as before", did.Order)
			}
			w.Config.Catalogue["az-900"] = product
			w.must("restart the server", w.RestartServer(w.t.Context(), store.Options{}, makegood.ShutdownTimeout))
			w.makeGood(session, false)
			o := w.expectFulfilled(session, address("fay"), 1)
			w.expectAudited("license.issued "+o.Licenses[0].ID, "order.made_good "+o.ID)
		})
	})
}

// awaitFulfilled waits for an order that was stuck.
func (w *world) awaitFulfilled(session string) {
	w.t.Helper()
	w.eventually("the goods", func() bool { return w.order(session).Fulfillment == makegood.Fulfilled })
}

// Dead letters are done again by two people at once, each of them once.
func TestRetryDeadLetters(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(withToken))
		var who, sessions []string
		for i := range 5 {
			who = append(who, address(fmt.Sprintf("ann%d", i)))
		}
		w.Resend.SetFaults(refuseFor(who...))
		for _, customer := range who {
			sessions = append(sessions, w.buy("az-900", 1, customer))
		}
		for _, session := range sessions {
			w.settled(session)
		}
		w.Resend.SetFaults(simulate.ResendFaults{})
		retry := func(body string) (r desk.Retried) {
			w.act("POST", "/api/admin/dead-letters/retry", body, &r)
			return r
		}
		if r := retry(`{"per_second":100,"dry_run":true}`); len(r.Letters) != 5 || len(w.openLetters()) != 5 || len(w.audit()) != 0 {
			t.Errorf("dry = %+v, %d letters open afterwards, audit %q, want five named and nothing done", r, len(w.openLetters()), w.audit())
		}
		if r := retry(`{"per_second":100,"source":"nosuch"}`); len(r.Letters) != 0 {
			t.Errorf("letters of no source = %+v, want none", r)
		}
		twice := w.openLetters()[0].ID
		if r := retry(fmt.Sprintf(`{"per_second":100,"dry_run":true,"ids":[%q,%q]}`, twice, twice)); len(r.Letters) != 1 {
			t.Errorf("a letter that is named twice = %+v, want it once", r)
		}
		var results [2]desk.Retried
		var both sync.WaitGroup
		for i := range results {
			both.Go(func() { results[i] = retry(`{"per_second":1000}`) })
		}
		both.Wait()
		all := append(slices.Clone(results[0].Letters), results[1].Letters...)
		slices.Sort(all)
		if len(all) != 5 || len(slices.Compact(all)) != 5 {
			t.Errorf("two at once = %+v, want each letter once", results)
		}
		for i, session := range sessions {
			w.awaitFulfilled(session)
			w.expectFulfilled(session, who[i], 1)
		}
		for _, id := range all {
			w.expectAudited("dead_letter.retried " + id)
		}
		if r := retry(fmt.Sprintf(`{"per_second":1,"ids":[%q]}`, all[0])); len(r.Letters) != 0 || len(w.openLetters()) != 0 {
			t.Errorf("a letter that was done again = %+v, want nothing done", r)
		}
		if a := w.act("POST", "/api/admin/dead-letters/retry", `{"per_second":1,"ids":["dlq0"]}`, nil); a.status != http.StatusNotFound {
			t.Errorf("a letter that is not there = %d %s, want 404", a.status, a.body)
		}
	})
}

// The provider could not deliver for a while: what it tells is fetched, and taken as if it had come.
func TestPullEvents(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		w := startWorld(t, url, configured(withToken), func(o *demo.Options) { o.Stripe.RetrySchedule = []time.Duration{time.Hour} })
		came := w.buy("az-900", 1, address("ann"))
		w.expectFulfilled(came, address("ann"), 1)
		w.Stripe.SetFaults(simulate.Faults{WrongSecret: true}) // somebody changed the secret at the provider only
		session := w.buy("az-900", 1, address("bob"))
		var pulled desk.Pulled
		pull := fmt.Sprintf(`{"since":%q}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
		w.act("POST", "/api/admin/sources/stripe/events/pull", pull, &pulled)
		if pulled.New != 1 {
			t.Errorf("pulled = %+v, want the one event that could not be delivered", pulled)
		}
		w.settled(session)
		w.awaitFulfilled(session)
		if n := len(w.Resend.Inbox(address("bob"))); n != 1 {
			t.Errorf("%d mails, want 1", n)
		}
		w.act("POST", "/api/admin/sources/stripe/events/pull", pull, &pulled)
		if pulled.New != 0 || len(w.Resend.Inbox(address("bob"))) != 1 {
			t.Errorf("pulled again = %+v, want all of it known", pulled)
		}
		w.expectAudited("events.pulled stripe")
		if a := w.act("POST", "/api/admin/sources/nosuch/events/pull", pull, nil); a.status != http.StatusNotFound {
			t.Errorf("pull from a source that is not there = %d %s, want 404", a.status, a.body)
		}
	})
}

// TestServeAfterAWrongCatalogue: who paid while the catalogue was wrong is served when the watcher asks the server that runs with the
// right one, once.
func TestServeAfterAWrongCatalogue(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		peer := secret.New("the secret of server and watcher")
		w := startWorld(t, url, configured(func(c *config.Config) { c.Watcher = config.Watcher{Secret: peer, Silent: time.Hour} }))
		began := time.Now()
		product := w.Config.Catalogue["az-900"]
		session := w.open("az-900", 1)
		delete(w.Config.Catalogue, "az-900")
		w.must("restart the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		w.pay(session, address("fay"))
		if o := w.settled(session); o.Reason != makegood.ReasonUnknownProduct {
			t.Fatalf("order = %s %q, want it stuck on an unknown product", o.Fulfillment, o.Reason)
		}
		w.Config.Catalogue["az-900"] = product
		w.must("restart the server", w.RestartServer(t.Context(), store.Options{}, makegood.ShutdownTimeout))
		serve := func() watch.ServeAnswer {
			t.Helper()
			way := outbound.New(outbound.Options{AllowPrivate: true, NeverRest: true})
			got, err := watch.AskServe(t.Context(), way, w.URL, peer, watch.ServeAsk{Since: began, Ended: time.Now(), Attempt: "att1", At: time.Now()})
			w.must("ask for those who waited", err)
			return got
		}
		if got := serve(); got.Waited != 1 || got.Again != 1 {
			t.Errorf("served %+v, want one who waited and one order done again", got)
		}
		w.awaitFulfilled(session)
		w.expectFulfilled(session, address("fay"), 1)
		if got := serve(); got.Again != 0 || got.Waiting != 0 {
			t.Errorf("served again = %+v, want nothing left", got)
		}
	})
}

// The owner's application hears of an order: that it is paid, before the order counts as fulfilled, and that it is refunded.
// It was down, and the order was made good by a person.
func TestForwardDownAndMadeGood(t *testing.T) {
	t.Parallel()
	const signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	storetest.Each(t, func(t *testing.T, url string) {
		var mu sync.Mutex
		var types, ids []string
		gone := true
		hook, err := standardwebhooks.NewWebhook(signing)
		if err != nil {
			t.Fatal(err)
		}
		listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			body, err := io.ReadAll(r.Body)
			var told struct{ Type string }
			if err != nil || hook.Verify(body, r.Header) != nil || json.Unmarshal(body, &told) != nil {
				t.Errorf("told %s, %v, want it signed", body, err)
			}
			if gone {
				w.WriteHeader(http.StatusGone)
				return
			}
			types, ids = append(types, told.Type), append(ids, r.Header.Get("webhook-id"))
		}))
		defer listener.Close()
		w := startWorld(t, url, configured(withToken), configuredToo(func(c *config.Config) {
			c.Forwards = []config.Forward{{Name: "shop", URL: listener.URL, Secrets: []config.DatedSecret{{Secret: secret.New(signing)}},
				Timeout: 5 * time.Second, AllowPrivate: true, Retry: quick}}
		}))
		session := w.buy("az-900", 1, address("ann"))
		if o := w.settled(session); o.Fulfillment != makegood.Stuck || o.Reason != makegood.ReasonStepFailed || len(w.openLetters()) != 1 {
			t.Fatalf("order = %s %q, want it stuck: the listener wants to hear no more", o.Fulfillment, o.Reason)
		}
		mu.Lock()
		gone = false
		mu.Unlock()
		if did := w.makeGood(session, false); !slices.Contains(did.Did, "run again: forward:shop") {
			t.Errorf("did %q, want it told again", did.Did)
		}
		w.awaitFulfilled(session)
		o := w.order(session)
		if _, err := w.Stripe.Refund(o.PaymentID, 0); err != nil {
			t.Fatal(err)
		}
		w.eventually("the telling of the refund", func() bool { mu.Lock(); defer mu.Unlock(); return len(types) == 2 })
		w.quiet()
		if want := []string{"order.paid", "order.refunded"}; !slices.Equal(types, want) || ids[0] != o.ID+"_forward_shop" || ids[1] != o.ID+"_forward_shop_2" {
			t.Errorf("told %v under %v, want %v, each under its id", types, ids, want)
		}
	})
}

// configuredToo changes the configuration after another change of it.
func configuredToo(change func(*config.Config)) func(*demo.Options) {
	return func(o *demo.Options) {
		before := o.Configure
		o.Configure = func(c *config.Config) { before(c); change(c) }
	}
}

// The command line's way: the same, through the socket. Not beside other tests, see control_test.go.
func TestMakeGoodThroughTheSocket(t *testing.T) {
	socket := filepath.Join(shortFolder(t), "control")
	w := startWorld(t, storetest.SQLite(t), withSocket(socket))
	w.Resend.SetFaults(refuseFor(address("ann")))
	session := w.buy("az-900", 1, address("ann"))
	w.settled(session)
	w.Resend.SetFaults(simulate.ResendFaults{})
	a := control(t, socket, "POST", "/api/admin/orders/make-good", fmt.Sprintf(`{"quoted":%q}`, session))
	if a.status != http.StatusOK || !strings.Contains(a.body, "run again: email") {
		t.Fatalf("make-good = %d %s, want the mail run again", a.status, a.body)
	}
	w.awaitFulfilled(session)
	o := w.expectFulfilled(session, address("ann"), 1)
	entries, err := w.Store().AuditOf(t.Context(), o.ID)
	if err != nil || !slices.ContainsFunc(entries, func(e makegood.Entry) bool { return e.Actor == "operator:ann@cli" && e.Action == "order.made_good" }) {
		t.Errorf("audit = %+v, %v, want who made it good", entries, err)
	}
	if a := w.act("POST", "/api/admin/orders/make-good", `{}`, nil); a.status != http.StatusNotFound {
		t.Errorf("the admin addresses over HTTP without a token = %d, want 404: the socket opens nothing else", a.status)
	}
}
