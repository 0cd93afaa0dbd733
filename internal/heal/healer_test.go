package heal_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/heal"
	"github.com/makegood/makegood/internal/host"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/vault"
)

// scene is a world with one program in it, and what happens there.
type scene struct {
	*world
	t    *testing.T
	shop *place
	p    *process
	ctx  context.Context
}

// play plays a scene in virtual time and judges it. before sets it up.
func play(t *testing.T, before func(s *scene), then func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &scene{world: newWorld(1, "shop", "mail"), t: t, ctx: ctx}
		s.shop = s.places["shop"]
		before(s)
		s.p = s.start("server")
		then(s)
		stop()
		if s.p.ended != nil {
			<-s.p.ended
		}
		checkWorld(t, s.world)
		if t.Failed() {
			t.Log(s)
		}
	})
}

// wiped is a place that has lost two of its variables and runs without them.
func wiped(s *scene) { s.wipe(s.shop) }

func (s *scene) wipe(at *place) {
	s.set(func() { at.wipe(1); at.deploy("", 0, true) })
}

func (s *scene) set(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

// run runs the healer for a while, from now on once a second.
func (s *scene) run(d time.Duration) {
	if s.p.ended == nil {
		s.p.run(s.ctx, func() time.Duration { return time.Second })
	}
	time.Sleep(d)
}

// another starts the program anew; the first is gone as with kill -9.
func (s *scene) another(name string) {
	s.p.die()
	s.p = s.start(name)
}

func (s *scene) only() makegood.HealAttempt {
	s.t.Helper()
	attempts, _ := s.list()
	if len(attempts) != 1 {
		s.t.Fatalf("%d attempts, want 1:\n%v", len(attempts), s)
	}
	return attempts[0]
}

func (s *scene) wantEnd(state makegood.AttemptState, reason makegood.HealReason) makegood.HealAttempt {
	s.t.Helper()
	a := s.only()
	if a.State != state || a.Reason != reason {
		s.t.Errorf("the attempt ended as %s, %q, want %s, %q", a.State, a.Reason, state, reason)
	}
	return a
}

// told counts the lines of a kind that tell a text.
func (s *scene) told(kind makegood.MomentKind, text string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.record.lines {
		if l.kind == kind && strings.Contains(l.text, text) {
			n++
		}
	}
	return n
}

func (s *scene) finding(check string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record.open[check+"/shop"]
}

// A wiped place is healed, its owner hears what was done and what is probably the cause, and the record has every step.
func TestHeal(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		s.set(func() { s.shop.waiting = 5 })
		s.run(3 * time.Minute)
		a := s.wantEnd(makegood.AttemptHealed, "")
		if d := a.StartedAt.Sub(s.shop.versions[1].readyAt); d < heal.DefaultPatience || d > heal.DefaultPatience+5*time.Second {
			t.Errorf("it began after %v, want right after the patience", d)
		}
		if took := a.EndedAt.Sub(a.StartedAt); took > 75*time.Second { // 45 seconds are the build, 5 those who wait
			t.Errorf("it took %v, of which 45 s are the build", took)
		}
		if s.shop.writes != 1 || s.shop.starts[a.ID] != 1 || !isWhole(s.shop.versions[s.shop.live].baked) {
			t.Errorf("%d writes, %d starts", s.shop.writes, s.shop.starts[a.ID])
		}
		if want := []string{"RESEND_API_KEY", "STRIPE_WEBHOOK_SECRET"}; !slices.Equal(a.Names, want) {
			t.Errorf("wrote %v, want only what is missing: %v", a.Names, want)
		}
		for kind, text := range map[makegood.MomentKind]string{makegood.MomentHealing: "because of secret_missing", makegood.MomentHealed: "seen from outside", makegood.MomentServed: "all of them have their goods"} {
			if s.told(kind, text) != 1 {
				t.Errorf("told %q %d times, want once: %+v", text, s.told(kind, text), s.record.lines)
			}
		}
		for _, want := range []string{"STRIPE_WEBHOOK_SECRET", "restore-secrets", "Likely cause: the settings were changed by somebody at noon."} {
			if !strings.Contains(s.finding(heal.Healed), want) {
				t.Errorf("Healed says %q, want it to tell %q", s.finding(heal.Healed), want)
			}
		}
		if got := s.shop.servedFrom; !got.Equal(s.shop.firstRed[0]) {
			t.Errorf("served those who waited since %v, want since the first red look %v", got, s.shop.firstRed[0])
		}
	})
}

