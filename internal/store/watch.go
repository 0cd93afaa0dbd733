package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

// AddSilence keeps a silence and leaves an entry in the audit.
func (s *Store) AddSilence(ctx context.Context, x makegood.Silence) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.Do(ctx, `INSERT INTO silences (id, pattern, from_at, until_at, reason, made_by) VALUES ($1, $2, $3, $4, $5, $6)`,
			x.ID, clean(x.Pattern), micros(x.From), micros(x.Until), clean(x.Reason), clean(x.By)); err != nil {
			return err
		}
		return w.record(ctx, "", x.By, []makegood.Entry{{Action: "silence.added", Target: x.ID, After: x.Pattern + " until " + x.Until.UTC().Format(time.RFC3339)}})
	})
}

// EndSilence ends a silence now. One that is over is left as it is.
func (s *Store) EndSilence(ctx context.Context, id, by string) error {
	return s.write(ctx, func(w *writing) error {
		n, err := w.Exec(ctx, `UPDATE silences SET until_at = $2 WHERE id = $1 AND until_at > $2`, id, micros(w.now))
		if err != nil || n == 0 {
			return err
		}
		return w.record(ctx, "", by, []makegood.Entry{{Action: "silence.ended", Target: id}})
	})
}

// Silences lists the silences that are not over at a time, those that begin later included.
func (s *Store) Silences(ctx context.Context, now time.Time) ([]makegood.Silence, error) {
	var list []makegood.Silence
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var x makegood.Silence
			var from, until int64
			err := rows.Scan(&x.ID, &x.Pattern, &from, &until, &x.Reason, &x.By)
			x.From, x.Until = fromMicros(from), fromMicros(until)
			list = append(list, x)
			return err
		}, `SELECT id, pattern, from_at, until_at, reason, made_by FROM silences WHERE until_at > $1 ORDER BY id LIMIT 1000`, micros(now))
	})
	return list, err
}

// KeepBeat keeps what something that reports by itself said: makegood.BeatStart, BeatSuccess or BeatFail.
func (s *Store) KeepBeat(ctx context.Context, name string, kind makegood.BeatKind, note string) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.lockName(ctx, "heartbeat/"+name); err != nil { // two reports at once each change what the other left
			return err
		}
		b, err := beatOf(ctx, w, name)
		if errors.Is(err, makegood.NotFound) {
			b, err = makegood.Beat{FirstSeenAt: w.now}, nil
		}
		if err != nil {
			return err
		}
		b.Say(kind, note, w.now)
		return w.Do(ctx, `
			INSERT INTO heartbeats (name, first_seen_at, started_at, succeeded_at, failed_at, took, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (name) DO UPDATE
			SET started_at = excluded.started_at, succeeded_at = excluded.succeeded_at, failed_at = excluded.failed_at,
				took = excluded.took, note = excluded.note`,
			clean(name), micros(b.FirstSeenAt), micros(b.StartedAt), micros(b.SucceededAt), micros(b.FailedAt), b.Took.Microseconds(), clean(b.Note))
	})
}

// ExpectBeat remembers since when something is expected to report. Expecting it again changes nothing.
func (s *Store) ExpectBeat(ctx context.Context, name string) error {
	return s.write(ctx, func(w *writing) error {
		return w.Do(ctx, `
			INSERT INTO heartbeats (name, first_seen_at, started_at, succeeded_at, failed_at, took, note)
			VALUES ($1, $2, 0, 0, 0, 0, '')
			ON CONFLICT (name) DO NOTHING`, clean(name), micros(w.now))
	})
}

// LastBeat returns what something last reported; makegood.NotFound when it is not known.
func (s *Store) LastBeat(ctx context.Context, name string) (b makegood.Beat, err error) {
	err = s.look(ctx, func(tx Tx) error {
		b, err = beatOf(ctx, tx, name)
		return err
	})
	return b, err
}

func beatOf(ctx context.Context, tx Tx, name string) (makegood.Beat, error) {
	var b makegood.Beat
	var first, started, succeeded, failed, took int64
	err := tx.QueryRow(ctx, `SELECT first_seen_at, started_at, succeeded_at, failed_at, took, note FROM heartbeats WHERE name = $1`, clean(name)).
		Scan(&first, &started, &succeeded, &failed, &took, &b.Note)
	b.FirstSeenAt, b.StartedAt, b.SucceededAt, b.FailedAt = fromMicros(first), fromMicros(started), fromMicros(succeeded), fromMicros(failed)
	b.Took = time.Duration(took) * time.Microsecond
	return b, err
}

