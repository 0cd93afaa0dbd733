package synthetic_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/secret"
	"github.com/makegood/makegood/internal/synthetic"
)

var (
	noon  = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	ours  = secret.New("a secret that watcher and server share")
	other = secret.New("a secret of somebody else, as long as ours")
)

// The value of one mark, worked out with openssl: it must not change, because watchers of other versions make it.
func TestMarkIsStable(t *testing.T) {
	t.Parallel()
	const want = "t=1788264000,v1=c5392e1cb35d8eabc99fc6464e1bd1b43e42b5d1b6aa0b397229b0c2ddb6bee6"
	if got := synthetic.Mark(ours, noon); got != want {
		t.Errorf("Mark = %s, want %s", got, want)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	good := synthetic.Mark(ours, noon)
	for _, tt := range []struct {
		name string
		mark string
		key  secret.Value
		age  time.Duration
		want synthetic.Reason // "" is that it proves
	}{
		{"fresh", good, ours, 0, ""},
		{"just inside", good, ours, makegood.SignatureTolerance, ""},
		{"just inside, of a clock behind", good, ours, -makegood.SignatureTolerance, ""},
		{"too old", good, ours, makegood.SignatureTolerance + time.Second, synthetic.ReasonTooOld},
		{"from the future", good, ours, -makegood.SignatureTolerance - time.Second, synthetic.ReasonFuture},
		{"another secret", synthetic.Mark(other, noon), ours, 0, synthetic.ReasonMismatch},
		{"an empty secret, ours set", synthetic.Mark(secret.Value{}, noon), ours, 0, synthetic.ReasonMismatch},
		{"an empty secret on both sides", synthetic.Mark(secret.Value{}, noon), secret.Value{}, 0, synthetic.ReasonUnconfigured},
		{"another time under the old code", strings.Replace(good, "t=17", "t=18", 1), ours, 0, synthetic.ReasonMismatch},
		{"the same time in other digits", strings.Replace(good, "t=17", "t=017", 1), ours, 0, synthetic.ReasonMismatch},
		{"nothing", "", ours, 0, synthetic.ReasonMalformed},
		{"a time alone", "t=1788264000", ours, 0, synthetic.ReasonMalformed},
		{"no time", "t=,v1=" + good[len(good)-64:], ours, 0, synthetic.ReasonMalformed},
		{"a code that was cut", good[:len(good)-2], ours, 0, synthetic.ReasonMalformed},
		{"a code that is no hexadecimal", good[:len(good)-2] + "zz", ours, 0, synthetic.ReasonMalformed},
		{"two codes", good + ",v1=00", ours, 0, synthetic.ReasonMalformed},
		{"a time of many digits", "t=1788264000000" + good[len("t=1788264000"):], ours, 0, synthetic.ReasonMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := synthetic.Verify(tt.mark, tt.key, noon.Add(tt.age))
			var got synthetic.Reason
			if refused := (*synthetic.RefusedError)(nil); errors.As(err, &refused) {
				got = refused.Reason
			}
			if got != tt.want || (err == nil) != (tt.want == "") || err != nil && !errors.Is(err, makegood.Unauthorized) {
				t.Errorf("Verify of a mark aged %v = %v, want %q", tt.age, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "v1=") {
				t.Errorf("the error %q repeats the mark", err)
			}
		})
	}
}
