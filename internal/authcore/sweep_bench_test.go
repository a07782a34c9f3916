// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
)

// Rows are made without indexes, which are built afterwards: that takes minutes for ten
// million instead of hours. One grant stands for a hundred tokens.
var (
	withoutIndexes = []string{
		`ALTER TABLE gluu.records DROP CONSTRAINT records_pkey`,
		`DROP INDEX gluu.records_expires, gluu.records_index1, gluu.records_index2, gluu.records_index3, gluu.records_index4`,
	}
	withIndexes = []string{
		`SET maintenance_work_mem = '256MB'`,
		`ALTER TABLE gluu.records ADD PRIMARY KEY (kind, key)`,
		`CREATE INDEX records_expires ON gluu.records (expires)`,
		`CREATE INDEX records_index1 ON gluu.records (kind, index1, key) WHERE index1 IS NOT NULL`,
		`CREATE INDEX records_index2 ON gluu.records (kind, index2, key) WHERE index2 IS NOT NULL`,
		`CREATE INDEX records_index3 ON gluu.records (kind, index3, key) WHERE index3 IS NOT NULL`,
		`CREATE INDEX records_index4 ON gluu.records (kind, index4, key) WHERE index4 IS NOT NULL`,
		`VACUUM ANALYZE gluu.records`,
		`CHECKPOINT`,
	}
)

const (
	copyGrants = `INSERT INTO gluu.records (kind, key, version, expires, value, index1, index2, index3, index4)
	SELECT kind, sha256(key || int8send(i)), version, expires, value, index1, index2, sha256(index3 || int8send(i)), index4
	FROM original, generate_series(1, $1::bigint / 100) i WHERE kind = 'oauth_grant'`

	copyTokens = `INSERT INTO gluu.records (kind, key, version, expires, value, index1)
	SELECT kind, sha256(key || int8send(i)), version, CASE WHEN $3 THEN now() - interval '1 hour' ELSE expires END + i % 1000 * interval '1 second',
		value, sha256(index1 || int8send(i / 100))
	FROM original, generate_series($1::bigint, $2::bigint) i WHERE kind = 'oauth_refresh'`

	requestsPerSecond = 200
	chains            = 40 // grants whose tokens are rotated, one after the other
	calm              = 30 * time.Second
)

// Rotating refresh tokens at 200 requests a second among many live ones in PostgreSQL, before
// and while a sweep deletes a tenth as many that have expired.
func BenchmarkSweepAmong(b *testing.B) {
	for _, live := range liveTokens(b) {
		b.Run(fmt.Sprint(live), func(b *testing.B) {
			server := harness.StartPostgres(b)
			size := fill(b, server, live)
			records := openPostgres(b, server)
			s := New(records, nil)
			held := make([]*Tokens, chains)
			for i := range held {
				held[i] = redeem(b, s, terms)
			}
			b.ResetTimer()
			b.ReportMetric(size/float64(live), "disk-B/token")
			for range b.N {
				before, cancel := context.WithTimeout(b.Context(), calm)
				report(b, "calm", rotateAll(b, before, s, held))
				cancel()
				sweeping, done := context.WithCancel(b.Context())
				began := time.Now()
				go func() {
					defer done()
					deleted, err := records.Sweep(b.Context())
					b.ReportMetric(time.Since(began).Seconds(), "sweep-s")
					b.ReportMetric(float64(deleted), "swept")
					if err != nil || deleted < live/10 {
						b.Errorf("swept %d of %d: %v", deleted, live/10, err)
					}
				}()
				report(b, "sweep", rotateAll(b, sweeping, s, held))
			}
		})
	}
}

func openPostgres(b *testing.B, server *harness.Postgres) *store.Store {
	b.Helper()
	engine, err := postgres.Open(postgres.Options{DSN: server.URL()})
	if err != nil {
		b.Fatal(err)
	}
	return awaitRecords(b, newRecords(b, engine, nil))
}

// fill makes live tokens, and a tenth as many that have expired, and returns what they take
// on disk.
func fill(b *testing.B, server *harness.Postgres, live int) (size float64) {
	b.Helper()
	records := openPostgres(b, server)
	redeem(b, New(records, nil), terms)
	records.Close() // so that nothing is swept yet
	ctx := b.Context()
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	run := func(statement string, arguments ...any) {
		b.Helper()
		if _, err := conn.Exec(ctx, statement, arguments...); err != nil {
			b.Fatalf("%s: %v", statement, err)
		}
	}
	run(original)
	for _, statement := range withoutIndexes {
		run(statement)
	}
	run(copyGrants, live)
	run(copyTokens, live+1, live+live/10, true)
	for made := 0; made < live; made += step {
		run(copyTokens, made+1, min(made+step, live), false)
	}
	for _, statement := range withIndexes {
		run(statement)
	}
	if err := conn.QueryRow(ctx, `SELECT pg_total_relation_size('gluu.records')`).Scan(&size); err != nil {
		b.Fatal(err)
	}
	return size
}

// rotateAll uses the tokens at the rate until the context ends, and returns how long each
// rotation took from the moment at which it was due.
func rotateAll(b *testing.B, ctx context.Context, s *Store, held []*Tokens) (took []time.Duration) {
	b.Helper()
	var mu sync.Mutex
	var workers sync.WaitGroup
	due := make(chan time.Time, requestsPerSecond*60)
	for i := range held {
		workers.Go(func() {
			for at := range due {
				tokens, err := s.RotateRefresh(b.Context(), held[i].RefreshText, rotation(terms))
				if err != nil {
					b.Error(err)
					return
				}
				held[i] = tokens
				mu.Lock()
				took = append(took, time.Since(at))
				mu.Unlock()
			}
		})
	}
	ticker := time.NewTicker(time.Second / requestsPerSecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case at := <-ticker.C:
			due <- at
		}
	}
	close(due)
	workers.Wait()
	return took
}

func report(b *testing.B, phase string, took []time.Duration) {
	b.Helper()
	if len(took) == 0 {
		b.Fatalf("%s: nothing was rotated", phase)
	}
	slices.Sort(took)
	b.ReportMetric(float64(len(took)), phase+"-requests")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, phase+"-p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, phase+"-p99-ms")
}