// Every reason why nothing is done, or why it ended otherwise than healed: it is on the record, with a sentence, and there is a
// finding where a person can change it.
func TestReasons(t *testing.T) {
	t.Parallel()
	truthIs := func(state truthState) func(*scene) {
		return func(s *scene) { wiped(s); s.truth = state }
	}
	credentialIs := func(f host.Fault) func(*scene) { return func(s *scene) { wiped(s); s.shop.credential = f } }
	for _, tt := range []struct {
		name   string
		before func(s *scene)
		want   makegood.HealReason
		state  makegood.AttemptState // refused when it is ""
		find   string                // the finding that a person has to see
	}{
		{"the brake is on", func(s *scene) { wiped(s); s.setBrake(true) }, makegood.HealPaused, "", ""},
		{"two did not help", func(s *scene) { wiped(s); s.shop.sick = true }, makegood.HealTargetLimit, "", heal.HealRefused},
		{"enough everywhere", func(s *scene) {
			s.wipe(s.shop)
			s.patched = func(o *heal.Options, _ *[]heal.Target) {
				o.Limits = makegood.HealLimits{PerTarget: 2, PerTargetWithin: time.Hour, Overall: 1, OverallWithin: time.Hour}
			}
			s.shop.sick = true
		}, makegood.HealOverallLimit, "", heal.HealRefused},
		{"everything else is broken too", func(s *scene) { wiped(s); s.mass = true }, makegood.HealMassFailure, "", ""},
		{"we are blind", func(s *scene) { wiped(s); s.blind = true }, makegood.HealBlind, "", ""},
		{"it cannot be looked at", func(s *scene) { wiped(s); s.unseen = true }, makegood.HealBlind, "", ""},
		{"it is over", func(s *scene) {
			s.shop.probeRed, s.lag = true, 20*time.Second
			s.shop.advance()
			go func() { time.Sleep(55 * time.Second); s.set(func() { s.shop.probeRed = false; s.shop.advance() }) }()
		}, makegood.HealBlip, "", ""},
		{"it is something else", func(s *scene) { s.shop.sick = true }, makegood.HealOtherFault, "", ""},
		{"the platform is down", func(s *scene) { wiped(s); s.shop.down = true }, makegood.HealPlatformDown, "", heal.HealRefused},
		{"the platform asks us to wait", credentialIs(host.Limited), makegood.HealPlatformDown, "", heal.HealRefused},
		{"somebody deploys", func(s *scene) { wiped(s); s.shop.deploy("", 5*time.Minute, true) }, makegood.HealUnderWay, "", ""},
		{"nothing ever ran", func(s *scene) {
			s.shop.wipe(0)
			s.shop.versions[0].works, s.shop.versions[0].baked = false, nil
		}, makegood.HealNothingGood, "", heal.HealRefused},
		{"nobody allowed it", func(s *scene) { wiped(s); s.manual = true }, makegood.HealNotOptedIn, "", ""},
		{"the truth is empty", truthIs(truthEmpty), "truth_empty", "", heal.HealRefused},
		{"the truth has shrunk", truthIs(truthShrunken), "truth_shrunken", "", heal.HealRefused},
		{"the truth is corrupted", truthIs(truthCorrupted), "truth_corrupted", "", heal.HealRefused},
		{"the truth is an old one", truthIs(truthOlder), "truth_older", "", heal.HealRefused},
		{"the truth has a broken secret", truthIs(truthBroken), "truth_bad_secret", "", heal.HealRefused},
		{"what is known of the truth is lost", func(s *scene) { wiped(s); s.ledger.house["truth/shop"] = "garbage" }, makegood.HealUnrecorded, "", ""},
		{"the credential has a line feed", credentialIs(host.LineFeed), "credential_line_feed", "", heal.HealRefused},
		{"the credential is revoked", credentialIs(host.Revoked), "credential_revoked", "", heal.HealRefused},
		{"the credential may not", credentialIs(host.PermissionMissing), "credential_permission_missing", "", heal.HealRefused},
		{"it cannot be run here", credentialIs(host.NotStarted), "place_not_started", "", heal.HealRefused},
		{"the write is not allowed", func(s *scene) {
			wiped(s)
			s.shop.refuses = map[string]host.Fault{"write": host.PermissionMissing}
		}, makegood.HealWriteFailed, makegood.AttemptFailed, heal.HealFailed},
		{"the platform takes no write", func(s *scene) { wiped(s); s.shop.refuses = map[string]host.Fault{"write": host.PlatformDown} },
			makegood.HealWriteFailed, makegood.AttemptFailed, heal.HealFailed},
		{"the start is not allowed", func(s *scene) { wiped(s); s.shop.refuses = map[string]host.Fault{"start": host.PermissionMissing} },
			makegood.HealStartFailed, makegood.AttemptFailed, heal.HealFailed},
		{"it does not start", func(s *scene) { wiped(s); s.shop.failBuilds = true }, makegood.HealStartFailed, makegood.AttemptReverted, heal.HealFailed},
		{"it starts for too long", func(s *scene) { wiped(s); s.shop.buildTakes = 20 * time.Minute }, makegood.HealStartTooLong, makegood.AttemptReverted, heal.HealFailed},
		{"it is not well afterwards", func(s *scene) { wiped(s); s.shop.sick = true }, makegood.HealNotVerified, makegood.AttemptReverted, heal.HealFailed},
		{"it cannot be taken back", func(s *scene) {
			wiped(s)
			s.shop.sick, s.shop.refuses = true, map[string]host.Fault{"revert": host.PlatformDown}
		}, makegood.HealNotVerified, makegood.AttemptFailed, heal.HealFailed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, tt.before, func(s *scene) {
				if s.mail().run(0); tt.want == makegood.HealOverallLimit {
					time.Sleep(time.Minute)
				}
				s.run(4 * time.Minute)
				for range 60 { // until it has ended
					if !s.isBusy() {
						break
					}
					time.Sleep(10 * time.Second)
				}
				attempts, refusals := s.list()
				k := slices.IndexFunc(append(attempts, refusals...), func(a makegood.HealAttempt) bool { return a.Reason == tt.want })
				if k < 0 {
					s.t.Fatalf("nothing was ended or refused with %s:\n%v", tt.want, s)
				}
				a := append(attempts, refusals...)[k]
				state, kind := tt.state, makegood.MomentNotHealed
				if state == "" {
					state, kind = makegood.AttemptRefused, makegood.MomentHealRefused
				}
				if a.State != state || !strings.HasSuffix(a.Detail, ".") || len(a.Detail) < 20 {
					t.Errorf("state %s, detail %q, want %s and a sentence", a.State, a.Detail, state)
				}
				if a.IncidentID == "" || s.told(kind, "("+string(tt.want)+")") == 0 {
					t.Errorf("not on the record of incident %q", a.IncidentID)
				}
				if got := s.finding(heal.HealRefused); (got != "") != (tt.find == heal.HealRefused) && tt.find != heal.HealFailed {
					t.Errorf("the finding that it is refused is %q", got)
				}
				if tt.find != "" && s.finding(tt.find) == "" {
					t.Errorf("there is no finding %s", tt.find)
				}
				if state == makegood.AttemptRefused && tt.want != makegood.HealTargetLimit && tt.want != makegood.HealOverallLimit && s.shop.writes+len(s.shop.starts) > 0 {
					t.Error("it was refused and done")
				}
			})
		})
	}
}

func (s *scene) mail() *scene { return s }

func (s *scene) isBusy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ledger.running()) > 0
}

