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

// lease is a hold on the storage's lock.
type lease struct {
	storage  certmagic.Storage // the value that locked must unlock
	acquired time.Time
	used     time.Time
	timer    *time.Timer
}

// acquire makes sure that this process alone may write and that everything is
// up to date. The caller holds mu.
func (l *live) acquire(ctx context.Context, storage certmagic.Storage) error {
	if l.lease != nil && time.Since(l.lease.acquired) > leaseMax {
		l.release()
		select {
		case <-time.After(leasePause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if l.lease != nil && l.lease.storage != storage {
		l.release() // taken by the configuration before, through a value of its own
	}
	if l.lease != nil {
		l.lease.used = time.Now()
		return nil
	}
	if err := storage.Lock(ctx, lockName); err != nil {
		return err
	}
	now := time.Now()
	l.lease = &lease{storage: storage, acquired: now, used: now}
	l.lease.timer = time.AfterFunc(leaseIdle, l.expire)
	if err := l.refresh(ctx, storage); err != nil {
		l.release()
		return err
	}
	l.sweep(ctx, storage)
	return nil
}

// expire gives the lock back when nothing has been written for a while.
func (l *live) expire() {
	if l.mu.lock(context.Background()) != nil {
		return
	}
	defer l.mu.unlock()
	if l.lease == nil {
		return
	}
	if idle := time.Since(l.lease.used); idle < leaseIdle {
		l.lease.timer.Reset(leaseIdle - idle)
		return
	}
	l.release()
}

// release gives the lock back. The caller holds mu.
func (l *live) release() error {
	if l.lease == nil {
		return nil
	}
	held := l.lease
	l.lease = nil
	held.timer.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	return held.storage.Unlock(ctx, lockName)
}

// releaseFor gives the lock back if it was taken through this storage value,
// which is about to be closed.
func (l *live) releaseFor(storage certmagic.Storage) error {
	if err := l.mu.lock(context.Background()); err != nil {
		return err
	}
	defer l.mu.unlock()
	if l.lease == nil || l.lease.storage != storage {
		return nil
	}
	return l.release()
}
