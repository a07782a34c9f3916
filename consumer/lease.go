// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"time"

	"github.com/caddyserver/certmagic"
)

// The storage's lock is not made for short use: with files, taking it costs a
// synced write and a goroutine that lives on for seconds, and who waits for
// it looks once a second. So it is kept for a moment after a change, in case
// more follow - an import makes thousands - but not for ever, and then left
// alone long enough for another gateway's turn.
const (
	leaseIdle  = 250 * time.Millisecond
	leaseMax   = 10 * time.Second
	leasePause = 1100 * time.Millisecond
)

// closeTimeout bounds what a reload waits for a lock to be given back.
const closeTimeout = time.Second

// lease is a hold on the storage's lock.
type lease struct {
	storage  certmagic.Storage // the value that locked must unlock
	acquired time.Time
	used     time.Time
	timer    *time.Timer
}

// acquire makes sure that this process alone may write. The caller holds
// writing.
func (l *live) acquire(ctx context.Context, storage certmagic.Storage) error {
	if held := l.lease; held != nil {
		old := time.Since(held.acquired) > leaseMax
		// One through another value was taken by the configuration before.
		if old || held.storage != storage {
			if err := l.release(ctx); err == nil && old {
				select {
				case <-time.After(leasePause):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
	if l.lease != nil && l.lease.storage == storage {
		l.lease.used = time.Now()
		return nil
	}
	if err := storage.Lock(ctx, lockName); err != nil {
		return err
	}
	now := time.Now()
	l.lease = &lease{storage: storage, acquired: now, used: now}
	l.lease.timer = time.AfterFunc(leaseIdle, l.expire)
	return nil
}

// expire gives the lock back when nothing has been written for a while.
func (l *live) expire() {
	if l.writing.lock(context.Background()) != nil {
		return
	}
	defer l.writing.unlock()
	if l.lease == nil {
		return
	}
	if idle := time.Since(l.lease.used); idle < leaseIdle {
		l.lease.timer.Reset(leaseIdle - idle)
		return
	}
	_ = l.release(context.Background())
}

// release gives the lock back. The caller holds writing.
func (l *live) release(ctx context.Context) error {
	if l.lease == nil {
		return nil
	}
	held := l.lease
	l.lease = nil
	held.timer.Stop()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return held.storage.Unlock(ctx, lockName)
}

// releaseFor gives the lock back if it was taken through this storage value,
// which is about to be closed. It does not wait for a change that is being
// made: when that is done, the lock is given back as after every change.
func (l *live) releaseFor(storage certmagic.Storage) error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if l.writing.lock(ctx) != nil {
		return nil
	}
	defer l.writing.unlock()
	if l.lease == nil || l.lease.storage != storage {
		return nil
	}
	return l.release(ctx)
}
