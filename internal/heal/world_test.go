package heal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// values are the secrets of every test: no text that a healer makes may have any of them in it.
var values = map[string]string{
	"STRIPE_API_KEY":        "sk_live_Zq7Tn3Vb9Kx2Lm5Pw8Rd4Fg6",
	"STRIPE_WEBHOOK_SECRET": "whsec_Hj1Sc0YaUe8WoXb13f8a0c5bQx77",
	"RESEND_API_KEY":        "re_Lm5Pw8Rd_4Fg6Hj1Sc0YaUe8Wo",
	"NOTE":                  "not needed but kept 5f2c9",
}

var needs = []vault.Need{
	{Name: "STRIPE_API_KEY", Kind: secret.StripeKey},
	{Name: "STRIPE_WEBHOOK_SECRET", Kind: secret.StripeWebhook},
	{Name: "RESEND_API_KEY", Kind: secret.ResendKey},
}

// wrongValue looks good and is another one; whoever writes it has not judged what it read.
const wrongValue = "sk_live_000000WRONG1111111111111"

// version is what a place runs.
type version struct {
	id      string
	attempt string // ours; "" when its owner deployed it
	begunAt time.Time
	baked   map[string]string
	readyAt time.Time
	works   bool // false for one that will fail to start
}

// place is a fake platform with one program on it.
type place struct {
	w    *world
	name string

	vars     map[string]string
	versions []version // in the order in which they began; the first is from long ago
	live     int       // index of what runs
	building bool      // the newest is not ready yet

	down       bool          // the platform does not answer
	credential host.Fault    // what is wrong with the credential
	loses      float64       // how often an answer is lost after its effect
	slow       time.Duration // at most, for each answer
	sick       bool          // ill for another reason than its variables
	failBuilds bool
	unreadable bool                  // values cannot be read
	probeRed   bool                  // only the probe is red
	refuses    map[string]host.Fault // changes that it refuses, by their name
	buildTakes time.Duration         // zero is 45 seconds
	stopped    string                // what it says of a program that does not run
	serveFails bool
	serverOld  bool // it cannot be asked
	waiting    int  // who still waits when it is well
	servedFrom time.Time

	illSince, driftSince time.Time // zero is well
	incidents            int
	incident             [2]string    // of health and of drift
	openUntil            [2]time.Time // how long an incident stays open after it is over
	firstRed             [2]time.Time

	starts  map[string]int // by attempt
	writes  int
	reverts int
	acting  int
}

// world is everything outside the healers, and the judge of what they do.
type world struct {
	rng     *rand.Rand
	ledger  *ledger
	record  *record
	mu      sync.Mutex
	places  map[string]*place
	order   []string
	truth   truthState
	wrong   []string // violations
	blind   bool
	mass    bool
	unseen  bool                 // nothing can be said of what is looked at
	since   map[string]time.Time // since when a guard fails, by its name
	brakeAt time.Time            // since when the brake is on; zero is off
	acting  int
	lag     time.Duration // how long an incident stays open after it is over
	logs    *bytes.Buffer
	manual  bool // no opt-in anywhere
	ids     int
	onCall  func(who *process, call string, isAfter bool) // a crash strikes here
	mutants mutants
	patched func(*heal.Options, *[]heal.Target)
}

// mutants are bugs that are planted on purpose.
type mutants struct {
	noFence, noAdmit, noBrake, noJudge, noCheck, noAdopt bool
}

type truthState string

const (
	truthGood      truthState = ""
	truthEmpty     truthState = "empty"
	truthShrunken  truthState = "shrunken"
	truthCorrupted truthState = "corrupted"
	truthOlder     truthState = "older"
	truthBroken    truthState = "broken value"
)

// process is one program with a healer in it. It can be stopped for a while (SIGSTOP) and killed.
type process struct {
	w           *world
	name        string
	frozenUntil time.Time
	dead        bool
	checked     map[string]time.Time // when a credential was last found good, by place
	read        time.Time            // when the truth was last read and good
	healer      *heal.Healer
	kill        context.CancelFunc
	ended       chan struct{}
}