// The steps of each remedy, as they go onto an attempt.
func TestRemedies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		remedy string
		before func(s *scene)
		byHand bool // with all
		want   string
	}{
		{"restore-secrets", wiped, false, "recheck credential plan write start wait verify serve tell rollback"},
		{"restore-names", func(s *scene) { s.shop.wipe(1); s.shop.advance() }, false, "recheck credential plan write verify tell"},
		{"start-again", func(s *scene) { s.shop.stopped = "it has exited with status 1"; s.shop.advance() }, false, "recheck credential plan start wait verify serve tell"},
		{"restore-all", func(s *scene) { s.shop.unreadable = true }, true, "recheck credential plan write start wait verify serve tell rollback"},
		{"dispatch", func(s *scene) {
			s.shop.sick = true
			s.shop.advance()
			s.patched = func(_ *heal.Options, all *[]heal.Target) {
				(*all)[0].Place, (*all)[0].Truth, (*all)[0].Needs = workflow{(*all)[0].Place.(*view)}, nil, nil
			}
			go func() { time.Sleep(90 * time.Second); s.set(func() { s.shop.sick = false }) }()
		}, false, "recheck credential plan start wait verify serve tell"},
	} {
		t.Run(tt.remedy, func(t *testing.T) {
			t.Parallel()
			play(t, tt.before, func(s *scene) {
				if tt.byHand {
					if a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", true, nil); err != nil || a.State != makegood.AttemptHealed {
						t.Errorf("Mend = %s, %v", a.State, err)
					}
				} else {
					s.run(4 * time.Minute)
				}
				a := s.wantEnd(makegood.AttemptHealed, "")
				var steps []string
				for _, step := range a.Steps {
					steps = append(steps, step.Name)
					if wantPlace := map[bool]makegood.StepPlace{false: makegood.PlaceDone, true: makegood.PlaceSkipped}[step.Name == "rollback"]; step.State != wantPlace || step.Says == "" {
						t.Errorf("step %s is %s and says %q, want %s", step.Name, step.State, step.Says, wantPlace)
					}
				}
				if got := strings.Join(steps, " "); a.Remedy != tt.remedy || got != tt.want {
					t.Errorf("%s: %s, want %s: %s", a.Remedy, got, tt.remedy, tt.want)
				}
			})
		})
	}
	if got := heal.Remedies(); len(got) != 6 {
		t.Errorf("Remedies = %v", got)
	}
}

// workflow is a place that keeps no variables and mends itself when it is started.
type workflow struct{ at *view }

func (w workflow) Kind() string                    { return "workflow" }
func (w workflow) Check(ctx context.Context) error { return w.at.Check(ctx) }
func (w workflow) Survey(ctx context.Context) (host.Survey, error) {
	s, err := w.at.Survey(ctx)
	return host.Survey{At: s.At, Newest: s.Newest, Good: s.Good, Elsewhere: true}, err
}
func (w workflow) Start(ctx context.Context, s host.Survey, attempt string) (string, error) {
	return w.at.Start(ctx, s, attempt)
}
func (w workflow) Adopt(ctx context.Context, s host.Survey, attempt string) (string, error) {
	return w.at.Adopt(ctx, s, attempt)
}
func (w workflow) Progress(ctx context.Context, run string) (host.Progress, error) {
	return w.at.Progress(ctx, run)
}

// Evidence names the fault; nothing is guessed from what is red.
func TestClassify(t *testing.T) {
	t.Parallel()
	lacks := []vault.Difference{{Name: "B", What: vault.Lacking}, {Name: "A", What: vault.Blank}, {Name: "C", What: vault.Unknown}, {Name: "D", What: vault.Extra}}
	for _, tt := range []struct {
		name  string
		e     heal.Evidence
		want  makegood.HealFault
		names string
	}{
		{"missing and felt", heal.Evidence{Differences: lacks, Felt: true, Writes: true, Starts: true}, makegood.FaultSecretMissing, "A B"},
		{"missing and not felt", heal.Evidence{Differences: lacks, Writes: true, Starts: true}, makegood.FaultSecretDrift, "A B"},
		{"missing and stopped", heal.Evidence{Differences: lacks, Writes: true, Starts: true, Survey: host.Survey{Down: "exited"}}, makegood.FaultSecretMissing, "A B"},
		{"known to be wrong by the program itself", heal.Evidence{Differences: lacks, Wrong: []string{"C", "A"}, Felt: true, Writes: true}, makegood.FaultSecretMissing, "A B C"},
		{"a place that takes no variables", heal.Evidence{Differences: lacks, Felt: true, Starts: true}, makegood.FaultUnknown, ""},
		{"what cannot be read and what nobody needs", heal.Evidence{Differences: lacks[2:], Felt: true, Writes: true, Starts: true}, makegood.FaultUnknown, ""},
		{"stopped", heal.Evidence{Felt: true, Writes: true, Starts: true, Survey: host.Survey{Down: "exited"}}, makegood.FaultStopped, ""},
		{"stopped, and cannot be started", heal.Evidence{Felt: true, Survey: host.Survey{Down: "exited"}}, makegood.FaultUnknown, ""},
		{"a workflow", heal.Evidence{Felt: true, Starts: true, Survey: host.Survey{Elsewhere: true}}, makegood.FaultElsewhere, ""},
		{"a workflow, and nobody feels anything", heal.Evidence{Starts: true, Survey: host.Survey{Elsewhere: true}}, makegood.FaultUnknown, ""},
		{"written and never started", heal.Evidence{Written: []string{"B"}, Felt: true, Writes: true, Starts: true}, makegood.FaultSecretMissing, "B"},
		{"written, and more is missing", heal.Evidence{Written: []string{"C", "B"}, Differences: lacks, Felt: true, Writes: true, Starts: true}, makegood.FaultSecretMissing, "A B C"},
		{"written and not felt", heal.Evidence{Written: []string{"B"}, Writes: true, Starts: true}, makegood.FaultUnknown, ""},
		{"nothing at all", heal.Evidence{Felt: true, Writes: true, Starts: true}, makegood.FaultUnknown, ""},
	} {
		fault, names := heal.Classify(tt.e)
		if got := strings.Join(names, " "); fault != tt.want || got != tt.names {
			t.Errorf("Classify of %s = %s, %q, want %s, %q", tt.name, fault, got, tt.want, tt.names)
		}
	}
}

// A dry run changes nothing and has names only.
func TestPlan(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		planned, err := s.p.healer.Plan(s.ctx, "shop", "operator:ann", false)
		if err != nil || planned.Remedy != "restore-secrets" || len(planned.Names) != 2 || len(planned.Steps) != 10 || planned.Reason != "" || planned.Cause == "" {
			t.Errorf("Plan = %+v, %v", planned, err)
		}
		checkHidden(t, "Plan", fmt.Sprintf("%+v", planned))
		s.setBrake(true)
		if planned, err = s.p.healer.Plan(s.ctx, "shop", "operator:ann", true); err != nil || planned.Reason != makegood.HealPaused || len(planned.Names) != 3 {
			t.Errorf("Plan with the brake on = %+v, %v, want the reason and what would be done", planned, err)
		}
		if _, err := s.p.healer.Plan(s.ctx, "nowhere", "operator:ann", true); makegood.CodeOf(err) != makegood.NotFound || !strings.Contains(err.Error(), "shop, mail") {
			t.Errorf("Plan of nowhere = %v, want the names that there are", err)
		}
		attempts, refusals := s.list()
		if len(attempts)+len(refusals)+s.shop.writes+len(s.shop.starts)+len(s.record.lines) > 0 {
			t.Errorf("the dry run left something:\n%v", s)
		}
	})
}

