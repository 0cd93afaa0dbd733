package outbound_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/outbound"
)

// hands is a clock that a test moves.
type hands struct {
	mu sync.Mutex
	at time.Time
}

func newHands() *hands { return &hands{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (h *hands) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hands) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

// heard is what Changed was told, in order.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) changed(target string, resting bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, fmt.Sprintf("%s resting=%t", target, resting))
}

func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

const destination = "https://shop.example"

// The state machine, step by step: what is told and what must come of it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	fails := func(n int) string { return fmt.Sprintf("fail*%d", n) }
	for _, tt := range []struct {
		name  string
		steps []string // fail*N, well, abandon, wait DURATION, then pass or rest DURATION about the next request
		heard []string
	}{
		{"four failures are a coincidence", []string{fails(4), "pass"}, nil},
		{"five are none", []string{fails(5), "rest 1s"}, []string{"true"}},
		{"a success in between begins anew", []string{fails(4), "well", fails(4), "pass"}, nil},
		{"just before the second is over", []string{fails(5), "wait 999ms", "rest 1s"}, []string{"true"}},
		{"after a second one may try, and heals", []string{fails(5), "wait 1s", "well", "pass"}, []string{"true", "false"}},
		{"it tries and fails: twice as long", []string{fails(5), "wait 1s", fails(1), "rest 2s", "wait 1s", "rest 1s", "wait 1s", "pass"}, []string{"true"}},
		{"it is abandoned: the next one tries", []string{fails(5), "wait 1s", "abandon", "pass"}, []string{"true"}},
		{"abandoning heals nothing", []string{fails(5), "wait 1s", "abandon", fails(1), "rest 2s"}, []string{"true"}},
		{"abandoning is no failure", []string{fails(4), "abandon", "abandon", "pass"}, nil},
		{"healed, it needs five again", []string{fails(5), "wait 1s", "well", fails(4), "pass", fails(1), "rest 1s"}, []string{"true", "false", "true"}},
		{"a long silence heals nothing by itself", []string{fails(5), "wait 24h", fails(1), "rest 2s"}, []string{"true"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock, news := newHands(), &heard{}
			b := outbound.NewBreakers(clock.now, news.changed)
			for i, step := range tt.steps {
				if err := play(b, clock, step); err != nil {
					t.Fatalf("step %d, %s: %v", i, step, err)
				}
			}
			var want []string
			for _, resting := range tt.heard {
				want = append(want, destination+" resting="+resting)
			}
			if got := news.list(); !slices.Equal(got, want) {
				t.Errorf("Changed heard %v, want %v", got, want)
			}
		})
	}
}

// play does one step of a story.
func play(b outbound.Breakers, clock *hands, step string) error {
	var n int
	var verb, text string
	if _, err := fmt.Sscanf(step, "fail*%d", &n); err == nil {
		for range n {
			tries, err := b.Admit(destination)
			if err != nil {
				return err
			}
			b.Settle(destination, tries, true)
		}
		return nil
	}
	fmt.Sscan(step, &verb, &text)
	length, _ := time.ParseDuration(text)
	if verb == "wait" {
		clock.move(length)
		return nil
	}
	tries, err := b.Admit(destination)
	switch verb {
	case "rest":
		var snooze *makegood.Snooze
		if !errors.Is(err, outbound.ErrResting) || !errors.As(err, &snooze) || snooze.For != length {
			return fmt.Errorf("admit = %v, want a rest of %v", err, length)
		}
		return nil
	case "pass", "abandon":
		b.Abandon(destination, tries)
	case "well":
		b.Settle(destination, tries, false)
	default:
		panic("unreachable: a step named " + verb)
	}
	return err
}

// The rest doubles from a second to a quarter of a minute, and stays there.
func TestBreakerRestDoubles(t *testing.T) {
	t.Parallel()
	clock := newHands()
	b := outbound.NewBreakers(clock.now, nil)
	if err := play(b, clock, "fail*5"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 15, 15, 15} {
		want *= time.Second
		_, err := b.Admit(destination)
		var snooze *makegood.Snooze
		if !errors.As(err, &snooze) || snooze.For != want {
			t.Fatalf("rest %d = %v, want %v", i+1, err, want)
		}
		clock.move(want)
		tries, err := b.Admit(destination)
		if !tries || err != nil {
			t.Fatalf("after rest %d: tries %v, %v, want one to try", i+1, tries, err)
		}
		b.Settle(destination, tries, true)
	}
}

// While one finds out, the others wait, however many they are and however long it takes.
func TestBreakerOneTries(t *testing.T) {
	t.Parallel()
	clock, news := newHands(), &heard{}
	b := outbound.NewBreakers(clock.now, news.changed)
	if err := play(b, clock, "fail*5"); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		clock.move(outbound.RestMax)
		var trying, resting atomic.Int32
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				switch tries, err := b.Admit(destination); {
				case tries && err == nil:
					trying.Add(1)
				case errors.Is(err, outbound.ErrResting):
					resting.Add(1)
				}
			})
		}
		wg.Wait()
		if trying.Load() != 1 || resting.Load() != 199 {
			t.Fatalf("round %d: %d tried and %d were told to wait, want 1 and 199", round, trying.Load(), resting.Load())
		}
		b.Settle(destination, true, round < 2)
	}
	if want := []string{destination + " resting=true", destination + " resting=false"}; !slices.Equal(news.list(), want) {
		t.Errorf("Changed heard %v, want each change once: %v", news.list(), want)
	}
}

