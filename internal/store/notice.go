package store

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/makegood/makegood"
)

func itoa(n int) string { return strconv.Itoa(n) }

const noticeColumns = `id, incident_id, channel, kind, priority, bundle, span, round, rung, state, not_before, lease_until, message_id,
	attempts, doubt, remote_id, error, created_at, sent_at, arrived_at, doubts, doubted_at`

func scanNotice(row Row) (makegood.Notice, error) {
	var n makegood.Notice
	var notBefore, lease, created, sent, arrived, doubted int64
	err := row.Scan(&n.ID, &n.IncidentID, &n.Channel, (*string)(&n.Kind), (*string)(&n.Priority), &n.Group, &n.Span, &n.Round, &n.Rung,
		(*string)(&n.State), &notBefore, &lease, &n.MessageID, &n.Attempts, &n.Doubt, &n.RemoteID, &n.Error, &created, &sent, &arrived, &n.Doubts, &doubted)
	n.NotBefore, n.LeaseUntil, n.CreatedAt = fromMicros(notBefore), fromMicros(lease), fromMicros(created)
	n.SentAt, n.ArrivedAt, n.DoubtedAt = fromMicros(sent), fromMicros(arrived), fromMicros(doubted)
	return n, err
}

// noticesOf lists the notices that fit; the rest of the statement says the order.
func noticesOf(ctx context.Context, tx Tx, where string, args ...any) ([]makegood.Notice, error) {
	var list []makegood.Notice
	err := each(ctx, tx, func(rows Rows) error {
		n, err := scanNotice(rows)
		list = append(list, n)
		return err
	}, `SELECT `+noticeColumns+` FROM notices WHERE `+where, args...)
	return list, err
}

