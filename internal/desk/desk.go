// Package desk is where a person acts: finds the order of a customer who got nothing and makes it good, has done again
// what was given up, and fetches what the provider could not deliver. Nothing here fulfils by itself: every action ends in
// the one path that a webhook takes, leaves an entry in the audit, and may be repeated.
package desk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/provider"
)

// Store is what the desk needs kept.
type Store interface {
	FindOrders(ctx context.Context, quoted string) ([]makegood.Order, error)
	Order(ctx context.Context, id string) (makegood.Order, error)
	OrderBySession(ctx context.Context, source, sessionID string) (makegood.Order, error)
	AmendOrder(ctx context.Context, a makegood.Amendment) (makegood.Order, error)
	AcceptEvent(ctx context.Context, e makegood.Event) (isNew bool, err error)
	// Revive has everything run now that an order waits for, what was given up included.
	Revive(ctx context.Context, orderID, actor string) error
	// Letters lists the open dead letters that a selection names, oldest first, at most limit.
	Letters(ctx context.Context, s Selection, limit int) ([]makegood.DeadLetter, error)
	Retry(ctx context.Context, id string, how Again) (retried bool, err error)
	Discard(ctx context.Context, id, actor, why string) (discarded bool, err error)
	// Hurry has every job run now that failed and waits for its next attempt at a source or for a step.
	Hurry(ctx context.Context, source, step string) (int64, error)
	// Stuck lists the orders paid for since a time that wait for a person for this reason, the newest of them.
	Stuck(ctx context.Context, reason string, since time.Time) ([]makegood.Order, error)
	// Waited counts who paid since a time and had nothing when the outage ended.
	Waited(ctx context.Context, since, ended time.Time) (waited, waiting int, longest time.Duration, err error)
	// Record keeps an audit entry of an action that changed no order.
	Record(ctx context.Context, actor string, e makegood.Entry) error
}

// Selection names dead letters: those of the ids, or those that all the other fields fit.
type Selection struct {
	IDs    []string            `json:"ids,omitempty"`
	Since  time.Time           `json:"since,omitzero"` // failed last at or after it
	Until  time.Time           `json:"until,omitzero"` // failed last before it
	Type   string              `json:"type,omitempty"`
	Source string              `json:"source,omitempty"`
	Reason makegood.DeadReason `json:"reason,omitempty"`
	After  string              `json:"after,omitempty"` // only letters whose id sorts after this one: the next page
}

// Again says how dead letters are done again.
type Again struct {
	Actor string
	// Anew repeats even what may have happened already. It may then happen twice.
	Anew bool
	// Wait is how long the job waits first; Behind lets all other work pass.
	Wait   time.Duration
	Behind bool
}

// Desk is where a person acts. It is safe for concurrent use.
type Desk struct {
	Sources map[string]provider.Source
	Store   Store
	// Ask reads a session back from its provider and settles its order, see interpret.Interpreter.Ask.
	Ask func(ctx context.Context, actor, source, sessionID string) (makegood.Order, error)
	// Resettle reads what is known of an order again and settles it, for where the provider cannot be asked.
	Resettle func(ctx context.Context, actor, orderID string) (makegood.Order, error)
	// Terms are what an order is settled by.
	Terms func(keyTaken func(string) bool) makegood.Terms
	// Steps are the effects whose failed attempts are brought forward after an outage, by the beginning of their names.
	Steps []string
	Now   func() time.Time
	Log   *slog.Logger

	oneServes sync.Mutex // held while those who waited are served

	serving  sync.Mutex
	served   time.Time // when providers were asked last for those who waited
	servedOf time.Time // in which outage, by its end
}

// Found is one purchase that fits what was quoted.
type Found struct {
	Source    string          `json:"source"`
	SessionID string          `json:"session_id"`
	Order     *makegood.Order `json:"-"`                  // nil when only the provider knows it
	OrderID   string          `json:"order_id,omitempty"` // "" when only the provider knows it
}

// Finding is everything that was found, and whom nobody could ask.
type Finding struct {
	Found []Found `json:"found"`
	// Unasked names the sources that could not be asked, each with the reason: what only they know is missing.
	Unasked map[string]string `json:"unasked,omitempty"`
}