// A hundred requests that were on their way when the other side died fail for one reason: the rest is that of one failure
// too many and not of a hundred, and none of them lets a second one try, ends the rest or takes the place of who tries.
func TestBreakerStragglers(t *testing.T) {
	t.Parallel()
	clock, news := newHands(), &heard{}
	b := outbound.NewBreakers(clock.now, news.changed)
	const running = 100
	for range running {
		if tries, err := b.Admit(destination); tries || err != nil {
			t.Fatalf("admit = %v, %v, want it to pass as any other", tries, err)
		}
	}
	for range running / 2 {
		b.Settle(destination, false, true)
	}
	if err := play(b, clock, "rest 1s"); err != nil {
		t.Errorf("after %d failures at once: %v", running/2, err)
	}
	clock.move(time.Second)
	if tries, err := b.Admit(destination); !tries || err != nil {
		t.Fatalf("admit = %v, %v, want it to try", tries, err)
	}
	for name, straggle := range map[string]func(){
		"fails":        func() { b.Settle(destination, false, true) },
		"succeeds":     func() { b.Settle(destination, false, false) },
		"is abandoned": func() { b.Abandon(destination, false) },
	} {
		straggle()
		if tries, err := b.Admit(destination); tries || !errors.Is(err, outbound.ErrResting) {
			t.Errorf("after a straggler that %s: tries %v, %v, want the one that tries to be the only one", name, tries, err)
		}
	}
	b.Settle(destination, true, false)
	if err := play(b, clock, "pass"); err != nil {
		t.Errorf("after the one that tried was well: %v", err)
	}
	if got := len(news.list()); got != 2 {
		t.Errorf("Changed was called %d times, want 2", got)
	}
}

// Whatever happens, in whatever order: never two that try, never a request during a rest, Changed once for each change and
// in turn, and a rest between its bounds.
func TestBreakerInvariants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		clock, news := newHands(), &heard{}
		b := outbound.NewBreakers(clock.now, news.changed)
		var open []bool // requests on their way, and whether they try
		var trace []string
		resting, inARow := false, 0
		for range 400 {
			switch random.IntN(4) {
			case 0:
				d := time.Duration(random.Int64N(int64(3 * time.Second)))
				clock.move(d)
				trace = append(trace, fmt.Sprint("wait ", d))
			case 1:
				tries, err := b.Admit(destination)
				trace = append(trace, fmt.Sprint("admit ", tries, err == nil))
				var snooze *makegood.Snooze
				if err == nil && (resting != tries || tries && slices.Contains(open, true)) ||
					err != nil && (!resting || !errors.As(err, &snooze) || snooze.For < outbound.RestFirst || snooze.For > outbound.RestMax) {
					t.Fatalf("seed %d: admit = %v, %v while resting %v after %v", seed, tries, err, resting, trace)
				}
				if err == nil {
					open = append(open, tries)
				}
			default:
				if len(open) == 0 {
					continue
				}
				i := random.IntN(len(open))
				tries := open[i]
				open = slices.Delete(open, i, i+1)
				end := random.IntN(3)
				trace = append(trace, fmt.Sprint("end ", tries, end))
				if end == 0 {
					b.Abandon(destination, tries)
					continue
				}
				failed := end == 1
				b.Settle(destination, tries, failed)
				switch {
				case resting && tries && !failed:
					resting, inARow = false, 0
				case resting:
				case failed:
					inARow++
					resting = inARow >= outbound.FailuresToRest
				default:
					inARow = 0
				}
			}
			told := news.list()
			if last := len(told)%2 == 1; last != resting {
				t.Fatalf("seed %d: Changed heard %v while resting %v after %v", seed, told, resting, trace)
			}
			for i, said := range told {
				if want := fmt.Sprintf("%s resting=%t", destination, i%2 == 0); said != want {
					t.Fatalf("seed %d: Changed heard %q as number %d, want %q", seed, said, i, want)
				}
			}
		}
	}
}

