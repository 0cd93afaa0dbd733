package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store/storetest"
)

// Many wakes that nobody has heard are one, and no queue is forgotten.
func TestWakesAreOne(t *testing.T) {
	t.Parallel()
	w := newWakes()
	l := &wakingListener{wakes: w}
	for range 1000 {
		w.wake("payments")
		w.wake("effects")
	}
	var heard []string
	for n := l.own(); n != nil; n = l.own() {
		var payload struct{ Queue string }
		if err := json.Unmarshal([]byte(n.Payload), &payload); err != nil || n.Topic != "river_insert" {
			t.Fatalf("notification = %+v, %v", n, err)
		}
		heard = append(heard, payload.Queue)
	}
	slices.Sort(heard)
	if want := []string{"effects", "payments"}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
	w.wake("payments")
	if l.own() == nil || l.own() != nil {
		t.Error("a wake after all were heard is not heard exactly once")
	}
}

// outside is River's listener: it has one notification, if one is wanted, and otherwise waits.
type outside struct {
	riverdriver.Listener
	asked atomic.Int64
	tells *riverdriver.Notification
}

func (o *outside) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	o.asked.Add(1)
	if o.tells != nil {
		return o.tells, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

// However busy this process is, what others announce is heard.
func TestListenerHearsOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWakes()
		l := &wakingListener{Listener: &outside{tells: &riverdriver.Notification{Topic: "river_control"}}, wakes: w, polled: true,
			nextLook: time.Now().Add(outsidePoll)}
		start, others := time.Now(), 0
		for time.Since(start) < 10*time.Second {
			w.wake("payments")
			n, err := l.WaitForNotification(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n.Topic == "river_control" {
				others++
			}
			time.Sleep(100 * time.Millisecond)
		}
		if others < 15 || others > 21 {
			t.Errorf("in 10 s of wakes others were heard %d times, want about 20", others)
		}
	})
}

// While nobody has anything to say, a polled listener asks twice a second, and ends with its context.
func TestListenerIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := &outside{}
		l := &wakingListener{Listener: o, wakes: newWakes(), polled: true}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if n, err := l.WaitForNotification(ctx); n != nil || err != context.DeadlineExceeded {
			t.Errorf("WaitForNotification = %v, %v, want nothing until the context ends", n, err)
		}
		if asked := o.asked.Load(); asked < 18 || asked > 22 {
			t.Errorf("asked %d times in 10 s, want about 20", asked)
		}
	})
}

// A listener on PostgreSQL waits for the server and for this process at once.
func TestListenerWakesWhileItListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWakes()
		l := &wakingListener{Listener: &outside{}, wakes: w}
		for i := range 100 {
			time.AfterFunc(time.Duration(i%3)*time.Second, func() { w.wake("payments") })
			if n, err := l.WaitForNotification(t.Context()); err != nil || n.Topic != "river_insert" {
				t.Fatalf("WaitForNotification = %v, %v, want the wake", n, err)
			}
		}
	})
}

// A node that loses its connections keeps waking: no poll comes within this test.
func TestPostgresListenerReconnects(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	started := make(chan string, 100)
	n := startNode(t, url, func(_ context.Context, j makegood.Job) error { started <- j.EventID; return nil })
	admin, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	for round := range 3 {
		if _, err := admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			want := fmt.Sprint(round, ".", i)
			eventually(t, "a job is kept", func() bool { return n.EnqueueJob(t.Context(), makegood.InterpretJob(want, "stripe")) == nil })
			for got := ""; got != want; { // a job whose finish was lost runs again
				got = receive(t, "start of job "+want, started)
			}
		}
	}
}
