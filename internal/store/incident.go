package store

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// ChangeIncident changes the incident of a key in one transaction: its state, its time line and the outbox. change gets the
// open one, else the one that ended last and is not older than makegood.ReopenWithin, else nil; it returns what is to be
// kept, which may be a new one, or nil for no change. It may be called again, so it does nothing else.
func (s *Store) ChangeIncident(ctx context.Context, key string, change func(*makegood.Incident) (*makegood.Incident, error)) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.lockName(ctx, "incident/"+key); err != nil {
			return err
		}
		i, err := w.incidentOf(ctx, `incident_key = $1 AND state <> 'resolved'`, clean(key))
		if errors.Is(err, makegood.NotFound) {
			// Not the greatest id: the clock may have been set back between two of them.
			i, err = w.incidentOf(ctx, `id = (SELECT id FROM incidents WHERE incident_key = $1 ORDER BY resolved_at DESC, id DESC LIMIT 1)
				AND resolved_at > $2`, clean(key), micros(w.now.Add(-makegood.ReopenWithin)))
		}
		if errors.Is(err, makegood.NotFound) {
			i, err = nil, nil
		}
		if err != nil {
			return err
		}
		before := beforeOf(i)
		changed, err := change(i)
		if err != nil || changed == nil {
			return err
		}
		return w.keepIncident(ctx, changed, before)
	})
}

// AmendIncidents changes incidents by id, all in one transaction. An id that there is not is makegood.NotFound and nothing
// is changed.
func (s *Store) AmendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids))) // one order for all, so that two never wait for each other
	return s.write(ctx, func(w *writing) error {
		for chunk := range slices.Chunk(ids, inMax) {
			if err := w.amendIncidents(ctx, chunk, change); err != nil {
				return err
			}
		}
		return nil
	})
}

// amendIncidents changes incidents, which it loads together.
func (w *writing) amendIncidents(ctx context.Context, ids []string, change func(*makegood.Incident) error) error {
	in, args := placeholders(ids, 1)
	byID := make(map[string]*makegood.Incident, len(ids))
	if err := each(ctx, w.Tx, func(rows Rows) error {
		i, err := scanIncident(rows)
		byID[i.ID] = i.Incident
		return err
	}, `SELECT `+incidentColumns+` FROM incidents WHERE id IN (`+in+`) ORDER BY id`+w.store.engine.forUpdate(), args...); err != nil {
		return err
	}
	notices, err := noticesOf(ctx, w.Tx, `incident_id IN (`+in+`) ORDER BY incident_id, id`+w.store.engine.forUpdate(), args...)
	if err != nil {
		return err
	}
	for _, n := range notices {
		byID[n.IncidentID].Notices = append(byID[n.IncidentID].Notices, n)
	}
	for _, id := range ids {
		i := byID[id]
		if i == nil {
			return makegood.Errorf(makegood.NotFound, "There is no incident %s.", id)
		}
		before := beforeOf(i)
		if err := change(i); err != nil {
			return err
		}
		if err := w.keepIncident(ctx, i, before); err != nil {
			return err
		}
	}
	return nil
}

// lockName holds a name until the end of the transaction.
func (w *writing) lockName(ctx context.Context, name string) error {
	lock := w.store.engine.lockText()
	if lock == "" {
		return nil
	}
	return w.QueryAll(ctx, question{lock, []any{clean(name)}, func(Rows) error { return nil }})
}

const incidentColumns = `id, incident_key, check_code, subject, priority, title, detail, means, depends_on, state, muted, reopened,
	started_at, opened_at, acked_at, acked_by, acked_until, resolved_at, resolved_by, climbed_at, rung, round, next_at, moments`

// incidentRow is an incident with the number of lines that its time line has.
type incidentRow struct {
	*makegood.Incident
	moments int
}

