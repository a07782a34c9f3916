// SPDX-License-Identifier: Apache-2.0

package authcore

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
)

// The rows of a grant and its refresh token, and copies of them with other keys and index
// entries, in steps that take seconds.
const (
	original = `CREATE TABLE original AS SELECT * FROM gluu.records WHERE kind IN ('oauth_grant', 'oauth_refresh')`
	multiply = `INSERT INTO gluu.records (kind, key, version, expires, value, index1, index2, index3, index4)
	SELECT kind, sha256(key || int8send(i)), version, expires + i %% 1000 * interval '1 second', value,
		CASE WHEN kind = 'oauth_grant' THEN index1 ELSE sha256(index1 || int8send(i)) END,
		index2, sha256(index3 || int8send(i)), sha256(index4 || int8send(i))
	FROM original, generate_series(%d::bigint, %d) i`
	step = 100_000
)

// liveTokens are how many live tokens there are: 10,000 and 1,000,000, or 10,000 and as many
// as GLUU_LIVE_TOKENS says. Each takes about 1.7 kB of disk.
func liveTokens(b *testing.B) []int {
	text := os.Getenv("GLUU_LIVE_TOKENS")
	if text == "" {
		return []int{10_000, 1_000_000}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("GLUU_LIVE_TOKENS is %q: write a number of tokens", text)
	}
	return []int{10_000, n}
}

// Rotating a refresh token among many live ones in PostgreSQL: a median, the slowest in a
// hundred, and what a live token with its grant takes on disk.
func BenchmarkRotateAmong(b *testing.B) {
	for _, live := range liveTokens(b) {
		b.Run(strconv.Itoa(live), func(b *testing.B) {
			server := harness.StartPostgres(b)
			engine, err := postgres.Open(postgres.Options{DSN: server.URL()})
			if err != nil {
				b.Fatal(err)
			}
			s := New(awaitRecords(b, newRecords(b, engine, nil)), nil)
			tokens := redeem(b, s, terms)
			run := func(statement string) string {
				rows, err := server.Query(statement)
				if err != nil {
					b.Fatal(err)
				}
				return rows
			}
			run(original)
			for made := 0; made < live; made += step {
				run(fmt.Sprintf(multiply, made+1, min(made+step, live)))
			}
			run(`VACUUM ANALYZE gluu.records`)
			size, err := strconv.ParseFloat(run(`SELECT pg_total_relation_size('gluu.records')`), 64)
			if err != nil {
				b.Fatal(err)
			}
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				if tokens, err = s.RotateRefresh(b.Context(), tokens.RefreshText, rotation(terms)); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			b.ReportMetric(size/float64(live), "disk-B/token")
		})
	}
}
