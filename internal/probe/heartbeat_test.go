package probe

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

func TestRule(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	minutely := Rule{Every: time.Minute, Grace: 30 * time.Second}
	daily := Rule{Every: 24 * time.Hour, Grace: time.Hour, Within: 15 * time.Minute}
	for _, tt := range []struct {
		name string
		rule Rule
		beat Beat
		deaf Deaf
		want string
		sure time.Duration // from now; 0 is that nothing is promised
	}{
		{name: "in time", rule: minutely, beat: Beat{SucceededAt: ago(time.Minute)}, sure: 30 * time.Second},
		{name: "at the last moment", rule: minutely, beat: Beat{SucceededAt: ago(90 * time.Second)}},
		{name: "late", rule: minutely, beat: Beat{SucceededAt: ago(3 * time.Minute)}, want: "last success 3m ago, expected every 1m + 30s grace"},
		{name: "late without grace", rule: Rule{Every: time.Minute}, beat: Beat{SucceededAt: ago(61 * time.Second)}, want: "last success 1m1s ago, expected every 1m"},
		{name: "never yet", rule: minutely, beat: Beat{FirstSeen: ago(time.Minute)}, sure: 30 * time.Second},
		{name: "never", rule: minutely, beat: Beat{FirstSeen: ago(2 * time.Minute)}, want: "no success yet in 2m, expected every 1m + 30s grace"},
		{name: "unknown", rule: minutely},
		{name: "failed", rule: minutely, beat: Beat{SucceededAt: ago(time.Minute), FailedAt: ago(time.Second), Note: "exit 3"}, want: "it said that it failed: exit 3"},
		{name: "failed without a word", rule: minutely, beat: Beat{FailedAt: ago(time.Second)}, want: "it said that it failed"},
		{name: "failed and runs again", rule: minutely, beat: Beat{FailedAt: ago(2 * time.Second), StartedAt: ago(time.Second), Note: "a\nb"}, want: "it said that it failed: a b"},
		{name: "failed, then succeeded", rule: minutely, beat: Beat{SucceededAt: ago(time.Second), FailedAt: ago(time.Minute)}, sure: 89 * time.Second},
		{name: "runs", rule: daily, beat: Beat{SucceededAt: ago(24 * time.Hour), StartedAt: ago(10 * time.Minute)}, sure: 5 * time.Minute},
		{name: "runs too long", rule: daily, beat: Beat{SucceededAt: ago(24 * time.Hour), StartedAt: ago(20 * time.Minute)}, want: "started 20m ago and not finished, expected within 15m"},
		{name: "its first run takes too long", rule: daily, beat: Beat{FirstSeen: ago(time.Hour), StartedAt: ago(20 * time.Minute)}, want: "started 20m ago and not finished, expected within 15m"},
		{name: "may run as long as it likes", rule: minutely, beat: Beat{SucceededAt: ago(time.Minute), StartedAt: ago(50 * time.Second)}, sure: 30 * time.Second},
		{name: "ended after a long run", rule: daily, beat: Beat{SucceededAt: ago(time.Minute), StartedAt: ago(time.Hour)}, sure: 25*time.Hour - time.Minute},
		{name: "the clock was set back a little", rule: minutely, beat: Beat{SucceededAt: ago(-time.Minute)}, sure: 150 * time.Second},
		{name: "the clock was set back", rule: minutely, beat: Beat{SucceededAt: ago(-time.Hour)}, want: "last success is 1h ahead of the clock, which was set back"},
		{name: "we were deaf when it was due", rule: minutely, beat: Beat{SucceededAt: ago(10 * time.Minute)}, deaf: Deaf{ago(11 * time.Minute), ago(30 * time.Second)}, sure: 90 * time.Second},
		{name: "and its next turn is over", rule: minutely, beat: Beat{SucceededAt: ago(10 * time.Minute)}, deaf: Deaf{ago(11 * time.Minute), ago(5 * time.Minute)}, want: "last success 10m ago, expected every 1m + 30s grace"},
		{name: "we were deaf when nothing was due", rule: daily, beat: Beat{SucceededAt: ago(26 * time.Hour)}, deaf: Deaf{ago(20 * time.Hour), ago(19 * time.Hour)}, want: "last success 26h ago, expected every 24h + 1h grace"},
		{name: "we were deaf when the daily was due", rule: daily, beat: Beat{SucceededAt: ago(26 * time.Hour)}, deaf: Deaf{ago(150 * time.Minute), ago(100 * time.Minute)}, sure: 23 * time.Hour},
		{name: "we were deaf when it should have ended", rule: daily, beat: Beat{SucceededAt: ago(24 * time.Hour), StartedAt: ago(20 * time.Minute)}, deaf: Deaf{ago(10 * time.Minute), ago(time.Minute)}, sure: 25 * time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, sure := tt.rule.Judge(tt.beat, now, tt.deaf)
			if got != tt.want {
				t.Errorf("Judge = %q, want %q", got, tt.want)
			}
			if want := now.Add(tt.sure); tt.sure > 0 && !sure.Equal(want) {
				t.Errorf("sure until %v from now, want %v", sure.Sub(now), tt.sure)
			}
		})
	}
}