func scanIncident(row Row) (incidentRow, error) {
	i := incidentRow{Incident: &makegood.Incident{}}
	var dependsOn string
	var started, opened, acked, ackedUntil, resolved, climbed, next int64
	err := row.Scan(&i.ID, &i.Key, &i.Check, &i.Subject, (*string)(&i.Priority), &i.Title, &i.Detail, &i.Means, &dependsOn, (*string)(&i.State),
		&i.Muted, &i.Reopened, &started, &opened, &acked, &i.AckedBy, &ackedUntil, &resolved, &i.ResolvedBy, &climbed, &i.Rung, &i.Round,
		&next, &i.moments)
	if err != nil {
		return i, err
	}
	i.StartedAt, i.OpenedAt, i.AckedAt, i.AckedUntil = fromMicros(started), fromMicros(opened), fromMicros(acked), fromMicros(ackedUntil)
	i.ResolvedAt, i.ClimbedAt, i.NextAt = fromMicros(resolved), fromMicros(climbed), fromMicros(next)
	return i, json.Unmarshal([]byte(dependsOn), &i.DependsOn)
}

// incidentOf loads one incident for a change: with its notices, without its time line.
func (w *writing) incidentOf(ctx context.Context, where string, args ...any) (*makegood.Incident, error) {
	i, err := scanIncident(w.QueryRow(ctx, `SELECT `+incidentColumns+` FROM incidents WHERE `+where+w.store.engine.forUpdate(), args...))
	if err != nil {
		return nil, err
	}
	// Locked as well, because whoever claims notices locks nothing else.
	if i.Notices, err = noticesOf(ctx, w.Tx, `incident_id = $1 ORDER BY id`+w.store.engine.forUpdate(), i.ID); err != nil {
		return nil, err
	}
	return i.Incident, nil
}

// incidentBefore is what an incident was when it was loaded.
type incidentBefore struct {
	isNew   bool
	notices map[string]makegood.Notice
}

func beforeOf(i *makegood.Incident) incidentBefore {
	if i == nil {
		return incidentBefore{isNew: true}
	}
	s := incidentBefore{notices: make(map[string]makegood.Notice, len(i.Notices))}
	for _, n := range i.Notices {
		s.notices[n.ID] = n
	}
	return s
}

