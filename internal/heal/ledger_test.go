package heal_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/makegood/makegood"
)

// ledger keeps attempts by the rules of internal/store/heal.go. It can break before it keeps and after.
type ledger struct {
	w        *world
	attempts map[string]*makegood.HealAttempt
	order    []string
	tried    []string // of them, those that were no refusals
	house    map[string]string
	brake    makegood.Brake
	fence    int64
	begun    []begun

	failsBefore, failsAfter float64
	slow                    time.Duration
}

// begun is for the judge, who counts on his own.
type begun struct {
	target string
	at     time.Time
}

var errLedger = errors.New("database is locked")

// running lists the attempts that run; whoever asks has the lock.
func (l *ledger) running() []makegood.HealAttempt {
	var list []makegood.HealAttempt
	for _, id := range l.tried {
		if l.attempts[id].State == makegood.AttemptRunning {
			list = append(list, *l.attempts[id])
		}
	}
	return list
}

func (l *ledger) put(a makegood.HealAttempt) {
	if _, ok := l.attempts[a.ID]; !ok {
		l.order = append(l.order, a.ID)
		if a.State != makegood.AttemptRefused {
			l.tried = append(l.tried, a.ID)
		}
	}
	a.Names, a.Steps = slices.Clone(a.Names), slices.Clone(a.Steps)
	l.attempts[a.ID] = &a
}

func (l *ledger) get(id string) (makegood.HealAttempt, error) {
	kept, ok := l.attempts[id]
	if !ok {
		return makegood.HealAttempt{}, makegood.Errorf(makegood.NotFound, "There is no attempt %s.", id)
	}
	a := *kept
	a.Names, a.Steps = slices.Clone(a.Names), slices.Clone(a.Steps)
	return a, nil
}

func (l *ledger) standing(limits makegood.HealLimits) makegood.HealStanding {
	s := makegood.HealStanding{Brake: l.brake, Running: l.running()}
	for _, id := range slices.Backward(l.tried) {
		if a := l.attempts[id]; time.Since(a.CountsAt) < limits.Window() {
			s.Lately = append(s.Lately, *a)
		}
	}
	return s
}

// count is the judge's own look at the limits.
func (l *ledger) count(target string) {
	l.begun = append(l.begun, begun{target, time.Now()})
	here, all := 0, 0
	for _, b := range l.begun {
		age := time.Since(b.at)
		if b.target == target && age < 30*time.Minute {
			here++
		}
		if age < time.Hour {
			all++
		}
	}
	if here > 2 || all > 4 {
		l.w.violate("%d attempts at %s within 30 minutes, %d over all within an hour", here, target, all)
	}
	if n := len(l.running()); n > 1 {
		l.w.violate("%d attempts run at once", n)
	}
	if !l.w.brakeAt.IsZero() {
		l.w.violate("an attempt at %s begins while the brake is on", target)
	}
}

// ledgerOf is the ledger as one program sees it.
type ledgerOf struct {
	*ledger
	by *process
}

func (l *ledgerOf) do(ctx context.Context, name string, commit func() error) error {
	l.w.mu.Lock()
	var takes time.Duration
	if l.slow > 0 && l.w.chance(0.2) {
		takes = time.Duration(l.w.rng.Int64N(int64(l.slow)))
	}
	l.w.mu.Unlock()
	if err := l.by.call(ctx, name, takes); err != nil {
		return err
	}
	defer l.by.thaw()
	defer l.by.strike(name, true)
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	if l.w.chance(l.failsBefore) {
		return errLedger
	}
	err := commit()
	if l.w.chance(l.failsAfter) {
		return errLedger
	}
	return err
}

func (l *ledgerOf) BeginAttempt(ctx context.Context, a makegood.HealAttempt, limits makegood.HealLimits, lease time.Duration) (makegood.HealAttempt, error) {
	err := l.do(ctx, "begin", func() error {
		if no := l.standing(limits).Admit(a.Target, limits, time.Now()); no != nil && !l.w.mutants.noAdmit {
			return no
		}
		l.fence++
		a.State, a.StartedAt, a.CountsAt, a.LeaseUntil, a.Fence = makegood.AttemptRunning, time.Now(), time.Now(), time.Now().Add(lease), l.fence
		l.put(a)
		l.count(a.Target)
		return nil
	})
	return a, err
}

func (l *ledgerOf) KeepRefusal(ctx context.Context, a makegood.HealAttempt) error {
	return l.do(ctx, "refusal", func() error {
		if a.Reason == "" || a.Detail == "" || a.State != makegood.AttemptRefused {
			l.w.violate("a refusal without a reason: %+v", a)
		}
		a.StartedAt, a.EndedAt, a.CountsAt = time.Now(), time.Now(), time.Time{}
		l.put(a)
		return nil
	})
}

