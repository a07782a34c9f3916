// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-gluu/gateway/internal/store"
)

// The statements. Whatever comes from outside is an argument.
const (
	selectRow = `SELECT version, expires, value FROM gluu.records WHERE kind = $1 AND key = $2`

	putRow = `INSERT INTO gluu.records (kind, key, version, expires, value, index1, index2, index3, index4)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, expires = excluded.expires, value = excluded.value,
			index1 = excluded.index1, index2 = excluded.index2, index3 = excluded.index3, index4 = excluded.index4`

	createRow = `WITH done AS (
		INSERT INTO gluu.records AS r (kind, key, version, expires, value, index1, index2, index3, index4)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (kind, key) DO UPDATE SET version = excluded.version, expires = excluded.expires, value = excluded.value,
			index1 = excluded.index1, index2 = excluded.index2, index3 = excluded.index3, index4 = excluded.index4
			WHERE r.expires <= $10
		RETURNING 1
	) SELECT gluu.one((SELECT count(*) FROM done))`

	replaceRow = `WITH done AS (
		UPDATE gluu.records SET version = $3, expires = $4, value = $5, index1 = $6, index2 = $7, index3 = $8, index4 = $9
		WHERE kind = $1 AND key = $2 AND version = $11 AND expires > $10
		RETURNING 1
	) SELECT gluu.one((SELECT count(*) FROM done))`

	deleteRow = `DELETE FROM gluu.records WHERE kind = $1 AND key = $2`

	removeRow = `WITH done AS (
		DELETE FROM gluu.records WHERE kind = $1 AND key = $2 AND version = $3 AND expires > $4 RETURNING 1
	) SELECT gluu.one((SELECT count(*) FROM done))`

	checkRow = `WITH done AS (
		SELECT 1 FROM gluu.records WHERE kind = $1 AND key = $2 AND version = $3 AND expires > $4 FOR UPDATE
	) SELECT gluu.one((SELECT count(*) FROM done))`

	announce = `INSERT INTO gluu.changes (payload) VALUES ($1)`
	notify   = `SELECT pg_notify($1, '')`

	listRows = `SELECT key, version, expires, value FROM (
		(SELECT key, version, expires, value FROM gluu.records WHERE kind = $1 AND index1 = $2 AND key > $3 ORDER BY key LIMIT $4)
		UNION ALL
		(SELECT key, version, expires, value FROM gluu.records WHERE kind = $1 AND index2 = $2 AND key > $3 ORDER BY key LIMIT $4)
		UNION ALL
		(SELECT key, version, expires, value FROM gluu.records WHERE kind = $1 AND index3 = $2 AND key > $3 ORDER BY key LIMIT $4)
		UNION ALL
		(SELECT key, version, expires, value FROM gluu.records WHERE kind = $1 AND index4 = $2 AND key > $3 ORDER BY key LIMIT $4)
	) AS found ORDER BY key LIMIT $4`

	// One gateway sweeps at a time. The clock of the server counts too.
	sweepRows = `WITH turn AS MATERIALIZED (
		SELECT pg_try_advisory_xact_lock($3) AS mine
	), doomed AS MATERIALIZED (
		SELECT kind, key FROM gluu.records
		WHERE (SELECT mine FROM turn) AND expires <= least($1, now())
		ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED
	) DELETE FROM gluu.records r USING doomed WHERE r.kind = doomed.kind AND r.key = doomed.key`

	sweepChanges = `DELETE FROM gluu.changes WHERE id IN (
		SELECT id FROM gluu.changes WHERE at < now() - make_interval(secs => $1) ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED
	)`
)

// keepChanges is for how many seconds announcements are kept: many times longer
// than a gateway may go without reading them before it assumes that it missed
// some.
const keepChanges = 600.0

