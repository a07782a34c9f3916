// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"time"

	"go.etcd.io/bbolt"

	"github.com/caddy-gluu/gateway/internal/store"
)

// One goroutine writes. While the disk is busy with one transaction others
// gather, and the next transaction takes them all: many requests share the time
// of one fsync, and a request that is alone does not wait for company. bbolt's
// own Batch waits for a time that is set beforehand.

// maxBatch bounds how much work is lost when one transaction fails.
const maxBatch = 256

var errClosed = errors.New("the store is closed")

// write is something to do in a transaction. An error of do undoes the whole
// transaction, so a write that changes nothing returns none.
type write struct {
	do   func(tx *bbolt.Tx) error
	done chan error // has room for the result
}

// submit waits until the write is on the disk, or the context has ended. In
// that case the write may still happen.
func (e *Engine) submit(ctx context.Context, do func(tx *bbolt.Tx) error) error {
	w := &write{do: do, done: make(chan error, 1)}
	select {
	case e.writes <- w:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-e.closing:
		return errClosed
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) writeUntilClosed() {
	for {
		select {
		case first := <-e.writes:
			e.writeBatch(e.gather(first))
		case <-e.closing:
			return
		}
	}
}

// gather takes the writes that are waiting. It yields first: after a transaction, the
// goroutines that waited for it all write again at about the same time, and without
// yielding, the first of them would get a transaction of its own.
func (e *Engine) gather(first *write) []*write {
	runtime.Gosched()
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case next := <-e.writes:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// writeBatch executes writes in one transaction, or each in its own if one of
// them makes that fail.
func (e *Engine) writeBatch(batch []*write) {
	err := e.update(func(tx *bbolt.Tx) error {
		for _, w := range batch {
			if err := w.do(tx); err != nil {
				return err
			}
		}
		return nil
	})
	for _, w := range batch {
		if err != nil && len(batch) > 1 {
			w.done <- e.update(w.do)
			continue
		}
		w.done <- err
	}
}

func (e *Engine) update(do func(tx *bbolt.Tx) error) (err error) {
	defer recoverDamage(&err)
	return e.db.Update(do)
}

// Commit implements store.Engine.
func (e *Engine) Commit(ctx context.Context, now time.Time, ops []store.RowOp, _ [][]byte) error {
	var allowed bool // of the last attempt: read only once that is over
	err := e.submit(ctx, func(tx *bbolt.Tx) (err error) {
		if allowed, err = allows(tx, now, ops); err != nil || !allowed {
			return err
		}
		return apply(tx, ops)
	})
	if err == nil && !allowed {
		return store.ErrConflict
	}
	return err
}

// allows reports whether all rows are as the operations expect.
func allows(tx *bbolt.Tx, now time.Time, ops []store.RowOp) (bool, error) {
	records := tx.Bucket(recordsBucket)
	for _, op := range ops {
		found, err := decodeRow(records.Get(recordKey(op.Row.Kind, op.Row.Key)))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return false, err
		}
		if !found.expires.After(now) {
			found.version = 0
		}
		if !op.Expect.Allows(found.version) {
			return false, nil
		}
	}
	return true, nil
}

func apply(tx *bbolt.Tx, ops []store.RowOp) error {
	for _, op := range ops {
		if op.Action == store.CheckAction {
			continue
		}
		if err := remove(tx, op.Row.Kind, op.Row.Key); err != nil {
			return err
		}
		if op.Action == store.PutAction {
			if err := put(tx, op.Row); err != nil {
				return err
			}
		}
	}
	return nil
}

func put(tx *bbolt.Tx, r store.Row) error {
	at := recordKey(r.Kind, r.Key)
	if err := tx.Bucket(recordsBucket).Put(at, encodeRow(r)); err != nil {
		return err
	}
	for _, entry := range r.Index {
		if err := tx.Bucket(indexBucket).Put(indexKey(r.Kind, entry, r.Key[:]), nil); err != nil {
			return err
		}
	}
	return tx.Bucket(expiryBucket).Put(expiryKey(r.Expires, at), nil)
}

// remove deletes a row, if it is there, and what points to it.
func remove(tx *bbolt.Tx, kind string, key store.Hash) error {
	at := recordKey(kind, key)
	found, err := decodeRow(tx.Bucket(recordsBucket).Get(at))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range found.index {
		if err := tx.Bucket(indexBucket).Delete(indexKey(kind, store.Hash(entry), key[:])); err != nil {
			return err
		}
	}
	if err := tx.Bucket(expiryBucket).Delete(expiryKey(found.expires, at)); err != nil {
		return err
	}
	return tx.Bucket(recordsBucket).Delete(at)
}

// Sweep implements store.Engine. Where nothing has expired it writes nothing.
func (e *Engine) Sweep(ctx context.Context, now time.Time, n int) (int, error) {
	some, err := e.hasExpired(now)
	if err != nil || !some {
		return 0, err
	}
	var deleted int // of the last attempt: read only once that is over
	err = e.submit(ctx, func(tx *bbolt.Tx) error {
		rows := expired(tx, now, n)
		deleted = len(rows)
		for _, at := range rows {
			size := len(store.Hash{})
			kind, key := at[:len(at)-size-1], at[len(at)-size:]
			if err := remove(tx, string(kind), store.Hash(key)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

func (e *Engine) hasExpired(now time.Time) (some bool, err error) {
	defer recoverDamage(&err)
	err = e.db.View(func(tx *bbolt.Tx) error {
		some = len(expired(tx, now, 1)) > 0
		return nil
	})
	return some, err
}

// expired returns the keys of up to n rows that have expired, first those that
// did so first.
func expired(tx *bbolt.Tx, now time.Time, n int) (keys [][]byte) {
	cursor := tx.Bucket(expiryBucket).Cursor()
	for key, _ := cursor.First(); key != nil && len(keys) < n; key, _ = cursor.Next() {
		if binary.BigEndian.Uint64(key) > uint64(max(now.UnixMilli(), 0)) {
			break
		}
		keys = append(keys, append([]byte(nil), key[8:]...))
	}
	return keys
}