// A person needs no patience and no opt-in; every guard and every limit holds.
func TestMend(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(s *scene)
		all    bool
		want   makegood.HealReason
	}{
		{"at once, and without an opt-in", func(s *scene) { wiped(s); s.manual = true }, false, ""},
		{"drift is felt when a person asks", func(s *scene) { s.shop.wipe(1) }, false, ""},
		{"everything, whatever is seen", func(s *scene) { s.shop.unreadable = true }, true, ""},
		{"although others are down", func(s *scene) { wiped(s); s.mass, s.blind = true, true }, false, ""},
		{"nothing is wrong", func(s *scene) { s.shop.unreadable = true }, false, makegood.HealNothingToWrite},
		{"the brake is on", func(s *scene) { wiped(s); s.setBrake(true) }, true, makegood.HealPaused},
		{"the truth is bad", func(s *scene) { wiped(s); s.truth = truthShrunken }, true, "truth_shrunken"},
		{"the credential is bad", func(s *scene) { wiped(s); s.shop.credential = host.Expired }, true, "credential_expired"},
		{"somebody deploys", func(s *scene) { wiped(s); s.shop.deploy("", time.Hour, true) }, true, makegood.HealUnderWay},
		{"the limit is reached", func(s *scene) {
			wiped(s)
			for _, id := range []string{"att1", "att2"} {
				s.ledger.put(makegood.HealAttempt{ID: id, Target: "shop", State: makegood.AttemptFailed, Reason: makegood.HealNotVerified, StartedAt: time.Now(), CountsAt: time.Now()})
			}
			s.record.lines = []line{{kind: makegood.MomentNotHealed}}
		}, true, makegood.HealTargetLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, tt.before, func(s *scene) {
				var seen int
				a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", tt.all, func(makegood.HealAttempt) { seen++ })
				var no *makegood.HealRefusal
				if tt.want == "" {
					if err != nil || a.State != makegood.AttemptHealed || a.Actor != "operator:ann" || seen < 10 || s.shop.starts[a.ID] != 1 {
						t.Errorf("Mend = %s by %s, %v, with %d changes seen", a.State, a.Actor, err, seen)
					}
					return
				}
				if !errors.As(err, &no) || no.Reason != tt.want || s.shop.writes+len(s.shop.starts) > 0 {
					t.Errorf("Mend = %v, want %s and nothing done", err, tt.want)
				}
				if _, refusals := s.list(); len(refusals) != 1 || refusals[0].Reason != tt.want || refusals[0].Actor != "operator:ann" {
					t.Errorf("refusals = %+v", refusals)
				}
			})
		})
	}
}

// Whoever asks while an attempt is under way is told which one, and joins it.
func TestMendJoins(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		s.run(80 * time.Second)
		_, err := s.p.healer.Mend(s.ctx, "mail", "operator:ann", true, nil)
		var no *makegood.HealRefusal
		if !errors.As(err, &no) || no.Reason != makegood.HealBusy || no.Attempt != s.only().ID {
			t.Errorf("Mend = %v, want busy with %s", err, s.only().ID)
		}
		s.run(2 * time.Minute)
		s.wantEnd(makegood.AttemptHealed, "")
	})
}

// Of two who ask at the same moment one is admitted, and the other is told which, on the record too.
func TestMendAtOnce(t *testing.T) {
	t.Parallel()
	before := func(s *scene) {
		s.wipe(s.shop)
		s.wipe(s.places["mail"])
		s.onCall = func(_ *process, call string, isAfter bool) {
			if call == "begin" && !isAfter {
				time.Sleep(time.Second) // both have been let through by then
			}
		}
	}
	play(t, before, func(s *scene) {
		var errs [2]error
		var both sync.WaitGroup
		for k, name := range []string{"shop", "mail"} {
			both.Go(func() { _, errs[k] = s.p.healer.Mend(s.ctx, name, "operator:ann", false, nil) })
		}
		both.Wait()
		a := s.wantEnd(makegood.AttemptHealed, "")
		var no *makegood.HealRefusal
		if err := errors.Join(errs[:]...); !errors.As(err, &no) || no.Reason != makegood.HealBusy || no.Attempt != a.ID {
			t.Errorf("Mend of both = %v, want busy with %s", err, a.ID)
		}
		if _, refusals := s.list(); len(refusals) != 1 || refusals[0].Reason != makegood.HealBusy {
			t.Errorf("refusals = %+v", refusals)
		}
	})
}

// Whoever asked may go away: the healer goes on with the attempt.
func TestMendAbandoned(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		time.Sleep(5 * time.Second) // until the trouble is seen
		ctx, cancel := context.WithCancel(s.ctx)
		s.set(func() {
			s.onCall = func(_ *process, call string, isAfter bool) {
				if call == "write" && !isAfter {
					cancel()
					s.set(func() { s.blind, s.onCall = true, nil }) // a person knows more than we see
				}
			}
		})
		a, err := s.p.healer.Mend(ctx, "shop", "operator:ann", false, nil)
		if a.State != makegood.AttemptRunning {
			t.Errorf("Mend = %s, %v", a.State, err)
		}
		s.run(3 * time.Minute)
		if a := s.wantEnd(makegood.AttemptHealed, ""); s.shop.starts[a.ID] != 1 || s.told(makegood.MomentHealing, "gone on with") != 1 {
			t.Errorf("%d starts", s.shop.starts[a.ID])
		}
		if got := s.shop.servedFrom; !got.Equal(s.shop.firstRed[0]) {
			t.Errorf("served those who waited since %v, want since the first red look %v", got, s.shop.firstRed[0])
		}
	})
}

