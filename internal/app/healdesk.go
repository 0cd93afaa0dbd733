package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/api"
	"github.com/makegood/makegood/internal/config"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/store"
	"github.com/makegood/makegood/internal/vault"
)

// healDesk is what operators may ask of the healer.
func (w *Watcher) healDesk() *api.Healing {
	d := w.healing.desk()
	d.Mend, d.Secrets = w.mend, w.secretsAt
	return d
}

// desk is what operators may ask of every healer.
func (h *healing) desk() *api.Healing {
	return &api.Healing{Healer: h.healer, Ledger: h.store,
		Attempts: func(ctx context.Context, target string, most int) ([]makegood.HealAttempt, error) {
			return h.store.Attempts(ctx, store.AttemptFilter{Target: target, Limit: most})
		}}
}

// mendWithin bounds an attempt that a person asked for. Its steps have limits of their own, which come to less: at most half an
// hour each for who deploys already, the start, and the verification.
const mendWithin = 2 * time.Hour

// mend begins an attempt that outlives whoever asked, and returns its first word: that it has begun, or why not. Whoever closes
// the watcher waits for it; it is left as it is then, and the next start goes on with it.
func (w *Watcher) mend(ctx context.Context, target, actor string, all bool) (api.HealBegun, error) {
	type word struct {
		begun api.HealBegun
		err   error
	}
	if _, err := w.healing.healer.Target(target); err != nil {
		return api.HealBegun{}, err
	}
	first := make(chan word, 1) // only the first word is sent, so nobody ever waits to say it
	var once sync.Once
	say := func(x word) { once.Do(func() { first <- x }) }
	mending, cancel := w.untilStop(ctx, mendWithin)
	w.mending.Go(func() {
		defer cancel()
		a, err := w.healing.healer.Mend(mending, target, actor, all, func(a makegood.HealAttempt) { say(word{begun: begunOf(a)}) })
		var no *makegood.HealRefusal
		switch {
		case errors.As(err, &no):
			say(word{begun: api.HealBegun{Refused: api.HealRefusedOf(no), Steps: a.Steps}})
		case err != nil:
			say(word{err: makegood.Wrap(err, makegood.Unavailable, "It was not mended, because it could not be asked or written down.")})
		default:
			say(word{begun: begunOf(a)})
		}
	})
	select {
	case x := <-first:
		return x.begun, x.err
	case <-ctx.Done():
		return api.HealBegun{}, ctx.Err()
	}
}

func begunOf(a makegood.HealAttempt) api.HealBegun {
	v := api.HealAttemptViewOf(a)
	return api.HealBegun{Attempt: &v}
}

// resumeEvery is how often a watcher of the command line's own looks for attempts that somebody died over.
const resumeEvery = time.Second

// Attend answers at the control socket while do runs, and closes the watcher; it is for the command line, when no watcher runs.
// acts also looks, tells people and goes on with attempts that somebody died over, as mending needs it; nothing is begun by
// itself. untold is why not everybody was told what came of it.
func (w *Watcher) Attend(ctx context.Context, acts bool, do func() error) (untold, err error) {
	if !acts {
		err = do()
		return nil, errors.Join(err, w.listener.Close(), w.tearDown(context.WithoutCancel(ctx)))
	}
	behind, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	if err = w.leaveOutHeartbeats(ctx); err == nil {
		running.Go(func() { w.alarm.run(behind) })
		running.Go(func() {
			for behind.Err() == nil {
				w.healing.healer.Resume(behind)
				select {
				case <-behind.Done():
				case <-time.After(resumeEvery):
				}
			}
		})
		if err = do(); ctx.Err() == nil {
			untold = w.everybodyTold(ctx)
		}
	}
	stop()
	running.Wait()
	return untold, errors.Join(err, w.listener.Close(), w.tearDown(context.WithoutCancel(ctx)))
}

