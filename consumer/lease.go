// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
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

// A lock that the storage does not take back stays ours, and is offered to it
// again in the background.
const (
	minLeaseRetry = 500 * time.Millisecond
	maxLeaseRetry = 30 * time.Second

	// lockSlice is how long a change waits for a lock that is ours before it
	// offers it again.
	lockSlice = 1500 * time.Millisecond

	// lastLeaseRetries is how often it is offered, in half an hour, when no
	// configuration uses the storage any more.
	lastLeaseRetries = 64

	// closeTimeout bounds what a reload waits for a lock to be given back.
	closeTimeout = time.Second
)

// lease is a hold on the storage's lock.
type lease struct {
	storage  certmagic.Storage // the value that locked must unlock
	logger   *zap.Logger
	acquired time.Time
	used     time.Time
	timer    *time.Timer
	refusals int // how often the storage has failed to take it back
}

// acquire makes sure that this process alone may write. The caller holds
// writing.
func (l *live) acquire(ctx context.Context, storage certmagic.Storage, logger *zap.Logger) error {
	if held := l.lease; held != nil {
		old := time.Since(held.acquired) > leaseMax
		// One through another value was taken by the configuration before.
		if old || held.refusals > 0 || held.storage != storage {
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
		// Perhaps one that cannot be given back: to wait for it would be to
		// wait for ourselves.
		l.lease.used = time.Now()
		return nil
	}
	if err := l.lock(ctx, storage); err != nil {
		return err
	}
	if l.lease != nil {
		l.lease.timer.Stop() // it must have ended, or nobody could have locked
	}
	now := time.Now()
	l.lease = &lease{storage: storage, logger: logger, acquired: now, used: now}
	l.lease.timer = time.AfterFunc(leaseIdle, l.expire)
	return nil
}

// lock takes the storage's lock. If it is ours, by way of another value that has
// not been able to give it back, it is offered again in between: only we can.
func (l *live) lock(ctx context.Context, storage certmagic.Storage) error {
	for l.lease != nil {
		short, cancel := context.WithTimeout(ctx, lockSlice)
		err := storage.Lock(short, lockName)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
		_ = l.release(ctx) // logged
	}
	return storage.Lock(ctx, lockName)
}

// expire gives the lock back when nothing has been written for a while, and
// tries again to when that has failed.
func (l *live) expire() {
	if l.writing.lock(context.Background()) != nil {
		return
	}
	defer l.writing.unlock()
	if l.lease == nil {
		return
	}
	if idle := time.Since(l.lease.used); idle < leaseIdle && l.lease.refusals == 0 {
		l.lease.timer.Reset(leaseIdle - idle)
		return
	}
	_ = l.release(context.Background()) // logged, and tried again
}

// release gives the lock back. If the storage fails, the lease is kept: a lock
// in a file is kept fresh by a goroutine for as long as the file is there, so
// that forgetting it would lock out every gateway until this process ends. The
// caller holds writing.
func (l *live) release(ctx context.Context) error {
	held := l.lease
	if held == nil {
		return nil
	}
	held.timer.Stop()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err := held.storage.Unlock(ctx, lockName)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if held.refusals > 0 {
			held.logger.Info("the storage's lock has been given back")
		}
		l.lease = nil
		return nil
	}
	if held.refusals == 0 {
		held.logger.Error("giving the storage's lock back; until it succeeds no other gateway can change consumers", zap.Error(err))
	}
	held.refusals++
	if l.unused.Load() && held.refusals > lastLeaseRetries {
		held.logger.Error("the storage's lock could not be given back", zap.Error(err))
		l.lease = nil
		return err
	}
	held.timer.Reset(min(minLeaseRetry<<min(held.refusals-1, 10), maxLeaseRetry))
	return err
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
