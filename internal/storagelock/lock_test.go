// SPDX-License-Identifier: Apache-2.0

package storagelock

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

const testLock = "gluu_test"

var errUnavailable = errors.New("the storage is unavailable")

// server is what gateways share: one lock, and a failure of it.
type server struct {
	mu        sync.Mutex
	held      chan struct{}
	unlocks   int
	lockErr   error
	unlockErr func(attempt int) error
}

func newServer() *server { return &server{held: make(chan struct{}, 1)} }

func (s *server) isHeld() bool { return len(s.held) > 0 }

// attempts returns the number of calls of Unlock.
func (s *server) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unlocks
}

func (s *server) setLockError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lockErr = err
}

func (s *server) setUnlockError(f func(int) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlockErr = f
}

// client is the value of one configuration for it.
type client struct {
	certmagic.Storage // panics on what a lock does not need
	*server
}

func (*client) String() string { return "the only one" }

func (s *server) Lock(ctx context.Context, _ string) error {
	s.mu.Lock()
	err := s.lockErr
	s.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case s.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) Unlock(context.Context, string) error {
	s.mu.Lock()
	s.unlocks++
	attempt, fail := s.unlocks, s.unlockErr
	s.mu.Unlock()
	if fail != nil {
		if err := fail(attempt); err != nil {
			return err
		}
	}
	select {
	case <-s.held:
		return nil
	default:
		return errors.New("unlocked what is not locked")
	}
}

// Without this the lock of the embedded Storage would be meant.
func (c *client) Lock(ctx context.Context, name string) error   { return c.server.Lock(ctx, name) }
func (c *client) Unlock(ctx context.Context, name string) error { return c.server.Unlock(ctx, name) }

// untilLater fails for a time from now.
func untilLater(d time.Duration) func(int) error {
	end := time.Now().Add(d)
	return func(int) error {
		if time.Now().Before(end) {
			return errUnavailable
		}
		return nil
	}
}

func mustAcquire(t *testing.T, storage certmagic.Storage) (release func()) {
	t.Helper()
	release, err := Acquire(t.Context(), storage, testLock, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// wantNothingKept is checked when all that was begun in the bubble is over.
func wantNothingKept(t *testing.T) {
	t.Helper()
	inUse.Lock()
	defer inUse.Unlock()
	if l := inUse.locks[lockKey{NameOf(&client{}), testLock}]; l != nil {
		t.Errorf("a lock with %d users is still in memory", l.users)
	}
}

func TestOneHolderAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newServer()
		var wg sync.WaitGroup
		inside := 0
		for range 20 {
			wg.Go(func() {
				release, err := Acquire(t.Context(), &client{server: shared}, testLock, zap.NewNop())
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				if inside++; inside != 1 {
					t.Errorf("%d hold the lock", inside)
				}
				time.Sleep(time.Millisecond)
				inside--
			})
		}
		wg.Wait()
		synctest.Wait()
		if shared.isHeld() {
			t.Error("the lock is still held")
		}
		wantNothingKept(t)
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	for name, holdElsewhere := range map[string]bool{"for this process": false, "for another gateway": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := &client{server: newServer()}
				if holdElsewhere {
					storage.held <- struct{}{}
				} else {
					defer mustAcquire(t, storage)()
				}
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				if _, err := Acquire(ctx, storage, testLock, zap.NewNop()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
				}
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("it took %s, want 3s", took)
				}
			})
			wantNothingKept(t)
		})
	}
}

// The policy: a storage that fails for a moment while the lock is given back
// holds up neither its holder nor, a moment later, any gateway.
func TestAStorageThatFailsForASecond(t *testing.T) {
	for name, next := range map[string]func(*testing.T, *client) error{
		"another gateway": func(t *testing.T, c *client) error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return c.Lock(ctx, testLock)
		},
		"this configuration": func(t *testing.T, c *client) error {
			release, err := Acquire(t.Context(), c, testLock, zap.NewNop())
			if err == nil {
				t.Cleanup(release)
			}
			return err
		},
		"the next configuration": func(t *testing.T, c *client) error {
			release, err := Acquire(t.Context(), &client{server: c.server}, testLock, zap.NewNop())
			if err == nil {
				t.Cleanup(release)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := &client{server: newServer()}
				release := mustAcquire(t, storage)
				storage.setUnlockError(untilLater(time.Second))
				start := time.Now()
				if release(); time.Since(start) != 0 {
					t.Errorf("giving the lock back took %s", time.Since(start))
				}
				if !storage.isHeld() {
					t.Fatal("the test does not test a lock that was not taken back")
				}
				if err := next(t, storage); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("%s got the lock after %s, want 2s at most", name, took)
				}
				time.Sleep(time.Minute) // until nothing runs in the background
			})
		})
	}
}

func TestAStorageThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &client{server: newServer()}
		release := mustAcquire(t, storage)
		storage.setUnlockError(func(int) error { time.Sleep(time.Hour); return nil })
		start := time.Now()
		if release(); time.Since(start) != releasePatience {
			t.Errorf("giving the lock back took %s, want %s", time.Since(start), releasePatience)
		}
		// The late answer would release the lock of its next holder.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := Acquire(ctx, storage, testLock, zap.NewNop()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the storage releases the lock: got %v, want %v", err, context.DeadlineExceeded)
		}
		release, err := Acquire(t.Context(), storage, testLock, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		storage.setUnlockError(nil)
		release()
	})
	wantNothingKept(t)
}

// The value of a configuration that is gone can fail for ever. Once the storage
// gives the lock to its successor, the debt is settled.
func TestALockThatHasRunOutIsNotReleasedForItsNextHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := &client{server: newServer()}
		release := mustAcquire(t, before)
		before.setUnlockError(untilLater(time.Minute))
		release()
		<-before.held // its lease runs out
		release = mustAcquire(t, &client{server: before.server})
		unlocks := before.attempts()
		time.Sleep(time.Hour)
		if !before.isHeld() || before.attempts() != unlocks {
			t.Errorf("the lock of the next holder was released (%d attempts)", before.attempts()-unlocks)
		}
		release()
	})
	wantNothingKept(t)
}

// A storage that refuses everything is neither called in a busy loop nor waited
// for.
func TestAStorageThatCannotLockSaysSoAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &client{server: newServer()}
		release := mustAcquire(t, storage)
		storage.setUnlockError(untilLater(time.Minute))
		release()
		storage.setLockError(errUnavailable)
		before, start := storage.attempts(), time.Now()
		if _, err := Acquire(t.Context(), storage, testLock, zap.NewNop()); !errors.Is(err, errUnavailable) {
			t.Errorf("got %v, want %v", err, errUnavailable)
		}
		if got := storage.attempts() - before; got != 1 || time.Since(start) != 0 {
			t.Errorf("%d attempts in %s, want one in no time", got, time.Since(start))
		}
		time.Sleep(time.Hour) // until nothing runs in the background
		if storage.isHeld() {
			t.Error("the lock is still held after the storage came back")
		}
	})
	wantNothingKept(t)
}

func TestALockThatIsGoneCountsAsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &client{server: newServer()}
		release := mustAcquire(t, storage)
		storage.setUnlockError(func(int) error { return &fs.PathError{Op: "remove", Err: fs.ErrNotExist} })
		release()
		release() // as often as it likes
		time.Sleep(time.Hour)
		if storage.attempts() != 1 {
			t.Errorf("released %d times, want once", storage.attempts())
		}
	})
	wantNothingKept(t)
}

// The bubble of the test ends only when all its goroutines have.
func TestALockThatIsNeverTakenBackIsNotOfferedForEver(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	synctest.Test(t, func(t *testing.T) {
		storage := &client{server: newServer()}
		release, err := Acquire(t.Context(), storage, testLock, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		storage.setUnlockError(func(int) error { return errUnavailable })
		release()
		time.Sleep(30 * time.Hour)
		if storage.attempts() != 1+maxRetries {
			t.Errorf("offered %d times, want %d", storage.attempts(), 1+maxRetries)
		}
	})
	wantNothingKept(t)
	var messages []string
	for _, entry := range logs.All() {
		messages = append(messages, entry.Message)
	}
	if want := []string{
		"releasing a lock in the storage; until it succeeds other gateways wait for it",
		"giving up releasing a lock in the storage; if no gateway can take it, restart this one",
	}; !slices.Equal(messages, want) {
		t.Errorf("logged %q, want %q", messages, want)
	}
}
