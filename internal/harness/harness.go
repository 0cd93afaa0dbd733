// Package harness is a whole server in a simulated world, spoken to in sentences, with a database that fails on cue. It is
// for tests only.
package harness

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/demo"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// patience is how long a sentence waits to become true. It bounds a failing test and never a passing one.
const patience = 15 * time.Second

// World is a running world of one test. Stop checks that nothing happened that nobody expected.
type World struct {
	*demo.World
	t        testing.TB
	expected map[string]int // mails by address
}

// Start starts a world on the database and stops it with the test.
func Start(t testing.TB, o demo.Options) *World {
	t.Helper()
	w, err := demo.Start(t.Context(), o)
	if err != nil {
		t.Fatalf("start the world: %v", err)
	}
	t.Cleanup(func() {
		if err := w.Stop(); err != nil {
			t.Errorf("stop the world: %v", err)
		}
	})
	return &World{World: w, t: t, expected: map[string]int{}}
}

// Quick is a retry policy for tests: what fails is repeated at once, and often enough.
var quick = makegood.RetryPolicy{Attempts: 60, Base: 10 * time.Millisecond, Cap: 100 * time.Millisecond}

// Quick returns a retry policy for tests.
func Quick() makegood.RetryPolicy { return quick }

// Pay is a customer who buys and pays; the provider tells the server.
func (w *World) Pay(product string, quantity int, email string) (sessionID string) {
	w.t.Helper()
	session, err := w.Buy(w.t.Context(), product, quantity, email)
	if err != nil {
		w.t.Fatalf("buy %d %s: %v", quantity, product, err)
	}
	return session
}

// PayLater is a customer who pays by a method that takes days.
func (w *World) PayLater(product string, quantity int, email string) (sessionID string) {
	w.t.Helper()
	session, err := w.Checkout(w.t.Context(), product, quantity)
	if err == nil {
		err = w.Stripe.Pay(session, simulate.Customer{Email: email}, simulate.Delayed())
	}
	if err != nil {
		w.t.Fatalf("buy %d %s later: %v", quantity, product, err)
	}
	return session
}

// ExpectOrder waits until the order of a session is in a fulfilment state, and returns it.
func (w *World) ExpectOrder(sessionID string, want makegood.FulfillmentState) makegood.Order {
	w.t.Helper()
	var o makegood.Order
	w.Eventually("order of "+sessionID+" is "+string(want), func(ctx context.Context) bool {
		var err error
		o, err = w.Store().OrderBySession(ctx, "stripe", sessionID)
		return err == nil && o.Fulfillment == want
	})
	o, err := w.Store().Order(w.t.Context(), o.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

// ExpectMail waits for the next mail to an address and checks that its text contains all of words.
func (w *World) ExpectMail(email string, words ...string) simulate.Mail {
	w.t.Helper()
	w.expected[email]++
	n := w.expected[email]
	w.Eventually("a mail to "+email, func(context.Context) bool { return len(w.Resend.Inbox(email)) >= n })
	m := w.Resend.Inbox(email)[n-1]
	for _, word := range words {
		if !strings.Contains(m.Subject+"\n"+m.Text, word) {
			w.t.Errorf("mail to %s lacks %q:\n%s\n%s", email, word, m.Subject, m.Text)
		}
	}
	return m
}

// ExpectNothingElse checks that no mail left that no sentence expected, that no job waits and that nothing was given up.
func (w *World) ExpectNothingElse() {
	w.t.Helper()
	w.Eventually("the queue is empty", func(ctx context.Context) bool {
		depths, err := w.Store().QueueDepths(ctx)
		return err == nil && len(depths) == 0
	})
	want := 0
	for email, n := range w.expected {
		want += n
		if got := len(w.Resend.Inbox(email)); got != n {
			w.t.Errorf("%s has %d mails, want %d", email, got, n)
		}
	}
	if got := len(w.Resend.Inbox("")); got != want {
		w.t.Errorf("%d mails left, want %d", got, want)
	}
	letters, err := w.Store().DeadLetters(w.t.Context(), store.DeadLetterFilter{})
	if err != nil || len(letters) > 0 {
		w.t.Errorf("dead letters = %+v, %v, want none", letters, err)
	}
}

// Eventually waits until a condition holds, and fails the test when it does not within the harness's patience.
func (w *World) Eventually(what string, holds func(context.Context) bool) {
	w.t.Helper()
	if !Eventually(w.t.Context(), patience, holds) {
		w.t.Fatalf("after %v it is still not true that %s", patience, what)
	}
}

// Eventually waits until a condition holds and reports whether it did in time.
func Eventually(ctx context.Context, limit time.Duration, holds func(context.Context) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(3 * time.Millisecond):
		}
	}
	return true
}
