// Package storetest gives tests a fresh database on each engine. Every behaviour of the store is shown on both, always.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// ServerVariable names the environment variable with the URL of a PostgreSQL server on which tests may make databases.
const ServerVariable = "MAKEGOOD_TEST_POSTGRES"

// Each runs the test once on a fresh SQLite file and once on a fresh PostgreSQL database, in parallel with others.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", SQLite}, {"postgres", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			t.Parallel()
			test(t, engine.url(t))
		})
	}
}

// SQLite returns the URL of a database that does not exist yet.
func SQLite(t testing.TB) string {
	return "sqlite:" + filepath.Join(t.TempDir(), "makegood.db")
}

// Postgres returns the URL of a new, empty database, which is dropped after the test.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(ServerVariable)
	if server == "" {
		t.Fatalf("%s is not set: run ./scripts/test, or ./scripts/postgres go test ./…, which start a private server", ServerVariable)
	}
	var random [6]byte
	rand.Read(random[:])
	name := "makegood_" + hex.EncodeToString(random[:])
	run(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", ServerVariable, err)
	}
	u.Path = "/" + name
	return u.String()
}

func run(t testing.TB, server, statement string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}
