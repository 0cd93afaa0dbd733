package fulfill_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/fulfill"
	"github.com/makegood/makegood/internal/mail"
	"github.com/makegood/makegood/internal/outbound"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/simulate"
	"github.com/makegood/makegood/internal/store/storetest"
)

// seeker is a courier whose other side can be looked at.
type seeker struct {
	*courier
	receipt string
	found   bool
	err     error
	since   []time.Time
}

func (s *seeker) Find(_ context.Context, message []byte, since time.Time) (string, bool, error) {
	s.since = append(s.since, since)
	if len(s.brought) > 0 && string(message) != s.brought[0] {
		return "", false, fmt.Errorf("looked for %q, sent was %q", message, s.brought[0])
	}
	return s.receipt, s.found, s.err
}

// What became of an attempt whose end nobody knows, when the other side has forgotten that it would be a repetition.
func TestLookBack(t *testing.T) {
	t.Parallel()
	const almostADay = 23 * time.Hour
	broken := errors.New("status 500")
	for _, tt := range []struct {
		name     string
		later    time.Duration
		seeker   seeker
		looked   int
		brought  int // in all
		state    makegood.StepState
		receipt  string
		doubtful bool
		err      error
	}{
		{"it is found", almostADay, seeker{receipt: "remote-7", found: true}, 1, 1, makegood.StepDone, "remote-7", false, nil},
		{"it certainly did not happen", almostADay, seeker{}, 1, 2, makegood.StepDone, "receipt-1", false, nil},
		{"nobody can look", almostADay, seeker{err: fmt.Errorf("a key that may only send: %w", fulfill.ErrCannotLook)}, 1, 1, makegood.StepOwed, "", true, nil},
		{"just now nobody answers", almostADay, seeker{err: broken}, 1, 1, makegood.StepOwed, "", false, broken},
		{"just before it is forgotten nobody looks", almostADay - time.Second, seeker{receipt: "remote-7", found: true}, 0, 2, makegood.StepDone, "receipt-1", false, nil},
		{"a month later", 30 * 24 * time.Hour, seeker{receipt: "remote-7", found: true}, 1, 1, makegood.StepDone, "remote-7", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			effect := tt.seeker
			effect.courier = &courier{remembers: 24 * time.Hour}
			s := newShop(t, storetest.SQLite(t), &effect)
			s.Store = &forgetful{Store: s.store}
			if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
				t.Fatalf("Work = %v, want the crash", err)
			}
			s.clock.move(tt.later)
			err := s.Work(t.Context(), s.job)
			var permanent *makegood.Permanent
			isDoubtful := errors.As(err, &permanent) && permanent.Reason == makegood.DeadDoubtful
			if isDoubtful != tt.doubtful || tt.err != nil && (!errors.Is(err, tt.err) || permanent != nil) || tt.err == nil && !tt.doubtful && err != nil {
				t.Errorf("Work %v later = %v, want doubtful %v, or %v for the queue to repeat", tt.later, err, tt.doubtful, tt.err)
			}
			if len(effect.since) != tt.looked || len(effect.brought) != tt.brought {
				t.Errorf("looked %d times and brought %d times, want %d and %d", len(effect.since), len(effect.brought), tt.looked, tt.brought)
			}
			for _, since := range effect.since {
				if !since.Equal(noon) {
					t.Errorf("looked since %v, want since the attempt in doubt, %v", since, noon)
				}
			}
			if step := s.step(t); step.State != tt.state || step.Receipt != tt.receipt {
				t.Errorf("step = %+v, want %s with the receipt %q", step, tt.state, tt.receipt)
			}
		})
	}
}

// Having looked and found nothing, a refusal leaves no doubt; another lost answer leaves it where it began.
func TestLookBackThenFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  error
		want time.Time
	}{
		{"refused", &fulfill.NoEffect{Err: errors.New("refused")}, time.Time{}},
		{"timed out", errors.New("timed out"), noon},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			effect := &seeker{courier: &courier{remembers: 24 * time.Hour}}
			s := newShop(t, storetest.SQLite(t), effect)
			s.Store = &forgetful{Store: s.store}
			if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
				t.Fatalf("Work = %v, want the crash", err)
			}
			s.clock.move(23 * time.Hour)
			effect.bring = func(context.Context) (string, error) { return "", tt.end }
			if err := s.Work(t.Context(), s.job); !errors.Is(err, tt.end) || !s.step(t).UncertainSince.Equal(tt.want) {
				t.Errorf("Work = %v, step %+v, want doubt since %v", err, s.step(t), tt.want)
			}
		})
	}
}

