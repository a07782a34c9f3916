// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/storagelock"
)

const (
	// RefreshInterval is how soon a change made by another gateway that
	// shares the storage is seen here. What it costs is one read of a small
	// key; parts are read only when they have changed.
	RefreshInterval = 2 * time.Second

	openTimeout  = 5 * time.Second
	writeTimeout = 30 * time.Second

	// reopenTimeout is how long a reload waits for changes to consumers that
	// are known. Later changes are seen within RefreshInterval.
	reopenTimeout = time.Second
)

// stores keeps what is in memory of each storage for as long as any
// configuration uses it, so that a reload reads nothing again.
var stores = caddy.NewUsagePool()

// Store gives one configuration access to the live consumers of a storage.
//
// A change is durable in the storage before the call that made it returns,
// and holds for every lookup that begins afterwards, in all configurations of
// this process that use the storage. Gateways elsewhere see it within
// RefreshInterval.
type Store struct {
	live    *live
	poolKey string
	storage certmagic.Storage
	logger  *zap.Logger

	cancel context.CancelFunc
	polls  sync.WaitGroup
}

// Open gives access to the live consumers of a storage. It never fails: while
// the storage cannot be read, Directory.Ready is false and reading goes on in
// the background. Close must be called in the end.
func Open(storage certmagic.Storage, logger *zap.Logger) *Store {
	key := storagelock.NameOf(storage)
	shared, _ := stores.LoadOrStore(key, newLive())
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{live: shared.(*live), poolKey: key, storage: storage, logger: logger, cancel: cancel}

	// Also when the consumers are in memory already: the head that this
	// storage holds decides whether they are still the right ones.
	known, patience := s.live.loaded.Load(), openTimeout
	if known {
		patience = reopenTimeout
	}
	first, done := context.WithTimeout(ctx, patience)
	defer done()
	err := s.Refresh(first)
	switch {
	case err != nil && known:
		logger.Error(stillKnown, zap.Error(err))
	case err != nil:
		logger.Error("reading the live consumers; they are unknown until it succeeds", zap.Error(err))
	}
	s.polls.Go(func() { s.poll(ctx, err != nil) })
	return s
}

const stillKnown = "reading the live consumers; the last ones known go on being used"

// Close ends the access.
func (s *Store) Close() error {
	s.cancel()
	s.polls.Wait()
	s.live.writer.leave(s.storage)
	_, err := stores.Delete(s.poolKey)
	return err
}

// Refresh reads what other gateways have changed.
func (s *Store) Refresh(ctx context.Context) error {
	if err := s.live.mu.Acquire(ctx, 1); err != nil {
		return err
	}
	defer s.live.mu.Release(1)
	return s.live.refresh(ctx, s.storage)
}

func (s *Store) poll(ctx context.Context, failing bool) {
	ticker := time.NewTicker(RefreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		limited, cancel := context.WithTimeout(ctx, openTimeout)
		err := s.Refresh(limited)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			s.logger.Error(stillKnown, zap.Error(err))
		case err == nil && failing:
			s.logger.Info("reading the live consumers succeeds again")
		}
		failing = err != nil
	}
}

// change makes one change, together with others that wait at the same time.
func (s *Store) change(ctx context.Context, decide decision) error {
	// The caller may hang up, but a change that has begun should not stop
	// half-way because of that.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return s.live.writer.do(ctx, s, decide)
}

// list returns up to n consumers that follow an id in the order of the parts
// and then of the ids.
func (s *Store) list(after string, n int, visible func(*Consumer) *Consumer) []*Consumer {
	return s.live.list(after, n, visible)
}