// What a look promises is true: nothing changes before, and something does right after.
func TestRuleIsSure(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_000_000, 0)
	rule := Rule{Every: 10 * time.Minute, Grace: time.Minute, Within: 3 * time.Minute}
	for _, b := range []Beat{{SucceededAt: start}, {FirstSeen: start}, {SucceededAt: start, StartedAt: start.Add(time.Minute)}, {SucceededAt: start, StartedAt: start.Add(9 * time.Minute)}} {
		trouble, sure := rule.Judge(b, start.Add(time.Second), Deaf{})
		if trouble != "" || sure.IsZero() {
			t.Fatalf("%+v: %q, sure until %v", b, trouble, sure)
		}
		if got, _ := rule.Judge(b, sure, Deaf{}); got != "" {
			t.Errorf("%+v: in trouble although it was sure: %s", b, got)
		}
		if got, next := rule.Judge(b, sure.Add(time.Millisecond), Deaf{}); got == "" && !next.After(sure) {
			t.Errorf("%+v: nothing happens after it was sure", b)
		}
	}
}

type oneBeat struct {
	beat Beat
	err  error
}

func (o oneBeat) LastBeat(context.Context, string) (Beat, error) { return o.beat, o.err }

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	clock := start
	now := func() time.Time { return clock }
	rule := Rule{Every: time.Minute, Grace: 30 * time.Second}
	for _, tt := range []struct {
		name    string
		beats   oneBeat
		texts   []string
		later   time.Duration
		want    string
		unknown bool
		isSure  bool
	}{
		{name: "well", beats: oneBeat{beat: Beat{SucceededAt: start}}, later: time.Minute, isSure: true},
		{name: "late", beats: oneBeat{beat: Beat{SucceededAt: start}}, later: 2 * time.Minute, want: "last success 2m ago, expected every 1m + 30s grace"},
		{name: "not known yet", beats: oneBeat{err: makegood.NotFound}, later: time.Minute, isSure: true},
		{name: "never heard of", beats: oneBeat{err: makegood.NotFound}, later: 2 * time.Minute, want: "no success yet in 2m, expected every 1m + 30s grace"},
		{name: "cannot be read", beats: oneBeat{err: errors.New("disk")}, unknown: true, want: "what the job reported cannot be read"},
		{name: "with a condition", beats: oneBeat{beat: Beat{SucceededAt: start}}, texts: []string{"[AGE] < 30s"}, later: time.Minute, want: "[AGE] < 30s (1m)"},
		{name: "with a condition that holds", beats: oneBeat{beat: Beat{SucceededAt: start}}, texts: []string{"[AGE] < 90s"}, later: time.Minute},
	} {
		clock = start
		h, err := NewHeartbeat(HeartbeatOptions{Name: "backup", Rule: rule, Beats: tt.beats, Conditions: conditions(t, KindHeartbeat, tt.texts...), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		clock = start.Add(tt.later)
		s := h.Look(t.Context())
		if s.Trouble != tt.want || s.Unknown != tt.unknown || s.Sure.IsZero() == tt.isSure {
			t.Errorf("%s: %+v, want %q", tt.name, s, tt.want)
		}
	}
	for _, o := range []HeartbeatOptions{{}, {Name: "x", Beats: oneBeat{}}, {Name: "x", Beats: oneBeat{}, Rule: Rule{Every: 1, Grace: -1}},
		{Name: "x", Beats: oneBeat{}, Rule: rule, Conditions: conditions(t, KindHTTP, "[STATUS] == 200")}} {
		if _, err := NewHeartbeat(o); err == nil {
			t.Errorf("NewHeartbeat(%+v) was taken", o)
		}
	}
}