// A person asked for the mail once more, and the answer was lost. What is found afterwards may be the mail of the round
// before, which says nothing of this one.
func TestLookBackFindsAnEarlierRound(t *testing.T) {
	t.Parallel()
	effect := &seeker{courier: &courier{remembers: 24 * time.Hour}, receipt: "receipt-1", found: true}
	s := newShop(t, storetest.SQLite(t), effect)
	if err := s.Work(t.Context(), s.job); err != nil {
		t.Fatal(err)
	}
	_, err := s.store.AmendOrder(t.Context(), makegood.Amendment{OrderID: s.job.OrderID, Actor: "test",
		Change: func(o *makegood.Order, _ func(string) bool) ([]makegood.Entry, error) {
			o.Again(makegood.EffectEmail, false, s.clock.now())
			return nil, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	s.Store = &forgetful{Store: s.store}
	effect.bring = func(context.Context) (string, error) { return "receipt-2", nil }
	if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
		t.Fatalf("Work = %v, want the crash", err)
	}
	s.clock.move(23 * time.Hour)
	if err := s.Work(t.Context(), s.job); err != nil || len(effect.brought) != 3 || s.step(t).Receipt != "receipt-2" {
		t.Errorf("Work = %v, brought %d times, step %+v; want the round sent, because only the mail before it was found", err, len(effect.brought), s.step(t))
	}
}

// The whole way with the mail service: it accepted the mail, the process died, and came back after a day. One mail in the
// inbox, or, with a key that may not look, a person who is told where to look.
func TestLookBackAtResend(t *testing.T) {
	t.Parallel()
	for _, mayLook := range []bool{true, false} {
		t.Run(fmt.Sprintf("may look %v", mayLook), func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, url string) {
				resend := simulate.NewResend(simulate.ResendOptions{APIKey: "re_test_Test1", Now: func() time.Time { return noon }})
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodGet && !mayLook {
						w.WriteHeader(http.StatusUnauthorized)
						fmt.Fprint(w, `{"statusCode":401,"name":"restricted_api_key","message":"This API key is restricted to only send emails"}`)
						return
					}
					resend.ServeHTTP(w, r)
				}))
				defer server.Close()
				sender, err := mail.NewResend(outbound.New(outbound.Options{AllowPrivate: true}), server.URL, secret.New("re_test_Test1"), time.Now)
				if err != nil {
					t.Fatal(err)
				}
				s := newShop(t, url, newEmail(t, sender))
				s.Store = &forgetful{Store: s.store}
				if err := s.Work(t.Context(), s.job); !errors.Is(err, errDied) {
					t.Fatalf("Work = %v, want the crash", err)
				}
				s.clock.move(24 * time.Hour)
				err = s.Work(t.Context(), s.job)
				inbox := resend.Inbox("ann@example.com")
				if len(inbox) != 1 {
					t.Fatalf("the customer has %d mails, want 1", len(inbox))
				}
				step := s.step(t)
				var permanent *makegood.Permanent
				isDoubtful := errors.As(err, &permanent) && permanent.Reason == makegood.DeadDoubtful
				if mayLook && (err != nil || step.State != makegood.StepDone || step.Receipt != inbox[0].ID) {
					t.Errorf("Work a day later = %v, step %+v, want the mail found", err, step)
				}
				if !mayLook && (!isDoubtful || step.State != makegood.StepOwed) {
					t.Errorf("Work a day later = %v, step %+v, want a person to look", err, step)
				}
			})
		})
	}
}

// A sender that cannot be looked at (a mail server) is one of which nobody can tell.
func TestEmailFindCannotLook(t *testing.T) {
	t.Parallel()
	e := newEmail(t, &postman{})
	message, err := e.Make(twoLines(), makegood.EffectEmail)
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := e.Find(t.Context(), message, noon); found || !errors.Is(err, fulfill.ErrCannotLook) {
		t.Errorf("Find with a mail server = %v, %v, want %v", found, err, fulfill.ErrCannotLook)
	}
}
