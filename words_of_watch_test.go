package makegood_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
)

func TestMatchKeyAgainstRegexp(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	random := func(alphabet string, most int) string {
		b := make([]byte, r.IntN(most+1))
		for k := range b {
			b[k] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	matched := 0
	for range 50_000 {
		pattern, key := random("ab/**", 7), random("ab/", 9)
		parts := strings.Split(pattern, "*")
		for k := range parts {
			parts[k] = regexp.QuoteMeta(parts[k])
		}
		want := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(key)
		if got := makegood.MatchKey(pattern, key); got != want {
			t.Fatalf("MatchKey(%q, %q) = %v, want %v", pattern, key, got, want)
		}
		if want {
			matched++
		}
	}
	if matched < 1000 {
		t.Errorf("only %d of the patterns matched", matched)
	}
}

func TestSilenceCovers(t *testing.T) {
	t.Parallel()
	s := makegood.Silence{Pattern: "monitor/*", From: incidentBegan, Until: incidentBegan.Add(time.Hour)}
	for _, tt := range []struct {
		key   string
		after time.Duration
		want  bool
	}{{"monitor/a", 0, true}, {"monitor/a", -1, false}, {"monitor/a", time.Hour - 1, true}, {"monitor/a", time.Hour, false}, {"disk", 0, false}} {
		if got := s.Covers(tt.key, incidentBegan.Add(tt.after)); got != tt.want {
			t.Errorf("Covers(%s) after %v = %v, want %v", tt.key, tt.after, got, tt.want)
		}
	}
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	for _, p := range makegood.Priorities() {
		if got, err := makegood.ParsePriority(string(p)); err != nil || got != p {
			t.Errorf("ParsePriority(%s) = %s, %v", p, got, err)
		}
	}
	if _, err := makegood.ParsePriority("p0"); err == nil {
		t.Error("ParsePriority(p0) is no error")
	}
	if !makegood.P0.Graver(makegood.P1) || makegood.P1.Graver(makegood.P1) {
		t.Error("P0 is not graver than P1, or P1 than itself")
	}
	if got := (makegood.Finding{Check: "disk"}).Key(); got != "disk" {
		t.Errorf("Key() = %q", got)
	}
}

func TestEscalationCheck(t *testing.T) {
	t.Parallel()
	good := makegood.Ladder{Rungs: []makegood.Rung{{0, []string{"push"}}}, AckFor: time.Hour}
	with := func(change func(*makegood.Ladder)) makegood.Ladder {
		l := good
		change(&l)
		return l
	}
	many := make([]makegood.Rung, makegood.RungsMax+1)
	for _, tt := range []struct {
		name   string
		ladder makegood.Ladder
		want   string // in the error; "" is none
	}{
		{"good", good, ""},
		{"no rung", with(func(l *makegood.Ladder) { l.Rungs = nil }), "0 rungs"},
		{"too many", with(func(l *makegood.Ladder) { l.Rungs = many }), "11 rungs"},
		{"nobody", with(func(l *makegood.Ladder) { l.Rungs = []makegood.Rung{{}} }), "nobody at rung 1"},
		{"backwards", with(func(l *makegood.Ladder) {
			l.Rungs = []makegood.Rung{{time.Hour, []string{"push"}}, {0, []string{"push"}}}
		}), "rung 2 before rung 1"},
		{"too late", with(func(l *makegood.Ladder) { l.Rungs = []makegood.Rung{{8 * 24 * time.Hour, []string{"push"}}} }), "a week"},
		{"unknown channel", with(func(l *makegood.Ladder) { l.Rungs = []makegood.Rung{{0, []string{"fax"}}} }), `"fax"`},
		{"too often", with(func(l *makegood.Ladder) { l.Repeat = time.Second }), "repeats after 1s"},
		{"no answer", with(func(l *makegood.Ladder) { l.AckFor = 0 }), "acknowledgement for 0s"},
	} {
		err := makegood.Escalation{makegood.P0: tt.ladder}.Check([]string{"push"})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Check = %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := (makegood.Escalation{makegood.P1: good}).Check([]string{"push"}); err == nil {
		t.Error("P0 that reaches nobody is no error")
	}
	for _, quiet := range [][]string{nil, {"push"}} {
		if err := makegood.DefaultEscalation([]string{"push", "sms"}, quiet).Check([]string{"push", "sms"}); err != nil {
			t.Errorf("the default over %v: %v", quiet, err)
		}
	}
	if got := makegood.DefaultEscalation(nil, nil); len(got) != 0 {
		t.Errorf("the default over nothing = %v", got)
	}
}

func TestBeatSays(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return incidentBegan.Add(time.Duration(s) * time.Second) }
	type said struct {
		kind makegood.BeatKind
		at   int
	}
	const start, success, fail = makegood.BeatStart, makegood.BeatSuccess, makegood.BeatFail
	for _, tt := range []struct {
		name string
		says []said
		took time.Duration
		note string
	}{
		{"start and success", []said{{start, 0}, {success, 5}}, 5 * time.Second, ""},
		{"start and failure", []said{{start, 0}, {fail, 5}}, 5 * time.Second, "x"},
		{"success alone", []said{{success, 5}}, 0, ""},
		{"a second success does not count from the first start", []said{{start, 0}, {success, 5}, {success, 9}}, 5 * time.Second, ""},
		{"started twice", []said{{start, 0}, {start, 3}, {success, 5}}, 2 * time.Second, ""},
		{"the clock was set back in between", []said{{start, 60}, {success, 5}}, 0, ""},
		{"failure, then success", []said{{fail, 1}, {success, 5}}, 0, ""},
	} {
		var b makegood.Beat
		for _, s := range tt.says {
			b.Say(s.kind, "x", at(s.at))
		}
		if b.Took != tt.took || b.Note != tt.note {
			t.Errorf("%s: took %v, note %q, want %v, %q", tt.name, b.Took, b.Note, tt.took, tt.note)
		}
	}
}

func TestNoticeBackoff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		attempt int
		jitter  float64
		want    time.Duration
	}{{0, 0, time.Second}, {1, 0, time.Second}, {1, 1, 2 * time.Second}, {2, 0, 2 * time.Second}, {6, 0, 30 * time.Second}, {10_000, 1, time.Minute}} {
		if got := makegood.NoticeBackoff(tt.attempt, tt.jitter); got != tt.want {
			t.Errorf("NoticeBackoff(%d, %v) = %v, want %v", tt.attempt, tt.jitter, got, tt.want)
		}
	}
}
