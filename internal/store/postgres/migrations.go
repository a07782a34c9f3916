// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// migrations[i] makes version i+1 of the schema of version i. A migration is
// never changed once it was released, and must leave what the version before
// it needs: gateways of both run at the same time while they are replaced.
var migrations = [][]string{{
	`CREATE TABLE gluu.records (
		kind    text COLLATE "C" NOT NULL,
		key     bytea NOT NULL,
		version bigint NOT NULL,
		expires timestamptz NOT NULL,
		value   bytea NOT NULL,
		index1  bytea,
		index2  bytea,
		index3  bytea,
		index4  bytea,
		PRIMARY KEY (kind, key)
	)`,
	`CREATE INDEX records_expires ON gluu.records (expires)`,
	`CREATE INDEX records_index1 ON gluu.records (kind, index1, key) WHERE index1 IS NOT NULL`,
	`CREATE INDEX records_index2 ON gluu.records (kind, index2, key) WHERE index2 IS NOT NULL`,
	`CREATE INDEX records_index3 ON gluu.records (kind, index3, key) WHERE index3 IS NOT NULL`,
	`CREATE INDEX records_index4 ON gluu.records (kind, index4, key) WHERE index4 IS NOT NULL`,
	// Announcements. The transaction of each tells which ones a gateway may not
	// have seen yet: numbers alone become visible out of order.
	`CREATE TABLE gluu.changes (
		id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
		at      timestamptz NOT NULL DEFAULT now(),
		payload bytea NOT NULL
	)`,
	`CREATE INDEX changes_xid ON gluu.changes (xid)`,
	`CREATE INDEX changes_at ON gluu.changes (at)`,
	// one undoes the transaction unless a statement has touched one row.
	`CREATE FUNCTION gluu.one(touched bigint) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		IF touched <> 1 THEN
			RAISE EXCEPTION 'conflict' USING ERRCODE = 'GL001';
		END IF;
		RETURN touched;
	END $$`,
}}

// All users of a database share its advisory locks, which are numbers.
const (
	migrationLock = 0x676c7575_00000001 // "gluu"
	sweepLock     = 0x676c7575_00000002
)

var errNewer = errors.New("a newer version of the gateway has made its schema")

// prepare brings the schema up to date. Gateways that start at the same time do
// so one after the other.
func (e *Engine) prepare(ctx context.Context) error {
	return pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(migrationLock)); err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		if err != nil {
			return fmt.Errorf("reading the version of the schema gluu: %w", err)
		}
		if version > len(migrations) {
			return fmt.Errorf("%w: it is of version %d, this gateway knows %d: run the version that made it, or a newer one", errNewer, version, len(migrations))
		}
		if version == len(migrations) {
			return nil // writes nothing: the user may have no right to
		}
		return migrate(ctx, tx, version)
	})
}

// schemaVersion returns 0 if there is no schema yet.
func schemaVersion(ctx context.Context, tx pgx.Tx) (version int, err error) {
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('gluu.schema_version') IS NOT NULL`).Scan(&exists); err != nil || !exists {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT max(version) FROM gluu.schema_version`).Scan(&version)
	return version, err
}

func migrate(ctx context.Context, tx pgx.Tx, version int) error {
	if version == 0 {
		if err := makeSchema(ctx, tx); err != nil {
			return err
		}
	}
	for ; version < len(migrations); version++ {
		for _, statement := range migrations[version] {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("making version %d of the schema gluu: %w", version+1, err)
			}
		}
		if _, err := tx.Exec(ctx, `INSERT INTO gluu.schema_version (version) VALUES ($1)`, version+1); err != nil {
			return err
		}
	}
	return nil
}

// makeSchema makes the schema, unless an administrator has: a user who may not
// make one can be given an empty one.
func makeSchema(ctx context.Context, tx pgx.Tx) error {
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace('gluu') IS NOT NULL`).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA gluu`); err != nil {
			return fmt.Errorf("making the schema gluu: %w: give the user the right to, or make it with CREATE SCHEMA gluu AUTHORIZATION <user>", err)
		}
	}
	_, err := tx.Exec(ctx, `CREATE TABLE gluu.schema_version (
		version  integer PRIMARY KEY,
		made_at  timestamptz NOT NULL DEFAULT now()
	)`)
	return err
}
