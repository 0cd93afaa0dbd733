package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store"
)

// The customer of a drill.
const customer = "ann@drill.example"

// Who is told by the watcher, and by the server.
var (
	watchersPeople = []string{"ntfy", "slack", "sms", "email"}
	serversPeople  = []string{"slack", "email"}
)

// patience is for how long something is waited for that has to happen: longer than any limit, because a busy machine is slow, and
// late is another finding than never.
const patience = 6 * time.Minute

// checkout makes a session in which somebody can pay.
func (w *world) checkout() (session string, err error) {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	status, answer, err := w.call(ctx, "POST", w.server+"/api/checkout", map[string]string{"product": "az-900"})
	if err != nil {
		return "", err
	}
	var made struct {
		Session string `json:"session_id"`
	}
	if err := json.Unmarshal(answer, &made); err != nil || made.Session == "" {
		return "", fmt.Errorf("the checkout answered %d", status)
	}
	return made.Session, nil
}

// pays is a customer who pays in a session that was made before.
func (w *world) pays(session string) error {
	if err := w.order(w.provider+"/_drill/pay", map[string]string{"session": session, "email": customer}); err != nil {
		return err
	}
	w.say("customer", "pays")
	return nil
}

// found waits until one of the incidents is open, in the record of one side, and checks how long that took.
func (w *world) found(database string, limit, aim time.Duration, keys ...string) (makegood.Incident, error) {
	var first makegood.Incident
	err := w.await(patience, "incident of "+strings.Join(keys, " or "), func() bool {
		for _, i := range w.incidents(database) {
			if slices.ContainsFunc(keys, func(k string) bool { return makegood.MatchKey(k, i.Key) }) && (first.ID == "" || i.OpenedAt.Before(first.OpenedAt)) {
				first = i
			}
		}
		return first.ID != ""
	})
	if err != nil {
		w.missing("detected", err.Error())
		return first, err
	}
	w.foundIn, w.foundKey = database, first.Key
	w.saidAt(first.OpenedAt, "found", fmt.Sprintf("%s %s: %s", first.Priority, first.Key, first.Detail))
	w.check("detected", first.OpenedAt.Sub(w.began), limit, aim)
	return first, nil
}

// told waits until each channel has taken a message since a time whose title has a word in it, and checks the first and the last.
func (w *world) told(since time.Time, word string, first, last time.Duration, channels ...string) error {
	return w.toldFrom(w.began, since, word, first, last, channels...)
}

// toldFrom is told for messages that were taken after a time.
func (w *world) toldFrom(from, since time.Time, word string, first, last time.Duration, channels ...string) (err error) {
	at := map[string]time.Time{}
	err = w.await(patience, fmt.Sprintf("%q over %s", word, strings.Join(channels, ", ")), func() bool {
		for _, a := range w.taken(from) {
			if _, ok := at[a.Channel]; !ok && strings.Contains(a.Title, word) && slices.Contains(channels, a.Channel) {
				at[a.Channel] = a.At
				w.saidAt(a.At, a.Channel, a.Title)
			}
		}
		return len(at) == len(channels)
	})
	if err != nil {
		w.missing(fmt.Sprintf("told %q", word), err.Error())
		return err
	}
	var soonest, latest time.Time
	for _, t := range at {
		if soonest.IsZero() || t.Before(soonest) {
			soonest = t
		}
		if t.After(latest) {
			latest = t
		}
	}
	if first > 0 {
		w.check(fmt.Sprintf("first channel told %q", word), max(0, soonest.Sub(since)), first, 0)
	}
	w.check(fmt.Sprintf("every channel told %q", word), max(0, latest.Sub(since)), last, 0)
	return nil
}

// healed waits for an attempt that is verified from outside, and checks how long that took since a time.
func (w *world) healed(since time.Time) (makegood.HealAttempt, error) {
	var healed makegood.HealAttempt
	err := w.await(patience+w.scaled(HealWithin), "attempt that healed", func() bool {
		for _, a := range w.attempts() {
			if a.State == makegood.AttemptHealed && a.EndedAt.After(since) {
				healed = a
				return true
			}
		}
		return false
	})
	if err != nil {
		w.missing("healed", err.Error()+w.lastAttempt())
		return healed, err
	}
	for _, s := range healed.Steps {
		if !s.EndedAt.IsZero() && s.State == makegood.PlaceDone {
			w.saidAt(s.EndedAt, "healer", s.Name+": "+s.Note)
		}
	}
	w.check("healed", wellAt(healed).Sub(since), HealWithin, HealAim)
	return healed, nil
}

