// SPDX-License-Identifier: Apache-2.0

package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
	"github.com/caddy-gluu/gateway/internal/store/storetest"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a PostgreSQL, without the schema at the start of each test.
type server struct {
	*harness.Postgres
	dsn string
}

func newServer(t testing.TB, p *harness.Postgres, dsn string) server {
	t.Helper()
	s := server{p, dsn}
	s.execute(t, `DROP SCHEMA IF EXISTS gluu CASCADE`)
	return s
}

func (s server) execute(t testing.TB, statement string) (count int) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	rows, err := connection.Query(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&count); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return count
}

func (s server) Open(t testing.TB) store.Engine {
	t.Helper()
	engine, err := postgres.Open(postgres.Options{DSN: s.dsn})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// Leftovers counts rows; their index entries are in them. Announcements do not
// belong to records: they last ten minutes.
func (s server) Leftovers(t testing.TB) int {
	return s.execute(t, `SELECT count(*)::int FROM gluu.records`)
}

func (s server) Stop(t testing.TB) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}

func (s server) Start(testing.TB) { s.Postgres.Start() }
func (s server) KeepsAll() bool   { return true }

func suite(t testing.TB, options string) storetest.Suite {
	p := harness.StartPostgres(t)
	return storetest.Suite{Shared: true, New: func(t testing.TB) storetest.Place { return newServer(t, p, p.URL()+options) }}
}

func TestSec_S201_S202_S203_S213_S219_S222_S225_S226_Postgres(t *testing.T) {
	suite(t, "").Run(t)
}

// As behind PgBouncer, once its kind of prepared statements was found out.
func TestConformanceWithoutNamedStatements(t *testing.T) {
	suite(t, "&default_query_exec_mode=cache_describe").Run(t)
}

func BenchmarkPostgres(b *testing.B) { suite(b, "").Bench(b) }

func TestOlderGatewayRefusesNewerSchema(t *testing.T) {
	p := harness.StartPostgres(t)
	s := newServer(t, p, p.URL())
	s.Open(t).Close()
	s.execute(t, `INSERT INTO gluu.schema_version (version) VALUES (1000)`)
	engine, err := postgres.Open(postgres.Options{DSN: s.dsn})
	if err == nil {
		engine.Close()
		t.Fatal("the schema of a newer gateway was taken")
	}
	if !strings.Contains(err.Error(), "version 1000") {
		t.Errorf("got %v, want the version in it", err)
	}
}

func TestGatewaysMigrateAtTheSameTime(t *testing.T) {
	p := harness.StartPostgres(t)
	s := newServer(t, p, p.URL())
	opened := make(chan error)
	const gateways = 8
	for range gateways {
		go func() {
			engine, err := postgres.Open(postgres.Options{DSN: s.dsn})
			if err == nil {
				harness.Eventually(t, patience, func() string {
					if _, err := engine.Get(t.Context(), "grant", store.Hash{}); !errors.Is(err, store.ErrNotFound) {
						return fmt.Sprint("Get: ", err)
					}
					return ""
				})
				err = engine.Close()
			}
			opened <- err
		}()
	}
	for range gateways {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	if got := s.execute(t, `SELECT count(*)::int FROM gluu.schema_version`); got != 1 {
		t.Errorf("%d versions were made, want 1", got)
	}
}

func TestPostgresMayComeLater(t *testing.T) {
	p := harness.StartPostgres(t)
	s := newServer(t, p, p.URL())
	s.Stop(t)
	st, err := store.New(s.Open(t), store.Options{Secrets: []string{strings.Repeat("s", 32)}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	s.Start(t)
	harness.Eventually(t, patience, func() string {
		if _, err := st.Get(t.Context(), "grant", []byte("g")); !errors.Is(err, store.ErrNotFound) {
			return fmt.Sprint("Get: ", err)
		}
		return ""
	})
}

// S-221: PgBouncer gives each transaction another connection, so a statement
// that this gateway has prepared is not there, or another gateway's is. The
// statements of the server's own connections are removed here.
func TestSec_S221_NamedStatementsAreGivenUp(t *testing.T) {
	p := harness.StartPostgres(t)
	s := newServer(t, p, p.URL()+"&pool_max_conns=1")
	engine, err := postgres.Open(postgres.Options{DSN: s.dsn})
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.New(engine, store.Options{Secrets: []string{strings.Repeat("s", 32)}, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	record := store.Record{Kind: "grant", Key: []byte("g"), Value: []byte("v"), Expires: store.Forever}
	if err := st.Commit(t.Context(), store.Put(record)); err != nil {
		t.Fatal(err)
	}
	if named := postgres.UsesNamedStatements(engine); !named {
		t.Fatal("statements have no names at the start: the test shows nothing")
	}
	if err := postgres.Deallocate(t.Context(), engine); err != nil {
		t.Fatal(err)
	}
	if err := st.Commit(t.Context(), store.Put(record)); err != nil {
		t.Errorf("Commit: %v", err)
	}
	if got, err := st.Get(t.Context(), "grant", []byte("g")); err != nil || string(got.Value) != "v" {
		t.Errorf("Get: got %q, %v", got.Value, err)
	}
	if postgres.UsesNamedStatements(engine) {
		t.Error("statements still have names")
	}
}

// S-220: no setting makes values part of a statement's text.
func TestSec_S220_OpenRefuses(t *testing.T) {
	for dsn, want := range map[string]string{
		"postgres://user:secret@a.example/db?default_query_exec_mode=simple_protocol": "simple_protocol",
		"postgres://user:secret@a.example/db?default_query_exec_mode=exec":            "exec",
		"postgres://user:secret%zz@a.example/db":                                      "percent-encoded",
		"postgres://user:secret@a.example/db?sslmode=sometimes":                       "not a connection string",
	} {
		engine, err := postgres.Open(postgres.Options{DSN: dsn})
		if err == nil {
			engine.Close()
			t.Errorf("%s was not refused", dsn)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %q and no secret", dsn, err, want)
		}
	}
}

// A change is known though no notification arrives, and though a transaction
// that began earlier ends later.
func TestChangesOfLateTransactionsAreSeen(t *testing.T) {
	p := harness.StartPostgres(t)
	s := newServer(t, p, p.URL())
	engine := s.Open(t)
	defer engine.Close()
	announced := make(chan string, 100)
	begun := make(chan struct{}, 100)
	stop := watch(t, engine, func(payload []byte) {
		if payload == nil {
			begun <- struct{}{}
			return
		}
		announced <- string(payload)
	})
	defer stop()
	<-begun

	late, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close(t.Context())
	tx, err := late.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `INSERT INTO gluu.changes (payload) VALUES ('late')`); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"late": true}
	for i := range 5 {
		if i == 3 {
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		payload := fmt.Sprint("change ", i)
		want[payload] = true
		if err := engine.Commit(t.Context(), time.Now(), nil, [][]byte{[]byte(payload)}); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, patience, func() string { // each is known before the late one ends
			if len(announced) <= i {
				return payload + " is not known"
			}
			return ""
		})
	}
	for len(want) > 0 {
		select {
		case got := <-announced:
			if !want[got] {
				t.Errorf("%q was announced twice, or never made", got)
			}
			delete(want, got)
		case <-time.After(patience):
			t.Fatalf("not announced: %v", want)
		}
	}
}
