package store

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/makegood/makegood"
	"github.com/makegood/makegood/internal/store/storetest"
)

// oldNotices is how many notices of incidents that are long over there are: those of many years. With a million the plans
// are the same (tried by hand).
const oldNotices = 30_000

// write has every question of a writing transaction explained as well.
func (e explaining) write(ctx context.Context, fn func(Tx) error) error {
	return e.engine.write(ctx, func(tx Tx) error { return fn(explainingTx{tx, e}) })
}

// TestTellingIsCheap: what is asked twice a second, and for every message, reads only what is open or recent, however many
// notices were sent before: they are kept for ever.
func TestTellingIsCheap(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, url string) {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		fillNotices(t, s, oldNotices, now)
		plain := s.engine
		var plans []string
		s.engine = explaining{plain, &plans}
		ctx := t.Context()
		none := func(*makegood.Incident) (*makegood.Incident, error) { return nil, nil }
		for name, look := range map[string]func() error{
			"WaitingNotices": func() error { _, err := s.WaitingNotices(ctx); return err },
			"OldestUnsent":   func() error { _, err := s.OldestUnsent(ctx, now); return err },
			"DueIncidents":   func() error { _, _, err := s.DueIncidents(ctx, now); return err },
			"OpenIncidents":  func() error { _, err := s.OpenIncidents(ctx); return err },
			"OpenIncidents of keys": func() error {
				_, err := s.OpenIncidents(ctx, "check/17", "check/18")
				return err
			},
			"ChangeIncident": func() error { return s.ChangeIncident(ctx, "check/3", none) },
			"AmendIncidents": func() error {
				return s.AmendIncidents(ctx, []string{"inc_9"}, func(*makegood.Incident) error { return nil })
			},
			"ClaimNotices": func() error {
				_, err := s.ClaimNotices(ctx, "pager", now, func(due []makegood.Notice, sent []makegood.SentMessage) ([]string, string) {
					if len(due) != 1 || len(sent) == 0 || len(sent) > 200 {
						t.Errorf("ClaimNotices offers %d due and %d sent messages, want one and those of three hours", len(due), len(sent))
					}
					return nil, ""
				})
				return err
			},
			"EarlierMessages":    func() error { _, err := s.EarlierMessages(ctx, "pager", []string{"inc_9"}); return err },
			"IncidentsOfMessage": func() error { _, err := s.IncidentsOfMessage(ctx, "pager", "msg_9"); return err },
			"NoticesByRemoteID":  func() error { _, err := s.NoticesByRemoteID(ctx, "pager", "r9"); return err },
			"Silences":           func() error { _, err := s.Silences(ctx, now); return err },
		} {
			plans = nil
			began := time.Now()
			if err := look(); err != nil {
				t.Errorf("%s = %v", name, err)
			}
			t.Logf("%s took %v, its plan with it", name, time.Since(began))
			for _, plan := range plans {
				if reads := tellingReadsAll(plan); reads != "" {
					t.Errorf("%s reads a whole table (%s):\n%s", name, reads, plan)
				}
			}
			if len(plans) == 0 {
				t.Errorf("%s was not explained", name)
			}
		}
	})
}

// tellingReadsAll returns the line of a plan that reads a table or a whole index from end to end. Partial indexes of what
// waits or is open have few rows.
func tellingReadsAll(plan string) string {
	for line := range strings.Lines(plan) {
		line = strings.TrimSpace(line)
		few := strings.Contains(line, "notices_waiting") || strings.Contains(line, "incidents_open") || strings.Contains(line, "incidents_due") ||
			strings.Contains(line, "silences") || strings.Contains(line, "subquery") || strings.Contains(line, "SCAN lately")
		if !few && (strings.Contains(line, "Seq Scan on") || strings.HasPrefix(line, "SCAN ")) {
			return line
		}
	}
	return ""
}

// fillNotices makes incidents that are over, one in each five minutes, each with a notice that was sent; and one that is
// open, with a notice that waits.
func fillNotices(t *testing.T, s *Store, rows int, now time.Time) {
	t.Helper()
	many := fmt.Sprintf(`WITH RECURSIVE many (n) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT n + 1 FROM many WHERE n < %d) `, rows)
	at := fmt.Sprintf("%d - n * 300000000", now.UnixMicro())
	for _, statement := range []string{
		many + `
			INSERT INTO incidents (id, incident_key, check_code, subject, priority, title, detail, means, depends_on, state, muted, reopened,
				started_at, opened_at, acked_at, acked_by, acked_until, resolved_at, resolved_by, climbed_at, rung, round, next_at, moments)
			SELECT 'inc_' || n, 'check/' || n, 'check', '', 'P1', '', '', '', '[]', CASE WHEN n = 0 THEN 'open' ELSE 'resolved' END, '', 0,
				` + at + `, ` + at + `, 0, '', 0, CASE WHEN n = 0 THEN 0 ELSE ` + at + ` END, '', ` + at + `, 0, 0, CASE WHEN n = 0 THEN ` + at + ` ELSE 0 END, 0
			FROM many`,
		many + `
			INSERT INTO notices (` + noticeColumns + `)
			SELECT 'ntc_' || n, 'inc_' || n, 'pager', 'opened', 'P1', 'check', 0, 0, 0, CASE WHEN n = 0 THEN 'queued' ELSE 'accepted' END,
				` + at + `, 0, CASE WHEN n = 0 THEN '' ELSE 'msg_' || n END, 0, FALSE, 'r' || n, '', ` + at + `, CASE WHEN n = 0 THEN 0 ELSE ` + at + ` END, 0, 0,
				CASE WHEN n % 100 = 50 THEN ` + at + ` ELSE 0 END
			FROM many`,
		`ANALYZE`,
	} {
		if err := s.engine.write(t.Context(), func(tx Tx) error { _, err := tx.Exec(t.Context(), statement); return err }); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}
