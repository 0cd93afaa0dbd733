package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/makegood/makegood"
)

const (
	// fenceName is under which the house keeps the newest fencing number: one for all attempts, so that numbers never repeat.
	fenceName = "heal-fence"
	// brakeName is under which the house keeps the brake of the healer.
	brakeName = "heal-brake"
	// healLock is the name that whoever begins, takes over or brakes holds on PostgreSQL.
	healLock = "heal"
)

// BeginAttempt writes an attempt down as running, if it may begin now, and returns it with its fencing number and its lease.
// The rule (makegood.HealStanding.Admit) is asked in the transaction that writes, so of two who begin at once one is refused
// with *makegood.HealRefusal. Once it returns, the attempt counts, whatever becomes of whoever began it.
func (s *Store) BeginAttempt(ctx context.Context, a makegood.HealAttempt, l makegood.HealLimits, lease time.Duration) (makegood.HealAttempt, error) {
	err := s.write(ctx, func(w *writing) error {
		if err := w.lockName(ctx, healLock); err != nil {
			return err
		}
		standing, err := healStanding(ctx, w, l.Window(), w.now)
		if err != nil {
			return err
		}
		if refusal := standing.Admit(a.Target, l, w.now); refusal != nil {
			return refusedHeal{refusal}
		}
		a.State, a.StartedAt, a.CountsAt, a.LeaseUntil = makegood.AttemptRunning, w.now, w.now, w.now.Add(lease)
		if a.Fence, err = w.nextFence(ctx); err != nil {
			return err
		}
		if err := w.keepAttempt(ctx, a); err != nil {
			return err
		}
		return w.record(ctx, "", a.Actor, []makegood.Entry{{Action: "heal.began", Target: a.ID, After: a.Target + ": " + a.Remedy}})
	})
	return a, unwrapHeal(err)
}

// refusedHeal carries a refusal out of a transaction as an error of our own kind, so that it is not taken for a broken
// database.
type refusedHeal struct{ *makegood.HealRefusal }

func (r refusedHeal) Error() string { return r.HealRefusal.Error() }

// Unwrap makes it a makegood.Error of the kind Conflict.
func (r refusedHeal) Unwrap() error {
	return &makegood.Error{Code: makegood.Conflict, Message: r.Sentence}
}

// unwrapHeal returns the bare refusal of err, and every other error as it is.
func unwrapHeal(err error) error {
	var r refusedHeal
	if errors.As(err, &r) {
		return r.HealRefusal
	}
	return err
}

// KeepRefusal writes down that nothing was done, and why. It counts for no limit.
func (s *Store) KeepRefusal(ctx context.Context, a makegood.HealAttempt) error {
	return s.write(ctx, func(w *writing) error {
		a.State, a.StartedAt, a.EndedAt, a.CountsAt, a.LeaseUntil = makegood.AttemptRefused, w.now, w.now, time.Time{}, time.Time{}
		if err := w.keepAttempt(ctx, a); err != nil {
			return err
		}
		return w.record(ctx, "", a.Actor, []makegood.Entry{{Action: "heal.refused", Target: a.ID, After: a.Target + ": " + string(a.Reason)}})
	})
}

// AmendAttempt changes a running attempt for whoever has it, and makes its lease that long again from now. Whoever comes with
// an older fencing number, or to an attempt that has ended, gets makegood.Conflict and has changed nothing: somebody else has
// taken it over.
func (s *Store) AmendAttempt(ctx context.Context, id string, fence int64, lease time.Duration, change func(*makegood.HealAttempt) error) (a makegood.HealAttempt, err error) {
	err = s.write(ctx, func(w *writing) error {
		if a, err = attemptOf(ctx, w, `id = $1`+w.store.engine.forUpdate(), id); err != nil {
			return err
		}
		if a.Fence != fence || a.State != makegood.AttemptRunning {
			return makegood.Errorf(makegood.Conflict, "Attempt %s is not ours any more.", id)
		}
		a.LeaseUntil = w.now.Add(lease)
		if err := change(&a); err != nil {
			return err
		}
		if err := w.keepAttempt(ctx, a); err != nil {
			return err
		}
		if a.State == makegood.AttemptRunning {
			return nil
		}
		return w.record(ctx, "", a.Actor, []makegood.Entry{{Action: "heal.ended", Target: a.ID, Before: string(makegood.AttemptRunning), After: endOf(a)}})
	})
	return a, err
}

func endOf(a makegood.HealAttempt) string {
	if a.Reason == "" {
		return string(a.State)
	}
	return string(a.State) + ": " + string(a.Reason)
}