// Find finds purchases by what a customer or a provider may quote: an e-mail address, a licence key, or any id of order,
// session, payment, charge, invoice, subscription, refund or dispute. What we do not know is asked from the providers.
func (d *Desk) Find(ctx context.Context, quoted string) (Finding, error) {
	quoted = strings.TrimSpace(quoted)
	if quoted == "" {
		return Finding{}, makegood.Errorf(makegood.Invalid, "Nothing was quoted: an e-mail address, a licence key or an id.")
	}
	orders, err := d.Store.FindOrders(ctx, quoted)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{Found: []Found{}}
	for _, o := range orders {
		f.Found = append(f.Found, Found{o.Key.Source, o.Key.SessionID, &o, o.ID})
	}
	for name, source := range d.Sources {
		if err := d.findAt(ctx, &f, name, source, quoted); err != nil {
			d.Log.Warn("source cannot be asked for a purchase", "source", name, "err", err)
			if f.Unasked == nil {
				f.Unasked = map[string]string{}
			}
			f.Unasked[name] = makegood.MessageOf(err)
		}
	}
	slices.SortStableFunc(f.Found, func(a, b Found) int { // newest order first, then what only the providers know
		return cmp.Or(strings.Compare(b.OrderID, a.OrderID), strings.Compare(a.Source, b.Source))
	})
	return f, nil
}

// findAt adds the sessions that only the provider knows.
func (d *Desk) findAt(ctx context.Context, f *Finding, name string, source provider.Source, quoted string) error {
	finder, ok := source.(provider.Finder)
	if !ok {
		return nil
	}
	sessions, err := finder.Find(ctx, quoted)
	if errors.Is(err, makegood.NotFound) {
		return nil
	}
	for _, id := range sessions {
		if slices.ContainsFunc(f.Found, func(k Found) bool { return k.Source == name && k.SessionID == id }) {
			continue
		}
		found := Found{Source: name, SessionID: id}
		if o, err := d.Store.OrderBySession(ctx, name, id); err == nil {
			found.Order, found.OrderID = &o, o.ID
		}
		f.Found = append(f.Found, found)
	}
	return err
}

// GoodDeed is what making good came to.
type GoodDeed struct {
	Order makegood.Order
	// Did says in words what was done, in order; nothing when the order was good already.
	Did []string
}

// MakeGood makes one purchase good: it asks the provider whether it was paid, settles the order by the answer, and has
// everything run again that was given up. With resend the mail that was sent is sent once more, byte for byte. Asked
// again it does only what is still missing, except that every resend is another mail.
//
// What is quoted must fit one purchase; when it fits several, the error is makegood.Conflict and names their sessions.
// When nothing fits, it is makegood.NotFound; when the provider says that nothing was paid, makegood.NotPaid.
func (d *Desk) MakeGood(ctx context.Context, actor, quoted string, resend bool) (GoodDeed, error) {
	finding, err := d.Find(ctx, quoted)
	if err != nil {
		return GoodDeed{}, err
	}
	target, err := finding.one()
	if err != nil {
		return GoodDeed{}, err
	}
	var deed GoodDeed
	before := "unknown here"
	if target.Order != nil {
		before = stateOf(*target.Order)
	}
	o, err := d.ask(ctx, actor, target, &deed)
	if err != nil {
		return GoodDeed{}, err
	}
	if err := d.finish(ctx, actor, o, resend, &deed); err != nil {
		return GoodDeed{}, err
	}
	if deed.Order, err = d.Store.Order(ctx, o.ID); err != nil {
		return GoodDeed{}, err
	}
	return deed, d.Store.Record(ctx, actor, makegood.Entry{Action: "order.made_good", Target: o.ID, Before: before, After: stateOf(deed.Order)})
}

func stateOf(o makegood.Order) string { return string(o.Payment) + ", " + string(o.Fulfillment) }

// one is the only purchase that fits.
func (f Finding) one() (Found, error) {
	switch len(f.Found) {
	case 1:
		return f.Found[0], nil
	case 0:
		if len(f.Unasked) > 0 {
			return Found{}, makegood.Errorf(makegood.Unavailable, "Nothing here fits, and not every provider could be asked; try again when it answers.")
		}
		return Found{}, makegood.Errorf(makegood.NotFound, "Neither we nor the providers know a purchase that fits. Ask the customer for the payment's id or the receipt.")
	}
	var sessions []string
	for _, k := range f.Found[:min(len(f.Found), 20)] {
		sessions = append(sessions, k.SessionID)
	}
	return Found{}, makegood.Errorf(makegood.Conflict, "%d purchases fit; quote one of these sessions: %s.", len(f.Found), strings.Join(sessions, ", "))
}