func (l *ledgerOf) AmendAttempt(ctx context.Context, id string, fence int64, lease time.Duration, change func(*makegood.HealAttempt) error) (a makegood.HealAttempt, err error) {
	err = l.do(ctx, "amend", func() error {
		if a, err = l.get(id); err != nil {
			return err
		}
		if (a.Fence != fence || a.State != makegood.AttemptRunning) && !l.w.mutants.noFence {
			return makegood.Errorf(makegood.Conflict, "Attempt %s is not ours any more.", id)
		}
		if !l.w.mutants.noFence { // which forgets how long a lease is, too
			a.LeaseUntil = time.Now().Add(lease)
		}
		if err := change(&a); err != nil {
			return err
		}
		if a.State != makegood.AttemptRunning && a.State != makegood.AttemptHealed && a.Reason == "" {
			l.w.violate("attempt %s ends as %s without a reason", id, a.State)
		}
		l.put(a)
		a, err = l.get(id)
		return err
	})
	return a, err
}

func (l *ledgerOf) TakeAttempt(ctx context.Context, id, holder string, lease time.Duration) (a makegood.HealAttempt, err error) {
	err = l.do(ctx, "take", func() error {
		if a, err = l.get(id); err != nil {
			return err
		}
		if a.State != makegood.AttemptRunning || time.Now().Before(a.LeaseUntil) {
			return makegood.Errorf(makegood.Conflict, "Attempt %s is in other hands.", id)
		}
		l.fence++
		a.Holder, a.LeaseUntil, a.Fence = holder, time.Now().Add(lease), l.fence
		l.put(a)
		a, err = l.get(id)
		return err
	})
	return a, err
}

func (l *ledgerOf) HealStanding(ctx context.Context, limits makegood.HealLimits) (s makegood.HealStanding, err error) {
	err = l.do(ctx, "standing", func() error { s = l.standing(limits); return nil })
	return s, err
}

func (l *ledgerOf) HealBrake(ctx context.Context) (b makegood.Brake, err error) {
	err = l.do(ctx, "brake", func() error {
		if !l.w.mutants.noBrake {
			b = l.brake
		}
		return nil
	})
	return b, err
}

func (l *ledgerOf) HouseValue(ctx context.Context, name string, first func() string) (value string, err error) {
	err = l.do(ctx, "house", func() error {
		if _, ok := l.house[name]; !ok {
			l.house[name] = first()
		}
		value = l.house[name]
		return nil
	})
	return value, err
}

func (l *ledgerOf) KeepHouseValue(ctx context.Context, name, value string) error {
	return l.do(ctx, "keep house", func() error { l.house[name] = value; return nil })
}

// setBrake is what a person does.
func (w *world) setBrake(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.brake = makegood.Brake{On: on, By: "operator:ann", Why: "we are deploying", At: time.Now()}
	w.brakeAt = time.Time{}
	if on {
		w.brakeAt = time.Now()
	}
}

// list returns the attempts that were made, and the refusals.
func (w *world) list() (attempts, refusals []makegood.HealAttempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.ledger.order {
		if a := w.ledger.attempts[id]; a.State == makegood.AttemptRefused {
			refusals = append(refusals, *a)
		} else {
			attempts = append(attempts, *a)
		}
	}
	return attempts, refusals
}

// String is for the message of a test that fails.
func (w *world) String() string {
	attempts, refusals := w.list()
	var text string
	for _, a := range attempts {
		text += fmt.Sprintf("%s at %s by %s (%s) since %s: %s %s %s\n", a.ID, a.Target, a.Actor, a.Holder, a.StartedAt.Format("15:04:05.000"), a.State, a.Reason, a.Detail)
		for _, s := range a.Steps {
			text += fmt.Sprintf("    %s %s %s\n", s.Name, s.State, s.Note)
		}
	}
	for _, a := range refusals {
		text += fmt.Sprintf("%s at %s refused at %s: %s %s\n", a.ID, a.Target, a.StartedAt.Format("15:04:05.000"), a.Reason, a.Detail)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.places)) {
		at := w.places[name]
		text += fmt.Sprintf("%s: whole %t, live %s, ill since %v, %d writes, starts %v, %d reverts\n", name, isWhole(at.vars), at.versions[at.live].id, at.illSince, at.writes, at.starts, at.reverts)
	}
	return text
}