// keepIncident writes an incident, the lines that were added to its time line, and the notices that are new or changed.
func (w *writing) keepIncident(ctx context.Context, i *makegood.Incident, before incidentBefore) error {
	if _, isOld := before.notices[""]; isOld || i.ID == "" {
		return makegood.Errorf(makegood.Internal, "An incident or a notice has no id.")
	}
	dependsOn, err := json.Marshal(i.DependsOn)
	if err != nil {
		return err
	}
	args := []any{i.ID, clean(i.Key), clean(i.Check), clean(i.Subject), string(i.Priority), clean(i.Title), clean(i.Detail), clean(i.Means),
		clean(string(dependsOn)), string(i.State), clean(i.Muted), i.Reopened, micros(i.StartedAt), micros(i.OpenedAt), micros(i.AckedAt),
		clean(i.AckedBy), micros(i.AckedUntil), micros(i.ResolvedAt), clean(i.ResolvedBy), micros(i.ClimbedAt), i.Rung, i.Round, micros(i.NextAt)}
	// A new incident of a key whose ended one was loaded has an id of its own.
	err = w.Do(ctx, `
		INSERT INTO incidents (`+incidentColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, 0)
		ON CONFLICT (id) DO UPDATE
		SET priority = excluded.priority, title = excluded.title, detail = excluded.detail, means = excluded.means,
			depends_on = excluded.depends_on, state = excluded.state, muted = excluded.muted, reopened = excluded.reopened,
			acked_at = excluded.acked_at, acked_by = excluded.acked_by, acked_until = excluded.acked_until,
			resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by, climbed_at = excluded.climbed_at,
			rung = excluded.rung, round = excluded.round, next_at = excluded.next_at`, args...)
	if err != nil {
		return err
	}
	for _, m := range i.Timeline {
		most := int64(makegood.TimelineMax)
		if alwaysKept(m.Kind) {
			most = math.MaxInt64
		}
		if err := w.Do(ctx, `
			INSERT INTO incident_moments (incident_id, n, at, kind, actor, said)
			SELECT id, moments, $2, $3, $4, $5 FROM incidents WHERE id = $1 AND moments < $6`,
			i.ID, micros(m.At), string(m.Kind), clean(m.Actor), clean(m.Text), most); err != nil {
			return err
		}
		if err := w.Do(ctx, `UPDATE incidents SET moments = moments + 1 WHERE id = $1 AND moments < $2`, i.ID, most); err != nil {
			return err
		}
	}
	for _, n := range i.Notices {
		was, isOld := before.notices[n.ID]
		if isOld && was == n {
			continue
		}
		if err := w.keepNotice(ctx, n); err != nil {
			return err
		}
		if n.State == makegood.NoticeQueued {
			w.wake(NoticesWoken)
		}
	}
	if i.NextAt.IsZero() {
		return nil
	}
	w.wake(IncidentsWoken)
	return nil
}

// alwaysKept reports whether a line is written to a time line that is full: what a person did, and the end.
func alwaysKept(k makegood.MomentKind) bool {
	switch k {
	case makegood.MomentAcknowledged, makegood.MomentNote, makegood.MomentResolved, makegood.MomentHealing, makegood.MomentHealed,
		makegood.MomentNotHealed, makegood.MomentServed:
		return true
	}
	return false
}

// What Options.Wake is called with, beside the names of queues, when there may be something to tell, and when a timer of an
// incident was set.
const (
	NoticesWoken   = "notices"
	IncidentsWoken = "incidents"
)

// Incident loads an incident with its notices and its whole time line.
func (s *Store) Incident(ctx context.Context, id string) (*makegood.Incident, error) {
	var i incidentRow
	err := s.read(ctx, func(tx Tx) error {
		var err error
		if i, err = scanIncident(tx.QueryRow(ctx, `SELECT `+incidentColumns+` FROM incidents WHERE id = $1`, id)); err != nil {
			return err
		}
		if i.Notices, err = noticesOf(ctx, tx, `incident_id = $1 ORDER BY id`, id); err != nil {
			return err
		}
		i.Timeline = nil
		return each(ctx, tx, func(rows Rows) error {
			var m makegood.Moment
			var at int64
			err := rows.Scan(&at, (*string)(&m.Kind), &m.Actor, &m.Text)
			m.At = fromMicros(at)
			i.Timeline = append(i.Timeline, m)
			return err
		}, `SELECT at, kind, actor, said FROM incident_moments WHERE incident_id = $1 ORDER BY n LIMIT 5000`, id)
	})
	if errors.Is(err, makegood.NotFound) {
		return nil, makegood.Errorf(makegood.NotFound, "There is no incident %s. See which there are: makegood incidents list.", id)
	}
	if err != nil {
		return nil, err
	}
	return i.Incident, nil
}

// IncidentFilter narrows a listing. The zero value lists everything, newest first.
type IncidentFilter struct {
	State makegood.IncidentState
	Open  bool // open or acknowledged
	Check string
	Key   string
	Since time.Time // believed at or after
	Limit int       // at most makegood.ListMax, which 0 means too
}

// Incidents lists incidents without notices and time line.
func (s *Store) Incidents(ctx context.Context, f IncidentFilter) ([]makegood.Incident, error) {
	var c conditions
	c.equalKnown("state", string(f.State), "open", "acknowledged", "resolved")
	if f.State == "" {
		c.terms = nil
	}
	if f.Open {
		c.terms = append(c.terms, "state <> 'resolved'")
	}
	c.equal("check_code", f.Check)
	c.equal("incident_key", f.Key)
	if !f.Since.IsZero() {
		c.compare("opened_at >=", micros(f.Since))
	}
	return s.incidents(ctx, c.newestFirst(f.Limit), c.args...)
}

func (s *Store) incidents(ctx context.Context, rest string, args ...any) ([]makegood.Incident, error) {
	var list []makegood.Incident
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			i, err := scanIncident(rows)
			if err == nil {
				list = append(list, *i.Incident)
			}
			return err
		}, `SELECT `+incidentColumns+` FROM incidents`+rest, args...)
	})
	return list, err
}

// OpenIncidents returns the keys of the open incidents among those given, or of all when none is given.
func (s *Store) OpenIncidents(ctx context.Context, among ...string) ([]string, error) {
	where, args := "", []any(nil)
	if len(among) > 0 {
		list, a := placeholders(among, 1)
		where, args = " AND incident_key IN ("+list+")", a
	}
	var keys []string
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var key string
			err := rows.Scan(&key)
			keys = append(keys, key)
			return err
		}, `SELECT incident_key FROM incidents WHERE state <> 'resolved'`+where+` ORDER BY incident_key`, args...)
	})
	return keys, err
}

// IncidentsByID loads incidents without notices and time line, in the order of their ids.
func (s *Store) IncidentsByID(ctx context.Context, ids []string) ([]makegood.Incident, error) {
	var list []makegood.Incident
	for chunk := range slices.Chunk(ids, inMax) {
		in, args := placeholders(chunk, 1)
		part, err := s.incidents(ctx, ` WHERE id IN (`+in+`) ORDER BY id`, args...)
		if err != nil {
			return nil, err
		}
		list = append(list, part...)
	}
	return list, nil
}

// DueIncidents returns the ids of the incidents whose timer is due, the longest waiting first, at most makegood.ListMax, and
// when the next timer after them is; zero when there is none.
func (s *Store) DueIncidents(ctx context.Context, now time.Time) (ids []string, next time.Time, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var id string
			var at int64
			if err := rows.Scan(&id, &at); err != nil {
				return err
			}
			if at <= micros(now) {
				ids = append(ids, id)
			} else if next.IsZero() {
				next = fromMicros(at)
			}
			return nil
		}, `SELECT id, next_at FROM incidents WHERE next_at > 0 ORDER BY next_at, id LIMIT 1000`)
	})
	return ids, next, err
}

// ShiftTimers moves every timer of incidents and notices, because the clock was set: what was due in five minutes still is.
// It writes the house value in the same commit.
func (s *Store) ShiftTimers(ctx context.Context, by time.Duration, name, value string) error {
	us := by.Microseconds()
	return s.write(ctx, func(w *writing) error {
		for _, statement := range []string{
			`UPDATE incidents SET next_at = next_at + $1 WHERE next_at > 0`,
			`UPDATE incidents SET climbed_at = climbed_at + $1 WHERE state <> 'resolved'`,
			`UPDATE incidents SET acked_until = acked_until + $1 WHERE state = 'acknowledged'`,
			// When they were made counts for how long they are gathered and tried.
			`UPDATE notices SET not_before = not_before + $1, created_at = created_at + $1 WHERE state = 'queued'`,
			`UPDATE notices SET lease_until = lease_until + $1, created_at = created_at + $1 WHERE state = 'sending'`,
			// A clock that is set frees no attempt at healing from its limits, and ends no lease.
			`UPDATE heal_attempts SET counts_at = counts_at + $1 WHERE counts_at > 0`,
			`UPDATE heal_attempts SET lease_until = lease_until + $1 WHERE state = 'running'`,
		} {
			if err := w.Do(ctx, statement, us); err != nil {
				return err
			}
		}
		w.wake(NoticesWoken)
		w.wake(IncidentsWoken)
		return w.keepHouseValue(ctx, name, value)
	})
}

// inMax bounds a list in a statement; both engines take thousands.
const inMax = 500

// placeholders writes $from, $from+1, … for the values.
func placeholders(values []string, from int) (string, []any) {
	var b strings.Builder
	args := make([]any, len(values))
	for k, v := range values {
		if k > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$")
		b.WriteString(itoa(from + k))
		args[k] = v
	}
	return b.String(), args
}
