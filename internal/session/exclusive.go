// SPDX-License-Identifier: Apache-2.0

package session

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/caddy-gluu/gateway/internal/store"
)

const (
	// lease is how long a lock lives without its holder renewing it: when a
	// gateway dies while it renews a session, others go on after that.
	lease = 10 * time.Second

	// lockPoll is how often others look whether a lock is free.
	lockPoll = 100 * time.Millisecond

	// maxExclusive bounds the work under a lock, the wait for it included.
	maxExclusive = 30 * time.Second
)

// Work is done for a session by one request at a time. It is given the newest
// version and returns what the others use.
type Work func(ctx context.Context, current *Session) (*Session, error)

// Exclusive does some work for a session once, however many requests on however
// many gateways want it at the same time, and gives the result to all of them.
// The name tells different kinds of work apart. Requests of one process wait
// for the one that works; those of other processes wait for its lock, and find
// that there is nothing left to do.
//
// The work goes on when the request that started it is cancelled: a refresh
// token that was sent may be used up, and its successor must not get lost.
func (m *Manager) Exclusive(ctx context.Context, s *Session, name string, work Work) (*Session, error) {
	done := m.flights.DoChan(name+"\x00"+string(s.ref.id[:]), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxExclusive)
		defer cancel()
		return m.locked(ctx, s, name, work)
	})
	select {
	case result := <-done:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*Session), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// locked does the work under a lock in the store.
func (m *Manager) locked(ctx context.Context, s *Session, name string, work Work) (*Session, error) {
	if !m.Shared {
		return m.withNewest(ctx, s, work)
	}
	l := &lock{manager: m, key: m.name(kindLock, name, string(s.ref.id[:])), owner: rand.Text()}
	if err := l.acquire(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.keepAlive(ctx, cancel)
	}()
	result, err := m.withNewest(ctx, s, work)
	cancel()
	<-renewed
	l.release(context.WithoutCancel(ctx))
	return result, err
}

func (m *Manager) withNewest(ctx context.Context, s *Session, work Work) (*Session, error) {
	current, err := m.Reload(ctx, s)
	if err != nil {
		return nil, err
	}
	return work(ctx, current)
}

// lock is a record that only one can create.
type lock struct {
	manager *Manager
	key     []byte
	owner   string
}

func (l *lock) record() store.Record {
	return store.Record{Kind: kindLock, Key: l.key, Value: []byte(l.owner), Expires: l.manager.Now().Add(lease)}
}

// acquire waits until the lock is free.
func (l *lock) acquire(ctx context.Context) error {
	ticker := time.NewTicker(lockPoll)
	defer ticker.Stop()
	for {
		err := l.manager.Store.Commit(ctx, store.Create(l.record()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return unavailable(err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return unavailable(context.Cause(ctx))
		}
	}
}

// keepAlive renews the lease until the context ends. Work whose lock is lost is
// stopped: another gateway may be at it.
func (l *lock) keepAlive(ctx context.Context, stop context.CancelFunc) {
	ticker := time.NewTicker(lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := l.replace(ctx, store.Replace); errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
				stop()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// replace renews or removes the lock, if it still belongs to this owner.
func (l *lock) replace(ctx context.Context, op func(store.Record) store.Op) error {
	held, err := l.manager.Store.Get(ctx, kindLock, l.key)
	if err != nil {
		return err
	}
	if string(held.Value) != l.owner {
		return store.ErrConflict
	}
	record := l.record()
	record.Version = held.Version
	return l.manager.Store.Commit(ctx, op(record))
}

func (l *lock) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = l.replace(ctx, store.Remove) // where this fails, the lease ends
}
