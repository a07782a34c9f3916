// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// UsesNamedStatements reports whether new connections prepare statements.
func UsesNamedStatements(e *Engine) bool {
	return pgx.QueryExecMode(e.mode.Load()) == pgx.QueryExecModeCacheStatement
}

// Deallocate removes the prepared statements of a connection of the pool from
// the server, which the pool does not know.
func Deallocate(ctx context.Context, e *Engine) error {
	_, err := e.pool.Exec(ctx, `DEALLOCATE ALL`)
	return err
}
