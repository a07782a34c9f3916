// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/seal"
)

const (
	// DefaultTimeout is how long an operation waits for the engine.
	DefaultTimeout = 3 * time.Second

	// sweepInterval and sweepBatch are how often and in which steps records
	// that have expired are deleted.
	sweepInterval = time.Minute
	sweepBatch    = 1000

	// complainInterval is how often the log says the same.
	complainInterval = time.Minute
)

// Options are what a store needs beside its engine.
type Options struct {
	// Secrets seal what is stored. The first seals, the others still open what
	// was sealed before they were replaced. Gateways that share a store
	// have the same ones.
	Secrets []string

	// Timeout is how long an operation waits for the engine: 3 seconds if 0.
	Timeout time.Duration

	Now    func() time.Time // nil: time.Now
	Logger *zap.Logger      // nil: none
}

// Store keeps records. It is safe for concurrent use.
type Store struct {
	engine  Engine
	prompt  bool // the engine reads at once
	sealing sealing
	timeout time.Duration
	now     func() time.Time
	logger  *zap.Logger

	watchers watchers
	unopened atomic.Int64 // when the log last said that a record does not open

	stop    context.CancelFunc
	running sync.WaitGroup
}

// New makes a store of an engine, which belongs to the store from then on: also
// if New fails.
func New(engine Engine, o Options) (*Store, error) {
	sealer, err := seal.New(sealingLabel, o.Secrets...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the keys of the store: %w", err), engine.Close())
	}
	s := &Store{engine: engine, sealing: sealing{sealer}, timeout: o.Timeout, now: o.Now, logger: o.Logger}
	_, s.prompt = engine.(Prompt)
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.logger == nil {
		s.logger = zap.NewNop()
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() { s.sweepUntil(ctx) })
	s.running.Go(func() { engine.Watch(ctx, s.announced) })
	return s, nil
}

// Close ends the store and its engine.
func (s *Store) Close() error {
	s.stop()
	s.running.Wait()
	return s.engine.Close()
}

// ReadsAtOnce reports whether Get never waits: the records are in this process.
func (s *Store) ReadsAtOnce() bool { return s.prompt }

// Get returns the record with this key, or ErrNotFound. Of a record that does not
// open that is ErrUnopened.
func (s *Store) Get(ctx context.Context, kind string, key []byte) (Record, error) {
	if !s.prompt {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.timeout)
		defer cancel()
	}
	row, err := s.engine.Get(ctx, kind, rowKey(kind, key))
	if err != nil {
		return Record{}, failure("reading a record", err)
	}
	return s.open(row)
}

// open returns the record of a row, unless it has expired or does not open.
func (s *Store) open(row Row) (Record, error) {
	r, err := s.sealing.record(row)
	if err != nil {
		s.complain(&s.unopened, "a record in the store does not open: it was changed there, or sealed with a key that this configuration does not have",
			zap.String("kind", row.Kind), zap.Error(err))
		return Record{}, ErrUnopened
	}
	if !r.Expires.After(s.now()) {
		return Record{}, ErrNotFound
	}
	return r, nil
}

// Commit executes all operations, or none. It returns ErrConflict, and has
// changed nothing, if a record is not in the state that an operation expects. No
// two operations may be for the same record.
func (s *Store) Commit(ctx context.Context, ops ...Op) error {
	if len(ops) == 0 {
		return nil
	}
	rows, announcements, err := s.rows(ops)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.engine.Commit(ctx, s.now(), rows, announcements); err != nil {
		return failure("writing records", err)
	}
	for _, op := range ops {
		if op.announce { // at once for this process; others hear of it from the engine
			s.watchers.tell(op.record.Kind, op.record.Key)
		}
	}
	return nil
}

// rows checks, hashes and seals operations.
func (s *Store) rows(ops []Op) (rows []RowOp, announcements [][]byte, err error) {
	if len(ops) > MaxOps {
		return nil, nil, fmt.Errorf("a Commit has %d operations, %d is the most", len(ops), MaxOps)
	}
	type place struct {
		kind string
		key  Hash
	}
	seen := make(map[place]bool, len(ops))
	for _, op := range ops {
		if err := op.check(); err != nil {
			return nil, nil, err
		}
		row := s.sealing.rowOp(op)
		if at := (place{row.Row.Kind, row.Row.Key}); seen[at] {
			return nil, nil, errSameRecord
		} else {
			seen[at] = true
		}
		rows = append(rows, row)
		if op.announce {
			announcements = append(announcements, s.sealing.announcement(op.record))
		}
	}
	return rows, announcements, nil
}

// List returns up to n records of a kind that have an index entry, and where to
// go on: nil after the last. It starts where an earlier call said, or with
// nil at the start. A page may have fewer than n records although more follow.
//
// Records that are written while they are listed may be missed or found twice.
// To delete all with an entry, list from the start until nothing is left.
func (s *Store) List(ctx context.Context, kind string, entry Entry, after []byte, n int) (records []Record, next []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	hashes := s.sealing.entries(kind, entry)
	at := 0
	if len(after) > 0 {
		if at = int(after[0]); at >= len(hashes) {
			return nil, nil, errors.New("there is no such page")
		}
		after = after[1:]
	}
	rows, more, err := s.engine.List(ctx, kind, hashes[at], after, n)
	if err != nil {
		return nil, nil, failure("listing records", err)
	}
	for _, row := range rows {
		if r, err := s.open(row); err == nil && hasEntry(r, entry) {
			records = append(records, r)
		}
	}
	switch {
	case more != nil:
		next = append([]byte{byte(at)}, more...)
	case at+1 < len(hashes):
		next = []byte{byte(at + 1)}
	}
	return records, next, nil
}

func hasEntry(r Record, entry Entry) bool {
	for _, e := range r.Index {
		if e.Kind == entry.Kind && bytes.Equal(e.Value, entry.Value) {
			return true
		}
	}
	return false
}

// failure says what failed, and that the store is unavailable unless the
// engine answered.
func failure(what string, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return err
	}
	if errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
}

// complain writes to the log unless it has said the same a moment ago.
func (s *Store) complain(last *atomic.Int64, message string, fields ...zap.Field) {
	now, before := time.Now().UnixNano(), last.Load()
	if before != 0 && now-before < int64(complainInterval) || !last.CompareAndSwap(before, now) {
		return
	}
	s.logger.Error(message, fields...)
}
