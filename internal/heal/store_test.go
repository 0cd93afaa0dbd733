package heal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/queue"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/store/storetest"
)

// kept is a scene over a real database, whose clock is moved by hand: the healer waits by the machine's own.
type kept struct {
	*world
	t     *testing.T
	url   string
	s     *store.Store
	p     *process
	mu    sync.Mutex
	ahead time.Duration
}

func (k *kept) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Now().Add(k.ahead)
}

func (k *kept) pass(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ahead += d
}

// open opens the database and starts a healer on it, as a program that starts does.
func (k *kept) open() {
	k.t.Helper()
	s, err := store.Open(k.t.Context(), k.url, store.Options{Now: k.now})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { s.Close() })
	writer, reader := s.SQLite()
	db := queue.Database{SQLiteWriter: writer, SQLiteReader: reader, Postgres: s.Postgres()}
	if err := errors.Join(s.Migrate(k.t.Context()), queue.Migrate(k.t.Context(), db)); err != nil {
		k.t.Fatal(err)
	}
	k.s = s
	k.patched = func(o *heal.Options, all *[]heal.Target) {
		o.Ledger, o.Now = mirrored{s, k.world}, k.now
		(*all)[0].VerifyEvery, (*all)[0].VerifyWithin, (*all)[0].Serve = 10*time.Millisecond, 100*time.Millisecond, nil
	}
	k.p = k.start("server")
}

// mirrored shows the judge of the world what the database keeps.
type mirrored struct {
	*store.Store
	w *world
}

func (m mirrored) show(a makegood.HealAttempt, err error) (makegood.HealAttempt, error) {
	m.w.mu.Lock()
	defer m.w.mu.Unlock()
	if err == nil {
		a.LeaseUntil = time.Now().Add(time.Hour) // the clocks are not the same
		m.w.ledger.put(a)
	}
	return a, err
}

func (m mirrored) BeginAttempt(ctx context.Context, a makegood.HealAttempt, l makegood.HealLimits, lease time.Duration) (makegood.HealAttempt, error) {
	begun, err := m.Store.BeginAttempt(ctx, a, l, lease)
	_, _ = m.show(begun, err)
	return begun, err
}

func (m mirrored) AmendAttempt(ctx context.Context, id string, fence int64, lease time.Duration, change func(*makegood.HealAttempt) error) (makegood.HealAttempt, error) {
	a, err := m.Store.AmendAttempt(ctx, id, fence, lease, change)
	_, _ = m.show(a, err)
	return a, err
}

func (m mirrored) TakeAttempt(ctx context.Context, id, holder string, lease time.Duration) (makegood.HealAttempt, error) {
	a, err := m.Store.TakeAttempt(ctx, id, holder, lease)
	_, _ = m.show(a, err)
	return a, err
}

func (k *kept) wipe() {
	k.world.mu.Lock()
	defer k.world.mu.Unlock()
	at := k.places["shop"]
	at.buildTakes = time.Millisecond
	at.wipe(1)
	at.deploy("", 0, true)
}

func (k *kept) mend(ctx context.Context) (makegood.HealAttempt, makegood.HealReason) {
	k.t.Helper()
	a, err := k.p.healer.Mend(ctx, "shop", "operator:ann", true, nil)
	var no *makegood.HealRefusal
	if err != nil && !errors.As(err, &no) {
		k.t.Fatal(err)
	}
	if no != nil {
		return a, no.Reason
	}
	return a, ""
}