// Destinations rest each for itself, and those that are well take no room from others.
func TestBreakerDestinations(t *testing.T) {
	t.Parallel()
	clock := newHands()
	b := outbound.NewBreakers(clock.now, nil)
	for i := range 2 * outbound.DestinationsMax {
		target := fmt.Sprintf("https://host%d.example", i)
		b.Settle(target, false, true)
		b.Settle(target, false, false)
	}
	if got := b.Len(); got != 0 {
		t.Errorf("%d destinations that are well are remembered, want none", got)
	}
	if err := play(b, clock, "fail*5"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admit("http://shop.example"); err != nil {
		t.Errorf("another scheme of the same host = %v, want it to pass", err)
	}
	for i := range 2 * outbound.DestinationsMax {
		b.Settle(fmt.Sprintf("https://down%d.example", i), false, true)
	}
	if got := b.Len(); got != outbound.DestinationsMax {
		t.Errorf("%d destinations are remembered, want at most %d", got, outbound.DestinationsMax)
	}
}

// Through a Client: what counts as a failure, and what says nothing of the other side.
func TestDoRests(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		serve http.HandlerFunc
		rests bool
	}{
		{"500", answering(500), true},
		{"502", answering(502), true},
		{"503 with Retry-After", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "1"); w.WriteHeader(503) }, true},
		{"no answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		{"200", answering(200), false},
		{"302", answering(302), false},
		{"400", answering(400), false},
		{"401", answering(401), false},
		{"410", answering(410), false},
		{"429", answering(429), false},
		{"501", answering(501), false},
		{"too much", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 2000)) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var hits atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) { hits.Add(1); tt.serve(w, r) })
			c, clock, news := resting(t, outbound.Options{BodyBytesMax: 1000})
			for range outbound.FailuresToRest {
				c.Do(t.Context(), get(t, s.URL))
			}
			_, err := c.Do(t.Context(), get(t, s.URL))
			var snooze *makegood.Snooze
			if got := errors.Is(err, outbound.ErrResting) && errors.As(err, &snooze) && snooze.For == outbound.RestFirst; got != tt.rests {
				t.Fatalf("the sixth request = %v, want a rest: %v", err, tt.rests)
			}
			if !tt.rests {
				return
			}
			var own *outbound.Error
			if outbound.MaybeSent(err) || !errors.As(err, &own) || own.Target != s.URL || hits.Load() != outbound.FailuresToRest {
				t.Errorf("during a rest: %v, maybe sent %v, %d requests at the server, want nothing sent", err, outbound.MaybeSent(err), hits.Load())
			}
			clock.move(outbound.RestFirst)
			c.Do(t.Context(), get(t, s.URL))
			if hits.Load() != outbound.FailuresToRest+1 {
				t.Errorf("after the rest the server was asked %d times, want one to try", hits.Load())
			}
			if got := news.list(); len(got) != 1 {
				t.Errorf("Changed heard %v, want the one change", got)
			}
		})
	}
}

func answering(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

func resting(t *testing.T, o outbound.Options) (*outbound.Client, *hands, *heard) {
	t.Helper()
	clock, news := newHands(), &heard{}
	o.AllowPrivate, o.Changed = true, news.changed
	c := outbound.New(o)
	c.Clock(clock.now)
	t.Cleanup(c.CloseIdle)
	return c, clock, news
}

// Whoever asked has gone, or may not ask there at all: that says nothing of the other side. What is not there does.
func TestDoRestsForNoFaultOfOurs(t *testing.T) {
	t.Parallel()
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() })
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	brief := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	for _, tt := range []struct {
		name    string
		private bool
		ctx     func() context.Context
		url     string
		rests   bool
	}{
		{"cancelled before", true, func() context.Context { return cancelled }, slow.URL, false},
		{"the caller's time is over", true, brief, slow.URL, false},
		{"refused address", false, t.Context, "http://127.0.0.1:9", false},
		{"refused address by name", false, t.Context, "http://localhost:9", false},
		{"our own time is over", true, t.Context, slow.URL, true},
		{"nobody listens", true, t.Context, "http://" + closedPort(t), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			news := &heard{}
			c := outbound.New(outbound.Options{AllowPrivate: tt.private, Timeout: 50 * time.Millisecond, Changed: news.changed})
			t.Cleanup(c.CloseIdle)
			var err error
			for range outbound.FailuresToRest + 1 {
				if _, err = c.Do(tt.ctx(), get(t, tt.url)); err == nil {
					t.Fatal("Do succeeded, want an error")
				}
			}
			if got := errors.Is(err, outbound.ErrResting); got != tt.rests || len(news.list()) > 1 {
				t.Errorf("the sixth = %v, Changed heard %v, want a rest: %v", err, news.list(), tt.rests)
			}
		})
	}
}

// Many at once, while the other side dies and comes back: the race detector looks, and Changed hears each change once.
func TestDoRestsUnderLoad(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	c, clock, news := resting(t, outbound.Options{MaxIdlePerHost: 20})
	storm := func() (passed int32) {
		var n atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 20 {
					if resp, err := c.Do(t.Context(), get(t, s.URL)); err == nil && resp.Status == http.StatusOK {
						n.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return n.Load()
	}
	for range 3 {
		down.Store(true)
		if got := storm(); got != 0 {
			t.Errorf("%d requests were answered well by a server that is down", got)
		}
		down.Store(false)
		clock.move(outbound.RestFirst)
		if _, err := c.Do(t.Context(), get(t, s.URL)); err != nil {
			t.Fatalf("a second after the storm: %v; the failures of one moment made the rest longer", err)
		}
		if got := storm(); got != 400 {
			t.Errorf("%d of 400 requests passed after it was well, want all", got)
		}
	}
	if got := news.list(); len(got) != 6 {
		t.Errorf("Changed heard %v, want six changes", got)
	}
}