func newWorld(seed uint64, places ...string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), places: map[string]*place{}, order: places, since: map[string]time.Time{}, logs: &bytes.Buffer{}}
	w.ledger = &ledger{w: w, attempts: map[string]*makegood.HealAttempt{}, house: map[string]string{}}
	w.record = &record{w: w, open: map[string]string{}}
	all := vault.Truth{Values: map[string]secret.Value{}, Serial: 3}
	for name, value := range values {
		all.Values[name] = secret.New(value)
	}
	known := asJSON(vault.Remember(all))
	for _, name := range places {
		p := &place{w: w, name: name, vars: map[string]string{}, starts: map[string]int{}}
		for _, n := range needs {
			p.vars[n.Name] = values[n.Name]
		}
		p.versions = []version{{id: "v0-" + name, baked: maps.Clone(p.vars), works: true, readyAt: time.Now()}}
		w.places[name] = p
		w.ledger.house["truth/"+name] = known // the inspection of the source has seen it good
	}
	return w
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (w *world) violate(format string, args ...any) {
	if len(w.wrong) < 20 {
		w.wrong = append(w.wrong, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// guard notes that a guard fails, or is good again.
func (w *world) guard(name string, fails bool) {
	if _, was := w.since[name]; fails && !was {
		w.since[name] = time.Now()
	} else if !fails {
		delete(w.since, name)
	}
}

func (w *world) failsFor(name string) time.Duration {
	if at, ok := w.since[name]; ok {
		return time.Since(at)
	}
	return 0
}

// start starts a program with a healer.
func (w *world) start(name string) *process {
	p := &process{w: w, name: name, checked: map[string]time.Time{}}
	var targets []heal.Target
	for _, name := range w.order {
		targets = append(targets, p.target(name))
	}
	o := heal.Options{Ledger: &ledgerOf{w.ledger, p}, Outside: &outside{w, p}, Record: &recordOf{w.record, p}, Holder: p.name, Now: time.Now,
		NewID: func(prefix string) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ids++
			return fmt.Sprintf("%s%04d", prefix, w.ids)
		}, Log: slog.New(slog.NewTextHandler(lockedWriter{w}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if w.patched != nil {
		w.patched(&o, &targets)
	}
	p.healer = heal.New(o)
	p.healer.SetTargets(targets)
	return p
}

type lockedWriter struct{ w *world }

func (l lockedWriter) Write(b []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.logs.Write(b)
}

func (p *process) target(name string) heal.Target {
	at := p.w.places[name]
	v := &view{at, p}
	return heal.Target{Name: name, Place: v, Truth: &source{p}, Needs: needs, Mode: secret.Live, Auto: !p.w.manual,
		When:     []string{"monitor/" + name, heal.DriftCheck + "/" + name},
		Patience: heal.DefaultPatience, StartWithin: heal.DefaultStartWithin, Steady: 2, VerifyEvery: time.Second, VerifyWithin: time.Minute,
		Verify: func(ctx context.Context) string {
			if err := p.call(ctx, "verify", at.delay()); err != nil {
				return "it did not answer"
			}
			at.w.mu.Lock()
			defer at.w.mu.Unlock()
			at.advance()
			if !at.illSince.IsZero() {
				return "GET /health answers 503"
			}
			return ""
		},
		Serve: func(ctx context.Context, since, _ time.Time, _ string) (heal.Served, error) {
			if err := p.call(ctx, "serve", 0); err != nil {
				return heal.Served{}, err
			}
			at.w.mu.Lock()
			defer at.w.mu.Unlock()
			at.servedFrom = since
			if at.serveFails {
				return heal.Served{}, makegood.Errorf(makegood.Unavailable, "The server does not answer.")
			}
			if at.serverOld {
				return heal.Served{}, makegood.Errorf(makegood.NotFound, "The server is older than its watcher.")
			}
			at.waiting = max(0, at.waiting-1)
			return heal.Served{Waited: 2, Waiting: at.waiting, Longest: time.Since(since), Pulled: 1}, nil
		}}
}

// run runs the healer at a pace of its own until it is killed.
func (p *process) run(ctx context.Context, pace func() time.Duration) {
	ctx, p.kill = context.WithCancel(ctx)
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		for ctx.Err() == nil {
			p.healer.Tick(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(pace()):
			}
		}
	}()
}

// die ends a program as kill -9 does: nothing that it does afterwards has an effect.
func (p *process) die() {
	p.w.mu.Lock()
	p.dead = true
	p.w.mu.Unlock()
	p.kill()
	<-p.ended
}

var errDead = errors.New("the process is dead")

// thaw waits while the process is stopped.
func (p *process) thaw() {
	for {
		p.w.mu.Lock()
		left := time.Until(p.frozenUntil)
		p.w.mu.Unlock()
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}

// call is what every call of a healer goes through first, but for those that change something.
func (p *process) call(ctx context.Context, name string, takes time.Duration) error {
	p.thaw()
	return p.send(ctx, name, takes)
}

// send is call for what is on its way already when the process is stopped.
func (p *process) send(ctx context.Context, name string, takes time.Duration) error {
	p.strike(name, false)
	if takes > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(takes):
		}
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.dead {
		return errDead
	}
	return ctx.Err()
}

func (p *process) strike(name string, isAfter bool) {
	p.w.mu.Lock()
	strikes := p.w.onCall
	p.w.mu.Unlock()
	if strikes != nil {
		strikes(p, name, isAfter)
	}
}

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// delay is how long the platform takes to answer.
func (at *place) delay() time.Duration {
	at.w.mu.Lock()
	defer at.w.mu.Unlock()
	if at.slow <= 0 {
		return 0
	}
	return time.Duration(at.w.rng.Int64N(int64(at.slow)))
}

// advance does what has become due: a version that is ready goes live, and the program is well or ill from then on.
func (at *place) advance() {
	last := &at.versions[len(at.versions)-1]
	if at.building && !time.Now().Before(last.readyAt) {
		at.building = false
		if last.works {
			at.live, at.stopped = len(at.versions)-1, ""
		}
		at.look(last.readyAt)
	}
	at.look(time.Now())
}

func (at *place) look(now time.Time) {
	ill := at.sick || at.stopped != "" || !isWhole(at.versions[at.live].baked) || at.probeRed
	mark(&at.illSince, ill, now)
	mark(&at.driftSince, !isWhole(at.vars), now)
	for k, since := range []time.Time{at.illSince, at.driftSince} {
		switch {
		case !since.IsZero() && !since.Equal(at.firstRed[k]):
			if !now.Before(at.openUntil[k]) || at.incident[k] == "" {
				at.incidents++
				at.incident[k] = fmt.Sprintf("inc-%s-%d", at.name, at.incidents)
				at.firstRed[k] = since
			}
			at.openUntil[k] = time.Now().Add(999 * time.Hour)
		case since.IsZero() && at.openUntil[k].After(now.Add(at.w.lag)):
			at.openUntil[k] = now.Add(at.w.lag)
		}
	}
}

func mark(since *time.Time, is bool, now time.Time) {
	if is && since.IsZero() {
		*since = now
	} else if !is {
		*since = time.Time{}
	}
}

func isWhole(vars map[string]string) bool {
	for _, n := range needs {
		if vars[n.Name] != values[n.Name] {
			return false
		}
	}
	return true
}

// deploy begins a version with the variables of now.
func (at *place) deploy(attempt string, takes time.Duration, works bool) string {
	at.advance()
	id := fmt.Sprintf("v%d-%s", len(at.versions), at.name)
	at.versions = append(at.versions, version{id: id, attempt: attempt, begunAt: time.Now(), baked: maps.Clone(at.vars), readyAt: time.Now().Add(takes), works: works})
	at.building = true
	at.advance()
	return id
}

// view is a place as one program sees it.
type view struct {
	*place
	by *process
}

var (
	_ host.Writer   = (*view)(nil)
	_ host.Starter  = (*view)(nil)
	_ host.Reverter = (*view)(nil)
)

func (v *view) Kind() string { return "fake" }

func (v *view) trouble() error {
	switch {
	case v.down:
		return &host.Diagnosis{Fault: host.PlatformDown, Sentence: "The platform answers with 502."}
	case v.credential != "":
		return &host.Diagnosis{Fault: v.credential, Sentence: "The token is not good.", Page: "https://dash.example/tokens"}
	}
	return nil
}

// ask is a question, answered with the lock held.
func (v *view) ask(ctx context.Context, name string, answer func() error) error {
	if err := v.by.call(ctx, name, v.delay()); err != nil {
		return err
	}
	defer v.by.strike(name, true)
	defer v.by.thaw()
	v.w.mu.Lock()
	defer v.w.mu.Unlock()
	v.advance()
	return answer()
}

func (v *view) Check(ctx context.Context) error {
	return v.ask(ctx, "check", func() error {
		if v.w.mutants.noCheck {
			return nil
		}
		if err := v.trouble(); err != nil {
			return err
		}
		v.by.checked[v.name] = time.Now()
		return nil
	})
}

func (v *view) Survey(ctx context.Context) (s host.Survey, err error) {
	err = v.ask(ctx, "survey", func() error {
		if err := v.trouble(); err != nil && !v.w.mutants.noCheck {
			return err
		}
		s = host.Survey{At: time.Now(), Live: v.versions[v.live].id, Newest: v.versions[len(v.versions)-1].id, Down: v.stopped}
		for k, x := range v.versions {
			if x.works && (k < len(v.versions)-1 || !v.building) {
				s.Good = x.id
			}
		}
		if last := v.versions[len(v.versions)-1]; v.building && last.attempt == "" {
			s.Busy = last.id
		}
		for _, name := range slices.Sorted(maps.Keys(v.vars)) {
			x := host.Variable{Name: name, Empty: v.vars[name] == "", Readable: !v.unreadable}
			if x.Readable {
				x.Fingerprint = secret.New(v.vars[name]).Fingerprint()
			}
			s.Variables = append(s.Variables, x)
		}
		if !isWhole(v.vars) {
			s.Cause = "the settings were changed by somebody at noon"
		}
		return nil
	})
	return s, err
}

// change is a change of the place. What is on its way is not stopped with its process, so that the judge asks nothing impossible.
func (v *view) change(ctx context.Context, name string, check func(), effect func() error) error {
	first, second := v.delay()/8, v.delay()
	v.w.mu.Lock()
	v.acting++
	v.w.acting++
	v.w.mu.Unlock()
	err := v.by.send(ctx, name, first)
	v.w.mu.Lock()
	v.advance()
	if err == nil {
		v.w.judge(v)
		check()
		if err = v.trouble(); err == nil && v.refuses[name] != "" {
			err = &host.Diagnosis{Fault: v.refuses[name], Sentence: "It is not allowed to " + name + "."}
		}
		if err == nil {
			err = effect()
		}
	}
	v.advance()
	isLost := (name == "start" || v.loses < 1) && v.w.chance(v.loses)
	v.acting--
	v.w.acting--
	v.w.mu.Unlock()
	v.by.strike(name, true)
	if err == nil && second > 0 {
		select {
		case <-ctx.Done():
			err = errors.Join(host.ErrDoubt, ctx.Err())
		case <-time.After(second):
		}
	}
	v.by.thaw()
	if isLost && err == nil {
		return host.ErrDoubt
	}
	return err
}

// staleMost is how old a guard may be when a write is made: the guards, three tries of the write and what the ledger takes.
const staleMost = 3 * time.Minute

// judge looks at a change of any kind at the moment at which it takes effect.
func (w *world) judge(v *view) {
	if w.acting != 1 {
		w.violate("%d changes at once", w.acting)
	}
	if !w.brakeAt.IsZero() && time.Since(w.brakeAt) > time.Second {
		w.violate("%s changes %s while the brake is on for %v", v.by.name, v.name, time.Since(w.brakeAt))
	}
	running := w.ledger.running()
	if len(running) != 1 {
		w.violate("%s changes %s and %d attempts run", v.by.name, v.name, len(running))
		return
	}
	a := running[0]
	switch {
	case a.Holder != v.by.name:
		w.violate("%s changes %s, and attempt %s is in the hands of %s", v.by.name, v.name, a.ID, a.Holder)
	case a.Target != v.name:
		w.violate("%s changes %s, and attempt %s is at %s", v.by.name, v.name, a.ID, a.Target)
	case time.Now().After(a.LeaseUntil):
		w.violate("%s changes %s after its lease has ended", v.by.name, v.name)
	case w.manual && a.Actor == "system:heal":
		w.violate("%s is changed, and nobody allowed it", v.name)
	}
}

func (v *view) Write(ctx context.Context, settings []host.Setting) error {
	return v.change(ctx, "write", func() {
		if len(settings) == 0 {
			v.w.violate("an empty set is written to %s", v.name)
		}
		for _, s := range settings {
			isNeeded := slices.ContainsFunc(needs, func(n vault.Need) bool { return n.Name == s.Name })
			if s.Value.Empty() || s.Name == "" || !isNeeded || s.Value.Reveal() != values[s.Name] {
				v.w.violate("%s of %s is written with a value of %d bytes that is not the true one", s.Name, v.name, s.Value.Len())
			}
		}
		if age := time.Since(v.by.checked[v.name]); age > staleMost {
			v.w.violate("%s is written %v after its credential was found good", v.name, age)
		}
		if age := time.Since(v.by.read); age > staleMost {
			v.w.violate("%s is written %v after the truth was found good", v.name, age)
		}
		for _, guard := range []string{"truth", "blind", "mass", "credential " + v.name} {
			if d := v.w.failsFor(guard); d > staleMost && v.w.isAuto() {
				v.w.violate("%s is written while %s fails for %v", v.name, guard, d)
			}
		}
	}, func() error {
		v.writes++
		for _, s := range settings {
			v.vars[s.Name] = s.Value.Reveal()
		}
		return nil
	})
}

// isAuto reports whether no person asked for the attempt that runs.
func (w *world) isAuto() bool {
	running := w.ledger.running()
	return len(running) == 1 && running[0].Actor == "system:heal"
}

func (v *view) Start(ctx context.Context, s host.Survey, attempt string) (id string, err error) {
	err = v.change(ctx, "start", func() {
		if running := v.w.ledger.running(); len(running) == 1 && running[0].ID != attempt {
			v.w.violate("%s is started for %s while %s runs", v.name, attempt, running[0].ID)
		}
		if last := v.versions[len(v.versions)-1]; v.building && last.attempt == "" && time.Since(last.begunAt) > 30*time.Second {
			v.w.violate("%s is started while its owner deploys", v.name)
		}
		if s.Good == "" {
			v.w.violate("%s is started without a good version", v.name)
		}
	}, func() error {
		if v.starts[attempt]++; v.starts[attempt] > 1 {
			v.w.violate("%s is started %d times for attempt %s", v.name, v.starts[attempt], attempt)
		}
		takes := v.buildTakes
		if takes == 0 {
			takes = 45 * time.Second
		}
		id = v.deploy(attempt, takes, !v.failBuilds)
		return nil
	})
	if err != nil {
		return "", err
	}
	return id, nil
}

func (v *view) Adopt(ctx context.Context, _ host.Survey, attempt string) (id string, err error) {
	err = v.ask(ctx, "adopt", func() error {
		if err := v.trouble(); err != nil {
			return err
		}
		for _, x := range v.versions {
			if x.attempt == attempt && !v.w.mutants.noAdopt {
				id = x.id
			}
		}
		return nil
	})
	return id, err
}

func (v *view) Progress(ctx context.Context, run string) (p host.Progress, err error) {
	err = v.ask(ctx, "progress", func() error {
		if err := v.trouble(); err != nil {
			return err
		}
		for k, x := range v.versions {
			switch {
			case x.id != run:
			case k == len(v.versions)-1 && v.building:
				p = host.Progress{State: host.Running, Note: "build"}
			case x.works:
				p = host.Progress{State: host.Ran}
			default:
				p = host.Progress{State: host.Failed, Note: "exit status 1"}
			}
		}
		return nil
	})
	return p, err
}

func (v *view) Revert(ctx context.Context, s host.Survey) error {
	return v.change(ctx, "revert", func() {
		if last := v.versions[len(v.versions)-1]; last.attempt == "" && len(v.versions) > 1 && v.live == len(v.versions)-1 && time.Since(last.readyAt) > 30*time.Second {
			v.w.violate("what the owner of %s has deployed is taken back", v.name)
		}
	}, func() error {
		v.reverts++
		for k, x := range v.versions {
			if x.id == s.Live {
				v.live = k
			}
		}
		return nil
	})
}

// source is the source of truth as one program reads it.
type source struct{ by *process }

func (s *source) Kind() string { return "fake" }

func (s *source) Read(ctx context.Context) (vault.Truth, error) {
	if err := s.by.call(ctx, "read", 0); err != nil {
		return vault.Truth{}, err
	}
	defer s.by.strike("read", true)
	defer s.by.thaw()
	w := s.by.w
	w.mu.Lock()
	defer w.mu.Unlock()
	t := vault.Truth{Values: map[string]secret.Value{}, Serial: 3, Mode: secret.Live}
	for name, value := range values {
		t.Values[name] = secret.New(value)
	}
	if w.truth != truthGood && w.mutants.noJudge {
		t.Values["STRIPE_API_KEY"] = secret.New(wrongValue)
		t.Serial = 4
		return t, nil
	}
	switch w.truth {
	case truthGood:
		s.by.read = time.Now()
	case truthEmpty:
		t.Values = nil
	case truthShrunken:
		t.Serial = 4
		delete(t.Values, "NOTE")
	case truthOlder:
		t.Serial, t.Values["STRIPE_API_KEY"] = 2, secret.New(wrongValue)
	case truthBroken:
		t.Serial = 4
		t.Values["STRIPE_API_KEY"] = secret.New(values["STRIPE_API_KEY"] + "\n")
	case truthCorrupted:
		return vault.Truth{}, &vault.Refusal{Reason: vault.Corrupted, Sentence: "The sealed file was cut off."}
	}
	return t, nil
}

// outside is how things stand as one program sees it.
type outside struct {
	w  *world
	by *process
}

func (o *outside) Troubles(ctx context.Context) (list []heal.Trouble, err error) {
	if err := o.by.call(ctx, "troubles", 0); err != nil {
		return nil, err
	}
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	for _, name := range o.w.order {
		at := o.w.places[name]
		at.advance()
		for k, key := range []string{"monitor/" + name, heal.DriftCheck + "/" + name} {
			if at.incident[k] != "" && time.Now().Before(at.openUntil[k]) && time.Since(at.firstRed[k]) >= 4*time.Second {
				list = append(list, heal.Trouble{IncidentID: at.incident[k], Key: key, Since: at.firstRed[k]})
			}
		}
	}
	return list, nil
}

func (o *outside) Look(ctx context.Context, t heal.Trouble) (still, known bool) {
	if err := o.by.call(ctx, "look", 0); err != nil {
		return false, false
	}
	defer o.by.thaw()
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	if o.w.unseen {
		return false, false
	}
	check, name, _ := strings.Cut(t.Key, "/")
	at := o.w.places[name]
	at.advance()
	if check == heal.DriftCheck {
		return !at.driftSince.IsZero(), !at.down
	}
	return !at.illSince.IsZero(), true
}

func (o *outside) Others([]string) (down, all int) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	if o.w.mass {
		return 6, 9
	}
	return 0, 9
}

func (o *outside) Blind() bool {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	return o.w.blind
}

// record is where people read.
type record struct {
	w     *world
	lines []line
	open  map[string]string // the healer's findings that are open
	all   []string          // every finding that there was
}

type line struct {
	at       time.Time
	incident string
	kind     makegood.MomentKind
	text     string
}

type recordOf struct {
	*record
	by *process
}

func (r *recordOf) Line(ctx context.Context, incident string, kind makegood.MomentKind, text string) {
	if r.by.call(ctx, "line", 0) != nil {
		return
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.lines = append(r.lines, line{time.Now(), incident, kind, text})
}

func (r *recordOf) Found(ctx context.Context, check, target, detail string, _ bool) {
	if r.by.call(ctx, "found", 0) != nil {
		return
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	key := check + "/" + target
	if r.open[key] != detail {
		r.all = append(r.all, key+": "+detail)
	}
	r.open[key] = detail
}

func (r *recordOf) Cleared(ctx context.Context, check, target, why string) {
	if r.by.call(ctx, "cleared", 0) != nil {
		return
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.all = append(r.all, check+"/"+target+" ended: "+why)
	delete(r.open, check+"/"+target)
}

// text is everything that people could read.
func (w *world) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, l := range w.record.lines {
		fmt.Fprintf(&b, "%+v\n", l)
	}
	for _, f := range w.record.all {
		b.WriteString(f + "\n")
	}
	for _, id := range slices.Sorted(maps.Keys(w.ledger.attempts)) {
		fmt.Fprintf(&b, "%+v\n", *w.ledger.attempts[id])
	}
	for name, value := range w.ledger.house {
		b.WriteString(name + "=" + value + "\n")
	}
	b.Write(w.logs.Bytes())
	return b.String()
}

// checkHidden looks for any value in a text.
func checkHidden(t testing.TB, what, text string) {
	t.Helper()
	for name, value := range values {
		if strings.Contains(text, value) || strings.Contains(text, value[len(value)-12:]) {
			t.Errorf("%s shows the value of %s", what, name)
		}
	}
	if strings.Contains(text, wrongValue) {
		t.Errorf("%s shows a value", what)
	}
}
