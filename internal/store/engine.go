// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNotFound says that there is no such record, or no longer.
	ErrNotFound = errors.New("no such record")

	// ErrUnopened is an ErrNotFound of a record that is there and does not open:
	// it was forged, or sealed with a secret that this store does not have. It
	// matters where the absence of a record allows something.
	ErrUnopened = fmt.Errorf("%w: it does not open with the secrets of this store", ErrNotFound)

	// ErrConflict says that a Commit changed nothing, because a record is not
	// in the state that an operation expects.
	ErrConflict = errors.New("the record was changed meanwhile")

	// ErrUnavailable says that the store did not answer in time, or cannot be
	// used. Errors that wrap it say why, for the log.
	ErrUnavailable = errors.New("the store is unavailable")
)

// Opener is a configured way to a store, which several configurations may share:
// a Caddy module in the namespace gluu.store.
type Opener interface {
	// OpenStore opens the store, or takes part in it if it is open already. It
	// is called when a configuration starts, never when one is only validated.
	// Each call of it needs one of release.
	OpenStore() (s *Store, release func() error, err error)
}

// Engine is a place for records. Only Store calls it: what an engine is handed
// is checked, hashed and sealed already, and an engine decides nothing but
// whether a record is in the state that is expected.
//
// All methods are safe for concurrent use and return when the context ends.
// An error that is neither ErrNotFound nor ErrConflict means that the engine is
// unavailable.
type Engine interface {
	// Get returns a row, expired or not, or ErrNotFound.
	Get(ctx context.Context, kind string, key Hash) (Row, error)

	// Commit executes all operations, or none and returns ErrConflict. No two
	// of them name the same row. A row that has expired by now counts as
	// absent. What Commit has written is as durable as the engine promises
	// when it returns nil. The announcements reach all that watch, some time
	// after the rows can be read.
	Commit(ctx context.Context, now time.Time, ops []RowOp, announcements [][]byte) error

	// List returns up to n rows of a kind that have an index entry, in an
	// order of its own, and where to go on: nil after the last. It starts where
	// an earlier call said, or with nil at the start. Rows that have
	// expired may be among them. What changes meanwhile may be missed or
	// found twice.
	List(ctx context.Context, kind string, entry Hash, after []byte, n int) (rows []Row, next []byte, err error)

	// Sweep deletes up to n rows that have expired by now, and by the clock
	// of the engine's server if it has one, and returns how many.
	Sweep(ctx context.Context, now time.Time, n int) (int, error)

	// Watch tells of announcements, of this and of other gateways, until the
	// context ends. With nil it tells that some may have been missed.
	Watch(ctx context.Context, announced func([]byte))

	// Close ends everything that the engine does.
	Close() error
}

// Prompt is an engine that reads from this process, so that Get never waits.
type Prompt interface {
	Engine
	ReadsAtOnce()
}

// Hash is how an engine sees keys and index entries.
type Hash [32]byte

// Row is a record as an engine sees it.
type Row struct {
	Kind    string
	Key     Hash
	Version uint64 // never 0
	Expires time.Time
	Value   []byte
	Index   []Hash // to write; engines need not return it
}

// RowOp is one operation on rows.
type RowOp struct {
	Action Action
	Row    Row // of Delete and Check only Kind and Key
	Expect Expect
}

// Action is what an operation does.
type Action int

// What operations do.
const (
	PutAction Action = iota + 1
	DeleteAction
	CheckAction
)

// Expect is what an operation expects to find. The zero value expects nothing
// to be there.
type Expect struct {
	Any     bool
	Version uint64
}

// Allows reports whether what is expected is there: the version of the row,
// or 0 if there is none.
func (e Expect) Allows(version uint64) bool { return e.Any || e.Version == version }