// TakeAttempt takes over a running attempt whose lease has ended, with the next fencing number. One whose lease holds is
// makegood.Conflict, and so is one that has ended.
func (s *Store) TakeAttempt(ctx context.Context, id, holder string, lease time.Duration) (a makegood.HealAttempt, err error) {
	err = s.write(ctx, func(w *writing) error {
		if err := w.lockName(ctx, healLock); err != nil {
			return err
		}
		if a, err = attemptOf(ctx, w, `id = $1`+w.store.engine.forUpdate(), id); err != nil {
			return err
		}
		if a.State != makegood.AttemptRunning || w.now.Before(a.LeaseUntil) {
			return makegood.Errorf(makegood.Conflict, "Attempt %s is in other hands.", id)
		}
		a.Holder, a.LeaseUntil = holder, w.now.Add(lease)
		if a.Fence, err = w.nextFence(ctx); err != nil {
			return err
		}
		if err := w.keepAttempt(ctx, a); err != nil {
			return err
		}
		return w.record(ctx, "", "system:heal", []makegood.Entry{{Action: "heal.taken_over", Target: a.ID, After: holder}})
	})
	return a, err
}

// nextFence returns a number above every one before. Whoever asks holds healLock, or is SQLite's only writer.
func (w *writing) nextFence(ctx context.Context) (int64, error) {
	if err := w.Do(ctx, `INSERT INTO house (name, value) VALUES ($1, '0') ON CONFLICT DO NOTHING`, fenceName); err != nil {
		return 0, err
	}
	var text string
	if err := w.QueryRow(ctx, `SELECT value FROM house WHERE name = $1`+w.store.engine.forUpdate(), fenceName).Scan(&text); err != nil {
		return 0, err
	}
	last, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the kept fencing number: %w", err)
	}
	return last + 1, w.keepHouseValue(ctx, fenceName, strconv.FormatInt(last+1, 10))
}

// HealStanding returns what decides whether another attempt may begin.
func (s *Store) HealStanding(ctx context.Context, l makegood.HealLimits) (standing makegood.HealStanding, err error) {
	err = s.read(ctx, func(tx Tx) error {
		standing, err = healStanding(ctx, tx, l.Window(), s.now())
		return err
	})
	return standing, err
}

func healStanding(ctx context.Context, tx Tx, window time.Duration, now time.Time) (makegood.HealStanding, error) {
	var standing makegood.HealStanding
	brake, err := brakeOf(ctx, tx)
	if err != nil {
		return standing, err
	}
	standing.Brake = brake
	if standing.Running, err = attemptsOf(ctx, tx, `state = 'running' ORDER BY id LIMIT 10`); err != nil {
		return standing, err
	}
	standing.Lately, err = attemptsOf(ctx, tx, `counts_at > $1 AND counts_at > 0 ORDER BY counts_at DESC LIMIT 100`, max(0, micros(now.Add(-window))))
	return standing, err
}

// HealBrake returns the brake as it was left.
func (s *Store) HealBrake(ctx context.Context) (b makegood.Brake, err error) {
	err = s.look(ctx, func(tx Tx) error {
		b, err = brakeOf(ctx, tx)
		return err
	})
	return b, err
}

func brakeOf(ctx context.Context, tx Tx) (b makegood.Brake, err error) {
	var text string
	err = tx.QueryRow(ctx, `SELECT value FROM house WHERE name = $1`, brakeName).Scan(&text)
	if errors.Is(err, makegood.NotFound) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	return b, json.Unmarshal([]byte(text), &b)
}

// SetHealBrake puts the brake on or takes it off, and leaves an entry in the audit. From its return on no attempt begins, and
// one that runs ends before its next change.
func (s *Store) SetHealBrake(ctx context.Context, b makegood.Brake) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.write(ctx, func(w *writing) error {
		if err := w.lockName(ctx, healLock); err != nil {
			return err
		}
		if err := w.keepHouseValue(ctx, brakeName, string(text)); err != nil {
			return err
		}
		action := "heal.resumed"
		if b.On {
			action = "heal.paused"
		}
		return w.record(ctx, "", b.By, []makegood.Entry{{Action: action, Target: "heal", After: clean(b.Why)}})
	})
}

// AttemptFilter narrows a listing of attempts; the zero value is all.
type AttemptFilter struct {
	Target     string
	State      makegood.AttemptState
	IncidentID string
	Limit      int
}

// Attempts lists attempts, the newest first, refusals included.
func (s *Store) Attempts(ctx context.Context, f AttemptFilter) (list []makegood.HealAttempt, err error) {
	var c conditions
	c.equal("target", f.Target)
	c.equal("state", string(f.State))
	if f.IncidentID != "" {
		c.equal("incident_id", f.IncidentID)
		c.terms = append(c.terms, "incident_id <> ''")
	}
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			a, err := scanAttempt(rows)
			list = append(list, a)
			return err
		}, `SELECT `+attemptColumns+` FROM heal_attempts`+c.newestFirst(f.Limit), c.args...)
	})
	return list, err
}