const (
	// sourcePlace is the source of truth among the places of secrets.
	sourcePlace = "source"
	// secretSoon is how long before its end a secret is pointed out: two weeks are enough to make a new one without haste.
	secretSoon = 14 * 24 * time.Hour
	// placesTogether is how many places are asked at once, and placeWithin how long one may take.
	placesTogether = 4
	placeWithin    = 20 * time.Second
)

// secretsAt says how every required secret stands at every place.
func (w *Watcher) secretsAt(ctx context.Context) ([]api.SecretAt, error) {
	c := w.current()
	if !c.Secrets.IsSet {
		return nil, makegood.Errorf(makegood.NotFound, "The configuration has no section secrets, so it is not known what belongs where. docs/configuration.md shows one.")
	}
	truth, rows := w.sourceRows(ctx, c.Secrets)
	targets := w.healing.healer.Targets()
	more := make([][]api.SecretAt, len(targets))
	places := make(chan struct{}, placesTogether)
	var asking sync.WaitGroup
	for k, t := range targets {
		if t.Truth == nil || len(t.Needs) == 0 {
			continue
		}
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			more[k] = targetRows(ctx, t, truth)
		})
	}
	asking.Wait()
	for _, list := range more {
		rows = append(rows, list...)
	}
	return append(rows, w.serverRows(c, truth)...), nil
}

// sourceRows reads and judges the source of truth. The truth is zero when it cannot be read; what is wrong with one secret keeps
// no other from being compared.
func (w *Watcher) sourceRows(ctx context.Context, list config.SecretList) (vault.Truth, []api.SecretAt) {
	var needs []vault.Need
	for _, r := range list.Required {
		needs = append(needs, vault.Need{Name: r.Name, Kind: r.Kind, Mode: list.Mode, NotAfter: r.NotAfter, Optional: r.Optional})
	}
	truth, err := newTruth(list, needs, w.healing.lookup).Read(ctx)
	if err != nil {
		says := "The source of truth cannot be read."
		var r *vault.Refusal
		if errors.As(err, &r) {
			says = fmt.Sprintf("%s (%s)", r.Sentence, r.Reason)
		}
		return vault.Truth{}, []api.SecretAt{{Place: sourcePlace, State: api.SecretUnbelieved, Says: says}}
	}
	now := w.now()
	var rows []api.SecretAt
	refused := map[string]*vault.Refusal{}
	for _, r := range append(vault.Judge(truth, needs, vault.Known{}, list.Mode, now), w.wentBack(ctx)...) {
		isNeed := slices.ContainsFunc(needs, func(n vault.Need) bool { return n.Name == r.Name })
		switch {
		case isNeed && refused[r.Name] == nil:
			refused[r.Name] = r
		case !isNeed:
			rows = append(rows, api.SecretAt{Name: r.Name, Place: sourcePlace, State: api.SecretUnbelieved, Says: fmt.Sprintf("%s (%s)", r.Sentence, r.Reason)})
		}
	}
	for _, n := range needs {
		rows = append(rows, sourceRow(n, truth, refused[n.Name], list.Mode, now))
	}
	return truth, rows
}

// wentBack are the refusals that only what was known before shows: it is older than before, or has lost names.
func (w *Watcher) wentBack(ctx context.Context) []*vault.Refusal {
	var found []*vault.Refusal
	for _, t := range w.healing.healer.Targets() {
		_, refusals, err := w.healing.healer.Truth(ctx, t)
		if err != nil {
			continue // the watcher's own database is red already
		}
		for _, r := range refusals {
			isKnown := slices.ContainsFunc(found, func(f *vault.Refusal) bool { return f.Reason == r.Reason && f.Name == r.Name })
			if (r.Reason == vault.Older || r.Reason == vault.Shrunken) && !isKnown {
				found = append(found, r)
			}
		}
	}
	return found
}