// wellAt is when an attempt had verified that it is well.
func wellAt(a makegood.HealAttempt) time.Time {
	if s := a.Step("verify"); s != nil && !s.EndedAt.IsZero() {
		return s.EndedAt
	}
	return a.EndedAt
}

func (w *world) lastAttempt() string {
	all := w.attempts()
	if len(all) == 0 {
		return "; nothing was attempted"
	}
	a := all[len(all)-1]
	return fmt.Sprintf("; the last attempt was %s (%s): %s", a.State, a.Reason, a.Detail)
}

// served waits for the customer's mail, and checks how long after a time it was accepted, and that there is one.
func (w *world) served(since time.Time) error {
	var mails []simulate.Accepted
	err := w.await(patience, "mail to the customer", func() bool {
		var all []simulate.Accepted
		if w.ask(w.mail+"/log", &all) != nil {
			return false
		}
		mails = slices.DeleteFunc(all, func(a simulate.Accepted) bool { return !isGoods(a) || a.At.Before(w.began) })
		return len(mails) > 0
	})
	if err != nil {
		w.missing("the customer's mail", err.Error())
		return err
	}
	w.saidAt(mails[0].At, "customer", "gets the mail: "+mails[0].Title)
	w.check("the customer's mail", max(0, mails[0].At.Sub(since)), ServeWithin, 0)
	w.must("the customer gets one mail", len(mails) == 1, fmt.Sprintf("there are %d", len(mails)))
	return nil
}

// over waits until the incident that was found is over, and everybody who was told that it is broken is told that it is fixed. What
// is over, comes back within minutes and goes again is not told a second time, so the message may be older than the last end.
func (w *world) over(since time.Time, channels ...string) error {
	if _, err := w.resolvedAt(w.foundIn, w.foundKey); err != nil {
		w.missing("the incident is over", err.Error())
		return err
	}
	return w.toldFrom(since, since, "FIXED", 0, 2*time.Minute, channels...)
}

// untouched checks that no attempt changed anything since T+0.
func (w *world) untouched() {
	var acted []string
	for _, a := range w.attempts() {
		if a.Acted() {
			acted = append(acted, a.ID)
		}
	}
	w.must("nothing was changed by the healer", len(acted) == 0, "these attempts acted: "+strings.Join(acted, ", "))
}

// refused waits until the healer has written down why it does nothing.
func (w *world) refused(reason string) error {
	var found makegood.HealAttempt
	err := w.await(patience, "refusal "+reason, func() bool {
		for _, a := range w.attempts() {
			if a.State == makegood.AttemptRefused && strings.HasPrefix(string(a.Reason), reason) {
				found = a
				return true
			}
		}
		return false
	})
	if err != nil {
		w.missing("refused: "+reason, err.Error()+w.lastAttempt())
		return err
	}
	w.saidAt(found.StartedAt, "healer", fmt.Sprintf("does nothing (%s): %s", found.Reason, found.Detail))
	w.check("refused: "+string(found.Reason), 0, 0, 0)
	return nil
}

// Kept commands of a drill: what the host is told.

// wipe takes variables away from the host and makes that live. It is T+0.
func (w *world) wipe(names ...string) error {
	if w.o.Host == HostEnvFile {
		w.strike("wiped from the host's file, and the server is started again: " + strings.Join(names, ", "))
		if err := w.withoutLines(names); err != nil {
			return err
		}
		return w.restartBox()
	}
	if err := w.pagesFaults(map[string]any{"build_takes": "10ms"}); err != nil {
		return err
	}
	w.strike("wiped from the host, and a deploy makes it live: " + strings.Join(names, ", "))
	if err := w.order(w.host+"/_control/remove", map[string]any{"names": names}); err != nil {
		return err
	}
	return w.deploy("wiped")
}