// Get implements store.Engine.
func (e *Engine) Get(ctx context.Context, kind string, key store.Hash) (row store.Row, err error) {
	row = store.Row{Kind: kind, Key: key}
	err = e.run(func() error {
		var version int64
		err := e.pool.QueryRow(ctx, selectRow, kind, key[:]).Scan(&version, &row.Expires, &row.Value)
		row.Version = uint64(version)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Row{}, store.ErrNotFound
	}
	return row, err
}

// Commit implements store.Engine.
func (e *Engine) Commit(ctx context.Context, now time.Time, ops []store.RowOp, announcements [][]byte) error {
	// Transactions that lock rows in the same order do not wait for each other
	// in a circle.
	ops = slices.SortedFunc(slices.Values(ops), func(a, b store.RowOp) int {
		return cmp.Or(cmp.Compare(a.Row.Kind, b.Row.Kind), bytes.Compare(a.Row.Key[:], b.Row.Key[:]))
	})
	err := e.run(func() error { return e.pool.SendBatch(ctx, batch(now, ops, announcements)).Close() })
	if sqlState(err) == conflict {
		return store.ErrConflict
	}
	return err
}

// batch returns the statements of a Commit. Sent together they are one
// transaction.
func batch(now time.Time, ops []store.RowOp, announcements [][]byte) *pgx.Batch {
	b := new(pgx.Batch)
	for _, op := range ops {
		queue(b, now, op)
	}
	for _, sealed := range announcements {
		b.Queue(announce, sealed)
	}
	if len(announcements) > 0 {
		b.Queue(notify, channel)
	}
	return b
}

func queue(b *pgx.Batch, now time.Time, op store.RowOp) {
	r, expected := op.Row, int64(op.Expect.Version)
	switch {
	case op.Action == store.DeleteAction && op.Expect.Any:
		b.Queue(deleteRow, r.Kind, r.Key[:])
	case op.Action == store.DeleteAction:
		b.Queue(removeRow, r.Kind, r.Key[:], expected, now)
	case op.Action == store.CheckAction:
		b.Queue(checkRow, r.Kind, r.Key[:], expected, now)
	case op.Expect.Any:
		b.Queue(putRow, columns(r)...)
	case expected == 0:
		b.Queue(createRow, append(columns(r), now)...)
	default:
		b.Queue(replaceRow, append(columns(r), now, expected)...)
	}
}

// columns returns $1 to $9 of what puts a row.
func columns(r store.Row) []any {
	values := make([]any, 0, 11)
	values = append(values, r.Kind, r.Key[:], int64(r.Version), r.Expires, r.Value)
	for i := range store.MaxIndex {
		var entry []byte
		if i < len(r.Index) {
			entry = r.Index[i][:]
		}
		values = append(values, entry)
	}
	return values
}

// List implements store.Engine. Its order is that of the keys.
func (e *Engine) List(ctx context.Context, kind string, entry store.Hash, after []byte, n int) (rows []store.Row, next []byte, err error) {
	if after == nil {
		after = []byte{}
	}
	err = e.run(func() error {
		found, err := e.pool.Query(ctx, listRows, kind, entry[:], after, n)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (store.Row, error) { return scanRow(kind, row) })
		return err
	})
	if err == nil && n > 0 && len(rows) == n {
		next = slices.Clone(rows[n-1].Key[:])
	}
	return rows, next, err
}

func scanRow(kind string, row pgx.CollectableRow) (store.Row, error) {
	r := store.Row{Kind: kind}
	var key []byte
	var version int64
	if err := row.Scan(&key, &version, &r.Expires, &r.Value); err != nil {
		return r, err
	}
	if copy(r.Key[:], key) != len(r.Key) {
		return r, errors.New("a row in PostgreSQL has a key that no gateway has written")
	}
	r.Version = uint64(version)
	return r, nil
}

// Sweep implements store.Engine.
func (e *Engine) Sweep(ctx context.Context, now time.Time, n int) (deleted int, err error) {
	err = e.run(func() error {
		if _, err := e.pool.Exec(ctx, sweepChanges, keepChanges, n); err != nil {
			return err
		}
		done, err := e.pool.Exec(ctx, sweepRows, now, n, int64(sweepLock))
		deleted = int(done.RowsAffected())
		return err
	})
	return deleted, err
}