// The brake is obeyed within a second, in every phase, and what was begun is left as it is.
func TestBrakeInEveryPhase(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"write", "start", "wait", "verify", "serve", "rollback"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			var at time.Time
			before := func(s *scene) {
				wiped(s)
				s.shop.waiting, s.shop.sick = 100, phase == "rollback" || phase == "verify"
				s.patched = func(o *heal.Options, _ *[]heal.Target) {
					o.Changed = func(a makegood.HealAttempt) {
						if step := a.Step(phase); at.IsZero() && step != nil && step.State == makegood.PlaceRunning {
							at = time.Now().Add(100 * time.Millisecond)
							s.set(func() { s.shop.slow = 14 * time.Second })
							go func() { time.Sleep(100 * time.Millisecond); s.setBrake(true) }()
						}
					}
				}
			}
			play(t, before, func(s *scene) {
				s.run(5 * time.Minute)
				a := s.only()
				state, reason := makegood.AttemptStopped, makegood.HealPaused
				if phase == "serve" { // it was verified before
					state, reason = makegood.AttemptHealed, ""
				}
				if phase == "rollback" {
					state, reason = makegood.AttemptFailed, makegood.HealNotVerified
				}
				if a.State != state || a.Reason != reason {
					t.Errorf("ended as %s, %q, want %s, %q", a.State, a.Reason, state, reason)
				}
				if d := a.EndedAt.Sub(at); d > time.Second || at.IsZero() {
					t.Errorf("ended %v after the brake was put on, want a second at most", d)
				}
			})
		})
	}
}

// The brake is there after a restart, and what it stopped is not gone on with.
func TestBrakeOverRestart(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		s.run(70 * time.Second)
		s.setBrake(true)
		s.another("server again")
		s.run(2 * time.Minute)
		s.wantEnd(makegood.AttemptStopped, makegood.HealPaused)
		s.setBrake(false)
		s.run(3 * time.Minute)
		if s.only(); !s.shop.illSince.IsZero() { // what was begun was left as it is
			t.Errorf("after the brake was taken off:\n%v", s)
		}
	})
}

// What was written before the brake and never started is started when it is off: the place shows nothing missing by then.
func TestWrittenAndNeverStarted(t *testing.T) {
	t.Parallel()
	before := func(s *scene) {
		wiped(s)
		s.shop.refuses = map[string]host.Fault{"start": host.PermissionMissing}
	}
	play(t, before, func(s *scene) {
		s.run(70 * time.Second)
		s.set(func() { s.shop.refuses = nil })
		s.run(40 * time.Second)
		s.wantEnd(makegood.AttemptFailed, makegood.HealStartFailed) // and it is given a minute
		s.run(3 * time.Minute)
		if attempts, _ := s.list(); len(attempts) != 2 || attempts[1].State != makegood.AttemptHealed || len(attempts[1].Names) != 2 {
			t.Errorf("a write without a start is not made good:\n%v", s)
		}
	})
}

// A person who asks after such an attempt need not know it, nor wait.
func TestWrittenAndStartedByHand(t *testing.T) {
	t.Parallel()
	before := func(s *scene) { wiped(s); s.shop.refuses = map[string]host.Fault{"start": host.PermissionMissing} }
	play(t, before, func(s *scene) {
		s.run(65 * time.Second)
		s.set(func() { s.shop.refuses = nil })
		if a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", false, nil); err != nil || a.State != makegood.AttemptHealed || len(a.Names) != 2 {
			t.Errorf("Mend = %s of %v, %v", a.State, a.Names, err)
		}
	})
}

// After an attempt, which takes minutes, the troubles of the other targets are read anew: one of them may be a blip by then.
func TestTroublesAreReadAnew(t *testing.T) {
	t.Parallel()
	play(t, func(s *scene) { s.wipe(s.shop); s.wipe(s.places["mail"]) }, func(s *scene) {
		s.run(70 * time.Second)
		mail := s.places["mail"]
		s.set(func() {
			for _, n := range needs {
				mail.vars[n.Name] = values[n.Name]
			}
			mail.deploy("", 0, true)
		})
		s.run(35 * time.Second)
		s.wipe(mail)
		s.run(40 * time.Second)
		s.wantEnd(makegood.AttemptHealed, "") // that of the shop
		s.run(3 * time.Minute)
		if attempts, _ := s.list(); len(attempts) != 2 || attempts[1].Target != "mail" || attempts[1].State != makegood.AttemptHealed {
			t.Errorf("the other one was not mended in its turn:\n%v", s)
		}
	})
}

// The incident stays open while an attempt is under way, whoever makes it, and from the first moment after a restart.
func TestHolds(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		holds := func(p *process, want bool, when string) {
			t.Helper()
			if got := p.healer.Holds("monitor/shop"); got != want {
				t.Errorf("Holds %s = %t, want %t", when, got, want)
			}
			if p.healer.Holds("monitor/other") {
				t.Errorf("Holds of another %s", when)
			}
		}
		holds(s.p, true, "before the ledger was asked")
		s.run(10 * time.Second)
		holds(s.p, false, "before the attempt")
		s.run(70 * time.Second)
		holds(s.p, true, "in it")
		watcher := s.start("watcher")
		watcher.healer.Tick(s.ctx)
		holds(watcher, true, "of another program")
		s.another("server again")
		holds(s.p, true, "after a restart")
		s.run(5 * time.Second)
		holds(s.p, true, "before it is taken over")
		s.run(3 * time.Minute)
		s.wantEnd(makegood.AttemptHealed, "")
		holds(s.p, false, "afterwards")
	})
}

// The same refusal of the same trouble is written down once in ten minutes, over restarts too; another reason at once.
func TestRefusalsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	before := func(s *scene) { wiped(s); s.shop.credential = host.Expired }
	play(t, before, func(s *scene) {
		count := func(want int, when string) {
			t.Helper()
			if _, refusals := s.list(); len(refusals) != want || s.told(makegood.MomentHealRefused, "") != want {
				t.Errorf("%d refusals and %d lines %s, want %d", len(refusals), s.told(makegood.MomentHealRefused, ""), when, want)
			}
		}
		s.run(5 * time.Minute)
		count(1, "of one reason")
		s.another("server again")
		s.run(2 * time.Minute)
		count(1, "after a restart")
		for range 10 { // it changes to and fro
			s.set(func() { s.shop.credential = host.Revoked })
			s.run(10 * time.Second)
			s.set(func() { s.shop.credential = host.Expired })
			s.run(10 * time.Second)
		}
		count(2, "of two reasons")
		s.run(time.Minute)
		count(3, "of two reasons, one of them ten minutes old")
		if !strings.Contains(s.finding(heal.HealRefused), "https://dash.example/tokens") {
			t.Errorf("the finding is %q, want where it is mended", s.finding(heal.HealRefused))
		}
		s.set(func() { s.shop.credential = "" })
		s.run(2 * time.Minute)
		if a := s.wantEnd(makegood.AttemptHealed, ""); s.finding(heal.HealRefused) != "" {
			t.Errorf("%s, and still refused: %s", a.State, s.finding(heal.HealRefused))
		}
	})
}

