// SPDX-License-Identifier: Apache-2.0

package headers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stickyStorage does not unlock for a while.
type stickyStorage struct {
	*memoryStorage
	until    time.Time
	attempts atomic.Int64
}

func (s *stickyStorage) Unlock(ctx context.Context, name string) error {
	s.attempts.Add(1)
	if time.Now().Before(s.until) {
		return errors.New("unavailable")
	}
	return s.memoryStorage.Unlock(ctx, name)
}

// A lock in a file is kept fresh for as long as the file is there: no gateway
// could make or rotate keys until this process ends.
func TestALockThatCannotBeGivenBackIsGivenBackLater(t *testing.T) {
	for name, stopped := range map[string]bool{"running": false, "after a reload": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := &stickyStorage{memoryStorage: newMemoryStorage(), until: time.Now().Add(1500 * time.Millisecond)}
				s := newSigner(t, SignerConfig{Storage: storage}, "")
				s.Start()
				defer s.Stop()
				mustSign(t, s, SignRequest{})
				if len(storage.lock) == 0 {
					t.Fatal("the test does not test a lock that was not given back")
				}
				if stopped {
					s.Stop()
				}
				time.Sleep(4 * minRetry)
				if len(storage.lock) > 0 {
					t.Fatal("the lock is still held after the storage came back")
				}
				if err := s.Rotate(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