// ask settles the order by the provider's word, or, where the provider cannot be asked, by what is known.
func (d *Desk) ask(ctx context.Context, actor string, target Found, deed *GoodDeed) (makegood.Order, error) {
	if _, ok := d.Sources[target.Source].(provider.Asker); ok {
		o, err := d.Ask(ctx, actor, target.Source, target.SessionID)
		if err == nil && o.ID != "" {
			deed.Did = append(deed.Did, "asked the provider, who says that the order is "+string(o.Payment))
			return o, nil
		}
		if err == nil {
			return o, makegood.Errorf(makegood.NotPaid, "The provider knows the session and says that nothing was paid (yet).")
		}
		if target.Order == nil {
			return o, err
		}
		d.Log.Warn("source cannot be asked; the order is settled by what is known", "source", target.Source, "err", err)
		deed.Did = append(deed.Did, "could not ask the provider; went by what is known here")
	}
	if target.Order == nil {
		return makegood.Order{}, makegood.Errorf(makegood.NotFound, "The source %s cannot be asked, and nothing is known here.", target.Source)
	}
	return d.Resettle(ctx, actor, target.OrderID)
}

// finish has run again what was given up, and sends the mail once more when that is wanted.
func (d *Desk) finish(ctx context.Context, actor string, o makegood.Order, resend bool, deed *GoodDeed) error {
	var failed []string
	for _, step := range o.Steps {
		if step.State == makegood.StepFailed || step.State == makegood.StepDiscarded {
			failed = append(failed, step.Name)
		}
	}
	if err := d.Store.Revive(ctx, o.ID, actor); err != nil {
		return err
	}
	if len(failed) > 0 {
		deed.Did = append(deed.Did, "run again: "+strings.Join(failed, ", "))
		if err := d.again(ctx, actor, o.ID, failed, makegood.StepFailed, makegood.StepDiscarded); err != nil {
			return err
		}
	}
	mail := o.Step(makegood.EffectEmail)
	if !resend {
		return nil
	}
	if mail == nil || mail.State != makegood.StepDone {
		deed.Did = append(deed.Did, "nothing was sent yet that could be sent once more")
		return nil
	}
	if o.Entitlement != makegood.EntitledFully {
		return makegood.Errorf(makegood.Conflict, "The order is %s, so its mail is not sent again.", o.Payment)
	}
	deed.Did = append(deed.Did, "send the stored mail once more")
	return d.again(ctx, actor, o.ID, []string{makegood.EffectEmail}, makegood.StepDone)
}

// again asks for steps once more that are in one of the states: one whose dead letter was discarded has no other way back,
// and one that somebody else has asked for may be done by now, which must not begin another round.
func (d *Desk) again(ctx context.Context, actor, orderID string, steps []string, from ...makegood.StepState) error {
	_, err := d.Store.AmendOrder(ctx, makegood.Amendment{OrderID: orderID, Actor: actor,
		Change: func(o *makegood.Order, keyTaken func(string) bool) ([]makegood.Entry, error) {
			var entries []makegood.Entry
			for _, name := range steps {
				step := o.Step(name)
				if step == nil || !slices.Contains(from, step.State) {
					continue
				}
				before := step.State
				if o.Again(name, false, d.Now()) {
					entries = append(entries, makegood.Entry{Action: "step.again", Target: o.ID, Before: string(before), After: name})
				}
			}
			if len(entries) == 0 {
				return nil, nil // somebody else asked at the same moment
			}
			return append(entries, o.Settle(d.Terms(keyTaken))...), nil
		}})
	return err
}

// Retried is what a round of retries came to.
type Retried struct {
	Letters []string `json:"letters"`         // that were done again, or would be
	Lost    int      `json:"lost"`            // that somebody else had done again at the same moment
	After   string   `json:"after,omitempty"` // where the next round begins; "" when there is none
}

// retryRound is how many letters one round does again, so that whoever asked can show progress.
const retryRound = 200

