package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/makegood/makegood"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

type migration struct {
	version  int
	name     string
	text     string
	checksum string
}

// Migrate brings the schema to the newest version, forward only, each step in a transaction of its own. It refuses a
// database that is newer than the program and one whose earlier steps were not those of this program. Calling it again,
// or on several nodes at once, does nothing more.
func (s *Store) Migrate(ctx context.Context) error {
	steps, err := readMigrations(migrationFiles)
	if err != nil {
		return err
	}
	return s.migrate(ctx, steps)
}

// IsMigrated reports whether the schema is that of this program. It changes nothing.
func (s *Store) IsMigrated(ctx context.Context) (bool, error) {
	steps, err := readMigrations(migrationFiles)
	if err != nil {
		return false, err
	}
	applied, err := s.appliedMigrations(ctx)
	return err == nil && len(applied) == len(steps), err
}

func (s *Store) migrate(ctx context.Context, steps []migration) error {
	return s.engine.exclusively(ctx, func() error { return s.migrateAlone(ctx, steps) })
}

func (s *Store) migrateAlone(ctx context.Context, steps []migration) error {
	err := s.engine.write(ctx, func(tx Tx) error {
		_, err := tx.Exec(ctx, `
			CREATE TABLE IF NOT EXISTS schema_migrations (
				version    BIGINT PRIMARY KEY,
				name       TEXT   NOT NULL,
				checksum   TEXT   NOT NULL,
				applied_at BIGINT NOT NULL
			)`)
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare the schema: %w", err)
	}
	applied, err := s.appliedMigrations(ctx)
	if err != nil {
		return err
	}
	newest := steps[len(steps)-1].version
	for version, m := range applied {
		if version > newest {
			return makegood.Errorf(makegood.Conflict, "The database is at version %d (%s), this program knows only up to %d. "+
				"Run the newer program, or restore a backup made before the upgrade.", version, m.name, newest)
		}
	}
	for _, m := range steps {
		if was, ok := applied[m.version]; ok {
			if was.checksum != m.checksum {
				return makegood.Errorf(makegood.Conflict, "Migration %d (%s) of this database differs from the one in this "+
					"program: it was made by another build. Nothing was changed.", m.version, was.name)
			}
			continue
		}
		if err := s.applyMigration(ctx, m); err != nil {
			return fmt.Errorf("migration %d (%s): %w", m.version, m.name, err)
		}
	}
	return nil
}

func (s *Store) appliedMigrations(ctx context.Context) (map[int]migration, error) {
	applied := map[int]migration{}
	err := s.engine.read(ctx, func(tx Tx) error {
		rows, err := tx.Query(ctx, `SELECT version, name, checksum FROM schema_migrations`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m migration
			if err := rows.Scan(&m.version, &m.name, &m.checksum); err != nil {
				return err
			}
			applied[m.version] = m
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read the version of the schema: %w", err)
	}
	return applied, nil
}

// applyMigration takes one step and remembers it, all or nothing: both engines undo changes of the schema too.
func (s *Store) applyMigration(ctx context.Context, m migration) error {
	return s.engine.write(ctx, func(tx Tx) error {
		for _, statement := range statements(m.text) {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%w in:\n%s", err, statement)
			}
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO schema_migrations (version, name, checksum, applied_at)
			VALUES ($1, $2, $3, $4)`, m.version, m.name, m.checksum, micros(s.now()))
		return err
	})
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return nil, errors.Join(errors.New("no migrations are built in"), err)
	}
	steps := make([]migration, 0, len(names))
	for i, path := range names {
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", path, i+1)
		}
		sum := sha256.Sum256(text)
		steps = append(steps, migration{version, name, string(text), hex.EncodeToString(sum[:])})
	}
	return steps, nil
}

// statements splits a migration at the semicolons that end a line. Comments are dropped.
func statements(text string) []string {
	var all []string
	var one strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		one.WriteString(line)
		if strings.HasSuffix(strings.TrimRight(line, " \n"), ";") {
			all = append(all, strings.TrimSpace(one.String()))
			one.Reset()
		}
	}
	if rest := strings.TrimSpace(one.String()); rest != "" {
		all = append(all, rest)
	}
	return all
}