// KeepPeerBeat keeps the newest beat of a peer. One whose sequence is not above the last is makegood.Conflict: somebody sent
// an old one again.
func (s *Store) KeepPeerBeat(ctx context.Context, name string, b makegood.PeerBeat) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return s.write(ctx, func(w *writing) error {
		n, err := w.Exec(ctx, `
			INSERT INTO peers (name, sequence, seen_at, beat)
			VALUES ($1, $2, $3, $4)
			ON CONFLICT (name) DO UPDATE
			SET sequence = excluded.sequence, seen_at = excluded.seen_at, beat = excluded.beat
			WHERE peers.sequence < excluded.sequence`, clean(name), b.Sequence, micros(w.now), clean(string(text)))
		if err == nil && n == 0 {
			return makegood.Errorf(makegood.Conflict, "This beat, or a later one, was heard before.")
		}
		return err
	})
}

// PeerBeat returns the newest beat of a peer and when it was heard; makegood.NotFound when none was.
func (s *Store) PeerBeat(ctx context.Context, name string) (b makegood.PeerBeat, heard time.Time, err error) {
	var text string
	var at int64
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `SELECT seen_at, beat FROM peers WHERE name = $1`, clean(name)).Scan(&at, &text)
	})
	if err == nil {
		err = json.Unmarshal([]byte(text), &b)
	}
	return b, fromMicros(at), err
}

// KeepChannelTest keeps how the test of a channel ended; trouble "" is well.
func (s *Store) KeepChannelTest(ctx context.Context, channel, trouble string) error {
	return s.write(ctx, func(w *writing) error {
		return w.Do(ctx, `
			INSERT INTO channel_tests (channel, tested_at, error)
			VALUES ($1, $2, $3)
			ON CONFLICT (channel) DO UPDATE
			SET tested_at = excluded.tested_at, error = excluded.error`, clean(channel), micros(w.now), clean(trouble))
	})
}

// ChannelTests returns how the last test of each channel ended.
func (s *Store) ChannelTests(ctx context.Context) (map[string]makegood.ChannelTest, error) {
	tests := map[string]makegood.ChannelTest{}
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var channel string
			var t makegood.ChannelTest
			var at int64
			err := rows.Scan(&channel, &at, &t.Trouble)
			t.At = fromMicros(at)
			tests[channel] = t
			return err
		}, `SELECT channel, tested_at, error FROM channel_tests`)
	})
	return tests, err
}

// usedFor is how long it is remembered after its end that a link was used: the clock may be set back, and a message that is
// repeated carries a link of its own that ends later.
const usedFor = 7 * 24 * time.Hour

// UseLink marks a link of one use as used. One that was used before is makegood.Conflict.
func (s *Store) UseLink(ctx context.Context, id string, expires time.Time) error {
	return s.write(ctx, func(w *writing) error {
		if err := w.Do(ctx, `DELETE FROM used_links WHERE expires_at < $1`, micros(w.now.Add(-usedFor))); err != nil {
			return err
		}
		n, err := w.Exec(ctx, `INSERT INTO used_links (id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`, id, micros(expires))
		if err == nil && n == 0 {
			return makegood.Errorf(makegood.Conflict, "This link was used before.")
		}
		return err
	})
}

// HouseValue returns what the database keeps for itself under a name. The first caller decides what it is.
func (s *Store) HouseValue(ctx context.Context, name string, first func() string) (value string, err error) {
	err = s.write(ctx, func(w *writing) error {
		if err := w.Do(ctx, `INSERT INTO house (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING`, clean(name), clean(first())); err != nil {
			return err
		}
		return w.QueryRow(ctx, `SELECT value FROM house WHERE name = $1`, clean(name)).Scan(&value)
	})
	return value, err
}

// KeepHouseValue writes what the database keeps for itself under a name.
func (s *Store) KeepHouseValue(ctx context.Context, name, value string) error {
	return s.write(ctx, func(w *writing) error { return w.keepHouseValue(ctx, name, value) })
}

func (w *writing) keepHouseValue(ctx context.Context, name, value string) error {
	return w.Do(ctx, `INSERT INTO house (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, clean(name), clean(value))
}

// BeRole says what this database is for, "server" or "watcher". One that was made for the other is makegood.Conflict: the two
// must not share one.
func (s *Store) BeRole(ctx context.Context, role string) error {
	is, err := s.HouseValue(ctx, "role", func() string { return role })
	if err == nil && !strings.EqualFold(is, role) {
		return makegood.Errorf(makegood.Conflict, "This database belongs to a %s and this is a %s. Give each its own: what breaks one must not break the other.", is, role)
	}
	return err
}
