// SPDX-License-Identifier: Apache-2.0

package storagelock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/caddy-gluu/gateway/internal/retry"
)

const (
	// releasePatience is how long the holder waits for its lock to be taken
	// back before that goes on without it.
	releasePatience = time.Second

	// unlockTimeout bounds one call of Unlock.
	unlockTimeout = 5 * time.Second

	// minRetry and maxRetry bound the pause before a lock is offered again, and
	// maxRetries how often: for about a day.
	minRetry   = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
	maxRetries = 3000

	// lockSlice is how long this process waits for a lock that it still owes the
	// storage before it offers it again.
	lockSlice = 1500 * time.Millisecond
)

// Acquire takes the lock of this name, waiting until the context ends. The
// caller must call release, as often as it likes. Inside one process the lock
// is handed on in the order in which it was asked for.
func Acquire(ctx context.Context, storage certmagic.Storage, name string, logger *zap.Logger) (release func(), err error) {
	l := use(lockKey{NameOf(storage), name})
	if err := l.turn.Acquire(ctx, 1); err != nil {
		l.leave()
		return nil, fmt.Errorf("locking %q in the storage: %w", name, err)
	}
	if err := l.obtain(ctx, storage, name); err != nil {
		l.turn.Release(1)
		l.leave()
		return nil, fmt.Errorf("locking %q in the storage: %w", name, err)
	}
	held := &heldLock{lock: l, storage: storage, name: name, logger: logger}
	return sync.OnceFunc(held.release), nil
}

// lock is what this process knows of a lock of a storage. There is one as long
// as it is in use.
type lock struct {
	key   lockKey
	users int // guarded by inUse

	turn *semaphore.Weighted // one of this process at a time
	owed *heldLock           // not given back yet; guarded by turn
}

type lockKey struct{ storage, name string }

var inUse = struct {
	sync.Mutex
	locks map[lockKey]*lock
}{locks: make(map[lockKey]*lock)}

func use(key lockKey) *lock {
	inUse.Lock()
	defer inUse.Unlock()
	l := inUse.locks[key]
	if l == nil {
		l = &lock{key: key, turn: semaphore.NewWeighted(1)}
		inUse.locks[key] = l
	}
	l.users++
	return l
}

func (l *lock) leave() {
	inUse.Lock()
	defer inUse.Unlock()
	if l.users--; l.users == 0 {
		delete(inUse.locks, l.key)
	}
}

// obtain takes the lock from the storage. One that this process still owes is
// offered in between, since only this process can give it back. The caller has
// the turn.
func (l *lock) obtain(ctx context.Context, storage certmagic.Storage, name string) error {
	for l.owed != nil {
		if l.owed.giveBack(ctx) == nil {
			l.owed = nil
			break
		}
		slice, cancel := context.WithTimeout(ctx, lockSlice)
		err := storage.Lock(slice, name)
		isOver := slice.Err() != nil
		cancel()
		if err == nil {
			// Its lease has run out. Offering it again would release this one.
			l.owed = nil
			return nil
		}
		if !isOver || ctx.Err() != nil {
			return err
		}
	}
	return storage.Lock(ctx, name)
}

// heldLock is a lock that was taken and is to be given back through the same
// value, which is possibly that of a configuration that is gone.
type heldLock struct {
	lock    *lock
	storage certmagic.Storage
	name    string
	logger  *zap.Logger
	refused bool // the storage has failed to take it back
}

// release gives the lock back and hands the turn on. It returns when that is
// done, has failed, or takes too long.
func (h *heldLock) release() {
	tried := make(chan struct{})
	go func() {
		defer h.lock.leave()
		err := h.giveBack(context.Background())
		if err != nil {
			h.lock.owed = h
		}
		h.lock.turn.Release(1)
		close(tried)
		if err != nil {
			h.offerAgain()
		}
	}()
	patience := time.NewTimer(releasePatience)
	defer patience.Stop()
	select {
	case <-tried:
	case <-patience.C:
		h.logger.Warn("the storage is slow to release a lock; going on without waiting", zap.String("lock", h.name))
	}
}

// giveBack makes one attempt. The caller has the turn.
func (h *heldLock) giveBack(ctx context.Context) error {
	// Not less than a whole attempt because the caller is in a hurry or gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
	defer cancel()
	err := h.storage.Unlock(ctx, h.name)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it has run out, or an operator has removed it
	}
	switch {
	case err != nil && !h.refused:
		h.refused = true
		h.logger.Error("releasing a lock in the storage; until it succeeds other gateways wait for it", zap.String("lock", h.name), zap.Error(err))
	case err == nil && h.refused:
		h.logger.Info("the lock in the storage has been released", zap.String("lock", h.name))
	}
	return err
}

// offerAgain tries until the lock has been given back, here or by the next
// caller that needed it.
func (h *heldLock) offerAgain() {
	backoff := retry.Backoff{Min: minRetry, Max: maxRetry}
	background := context.Background()
	for range maxRetries {
		backoff.Wait(background)
		if h.settled(background) {
			return
		}
	}
	h.logger.Error("giving up releasing a lock in the storage; if no gateway can take it, restart this one", zap.String("lock", h.name))
}

// settled makes another attempt if one is needed.
func (h *heldLock) settled(ctx context.Context) bool {
	l := h.lock
	if l.turn.Acquire(ctx, 1) != nil {
		return false
	}
	defer l.turn.Release(1)
	if l.owed == h && h.giveBack(ctx) == nil {
		l.owed = nil
	}
	return l.owed != h
}