func (w *writing) keepNotice(ctx context.Context, n makegood.Notice) error {
	return w.Do(ctx, `
		INSERT INTO notices (`+noticeColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
		ON CONFLICT (id) DO UPDATE
		SET priority = excluded.priority, span = excluded.span, state = excluded.state, not_before = excluded.not_before, lease_until = excluded.lease_until,
			message_id = excluded.message_id, attempts = excluded.attempts, doubt = excluded.doubt, remote_id = excluded.remote_id,
			error = excluded.error, sent_at = excluded.sent_at, arrived_at = excluded.arrived_at, doubts = excluded.doubts,
			doubted_at = excluded.doubted_at`,
		n.ID, n.IncidentID, clean(n.Channel), string(n.Kind), string(n.Priority), clean(n.Group), n.Span, n.Round, n.Rung, string(n.State),
		micros(n.NotBefore), micros(n.LeaseUntil), n.MessageID, n.Attempts, n.Doubt, clean(n.RemoteID), clean(n.Error), micros(n.CreatedAt),
		micros(n.SentAt), micros(n.ArrivedAt), n.Doubts, micros(n.DoubtedAt))
}

// sentWithin is how far back the limits of a channel look.
const sentWithin = 3 * time.Hour

// ClaimNotices lets choose pick from what a channel has to tell now, given what it told in the last hours, and gives the
// picked ones to the caller until the lease ends. choose returns the ids and the message they are told in; no ids is
// nothing for now. choose may put off notices that it does not pick, by moving their NotBefore. What a dead teller had
// claimed is due again when its lease has ended, and still has its message. What somebody else is changing just now is left
// for the next time.
func (s *Store) ClaimNotices(ctx context.Context, channel string, now time.Time,
	choose func(due []makegood.Notice, sent []makegood.SentMessage) (ids []string, messageID string)) (claimed []makegood.Notice, err error) {
	err = s.write(ctx, func(w *writing) error {
		claimed = nil
		if err := w.lockName(ctx, "channel/"+channel); err != nil {
			return err
		}
		due, err := noticesOf(ctx, w.Tx, `channel = $1 AND (state = 'queued' AND not_before <= $2 OR state = 'sending' AND lease_until <= $2)
			ORDER BY priority, id LIMIT 2000`+w.skipLocked(), channel, micros(now))
		if err != nil || len(due) == 0 {
			return err
		}
		sent, err := w.sentMessages(ctx, channel, now.Add(-sentWithin))
		if err != nil {
			return err
		}
		ids, messageID := choose(due, sent)
		picked := make(map[string]bool, len(ids))
		for _, id := range ids {
			picked[id] = true
		}
		putOff := map[time.Time][]string{}
		for _, n := range due {
			if !picked[n.ID] {
				if n.NotBefore.After(now) {
					putOff[n.NotBefore] = append(putOff[n.NotBefore], n.ID)
				}
				continue
			}
			n.State, n.LeaseUntil, n.MessageID = makegood.NoticeSending, now.Add(makegood.NoticeLease), messageID
			claimed = append(claimed, n)
		}
		for chunk := range slices.Chunk(claimed, inMax) {
			list, args := placeholders(idsOf(chunk), 3)
			if err := w.Do(ctx, `UPDATE notices SET state = 'sending', lease_until = $1, message_id = $2 WHERE id IN (`+list+`)`,
				append([]any{micros(now.Add(makegood.NoticeLease)), messageID}, args...)...); err != nil {
				return err
			}
		}
		for until, ids := range putOff {
			for chunk := range slices.Chunk(ids, inMax) {
				list, args := placeholders(chunk, 2)
				if err := w.Do(ctx, `UPDATE notices SET state = 'queued', not_before = $1 WHERE id IN (`+list+`)`, append([]any{micros(until)}, args...)...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return claimed, err
}

// skipLocked locks the selected rows until the end of the transaction, without those that another one holds: whoever claims
// notices never waits for somebody who changes their incidents, so the two cannot wait for each other.
func (w *writing) skipLocked() string {
	if lock := w.store.engine.forUpdate(); lock != "" {
		return lock + " SKIP LOCKED"
	}
	return ""
}

func idsOf(notices []makegood.Notice) []string {
	ids := make([]string, len(notices))
	for i, n := range notices {
		ids[i] = n.ID
	}
	return ids
}

// lately is what sentMessages needs of a notice; the id keeps UNION from taking two for one.
const lately = `id, message_id, bundle, kind, priority, sent_at, doubted_at, doubts`

// sentMessages lists the messages that a channel told, or may have told, since a time. It asks twice, because SQLite takes a
// partial index only when its very condition (sent_at > 0) is asked for, and for no OR of two such: every notice that was
// ever sent would be read, in a transaction that keeps deliveries waiting.
func (w *writing) sentMessages(ctx context.Context, channel string, since time.Time) ([]makegood.SentMessage, error) {
	var list []makegood.SentMessage
	err := each(ctx, w.Tx, func(rows Rows) error {
		var m makegood.SentMessage
		var sent, doubted, alarms int64
		err := rows.Scan(&m.ID, &m.Group, (*string)(&m.Priority), &sent, &doubted, &m.Doubts, &alarms)
		m.At, m.IsAlarm, m.Accepted = fromMicros(max(sent, doubted)), alarms > 0, sent > 0
		list = append(list, m)
		return err
	}, `
		SELECT message_id, bundle, COALESCE(MIN(CASE WHEN kind <> 'resolved' THEN priority END), MIN(priority)), MAX(sent_at),
			MAX(doubted_at), MAX(doubts), SUM(CASE WHEN kind = 'resolved' THEN 0 ELSE 1 END)
		FROM (
			SELECT `+lately+` FROM notices WHERE channel = $1 AND sent_at > 0 AND sent_at > $2
			UNION
			SELECT `+lately+` FROM notices WHERE channel = $1 AND doubted_at > 0 AND doubted_at > $2) AS lately
		GROUP BY message_id, bundle
		ORDER BY 4, 1, 2`, channel, micros(since))
	return list, err
}

// WaitingNotices says for each channel that has something to tell when the first of it is due.
func (s *Store) WaitingNotices(ctx context.Context) (map[string]time.Time, error) {
	waiting := map[string]time.Time{}
	err := s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var channel string
			var at int64
			err := rows.Scan(&channel, &at)
			waiting[channel] = fromMicros(at)
			return err
		}, `
			SELECT channel, MIN(CASE WHEN state = 'sending' THEN lease_until ELSE not_before END)
			FROM notices
			WHERE state = 'queued' OR state = 'sending'
			GROUP BY channel`)
	})
	return waiting, err
}

// OldestUnsent is since when the oldest notice waits that was due before a time; zero when none does. One that was put off
// waits from when it comes due: that it was told late was meant so.
func (s *Store) OldestUnsent(ctx context.Context, now time.Time) (oldest time.Time, err error) {
	var at int64
	err = s.look(ctx, func(tx Tx) error {
		return tx.QueryRow(ctx, `
			SELECT COALESCE(MIN(CASE WHEN attempts = 0 AND not_before > created_at THEN not_before ELSE created_at END), 0)
			FROM notices
			WHERE (state = 'queued' OR state = 'sending') AND (not_before <= $1 OR attempts > 0)`, micros(now)).Scan(&at)
	})
	return fromMicros(at), err
}

// EarlierMessages returns the messages in which a channel told that the incidents had begun, and how many incidents of each
// message are not over.
func (s *Store) EarlierMessages(ctx context.Context, channel string, incidents []string) ([]makegood.EarlierMessage, error) {
	found := map[string]*makegood.EarlierMessage{}
	var order []string
	err := s.look(ctx, func(tx Tx) error {
		for chunk := range slices.Chunk(incidents, inMax) {
			list, args := placeholders(chunk, 2)
			err := each(ctx, tx, func(rows Rows) error {
				var m makegood.EarlierMessage
				if err := rows.Scan(&m.MessageID, &m.RemoteID); err != nil {
					return err
				}
				if found[m.MessageID] == nil {
					found[m.MessageID] = &m
					order = append(order, m.MessageID)
				}
				return nil
			}, `
				SELECT DISTINCT message_id, remote_id
				FROM notices
				WHERE channel = $1 AND kind <> 'resolved' AND message_id <> '' AND (sent_at > 0 OR doubt) AND incident_id IN (`+list+`)
				ORDER BY 1, 2 DESC`, append([]any{channel}, args...)...)
			if err != nil {
				return err
			}
		}
		for _, id := range order {
			if err := tx.QueryRow(ctx, `
				SELECT COUNT(DISTINCT incidents.id)
				FROM notices
				JOIN incidents ON incidents.id = notices.incident_id
				WHERE notices.message_id = $1 AND notices.channel = $2 AND incidents.state <> 'resolved'`, id, channel).Scan(&found[id].Open); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]makegood.EarlierMessage, len(order))
	for k, id := range order {
		list[k] = *found[id]
	}
	return list, nil
}

// IncidentsOfMessage returns the ids of the incidents that a channel was told of in a message.
func (s *Store) IncidentsOfMessage(ctx context.Context, channel, messageID string) ([]string, error) {
	return s.idsWhere(ctx, `SELECT DISTINCT incident_id FROM notices WHERE message_id = $1 AND channel = $2 AND message_id <> '' ORDER BY 1`, messageID, channel)
}

// arrivalsWithin is for how long a service may say what became of a message that went to several people.
const arrivalsWithin = 3 * 24 * time.Hour

// NoticesByRemoteID returns the notices that a channel's service knows by its own id, each with its incident. A message that
// went to several people has an id for each of them, kept as one text with commas: any of them finds it, for some days.
func (s *Store) NoticesByRemoteID(ctx context.Context, channel, remoteID string) (list []makegood.Notice, err error) {
	err = s.look(ctx, func(tx Tx) error {
		list, err = noticesOf(ctx, tx, `remote_id = $1 AND channel = $2 AND remote_id <> '' ORDER BY id LIMIT 2000`, remoteID, channel)
		if err != nil || len(list) > 0 || remoteID == "" || strings.ContainsAny(remoteID, ",%_") {
			return err
		}
		list, err = noticesOf(ctx, tx, `channel = $2 AND sent_at > $3 AND ',' || remote_id || ',' LIKE '%,' || CAST($1 AS TEXT) || ',%'
			ORDER BY id LIMIT 2000`, remoteID, channel, micros(s.now().Add(-arrivalsWithin)))
		return err
	})
	return list, err
}

func (s *Store) idsWhere(ctx context.Context, query string, args ...any) (ids []string, err error) {
	err = s.look(ctx, func(tx Tx) error {
		return each(ctx, tx, func(rows Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		}, query, args...)
	})
	return ids, err
}