// Retry has the selected dead letters done again, one round of them; the caller goes on with After until it is "". Jobs of
// a round are spread so that at most perSecond begin in a second, after the first ones wait, and all of them let what is
// paid for now pass. Asking twice, or two people at once, does each letter once.
func (d *Desk) Retry(ctx context.Context, s Selection, again Again, perSecond int, dryRun bool) (Retried, error) {
	if perSecond < 1 {
		return Retried{}, makegood.Errorf(makegood.Invalid, "At least one letter a second must be done again.")
	}
	letters, err := d.Store.Letters(ctx, s, retryRound)
	if err != nil {
		return Retried{}, err
	}
	r := Retried{Letters: []string{}}
	for i, l := range letters {
		if dryRun {
			r.Letters = append(r.Letters, l.ID)
			continue
		}
		how := again
		if len(s.IDs) != 1 {
			how.Wait, how.Behind = again.Wait+time.Duration(i)*time.Second/time.Duration(perSecond), true
		}
		retried, err := d.Store.Retry(ctx, l.ID, how)
		switch {
		case err != nil:
			return r, fmt.Errorf("do dead letter %s again: %w", l.ID, err)
		case retried:
			r.Letters = append(r.Letters, l.ID)
		default:
			r.Lost++
		}
	}
	if len(letters) == retryRound && len(s.IDs) == 0 { // what is named is done in one round
		r.After = letters[len(letters)-1].ID
	}
	return r, nil
}

// Discard takes an open dead letter off the list, for a reason that stays in the audit. Nothing waits for what it was about any more.
func (d *Desk) Discard(ctx context.Context, actor, id, why string) error {
	if strings.TrimSpace(why) == "" {
		return makegood.Errorf(makegood.Invalid, "Say why it is not needed; the audit keeps it.")
	}
	discarded, err := d.Store.Discard(ctx, id, actor, why)
	if err == nil && !discarded {
		return makegood.Errorf(makegood.NotFound, "There is no open dead letter %q.", id)
	}
	return err
}

// Pulled is what fetching came to.
type Pulled struct {
	Source string `json:"source"`
	New    int    `json:"new"`   // were missing here
	Known  int    `json:"known"` // had come by themselves
}

// pullMax bounds the new events that one pull takes; another pull goes on, because these are known to it.
const pullMax = 50_000

// Pull lists the events that the provider could not deliver since a time, and takes each as if it had been delivered. An
// event that comes by itself later, or came before, is known by its identity.
func (d *Desk) Pull(ctx context.Context, actor, source string, since time.Time) (Pulled, error) {
	p := Pulled{Source: source}
	lister, ok := d.Sources[source].(provider.Lister)
	if !ok {
		return p, makegood.Errorf(makegood.NotFound, "There is no source %q whose events could be listed.", source)
	}
	var listing error
	for body, err := range lister.Undelivered(ctx, since) {
		if err != nil {
			listing = err
			break
		}
		event := d.Sources[source].Identify(body)
		event.ReceivedAt, event.VerifiedBy = d.Now(), verifiedByAPI
		isNew, err := d.Store.AcceptEvent(ctx, event)
		if err != nil {
			listing = err
			break
		}
		if isNew {
			p.New++
		} else {
			p.Known++
		}
		if p.New >= pullMax {
			break
		}
	}
	recorded := d.Store.Record(ctx, actor, makegood.Entry{Action: "events.pulled", Target: source,
		After: fmt.Sprintf("%d new, %d known", p.New, p.Known)})
	return p, errors.Join(listing, recorded)
}

// verifiedByAPI stands in the place of a secret's fingerprint: the provider itself told, over its API.
const verifiedByAPI = "api"

// Served is what became of those who waited in an outage.
type Served struct {
	Waited  int           `json:"waited"`     // paid during it, and had nothing when it ended
	Waiting int           `json:"waiting"`    // of them, who still have nothing
	Longest time.Duration `json:"longest_ns"` // from paying to having, or until now
	Pulled  int           `json:"pulled"`     // events that had not been delivered
	Again   int           `json:"again"`      // dead letters, failed jobs and stuck orders that are done again
	Note    string        `json:"note,omitempty"`
}

const (
	// servePerSecond paces what is done again after an outage: what is paid for now goes first anyway.
	servePerSecond = 20
	// serveRounds bounds the rounds of dead letters of one call; the next call goes on.
	serveRounds = 10
	// serveEvery is how often providers are asked and failed jobs brought forward while somebody waits.
	serveEvery = 15 * time.Second
	// serveBefore is how long before the first red look an outage may have begun.
	serveBefore = 2 * time.Minute
)