// The key scenes over a real database: a heal, a crash that another start goes on with, the brake and the limits over restarts.
func TestOverTheStore(t *testing.T) {
	t.Parallel()
	k := &kept{world: newWorld(1, "shop"), t: t, url: storetest.SQLite(t)}
	k.open()
	k.wipe()
	if a, no := k.mend(t.Context()); no != "" || a.State != makegood.AttemptHealed || k.places["shop"].starts[a.ID] != 1 {
		t.Fatalf("Mend = %s, %q", a.State, no)
	}

	// A crash right after the effect of the start: the run has no name yet.
	k.wipe()
	k.pass(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	k.onCall = func(_ *process, call string, isAfter bool) {
		if call == "start" && isAfter {
			cancel()
		}
	}
	crashed, _ := k.mend(ctx)
	k.onCall = nil
	if stays, err := k.s.Attempt(t.Context(), crashed.ID); err != nil || stays.State != makegood.AttemptRunning || stays.Run != "" {
		t.Fatalf("after the crash: %s, run %q, %v", stays.State, stays.Run, err)
	}
	k.s.Close()
	k.open()
	if !k.p.healer.Holds("monitor/shop") {
		t.Error("the incident is not held after the restart")
	}
	k.p.healer.Tick(t.Context())
	if stays, err := k.s.Attempt(t.Context(), crashed.ID); err != nil || stays.State != makegood.AttemptRunning {
		t.Fatalf("before the lease has ended: %s, %v", stays.State, err)
	}
	k.pass(16 * time.Second)
	k.p.healer.Tick(t.Context())
	resumed, err := k.s.Attempt(t.Context(), crashed.ID)
	if err != nil || resumed.State != makegood.AttemptHealed || k.places["shop"].starts[crashed.ID] != 1 || resumed.Fence <= crashed.Fence {
		t.Fatalf("gone on with: %s, %s, %d starts, fence %d after %d, %v", resumed.State, resumed.Detail, k.places["shop"].starts[crashed.ID], resumed.Fence, crashed.Fence, err)
	}

	// Two within half an hour: the limit holds over a restart, and so does the brake.
	k.s.Close()
	k.open()
	if _, no := k.mend(t.Context()); no != makegood.HealTargetLimit {
		t.Errorf("the third after a restart = %q, want %q", no, makegood.HealTargetLimit)
	}
	if err := k.s.SetHealBrake(t.Context(), makegood.Brake{On: true, By: "operator:ann", Why: "wait", At: k.now()}); err != nil {
		t.Fatal(err)
	}
	k.s.Close()
	k.open()
	k.pass(time.Hour)
	if _, no := k.mend(t.Context()); no != makegood.HealPaused {
		t.Errorf("with the brake on, after a restart = %q, want %q", no, makegood.HealPaused)
	}
	list, err := k.s.Attempts(t.Context(), store.AttemptFilter{})
	if err != nil || len(list) != 4 {
		t.Errorf("%d attempts and refusals are kept, %v, want 4", len(list), err)
	}
	for _, a := range list {
		checkHidden(t, "attempt "+a.ID, fmt.Sprintf("%+v", a))
	}
	for _, wrong := range k.wrong {
		t.Error(wrong)
	}
	checkHidden(t, "the record", k.text())
}

// The brake is obeyed over a real database too, in the middle of an attempt.
func TestBrakeOverTheStore(t *testing.T) {
	t.Parallel()
	k := &kept{world: newWorld(1, "shop"), t: t, url: storetest.SQLite(t)}
	k.open()
	k.wipe()
	k.places["shop"].buildTakes = time.Hour
	braked := make(chan time.Time, 1)
	go func() {
		time.Sleep(300 * time.Millisecond)
		braked <- time.Now()
		if err := k.s.SetHealBrake(context.WithoutCancel(t.Context()), makegood.Brake{On: true, By: "operator:ann", Why: "wait", At: k.now()}); err != nil {
			t.Error(err)
		}
	}()
	a, _ := k.mend(t.Context())
	brakedAt := <-braked
	if a.State != makegood.AttemptStopped || a.Reason != makegood.HealPaused || time.Since(brakedAt) > 3*time.Second { // a second, and a machine that is busy
		t.Errorf("ended as %s, %s, %v after the brake", a.State, a.Reason, time.Since(brakedAt))
	}
}