// A place that cannot be mended is not asked every second.
func TestPlaceIsNotPestered(t *testing.T) {
	t.Parallel()
	checks := 0
	before := func(s *scene) {
		s.shop.sick = true
		s.shop.advance()
		s.onCall = func(_ *process, call string, isAfter bool) {
			if call == "survey" && !isAfter {
				s.set(func() { checks++ })
			}
		}
	}
	play(t, before, func(s *scene) {
		s.run(11 * time.Minute)
		s.p.die()
		if checks < 60 || checks > 130 {
			t.Errorf("%d looks in ten minutes, want one in five seconds", checks)
		}
	})
}

// What is the matter is told while it is the matter, and that a refusal ends is told only by whoever knows.
func TestFindings(t *testing.T) {
	t.Parallel()
	before := func(s *scene) { wiped(s); s.shop.credential = host.Expired }
	play(t, before, func(s *scene) {
		s.run(80 * time.Second)
		s.setBrake(true)
		s.run(20 * time.Second)
		if s.finding(heal.HealRefused) == "" {
			t.Error("the brake has mended the credential")
		}
		s.setBrake(false)
		s.set(func() { s.shop.credential = ""; s.shop.sick = true })
		s.run(3 * time.Minute) // the first attempt fails
		if s.finding(heal.HealFailed) == "" || s.finding(heal.HealRefused) != "" {
			t.Errorf("after an attempt that did not help: %v", s.record.open)
		}
		s.set(func() { s.shop.sick = false; s.shop.deploy("", 0, true) })
		s.run(30 * time.Second)
		if s.finding(heal.HealFailed) != "" {
			t.Errorf("it is well, and still: %v", s.record.open)
		}
	})
}

// Those who waited are served for as long as one of them waits; that they cannot be served fails no heal.
func TestServe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(s *scene)
		least  time.Duration
		tells  string
	}{
		{"until nobody waits", func(s *scene) { s.shop.waiting = 30 }, 30 * time.Second, "all of them have their goods"},
		{"for two minutes", func(s *scene) { s.shop.waiting = 999 }, 2 * time.Minute, "still wait"},
		{"and the server is down", func(s *scene) { s.shop.serveFails = true }, 2 * time.Minute, "The server does not answer."},
		{"and the server is older", func(s *scene) { s.shop.serverOld = true }, 10 * time.Second, "The server is older than its watcher."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			play(t, func(s *scene) { wiped(s); tt.before(s) }, func(s *scene) {
				s.run(6 * time.Minute)
				a := s.wantEnd(makegood.AttemptHealed, "")
				step := a.Step("serve")
				if d := step.EndedAt.Sub(step.StartedAt); d < tt.least-2*time.Second || d > tt.least+5*time.Second {
					t.Errorf("served for %v, want %v", d, tt.least)
				}
				if s.told(makegood.MomentServed, tt.tells) != 1 {
					t.Errorf("%q is not on the record: %s", tt.tells, step.Note)
				}
			})
		})
	}
}

// When a person asks before anybody saw that it is broken, those who waited are looked for an hour back.
func TestServeWithoutABeginning(t *testing.T) {
	t.Parallel()
	play(t, func(s *scene) { s.shop.wipe(1) }, func(s *scene) {
		a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", false, nil)
		if err != nil || !s.shop.servedFrom.Equal(a.StartedAt.Add(-time.Hour)) {
			t.Errorf("served from %v, %v, want an hour before %v", s.shop.servedFrom, err, a.StartedAt)
		}
	})
}

func TestServedSentences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		s    heal.Served
		want string
	}{
		{heal.Served{}, "Nobody waited."},
		{heal.Served{Waited: 1, Longest: 90 * time.Second}, "1 customer had paid and waited, the longest for 1m30s; all of them have their goods."},
		{heal.Served{Waited: 3, Waiting: 2, Longest: time.Minute, Pulled: 4, Again: 1, Note: "Look at them."},
			"3 customers had paid and waited; 2 still wait, the longest for 1m0s. 4 events were fetched that could not be delivered, and 1 jobs done again. Look at them."},
	} {
		if got := tt.s.String(); got != tt.want {
			t.Errorf("String of %+v = %q, want %q", tt.s, got, tt.want)
		}
	}
}

// The answer of a start is lost after its effect: it is found by its attempt, and nothing is begun twice.
func TestAnswersAreLost(t *testing.T) {
	t.Parallel()
	play(t, func(s *scene) { wiped(s); s.shop.loses = 1 }, func(s *scene) {
		s.run(3 * time.Minute)
		if a := s.wantEnd(makegood.AttemptHealed, ""); s.shop.starts[a.ID] != 1 || !strings.Contains(a.Step("start").Note, "found after its answer was lost") {
			t.Errorf("%d starts, %q", s.shop.starts[a.ID], a.Step("start").Note)
		}
	})
}

// The end of an attempt is kept and the ledger says that it was not: it is told, and whoever asked hears it.
func TestEndIsTold(t *testing.T) {
	t.Parallel()
	before := func(s *scene) {
		wiped(s)
		hasFound := false // which comes right before the end is written down
		s.onCall = func(_ *process, call string, isAfter bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			hasFound = hasFound || call == "found"
			s.ledger.failsAfter = 0
			if hasFound && call == "amend" && !isAfter && len(s.ledger.running()) == 1 {
				s.ledger.failsAfter = 1
			}
		}
	}
	play(t, before, func(s *scene) {
		a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", false, nil)
		if err != nil || a.State != makegood.AttemptHealed {
			t.Errorf("Mend = %s, %v, want healed", a.State, err)
		}
		if s.finding(heal.Healed) == "" {
			t.Error("nobody was told")
		}
	})
}

