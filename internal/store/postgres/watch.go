// SPDX-License-Identifier: Apache-2.0

package postgres

import (
	"context"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-gluu/gateway/internal/retry"
	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	channel      = "gluu"
	pollPatience = 3 * time.Second
)

// selectChanges returns the oldest transaction that had not ended, and beside it
// each announcement of that of an earlier call and later ones; one row without
// an announcement if there is none.
const selectChanges = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text, c.id, c.payload
	FROM (SELECT) AS one LEFT JOIN gluu.changes c ON c.xid >= $1::text::xid8 ORDER BY c.id`

// follower reads announcements. A transaction may end, and its announcement
// become visible, after that of a later one. So each time it reads from the
// oldest transaction that was still running the time before, and passes over
// what it has passed on.
type follower struct {
	*Engine
	announced func([]byte)
	from      uint64         // oldest transaction of which something may be new
	seen      map[int64]bool // announcements of it and later ones that were passed on
	certain   bool           // that nothing was missed since it began
}

// Watch implements store.Engine.
func (e *Engine) Watch(ctx context.Context, announced func([]byte)) {
	f := &follower{Engine: e, announced: announced}
	(&store.Follower{
		Listen:  e.listen,
		Backoff: retry.Backoff{Min: 200 * time.Millisecond, Max: 10 * time.Second},
		Read: func(ctx context.Context) {
			if err := f.read(ctx); err != nil {
				f.certain = false
			}
		},
	}).Follow(ctx)
}

// listen wakes the follower at each notification, on a connection of its own.
func (e *Engine) listen(ctx context.Context, wake func()) error {
	connection, err := pgx.ConnectConfig(ctx, e.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer connection.Close(context.WithoutCancel(ctx))
	if _, err := connection.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	for {
		wake() // also at first: something may have come before
		if _, err := connection.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// read passes on what is new.
func (f *follower) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollPatience)
	defer cancel()
	var oldest uint64
	var fresh [][]byte
	seen := make(map[int64]bool)
	err := f.run(func() error {
		oldest, fresh = 0, nil
		clear(seen)
		rows, err := f.pool.Query(ctx, selectChanges, strconv.FormatUint(f.from, 10))
		if err != nil {
			return err
		}
		var text string
		var id *int64
		var payload []byte
		_, err = pgx.ForEachRow(rows, []any{&text, &id, &payload}, func() (err error) {
			if oldest, err = strconv.ParseUint(text, 10, 64); err != nil || id == nil {
				return err
			}
			seen[*id] = true
			if !f.seen[*id] {
				fresh = append(fresh, payload)
			}
			payload = nil // the next row gets memory of its own
			return nil
		})
		return err
	})
	if err != nil {
		return err
	}
	f.pass(oldest, fresh, seen)
	return nil
}

// pass passes announcements on, or tells that some may have been missed: after
// the server did not answer, or when its transactions count from before, since it
// was restored from a copy.
func (f *follower) pass(oldest uint64, fresh [][]byte, seen map[int64]bool) {
	missed := !f.certain || oldest < f.from
	f.certain, f.from, f.seen = true, oldest, seen
	if missed {
		f.announced(nil)
		return
	}
	for _, payload := range fresh {
		f.announced(payload)
	}
}