// deploy pushes a commit that is live at once, and leaves the usual build time to every later one.
func (w *world) deploy(commit string) error {
	if err := w.pagesFaults(map[string]any{"build_takes": "10ms"}); err != nil {
		return err
	}
	before, err := simulate.AskBox(w.ctx, w.host+"/_box")
	if err != nil {
		return err
	}
	if err := w.order(w.host+"/_control/deploy", map[string]string{"commit": commit}); err != nil {
		return err
	}
	if err := w.await(20*time.Second, "deployment of "+commit, func() bool {
		now, err := simulate.AskBox(w.ctx, w.host+"/_box")
		return err == nil && now.Starts > before.Starts
	}); err != nil {
		return err
	}
	return w.pagesFaults(map[string]any{})
}

func (w *world) pagesFaults(faults map[string]any) error {
	return w.order(w.host+"/_control/faults", faults)
}

// withoutLines takes variables out of the host's file.
func (w *world) withoutLines(names []string) error {
	path := filepath.Join(w.dir, "env")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains(names, name) {
			kept.WriteString(line)
		}
	}
	return os.WriteFile(path, []byte(kept.String()), 0o600)
}

// restartBox starts the server again. That it ends at once, because a secret is gone, is what was wanted.
func (w *world) restartBox() error {
	if err := simulate.RestartBox(w.ctx, w.host+"/_box"); err != nil && !strings.Contains(err.Error(), "exit code") {
		return err
	}
	return nil
}

// serverPID is the number of the server's process.
func (w *world) serverPID() (int, error) {
	state, err := simulate.AskBox(w.ctx, w.host+"/_box")
	if err == nil && (!state.Running || state.PID <= 0) {
		err = fmt.Errorf("the server does not run")
	}
	return state.PID, err
}

// down is what is found when the server is not there.
var down = []string{"monitor/health", "server-silent"}

// wiped is a drill in which variables are gone.
func wiped(names ...string) func(context.Context, *world) error {
	return func(_ context.Context, w *world) error {
		session, err := w.checkout()
		if err != nil {
			return err
		}
		if err := w.wipe(names...); err != nil {
			return err
		}
		if err := w.pays(session); err != nil {
			return err
		}
		return w.foundToldHealedServed()
	}
}

// foundToldHealedServed is how it goes when everything goes by itself.
func (w *world) foundToldHealedServed() error {
	if err := w.foundAndTold(); err != nil {
		return err
	}
	return w.healedServedOver(w.began, watchersPeople...)
}

// foundAndTold is how every outage begins: it is an incident, and all the watcher's people are told.
func (w *world) foundAndTold() error {
	i, err := w.found("watch.db", DetectWithin, DetectAim, down...)
	if err != nil {
		return err
	}
	return w.told(i.OpenedAt, "P0", TellFirst, TellEverybody, watchersPeople...)
}

// healedServedOver is how one ends that is mended: seen from outside, the customer has the mail, and people hear that it is fixed.
func (w *world) healedServedOver(since time.Time, people ...string) error {
	a, err := w.healed(since)
	if err != nil {
		return err
	}
	if err := w.served(wellAt(a)); err != nil {
		return err
	}
	return w.over(wellAt(a), people...)
}