// Attempt returns one attempt; makegood.NotFound when there is none of that id.
func (s *Store) Attempt(ctx context.Context, id string) (a makegood.HealAttempt, err error) {
	err = s.look(ctx, func(tx Tx) error {
		a, err = attemptOf(ctx, tx, `id = $1`, id)
		return err
	})
	return a, err
}

const attemptColumns = `id, target, remedy, fault, incident_id, incident_key, actor, state, reason, detail, names, run, steps, survey,
	holder, fence, lease_until, started_at, ended_at, counts_at`

func attemptOf(ctx context.Context, tx Tx, where, id string) (makegood.HealAttempt, error) {
	a, err := scanAttempt(tx.QueryRow(ctx, `SELECT `+attemptColumns+` FROM heal_attempts WHERE `+where, id))
	if errors.Is(err, makegood.NotFound) {
		return a, makegood.Errorf(makegood.NotFound, "There is no attempt %s.", id)
	}
	return a, err
}

func attemptsOf(ctx context.Context, tx Tx, where string, args ...any) (list []makegood.HealAttempt, err error) {
	err = each(ctx, tx, func(rows Rows) error {
		a, err := scanAttempt(rows)
		list = append(list, a)
		return err
	}, `SELECT `+attemptColumns+` FROM heal_attempts WHERE `+where, args...)
	return list, err
}

func scanAttempt(row Row) (makegood.HealAttempt, error) {
	var a makegood.HealAttempt
	var names, steps string
	var lease, started, ended, counts int64
	err := row.Scan(&a.ID, &a.Target, &a.Remedy, (*string)(&a.Fault), &a.IncidentID, &a.IncidentKey, &a.Actor, (*string)(&a.State),
		(*string)(&a.Reason), &a.Detail, &names, &a.Run, &steps, &a.Before, &a.Holder, &a.Fence, &lease, &started, &ended, &counts)
	if err != nil {
		return a, err
	}
	a.LeaseUntil, a.StartedAt, a.EndedAt, a.CountsAt = fromMicros(lease), fromMicros(started), fromMicros(ended), fromMicros(counts)
	return a, errors.Join(json.Unmarshal([]byte(names), &a.Names), json.Unmarshal([]byte(steps), &a.Steps))
}

func (w *writing) keepAttempt(ctx context.Context, a makegood.HealAttempt) error {
	names, err := json.Marshal(a.Names)
	if err != nil {
		return err
	}
	steps, err := json.Marshal(a.Steps)
	if err != nil {
		return err
	}
	return w.Do(ctx, `
		INSERT INTO heal_attempts (`+attemptColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
		ON CONFLICT (id) DO UPDATE
		SET remedy = excluded.remedy, fault = excluded.fault, state = excluded.state, reason = excluded.reason, detail = excluded.detail,
			names = excluded.names, run = excluded.run, steps = excluded.steps, survey = excluded.survey, holder = excluded.holder,
			fence = excluded.fence, lease_until = excluded.lease_until, ended_at = excluded.ended_at`,
		a.ID, clean(a.Target), clean(a.Remedy), string(a.Fault), a.IncidentID, clean(a.IncidentKey), clean(a.Actor), string(a.State),
		string(a.Reason), clean(a.Detail), clean(string(names)), clean(a.Run), clean(string(steps)), clean(a.Before), clean(a.Holder), a.Fence,
		micros(a.LeaseUntil), micros(a.StartedAt), micros(a.EndedAt), micros(a.CountsAt))
}

// KeptDrill is a drill that was run, as it was kept.
type KeptDrill struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	BeganAt time.Time     `json:"began_at"`
	Took    time.Duration `json:"took"`
	Passed  bool          `json:"passed"`
	Result  string        `json:"-"` // JSON
}

// KeepDrill keeps how a drill went.
func (s *Store) KeepDrill(ctx context.Context, d KeptDrill) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.Do(ctx, `INSERT INTO drills (id, name, began_at, took, passed, result) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			d.ID, clean(d.Name), micros(d.BeganAt), d.Took.Microseconds(), d.Passed, clean(d.Result)); err != nil {
			return err
		}
		after := "failed"
		if d.Passed {
			after = "passed"
		}
		return w.record(ctx, "", "system:drill", []makegood.Entry{{Action: "drill.run", Target: d.ID, Before: d.Name, After: after}})
	})
}

// Drills lists the drills of a name, "" for all, the newest first.
func (s *Store) Drills(ctx context.Context, name string, most int) (list []KeptDrill, err error) {
	var c conditions
	c.equal("name", name)
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var d KeptDrill
			var began, took int64
			err := rows.Scan(&d.ID, &d.Name, &began, &took, &d.Passed, &d.Result)
			d.BeganAt, d.Took = fromMicros(began), time.Duration(took)*time.Microsecond
			list = append(list, d)
			return err
		}, `SELECT id, name, began_at, took, passed, result FROM drills`+c.newestFirst(most), c.args...)
	})
	return list, err
}