func sourceRow(n vault.Need, truth vault.Truth, refused *vault.Refusal, mode secret.Mode, now time.Time) api.SecretAt {
	row := api.SecretAt{Name: n.Name, Place: sourcePlace, State: api.SecretGood, NotAfter: n.NotAfter}
	v, isThere := truth.Values[n.Name]
	if !v.Empty() {
		row.Fingerprint = v.Fingerprint()
	}
	switch {
	case v.Empty() && n.Optional:
		row.State, row.Says = api.SecretLeftOut, "It is optional."
	case v.Empty() && isThere:
		row.State, row.Says = api.SecretEmpty, "It is there and has no value."
	case v.Empty():
		row.State, row.Says = api.SecretMissing, "It is required, and the source of truth does not have it."
	case refused != nil && refused.Reason == vault.OutOfDate:
		row.State, row.Says = api.SecretEnded, refused.Sentence
	case refused != nil:
		row.State, row.Says = api.SecretBroken, refused.Sentence
		if n.Kind.Exists() {
			if problems := secret.Inspect(v, n.Kind, mode); len(problems) > 0 {
				row.Class = problems[0].Class
			}
		}
	case !n.NotAfter.IsZero() && n.NotAfter.Sub(now) < secretSoon:
		row.State, row.Says = api.SecretSoon, "It ends soon: make a new one, and put it there with its new date."
	}
	return row
}

// targetRows compares a target with what the truth has, or, when that cannot be read, says what is there at all.
func targetRows(ctx context.Context, t heal.Target, truth vault.Truth) []api.SecretAt {
	asking, cancel := context.WithTimeout(ctx, placeWithin)
	defer cancel()
	survey, err := t.Place.Survey(asking)
	if err != nil {
		says := "It does not answer."
		var d *host.Diagnosis
		if errors.As(err, &d) {
			says = d.Error()
		}
		return []api.SecretAt{{Place: t.Name, State: api.SecretUnasked, Says: says}}
	}
	var rows []api.SecretAt
	for _, n := range t.Needs {
		row := api.SecretAt{Name: n.Name, Place: t.Name, State: api.SecretGood}
		v, isThere := survey.Variable(n.Name)
		should := truth.Values[n.Name]
		row.Fingerprint = v.Fingerprint
		switch {
		case !isThere && n.Optional:
			row.State, row.Says = api.SecretLeftOut, "It is optional."
		case !isThere:
			row.State, row.Says = api.SecretMissing, "It is required there."
		case !v.Readable:
			row.State, row.Says = api.SecretThere, "Its value cannot be read there."
		case v.Empty:
			row.State, row.Says = api.SecretEmpty, "It is there and has no value."
		case should.Empty():
			row.State, row.Says = api.SecretThere, "There is nothing to compare it with."
		case v.Fingerprint != should.Fingerprint():
			row.State, row.Says = api.SecretWrong, "The source of truth has "+should.Fingerprint()+"."
		}
		rows = append(rows, row)
	}
	return rows
}

// serverRows compares what the running server says that it runs with, by its last beat.
func (w *Watcher) serverRows(c *config.Watch, truth vault.Truth) []api.SecretAt {
	needs := NeedsOf(c.Secrets, config.ServerPlace)
	if len(needs) == 0 {
		return nil
	}
	answer, ok := w.healing.answer()
	if !ok {
		return []api.SecretAt{{Place: config.ServerPlace, State: api.SecretThere,
			Says: "It was not heard of lately, so nothing can be said of what it runs with. A watcher that runs here hears it."}}
	}
	var rows []api.SecretAt
	for _, n := range needs {
		row := api.SecretAt{Name: n.Name, Place: config.ServerPlace, State: api.SecretGood, Fingerprint: answer.Secrets[n.Name]}
		should := truth.Values[n.Name]
		switch {
		case row.Fingerprint == "":
			row.State, row.Says = api.SecretThere, "It does not name it: it does not take it from a variable of this name, or it is a password."
			if n.Optional {
				row.State = api.SecretLeftOut
			}
		case should.Empty():
			row.State, row.Says = api.SecretThere, "There is nothing to compare it with."
		case row.Fingerprint != should.Fingerprint():
			row.State, row.Says = api.SecretWrong, "It runs with another value than the source of truth, which has "+should.Fingerprint()+"."
		}
		rows = append(rows, row)
	}
	return rows
}
