// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
	"github.com/caddy-gluu/gateway/internal/store/redis"
)

const (
	testIssuer = "https://auth.example.com"
	testSecret = "the secret of a test, of 32 bytes or more"
)

// clock is a clock that only tests move.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(by time.Duration) { c.offset.Add(int64(by)) }

// newRecords makes a store of an engine, with the clock of the test.
func newRecords(t testing.TB, engine store.Engine, now func() time.Time) *store.Store {
	t.Helper()
	records, err := store.New(engine, store.Options{Secrets: []string{testSecret}, Now: now, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { records.Close() })
	return records
}

// newStore is a store in a file.
func newStore(t testing.TB) (*Store, *clock) {
	t.Helper()
	c := new(clock)
	engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	return New(newRecords(t, engine, c.now), c.now), c
}

// onEachEngine runs a test on two servers that share one store, of each kind.
func onEachEngine(t *testing.T, test func(t *testing.T, one, other *Store)) {
	t.Run("embedded", func(t *testing.T) {
		engine, err := embedded.Open(filepath.Join(t.TempDir(), "store.db"))
		if err != nil {
			t.Fatal(err)
		}
		records := newRecords(t, engine, nil)
		test(t, New(records, nil), New(records, nil))
	})
	t.Run("postgres", func(t *testing.T) {
		p := harness.StartPostgres(t)
		open := func() *Store {
			engine, err := postgres.Open(postgres.Options{DSN: p.URL()})
			if err != nil {
				t.Fatal(err)
			}
			return New(awaitRecords(t, newRecords(t, engine, nil)), nil)
		}
		test(t, open(), open())
	})
	t.Run("redis", func(t *testing.T) {
		r := harness.StartRedis(t)
		open := func() *Store {
			engine, err := redis.Open(redis.Options{URL: "redis://" + r.Addr})
			if err != nil {
				t.Fatal(err)
			}
			return New(awaitRecords(t, newRecords(t, engine, nil)), nil)
		}
		test(t, open(), open())
	})
}

// awaitRecords waits until a server has been reached.
func awaitRecords(t testing.TB, records *store.Store) *store.Store {
	t.Helper()
	harness.Eventually(t, 30*time.Second, func() string {
		if _, err := New(records, nil).Client(t.Context(), "missing"); err != ErrNotFound {
			return err.Error()
		}
		return ""
	})
	return records
}