// wrongProduct ships a catalogue with a wrong code.
func wrongProduct(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.writeServer("makegood.slug.yaml", "az900"); err != nil {
		return err
	}
	w.strike("a catalogue is shipped in which az-900 is called az900")
	if err := w.deploy("slug"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	i, err := w.found("watch.db", DetectWithin, 0, "checkout-broken/*")
	if err != nil {
		return err
	}
	if err := w.told(i.OpenedAt, "P0", TellFirst, TellEverybody, watchersPeople...); err != nil {
		return err
	}
	if err := w.refused(string(makegood.HealOtherFault)); err != nil {
		return err
	}
	w.untouched()
	w.say("drill", "a person ships the right catalogue, and makes the customer's order good")
	if err := w.deploy("mended"); err != nil {
		return err
	}
	if err := w.await(patience, "server with the right catalogue", w.isReady); err != nil {
		return err
	}
	mended := time.Now()
	if err := w.makeGood(); err != nil {
		return err
	}
	if err := w.served(mended); err != nil {
		return err
	}
	return w.over(mended, watchersPeople...)
}

// makeGood is what a person types for the customer. The order may not be known yet when it is typed first.
func (w *world) makeGood() error {
	var said []byte
	err := w.await(time.Minute, "order that was made good", func() bool {
		cmd := exec.CommandContext(w.ctx, w.o.Program, "orders", "make-good", customer)
		cmd.Dir = w.dir
		cmd.Env = slices.Clone(w.env)
		for name, value := range w.secrets {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		var err error
		said, err = cmd.CombinedOutput()
		return err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, firstLine(said))
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}

// providerDown takes the provider's API away.
func providerDown(_ context.Context, w *world) error {
	w.strike("the payment provider's API answers 503")
	if err := w.order(w.provider+"/_drill/down", nil); err != nil {
		return err
	}
	return w.toldUntilMended("P0", watchersPeople, func() error { return w.order(w.provider+"/_drill/up", nil) }, down...)
}

// toldUntilMended is how it goes when the healer must not touch anything: found, told, refused, and mended by somebody else.
func (w *world) toldUntilMended(word string, people []string, mend func() error, keys ...string) error {
	i, err := w.found("watch.db", DetectWithin, DetectAim, keys...)
	if err != nil {
		return err
	}
	if err := w.told(i.OpenedAt, word, TellFirst, TellEverybody, people...); err != nil {
		return err
	}
	if err := w.refused(string(makegood.HealOtherFault)); err != nil {
		return err
	}
	w.untouched()
	w.say("drill", "mended from outside")
	mended := time.Now()
	if err := mend(); err != nil {
		return err
	}
	return w.over(mended, people...)
}

// mailDown takes the mail service away. The channels that are mail are silent too, and the others go on.
func mailDown(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	w.strike("the mail service answers 503")
	if err := w.order(w.mail+"/_drill/down", nil); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	if err := w.toldUntilMended("P0", []string{"ntfy", "slack", "sms"}, func() error { return w.order(w.mail+"/_drill/up", nil) }, down...); err != nil {
		return err
	}
	well, err := w.resolvedAt("watch.db", down...)
	if err != nil {
		return err
	}
	return w.served(well)
}

// resolvedAt waits until the incidents are over and returns when the last of them was.
func (w *world) resolvedAt(database string, keys ...string) (last time.Time, err error) {
	err = w.await(patience, "end of "+strings.Join(keys, ", "), func() bool {
		last = time.Time{}
		for _, i := range w.incidents(database) {
			if !slices.ContainsFunc(keys, func(k string) bool { return makegood.MatchKey(k, i.Key) }) {
				continue
			}
			if i.State != makegood.IncidentResolved {
				return false
			}
			if i.ResolvedAt.After(last) {
				last = i.ResolvedAt
			}
		}
		return !last.IsZero()
	})
	return last, err
}

// databaseSlow keeps the server's database from being written for seconds at a time.
func databaseSlow(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	w.strike("each write of the server waits for seconds")
	holding, stop := context.WithCancel(w.ctx)
	var held error
	var hold sync.WaitGroup
	release := func() error { stop(); hold.Wait(); return held }
	defer release() // its error is that of before
	hold.Go(func() {
		held = store.HoldWrites(holding, "sqlite:"+filepath.Join(w.dir, "server.db"), w.scaled(20*time.Second), 50*time.Millisecond)
	})
	if err := w.pays(session); err != nil {
		return err
	}
	var released time.Time
	if err := w.toldUntilMended("P0", watchersPeople, func() error { released = time.Now(); return release() }, down...); err != nil {
		return err
	}
	return w.served(released)
}

// diskFull lets the server write no byte more into any file, which is what a full disk is to it.
func diskFull(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	pid, err := w.serverPID()
	if err != nil {
		return err
	}
	w.strike("the server's disk is full")
	if err := limitFiles(pid, "1"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	var freed time.Time
	err = w.toldUntilMended("P0", watchersPeople, func() error { freed = time.Now(); return limitFiles(pid, "unlimited") }, down...)
	if err != nil {
		return err
	}
	w.say("drill", "the provider delivers again, or the server fetches what could not be delivered")
	well, err := w.resolvedAt("watch.db", down...)
	if err != nil {
		return err
	}
	// Nobody mended anything here, so nobody asks the server to serve those who waited: it looks by itself once a minute.
	return w.servedWithin(later(well, freed), time.Minute+ServeWithin)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// servedWithin is served with another limit.
func (w *world) servedWithin(since time.Time, limit time.Duration) error {
	if err := w.served(since); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for k := range w.checks {
		if w.checks[k].What == "the customer's mail" {
			w.checks[k].Limit = w.scaled(limit)
		}
	}
	return nil
}

// limitFiles bounds the files that a process may write, by prlimit of util-linux.
func limitFiles(pid int, limit string) error {
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), "--fsize="+limit+":unlimited").CombinedOutput()
	if err != nil {
		return fmt.Errorf("prlimit of util-linux, which this drill needs: %w: %s", err, firstLine(out))
	}
	return nil
}

// serverKilled kills the server.
func serverKilled(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.killServer("the server is killed"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	return w.foundToldHealedServed()
}

// killServer is T+0.
func (w *world) killServer(says string) error {
	pid, err := w.serverPID()
	if err != nil {
		return err
	}
	server, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	w.strike(says)
	return server.Kill()
}

// watcherKilled kills the watcher. The server tells its own people.
func watcherKilled(_ context.Context, w *world) error {
	w.strike("the watcher is killed")
	w.processes["watcher"].kill()
	if _, err := w.found("server.db", SilenceWithin, 0, "watcher-silent"); err != nil {
		return err
	}
	if err := w.told(w.began, "The watcher", 0, SilenceWithin, serversPeople...); err != nil {
		return err
	}
	w.say("drill", "the watcher is started again")
	again := time.Now()
	if err := w.startWatcher(); err != nil {
		return err
	}
	return w.over(again, serversPeople...)
}

// channelDown breaks a channel, and then something that has to be told.
func channelDown(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.order(w.channels+"/_drill/channel", map[string]any{"channel": "ntfy", "status": 500}); err != nil {
		return err
	}
	if err := w.killServer("ntfy answers 500, and the server is killed"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	others := []string{"slack", "sms", "email"}
	i, err := w.found("watch.db", DetectWithin, DetectAim, down...)
	if err != nil {
		return err
	}
	if err := w.told(i.OpenedAt, "P0", ChannelsWithin, ChannelsWithin, others...); err != nil {
		return err
	}
	if err := w.told(w.began, "channel for alerts", 0, 5*time.Minute, "slack"); err != nil {
		return err
	}
	if err := w.healedServedOver(w.began, others...); err != nil {
		return err
	}
	w.say("drill", "ntfy works again")
	again := time.Now()
	if err := w.order(w.channels+"/_drill/channel", map[string]any{"channel": "ntfy", "status": 0}); err != nil {
		return err
	}
	return w.told(again, "FIXED", 0, 2*time.Minute, "ntfy")
}

// guarded is how it goes when a guard keeps the healer from acting: nothing is written, people are told why, a person mends that,
// and then it heals.
func (w *world) guarded(reason, diagnosis string, mend func() error) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.wipe("STRIPE_WEBHOOK_SECRET"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	if err := w.foundAndTold(); err != nil {
		return err
	}
	if err := w.refused(reason); err != nil {
		return err
	}
	if err := w.told(w.began, "cannot be", 0, HealWithin, watchersPeople...); err != nil {
		return err
	}
	w.diagnosed(diagnosis)
	w.untouched()
	w.unwritten()
	w.say("drill", "a person mends what the alert named")
	mended := time.Now()
	if err := mend(); err != nil {
		return err
	}
	return w.healedServedOver(mended, watchersPeople...)
}

// diagnosed checks that the incident says what a person has to mend.
func (w *world) diagnosed(words string) {
	said := "there is no such incident"
	for _, i := range w.incidents("watch.db") {
		if i.Key == "heal-refused/shop" {
			said = i.Detail
		}
	}
	if strings.Contains(said, words) {
		w.say("told", "%s", said)
	}
	w.must("the alert names the fault: "+words, strings.Contains(said, words), "it says: "+said)
}

// unwritten checks at the host itself that nothing was written since T+0 but what the drill broke.
func (w *world) unwritten() {
	if w.o.Host == HostEnvFile {
		text, err := os.ReadFile(filepath.Join(w.dir, "env"))
		w.must("nothing was written at the host", err == nil && !strings.Contains(string(text), "STRIPE_WEBHOOK_SECRET"), "the file has the secret again")
		return
	}
	var state struct {
		Writes []simulate.PagesWrite `json:"writes"`
	}
	err := w.ask(w.host+"/_control", &state)
	w.must("nothing was written at the host", err == nil && len(state.Writes) == 0, fmt.Sprintf("%d requests wanted to change something (%v)", len(state.Writes), err))
}

// tokenCorrupted puts a carriage return behind the deploy token, as an editor of another system does.
func tokenCorrupted(_ context.Context, w *world) error {
	path := filepath.Join(w.dir, "token")
	if err := os.WriteFile(path, []byte(simulate.PagesKey+"\r\n"), 0o600); err != nil {
		return err
	}
	return w.guarded("credential_", "carriage return", func() error { return os.WriteFile(path, []byte(simulate.PagesKey), 0o600) })
}

// truthCorrupted flips one bit of the source of truth.
func truthCorrupted(_ context.Context, w *world) error {
	path := filepath.Join(w.dir, "truth.sealed")
	whole, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	broken := slices.Clone(whole)
	broken[len(broken)-7] ^= 1
	if err := os.WriteFile(path, broken, 0o600); err != nil {
		return err
	}
	return w.guarded("truth_", "not believed", func() error { return os.WriteFile(path, whole, 0o600) })
}

// platformDown takes the deploy platform's API away, and leaves what it runs.
func platformDown(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.wipe("STRIPE_WEBHOOK_SECRET"); err != nil {
		return err
	}
	if err := w.pagesFaults(map[string]any{"status": 503}); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	if err := w.foundAndTold(); err != nil {
		return err
	}
	if err := w.refused(string(makegood.HealPlatformDown)); err != nil {
		return err
	}
	w.untouched()
	w.say("drill", "the platform is back")
	back := time.Now()
	if err := w.pagesFaults(map[string]any{}); err != nil {
		return err
	}
	return w.healedServedOver(back, watchersPeople...)
}

// theStory is what this was made for: a wrong product code in the metadata, both secrets wiped from the host, and a customer who
// pays for an exam and gets nothing.
func theStory(_ context.Context, w *world) error {
	session, err := w.checkout()
	if err != nil {
		return err
	}
	if err := w.writeServer("makegood.slug.yaml", "az900"); err != nil {
		return err
	}
	if err := w.pagesFaults(map[string]any{"build_takes": "10ms"}); err != nil {
		return err
	}
	w.strike("a deploy ships a wrong product code, and wipes the webhook secret and the mail key from the host")
	if err := w.order(w.host+"/_control/remove", map[string]any{"names": []string{"STRIPE_WEBHOOK_SECRET", "RESEND_API_KEY"}}); err != nil {
		return err
	}
	if err := w.deploy("slug"); err != nil {
		return err
	}
	if err := w.pays(session); err != nil {
		return err
	}
	if err := w.foundAndTold(); err != nil {
		return err
	}
	a, err := w.goneBack()
	if err != nil {
		return err
	}
	if err := w.served(a.EndedAt); err != nil {
		return err
	}
	return w.over(a.EndedAt, watchersPeople...)
}

// goneBack waits for an attempt that put the secrets back, saw that the order that is tried without paying still fails, and went
// back to the version that was well before.
func (w *world) goneBack() (makegood.HealAttempt, error) {
	var back makegood.HealAttempt
	err := w.await(patience+w.scaled(HealWithin), "attempt that went back", func() bool {
		for _, a := range w.attempts() {
			if a.State == makegood.AttemptReverted {
				back = a
				return true
			}
		}
		return false
	})
	if err != nil {
		w.missing("healed", err.Error()+w.lastAttempt())
		return back, err
	}
	for _, s := range back.Steps {
		if !s.EndedAt.IsZero() {
			w.saidAt(s.EndedAt, "healer", s.Name+": "+s.Note)
		}
	}
	w.check("healed", back.EndedAt.Sub(w.began), HealWithin, 0)
	return back, nil
}
