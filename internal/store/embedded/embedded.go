// SPDX-License-Identifier: Apache-2.0

// Package embedded keeps the records of a store in one file on this machine, a
// bbolt database. What a Commit has written is on the disk when it returns: it
// survives the process, however that ends, and the machine.
//
// The file has three buckets:
//
//	records   kind 0 key            -> the row
//	expiry    expires (8) kind 0 key -> nothing
//	index     kind 0 entry key      -> nothing
//
// All change in one transaction. Sweeping reads only what it deletes, because
// the second bucket is in the order in which rows expire.
package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/caddy-gluu/gateway/internal/store"
)

var (
	recordsBucket = []byte("store_records")
	expiryBucket  = []byte("store_expiry")
	indexBucket   = []byte("store_index")
	metaBucket    = []byte("store_meta")

	formatKey   = []byte("format")
	formatValue = []byte("1")
)

// lockTimeout is enough for a process that is just ending.
const lockTimeout = 2 * time.Second

// Engine is an open file.
type Engine struct {
	path   string
	db     *bbolt.DB
	writes chan *write

	closing chan struct{}
	writer  sync.WaitGroup
	once    sync.Once
}

// Open opens the file, or makes it. Only one process can have it open.
func Open(path string) (engine *Engine, err error) {
	defer recoverDamage(&err)
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("the store %q is in use by another process: stop that one, or give this one a file of its own", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%q is not a store, or is damaged (%w): name another file, or move it aside to start with an empty one", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening the store %q: %w", path, err)
	}
	e := &Engine{path: path, db: db, writes: make(chan *write), closing: make(chan struct{})}
	if err := db.Update(prepare); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store %q: %w", path, err), db.Close())
	}
	e.writer.Go(e.writeUntilClosed)
	return e, nil
}

// prepare makes the buckets, unless the file is of a newer gateway.
func prepare(tx *bbolt.Tx) error {
	for _, name := range [][]byte{metaBucket, recordsBucket, expiryBucket, indexBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	switch format := meta.Get(formatKey); {
	case format == nil:
		return meta.Put(formatKey, formatValue)
	case !bytes.Equal(format, formatValue):
		return fmt.Errorf("its format is %q, this version of the gateway knows %q: run the version that wrote it, or a newer one", format, formatValue)
	}
	return nil
}

// recoverDamage turns a panic into an error: bbolt answers some kinds of
// damage with one, and that must not end the process.
func recoverDamage(err *error) {
	if damage := recover(); damage != nil {
		*err = fmt.Errorf("the file is damaged: %v", damage)
	}
}

// Get implements store.Engine.
func (e *Engine) Get(_ context.Context, kind string, key store.Hash) (row store.Row, err error) {
	defer recoverDamage(&err)
	err = e.db.View(func(tx *bbolt.Tx) error {
		found, err := decodeRow(tx.Bucket(recordsBucket).Get(recordKey(kind, key)))
		row = store.Row{Kind: kind, Key: key, Version: found.version, Expires: found.expires, Value: bytes.Clone(found.value)}
		return err
	})
	return row, err
}

// ReadsAtOnce implements store.Prompt.
func (e *Engine) ReadsAtOnce() {}

// List implements store.Engine. Its order is that of the keys.
func (e *Engine) List(_ context.Context, kind string, entry store.Hash, after []byte, n int) (rows []store.Row, next []byte, err error) {
	defer recoverDamage(&err)
	prefix := indexKey(kind, entry, nil)
	err = e.db.View(func(tx *bbolt.Tx) error {
		records, cursor := tx.Bucket(recordsBucket), tx.Bucket(indexBucket).Cursor()
		at, _ := cursor.Seek(indexKey(kind, entry, after))
		if after != nil && bytes.Equal(at, indexKey(kind, entry, after)) {
			at, _ = cursor.Next()
		}
		for ; bytes.HasPrefix(at, prefix) && len(at) == len(prefix)+len(store.Hash{}); at, _ = cursor.Next() {
			if len(rows) == n {
				next = bytes.Clone(rows[n-1].Key[:])
				return nil
			}
			key := store.Hash(at[len(prefix):])
			found, err := decodeRow(records.Get(recordKey(kind, key)))
			if err != nil {
				return err
			}
			rows = append(rows, store.Row{Kind: kind, Key: key, Version: found.version, Expires: found.expires, Value: bytes.Clone(found.value)})
		}
		return nil
	})
	return rows, next, err
}

// Watch implements store.Engine. No other process has the file, and the store itself
// tells of its own changes.
func (e *Engine) Watch(ctx context.Context, _ func([]byte)) { <-ctx.Done() }

// Transaction runs a function in a transaction of the file, which may have more in it than
// the store: what an older version of the gateway kept there.
func (e *Engine) Transaction(write bool, do func(*bbolt.Tx) error) (err error) {
	defer recoverDamage(&err)
	if write {
		return e.db.Update(do)
	}
	return e.db.View(do)
}

// Close implements store.Engine.
func (e *Engine) Close() (err error) {
	e.once.Do(func() {
		close(e.closing)
		e.writer.Wait()
		err = e.db.Close()
	})
	return err
}

// Interface guards
var _ store.Engine = (*Engine)(nil)