// Serve has done what an outage left behind: what could not be delivered is fetched, what failed runs now, what was paid for and
// not in the catalogue is settled anew, and what was given up during it is done again, paced. It may be called again and again
// until nobody waits: what is done is known by its identity, and providers and failed jobs are not bothered with every call. A
// source that cannot be asked is named in the note and keeps nobody else waiting. Whoever was fulfilled at or after ended waited. One call serves at a time; another is
// makegood.Unavailable meanwhile, because what is still being fetched cannot be counted.
func (d *Desk) Serve(ctx context.Context, actor string, since, ended time.Time) (Served, error) {
	var s Served
	if !d.oneServes.TryLock() {
		return s, makegood.Errorf(makegood.Unavailable, "Those who waited are being served just now.")
	}
	defer d.oneServes.Unlock()
	since = since.Add(-serveBefore)
	if d.isDue(ended) {
		unasked := d.servePull(ctx, actor, since, &s)
		if len(unasked) > 0 {
			s.Note = "Could not be asked: " + strings.Join(unasked, ", ") + "."
		}
		if err := d.serveFailed(ctx, &s); err != nil {
			return s, err
		}
		if err := d.serveUnknown(ctx, actor, since, &s); err != nil {
			return s, err
		}
	}
	if err := d.serveLetters(ctx, actor, since, ended, &s); err != nil {
		return s, err
	}
	var err error
	s.Waited, s.Waiting, s.Longest, err = d.Store.Waited(ctx, since, ended)
	return s, err
}

// isDue reports whether providers are to be asked and failed jobs brought forward: with the first call about an outage, and
// then at a pace. Each run of a failed job is one of its attempts.
func (d *Desk) isDue(ended time.Time) bool {
	d.serving.Lock()
	defer d.serving.Unlock()
	now := d.Now()
	if age := now.Sub(d.served); d.servedOf.Equal(ended) && age >= 0 && age < serveEvery {
		return false
	}
	d.served, d.servedOf = now, ended
	return true
}

// servePull fetches what could not be delivered, and returns whom it could not ask.
func (d *Desk) servePull(ctx context.Context, actor string, since time.Time, s *Served) (unasked []string) {
	for _, name := range slices.Sorted(maps.Keys(d.Sources)) {
		if _, ok := d.Sources[name].(provider.Lister); !ok {
			continue
		}
		p, err := d.Pull(ctx, actor, name, since)
		s.Pulled += p.New
		if err != nil {
			d.Log.Warn("what could not be delivered cannot be fetched just now", "source", name, "err", err)
			unasked = append(unasked, name)
		}
	}
	return unasked
}

// serveFailed has what failed run now.
func (d *Desk) serveFailed(ctx context.Context, s *Served) error {
	hurry := func(source, step string) error {
		n, err := d.Store.Hurry(ctx, source, step)
		s.Again += int(n)
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(d.Sources)) {
		if err := hurry(name, ""); err != nil {
			return err
		}
	}
	for _, step := range d.Steps {
		if err := hurry("", step); err != nil {
			return err
		}
	}
	return nil
}

// serveUnknown settles anew what was paid for and was not in the catalogue: when that was wrong during the outage, the right one
// is there now. The source is asked, as in MakeGood, and one that cannot be is not needed: what is known settles it as well. An
// order that cannot be settled is left to the next call, or a person.
func (d *Desk) serveUnknown(ctx context.Context, actor string, since time.Time, s *Served) error {
	orders, err := d.Store.Stuck(ctx, makegood.ReasonUnknownProduct, since)
	if err != nil {
		return err
	}
	for _, before := range orders {
		var deed GoodDeed
		o, err := d.ask(ctx, actor, Found{Source: before.Key.Source, SessionID: before.Key.SessionID, Order: &before, OrderID: before.ID}, &deed)
		if err != nil {
			d.Log.Warn("an order of an outage cannot be settled anew", "order", before.ID, "err", err)
			continue
		}
		if o.Fulfillment == makegood.Stuck {
			continue
		}
		s.Again++
		if err := d.Store.Record(ctx, actor, makegood.Entry{Action: "order.made_good", Target: o.ID, Before: stateOf(before), After: stateOf(o)}); err != nil {
			return err
		}
	}
	return nil
}

// serveLetters has the dead letters of the outage done again, once each: one that is given up again is given up after the
// outage, and waits for a person.
func (d *Desk) serveLetters(ctx context.Context, actor string, since, ended time.Time, s *Served) error {
	selection := Selection{Since: since, Until: ended}
	for range serveRounds {
		r, err := d.Retry(ctx, selection, Again{Actor: actor}, servePerSecond, false)
		s.Again += len(r.Letters)
		if err != nil || r.After == "" {
			return err
		}
		selection.After = r.After
	}
	return nil
}
