package queue

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store/storetest"
)

// The rows that the store writes itself are those that River would write, column by column.
func TestRowsAreRivers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		n := newNode(t, url, func(context.Context, makegood.Job) error { return nil })
		if _, err := n.AcceptEvent(t.Context(), makegood.Event{Source: "stripe", ProviderID: "evt_1", ReceivedAt: time.Now(), Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
		e, err := n.Event(t.Context(), "evt_1")
		if err != nil {
			t.Fatal(err)
		}
		effect := makegood.EffectJob("ord1", "email")
		n.enqueue(t, makegood.InterpretJob(e.ID, "stripe"))
		n.enqueue(t, effect)

		const attempts = 32767 // what store.riverAttemptsMax says
		n.insert(t, interpretArgs{makegood.InterpretJob(e.ID, "stripe")}, &river.InsertOpts{Queue: makegood.QueuePayments, MaxAttempts: attempts})
		n.insert(t, effectArgs{effect}, &river.InsertOpts{Queue: makegood.QueueEffects, MaxAttempts: attempts})

		rows := n.columns(t)
		for _, pair := range []struct {
			name         string
			ours, rivers int
		}{{"AcceptEvent", 0, 3}, {"EnqueueJob of an event", 1, 3}, {"EnqueueJob of a step", 2, 4}} {
			if diff := cmp.Diff(rows[pair.rivers], rows[pair.ours]); diff != "" {
				t.Errorf("row of %s (-River's +ours):\n%s", pair.name, diff)
			}
		}
	})
}

// insert inserts a job as a user of River does.
func (n *node) insert(t *testing.T, args river.JobArgs, o *river.InsertOpts) {
	t.Helper()
	var err error
	if n.db.Postgres != nil {
		err = insert(t, riverpgxv5.New(n.db.Postgres), args, o)
	} else {
		err = insert(t, riversqlite.New(n.db.SQLiteWriter), args, o)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func insert[TTx any](t *testing.T, d riverdriver.Driver[TTx], args river.JobArgs, o *river.InsertOpts) error {
	client, err := river.NewClient(d, &river.Config{})
	if err != nil {
		return err
	}
	_, err = client.Insert(t.Context(), args, o)
	return err
}

var digit = regexp.MustCompile(`[0-9]`)

// columns returns every row of River's as texts by column. Of times only the form counts.
func (n *node) columns(t *testing.T) []map[string]string {
	t.Helper()
	ctx := t.Context()
	var names []string
	var all []map[string]string
	if pool := n.db.Postgres; pool != nil {
		rows, err := pool.Query(ctx, `SELECT * FROM river_job ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				t.Fatal(err)
			}
			row := map[string]string{}
			for i, field := range rows.FieldDescriptions() {
				row[field.Name] = fmt.Sprintf("%T %v", values[i], values[i])
				if at, ok := values[i].(time.Time); ok {
					row[field.Name] = fmt.Sprint("now: ", time.Since(at).Abs() < time.Hour)
				}
			}
			delete(row, "id")
			all = append(all, row)
		}
		return all
	}
	db := n.db.SQLiteReader
	rows, err := db.QueryContext(ctx, `SELECT name FROM pragma_table_info('river_job') WHERE name <> 'id'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for i := range 5 {
		row := map[string]string{}
		for _, name := range names {
			var text string
			value := name
			if name == "metadata" { // River's insert marks its own rows, to tell them from those that were there before
				value = `jsonb_remove(metadata, '$."river:unique_nonce"')`
			}
			if err := db.QueryRowContext(ctx, fmt.Sprintf(`SELECT typeof(%s) || ' ' || quote(%s) FROM river_job ORDER BY id LIMIT 1 OFFSET %d`,
				value, value, i)).Scan(&text); err != nil {
				t.Fatal(err)
			}
			if slices.Contains([]string{"created_at", "scheduled_at"}, name) {
				text = digit.ReplaceAllString(text, "0")
			}
			row[name] = text
		}
		all = append(all, row)
	}
	return all
}

// JobSetStateIfRunningMany copies what it leaves to River field by field. A field that an upgrade adds must be copied too.
func TestFinishKnowsEveryField(t *testing.T) {
	t.Parallel()
	var got []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[riverdriver.JobSetStateIfRunningManyParams]()) {
		got = append(got, f.Name)
	}
	want := []string{"ID", "Attempt", "ErrData", "FinalizedAt", "MetadataDoMerge", "MetadataUpdates", "Now", "ScheduledAt", "Schema", "State"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fields of the parameters (-known +River's):\n%s", diff)
	}
}