// A program that was stopped for minutes and goes on finds the attempt in other hands, and does nothing.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err = s.p.healer.Mend(s.ctx, "shop", "operator:ann", false, nil)
		}()
		time.Sleep(20 * time.Second)
		s.set(func() { s.p.frozenUntil = time.Now().Add(40 * time.Second) })
		time.Sleep(16 * time.Second)
		watcher := s.start("watcher")
		watcher.healer.Tick(s.ctx)
		<-done
		var no *makegood.HealRefusal
		if !errors.As(err, &no) || no.Reason != makegood.HealOvertaken || no.Attempt != s.only().ID {
			t.Errorf("Mend = %v, want overtaken", err)
		}
		if a := s.wantEnd(makegood.AttemptHealed, ""); a.Holder != "watcher" || s.shop.starts[a.ID] != 1 {
			t.Errorf("held by %s, %d starts", a.Holder, s.shop.starts[a.ID])
		}
	})
}

// A program that was stopped between its looks and its attempt looks again before it changes anything.
func TestStaleLooks(t *testing.T) {
	t.Parallel()
	before := func(s *scene) {
		wiped(s)
		s.onCall = func(p *process, call string, isAfter bool) {
			if call == "begin" && !isAfter {
				time.Sleep(20 * time.Second)
				s.set(func() { s.truth = truthShrunken })
			}
		}
	}
	play(t, before, func(s *scene) {
		s.run(2 * time.Minute)
		s.wantEnd(makegood.AttemptStopped, "truth_shrunken")
		if s.shop.writes > 0 {
			t.Error("values were written that had been read long before")
		}
	})
}

// What somebody else has deployed after us is not ours to take back.
func TestOthersAreNotTakenBack(t *testing.T) {
	t.Parallel()
	play(t, func(s *scene) { wiped(s); s.shop.sick = true }, func(s *scene) {
		s.run(61*time.Second + 46*time.Second + 30*time.Second)
		s.set(func() { s.shop.deploy("", 0, true) })
		s.run(time.Minute)
		if a := s.wantEnd(makegood.AttemptFailed, makegood.HealNotVerified); !strings.Contains(a.Detail, "somebody else has deployed since") || s.shop.reverts > 0 {
			t.Errorf("%d reverts, %q", s.shop.reverts, a.Detail)
		}
	})
}

// Somebody who begins to deploy between our write and our start is waited for.
func TestOthersAreWaitedFor(t *testing.T) {
	t.Parallel()
	before := func(s *scene) {
		wiped(s)
		s.onCall = func(_ *process, call string, isAfter bool) {
			if call == "write" && isAfter {
				s.set(func() { s.shop.deploy("", time.Minute, true) })
			}
		}
	}
	play(t, before, func(s *scene) {
		s.run(4 * time.Minute)
		a := s.wantEnd(makegood.AttemptHealed, "")
		if start := a.Step("start"); start.EndedAt.Sub(start.StartedAt) < time.Minute {
			t.Errorf("started after %v, while somebody else deployed for a minute", start.EndedAt.Sub(start.StartedAt))
		}
	})
	before = func(s *scene) {
		wiped(s)
		s.onCall = func(_ *process, call string, isAfter bool) {
			if call == "write" && isAfter {
				s.set(func() { s.shop.deploy("", time.Hour, true) })
			}
		}
	}
	play(t, before, func(s *scene) {
		s.run(9 * time.Minute)
		if a := s.wantEnd(makegood.AttemptFailed, makegood.HealUnderWay); len(s.shop.starts)+s.shop.reverts > 0 {
			t.Errorf("%d starts, %d reverts, %s", len(s.shop.starts), s.shop.reverts, a.Detail)
		}
	})
}

// While people feel something, what they do not feel waits.
func TestDriftWaits(t *testing.T) {
	t.Parallel()
	before := func(s *scene) { s.shop.wipe(1); s.shop.advance() }
	play(t, before, func(s *scene) {
		s.run(30 * time.Second)
		s.set(func() { s.shop.deploy("", 0, true) })
		s.run(4 * time.Minute)
		if a := s.wantEnd(makegood.AttemptHealed, ""); a.Remedy != "restore-secrets" {
			t.Errorf("mended by %s", a.Remedy)
		}
	})
}

// What the inspection asks: drift, the credential and the source, each in words and without a value.
func TestInspection(t *testing.T) {
	t.Parallel()
	play(t, func(*scene) {}, func(s *scene) {
		target, err := s.p.healer.Target("shop")
		if err != nil {
			t.Fatal(err)
		}
		ask := func() string {
			var all []string
			for _, question := range []func(context.Context, heal.Target) (string, error){s.p.healer.Drift, s.p.healer.Credential, s.p.healer.Source} {
				trouble, err := question(s.ctx, target)
				all = append(all, fmt.Sprint(trouble, err != nil))
			}
			return strings.Join(all, " | ")
		}
		for _, tt := range []struct {
			name  string
			does  func()
			tells []string
		}{
			{"all is well", func() {}, []string{"false | false | false"}},
			{"wiped", func() { s.shop.wipe(1) }, []string{"STRIPE_WEBHOOK_SECRET is missing", "RESEND_API_KEY is missing. Likely cause: the settings"}},
			{"expired", func() { s.shop.credential = host.Expired }, []string{"expired: The token is not good. Mend it at https://dash.example/tokens."}},
			{"down", func() { s.shop.down = true }, []string{"true | true | false"}},
			{"shrunken", func() { s.shop.down, s.shop.credential, s.truth = false, "", truthShrunken }, []string{"shrunken: NOTE was in the source"}},
		} {
			s.set(tt.does)
			got := ask()
			for _, want := range tt.tells {
				if !strings.Contains(got, want) {
					t.Errorf("%s: %q, want it to tell %q", tt.name, got, want)
				}
			}
			checkHidden(t, "the inspection", got)
		}
		if err := s.p.healer.Forget(s.ctx, target); err != nil {
			t.Fatal(err)
		}
		if got, err := s.p.healer.Source(s.ctx, target); got != "" || err != nil {
			t.Errorf("Source after Forget = %q, %v: a person said that it may be smaller", got, err)
		}
		s.set(func() { s.ledger.failsBefore = 1 })
		if _, err := s.p.healer.Source(s.ctx, target); err == nil {
			t.Error("Source without a ledger has no error")
		}
		s.set(func() { s.ledger.failsBefore = 0 })
	})
}

