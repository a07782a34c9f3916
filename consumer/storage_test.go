// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// mutex is a lock that can be waited for until a context ends.
type mutex chan struct{}

func (m mutex) lock(ctx context.Context) error {
	select {
	case m <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m mutex) unlock() { <-m }

// memoryStorage is a storage in memory whose operations can be made to fail.
type memoryStorage struct {
	certmagic.Storage // panics on what a store should not use

	mu      sync.Mutex
	locked  mutex
	values  map[string][]byte
	loads   int
	locks   int
	failure func(operation, key string) error
}

func newMemoryStorage() *memoryStorage {
	return &memoryStorage{locked: make(mutex, 1), values: make(map[string][]byte)}
}

func (s *memoryStorage) fail(operation, key string) error {
	if s.failure != nil {
		return s.failure(operation, key)
	}
	return nil
}

func (s *memoryStorage) Lock(ctx context.Context, _ string) error {
	if err := s.locked.lock(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks++
	return nil
}

func (s *memoryStorage) Unlock(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("unlock", ""); err != nil {
		return err
	}
	s.locked.unlock()
	return nil
}

// setFailure makes operations fail from now on, or none.
func (s *memoryStorage) setFailure(failure func(operation, key string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = failure
}

// isLocked reports whether the lock is held.
func (s *memoryStorage) isLocked() bool { return len(s.locked) > 0 }

func (s *memoryStorage) Store(_ context.Context, key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("store", key); err != nil {
		return err
	}
	s.values[key] = value
	return nil
}

func (s *memoryStorage) Load(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if err := s.fail("load", key); err != nil {
		return nil, err
	}
	value, ok := s.values[key]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, nil
}

func (s *memoryStorage) Delete(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail("delete", key); err != nil {
		return err
	}
	delete(s.values, key)
	return nil
}

func (s *memoryStorage) List(_ context.Context, prefix string, _ bool) (keys []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.values {
		if strings.HasPrefix(key, prefix+"/") {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func openMemory(t testing.TB) *Store { return open(t, newMemoryStorage()) }

func open(t testing.TB, storage certmagic.Storage) *Store {
	t.Helper()
	store := Open(storage, zap.NewNop())
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// fill puts consumers into memory as a refresh would.
func fill(t testing.TB, store *Store, consumers []Consumer) {
	t.Helper()
	parts := make(map[uint8]map[string]*Consumer)
	for i := range consumers {
		c := &consumers[i]
		if err := c.normalize(); err != nil {
			t.Fatal(err)
		}
		n := partOf(c.ID)
		if parts[n] == nil {
			parts[n] = make(map[string]*Consumer)
		}
		parts[n][c.ID] = c
	}
	store.live.replace(parts)
}

func directory(t testing.TB, store *Store, static ...Consumer) *Directory {
	t.Helper()
	d, err := NewDirectory(static, store)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// elsewhere is the same storage as another process would open it.
type elsewhere struct{ *certmagic.FileStorage }