// A target that says nothing of its pace gets the usual one, and not none.
func TestDefaults(t *testing.T) {
	t.Parallel()
	h := heal.New(heal.Options{}, "healed/shop")
	if _, err := h.Target("shop"); makegood.CodeOf(err) != makegood.NotFound {
		t.Errorf("Target without any = %v", err)
	}
	h.SetTargets([]heal.Target{{Name: "shop"}})
	got, err := h.Target("shop")
	if err != nil || got.Patience != heal.DefaultPatience || got.StartWithin != heal.DefaultStartWithin || got.Steady != heal.DefaultSteady ||
		got.VerifyEvery != heal.DefaultVerifyEvery || got.VerifyWithin != heal.DefaultVerifyWithin || h.Limits != makegood.DefaultHealLimits {
		t.Errorf("Target = %+v, %v", got, err)
	}
}

// No printer shows a value, whatever is printed.
func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	w := newWorld(1, "shop")
	target := w.start("server").target("shop")
	truth := vault.Truth{Values: map[string]secret.Value{"STRIPE_API_KEY": secret.New(values["STRIPE_API_KEY"])}}
	for _, v := range []any{target, truth, host.Setting{Name: "STRIPE_API_KEY", Value: truth.Values["STRIPE_API_KEY"]}, vault.Remember(truth),
		&makegood.HealRefusal{Reason: makegood.HealBusy, Sentence: "It is busy."}, &host.Diagnosis{Fault: host.Expired, Sentence: "It has expired."}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			checkHidden(t, fmt.Sprintf("%T with %s", v, format), fmt.Sprintf(format, v))
		}
	}
}

// Run ticks until it is told to end, and leaves what it did as it is.
func TestRun(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		ctx, cancel := context.WithCancel(s.ctx)
		done := make(chan struct{})
		go func() { defer close(done); s.p.healer.Run(ctx) }()
		time.Sleep(70 * time.Second)
		cancel()
		<-done
		if a := s.only(); a.State != makegood.AttemptRunning {
			t.Errorf("shut down in the middle: %s", a.State)
		}
		s.run(3 * time.Minute)
		s.wantEnd(makegood.AttemptHealed, "")
	})
}

// While an attempt is under way its findings are its own: that the trouble is gone says nothing before it is verified.
func TestFindingsOfAnAttemptStay(t *testing.T) {
	t.Parallel()
	play(t, func(s *scene) { wiped(s); s.shop.sick = true }, func(s *scene) {
		s.run(3 * time.Minute) // one that does not help
		if s.finding(heal.HealFailed) == "" {
			t.Error("nobody was told that it did not help")
		}
		s.set(func() { s.shop.sick, s.shop.waiting = false, 30 })
		if a, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", true, nil); err != nil || a.State != makegood.AttemptHealed {
			t.Errorf("Mend = %s, %v", a.State, err)
		}
		s.run(2 * time.Second)
		if got := strings.Join(s.record.all, "\n"); !strings.Contains(got, "heal-failed/shop ended: it is healed") {
			t.Errorf("the finding was ended by somebody else:\n%s", got)
		}
	})
}

// What happens between our write and what follows it.
func TestAfterTheWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		before func(s *scene)
		does   func(s *scene)
		want   makegood.HealReason
		tells  string
	}{
		{"no version is good any more", wiped, func(s *scene) {
			for k := range s.shop.versions {
				s.shop.versions[k].works = false
			}
		}, makegood.HealNothingGood, "a person has to deploy one"},
		{"the platform goes down", wiped, func(s *scene) { s.shop.down = true }, makegood.HealPlatformDown, "The variables are written, but the place does not answer"},
		{"the names are taken away again", func(s *scene) { s.shop.wipe(1); s.shop.advance() }, func(s *scene) { s.shop.wipe(2) },
			makegood.HealNotVerified, "RESEND_API_KEY not there"},
		{"the platform goes down after the names", func(s *scene) { s.shop.wipe(1); s.shop.advance() }, func(s *scene) { s.shop.down = true },
			makegood.HealNotVerified, "the place cannot be looked at"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before := func(s *scene) {
				tt.before(s)
				s.onCall = func(_ *process, call string, isAfter bool) {
					if call == "write" && isAfter {
						s.set(func() { tt.does(s) })
					}
				}
			}
			play(t, before, func(s *scene) {
				s.run(61*time.Second + 7*time.Minute)
				attempts, _ := s.list()
				if a := attempts[0]; a.State != makegood.AttemptFailed || a.Reason != tt.want || !strings.Contains(a.Detail, tt.tells) {
					t.Errorf("ended as %s, %s: %q, want failed, %s that tells %q", a.State, a.Reason, a.Detail, tt.want, tt.tells)
				}
				if len(s.shop.starts)+s.shop.reverts > 0 {
					t.Errorf("%d starts, %d reverts", len(s.shop.starts), s.shop.reverts)
				}
				s.set(func() { s.shop.down = false; s.onCall = nil })
				for s.isBusy() {
					time.Sleep(10 * time.Second)
				}
			})
		})
	}
}

// A ledger that cannot be asked: nothing is done, whoever asks.
func TestWithoutALedger(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		s.set(func() { s.ledger.failsBefore = 1 })
		s.run(2 * time.Minute)
		if _, err := s.p.healer.Mend(s.ctx, "shop", "operator:ann", true, nil); !errors.Is(err, errLedger) {
			t.Errorf("Mend = %v", err)
		}
		if _, err := s.p.healer.Plan(s.ctx, "shop", "operator:ann", true); !errors.Is(err, errLedger) {
			t.Errorf("Plan = %v", err)
		}
		if _, err := s.p.healer.Mend(s.ctx, "nowhere", "operator:ann", true, nil); makegood.CodeOf(err) != makegood.NotFound {
			t.Errorf("Mend of nowhere = %v", err)
		}
		if !s.p.healer.Holds("monitor/shop") {
			t.Error("nobody knows whether an attempt runs, and the incident may end")
		}
		if s.shop.writes+len(s.shop.starts) > 0 {
			t.Error("something was done that was not written down")
		}
		s.set(func() { s.ledger.failsBefore = 0 })
		s.run(2 * time.Minute)
		s.wantEnd(makegood.AttemptHealed, "")
	})
}

// An attempt whose row cannot be understood any more is stopped, and not guessed at.
func TestUnreadableAttempt(t *testing.T) {
	t.Parallel()
	play(t, wiped, func(s *scene) {
		s.run(70 * time.Second)
		s.p.die()
		s.set(func() { s.ledger.attempts[s.ledger.tried[0]].Before = "{" })
		s.p = s.start("server again")
		s.run(30 * time.Second)
		s.wantEnd(makegood.AttemptStopped, makegood.HealInterrupted)
	})
}
