// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var errAway = errors.New("the storage is away")

// away makes all operations fail.
func away(string, string) error { return errAway }

func refuseUnlock(operation, _ string) error {
	if operation == "unlock" {
		return errAway
	}
	return nil
}

// A lock in a file is kept fresh for as long as the file is there. If it were
// forgotten, nobody could change consumers until this process ends.
func TestALockThatCannotBeGivenBackIsNotForgotten(t *testing.T) {
	for name, failure := range map[string]func(string, string) error{"nothing works": away, "only unlocking fails": refuseUnlock} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := newMemoryStorage()
				store := Open(storage, zap.NewNop())
				defer store.Close()
				d := directory(t, store)
				if _, err := d.Create(t.Context(), Consumer{Username: "ann"}); err != nil {
					t.Fatal(err)
				}
				storage.setFailure(failure)
				time.Sleep(leaseIdle + 1500*time.Millisecond)
				if !storage.isLocked() {
					t.Fatal("the test does not test a lock that was not given back")
				}
				storage.setFailure(nil)
				time.Sleep(8 * minLeaseRetry)
				if storage.isLocked() {
					t.Error("the lock is still held after the storage came back")
				}
				if _, err := d.Create(t.Context(), Consumer{Username: "bob"}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestALockThatIsStillHeldIsUsedForTheNextChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)
		storage.setFailure(refuseUnlock)
		for i := range 5 {
			before := time.Now()
			if _, err := d.Create(t.Context(), Consumer{Username: fmt.Sprint("ann-", i)}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(before); took > leasePause {
				t.Errorf("change %d waited %s for a lock of our own", i, took)
			}
			time.Sleep(leaseMax / 2)
		}
		storage.setFailure(nil)
	})
}

// named is a storage that the next configuration has another value for.
type named struct{ *memoryStorage }

func (*named) String() string { return "memory" }

func TestALockOfTheConfigurationBeforeIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		before, after := Open(&named{storage}, zap.NewNop()), Open(&named{storage}, zap.NewNop())
		defer after.Close()
		if before.live != after.live {
			t.Fatal("the test does not test a reload")
		}
		if _, err := directory(t, before).Create(t.Context(), Consumer{Username: "ann"}); err != nil {
			t.Fatal(err)
		}
		storage.setFailure(away)
		if err := before.Close(); !errors.Is(err, errAway) {
			t.Errorf("got %v, want the storage's error", err)
		}
		storage.setFailure(nil)
		start := time.Now()
		if _, err := directory(t, after).Create(t.Context(), Consumer{Username: "bob"}); err != nil || time.Since(start) > leasePause {
			t.Errorf("a change after the reload took %s: %v", time.Since(start), err)
		}
	})
}

// A storage value that has been closed can fail for ever. When the storage
// itself gives the lock to another value, it has been given back.
func TestALockOfAStorageThatWasClosedHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		closed := &closable{memoryStorage: storage}
		before, after := Open(closed, zap.NewNop()), Open(&named{storage}, zap.NewNop())
		defer after.Close()
		after.live = before.live
		if _, err := directory(t, before).Create(t.Context(), Consumer{Username: "ann"}); err != nil {
			t.Fatal(err)
		}
		closed.isClosed = true
		if before.Close() == nil {
			t.Error("a lock that was not given back is not reported")
		}
		storage.locked.unlock() // it has run out
		if _, err := directory(t, after).Create(t.Context(), Consumer{Username: "bob"}); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * leaseIdle)
		if storage.isLocked() {
			t.Error("the lock that the next configuration took is still held")
		}
	})
}

// The lock that the configuration before took can be given back by this process
// alone: a change that needs it goes on offering it.
func TestAChangeDoesNotWaitForItsOwnProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		flaky := &stubborn{memoryStorage: storage}
		before, after := Open(flaky, zap.NewNop()), Open(&named{storage}, zap.NewNop())
		defer after.Close()
		after.live = before.live
		if _, err := directory(t, before).Create(t.Context(), Consumer{Username: "ann"}); err != nil {
			t.Fatal(err)
		}
		flaky.failures = 2
		start := time.Now()
		if _, err := directory(t, after).Create(t.Context(), Consumer{Username: "bob"}); err != nil || time.Since(start) > 3*lockSlice {
			t.Errorf("the change took %s: %v", time.Since(start), err)
		}
		if flaky.failures != 0 {
			t.Error("the test does not test a lock that was not given back at once")
		}
		_ = before.Close()
	})
}

// stubborn fails to unlock a number of times.
type stubborn struct {
	*memoryStorage
	failures int
}

func (s *stubborn) Unlock(ctx context.Context, name string) error {
	if s.failures > 0 {
		s.failures--
		return errAway
	}
	return s.memoryStorage.Unlock(ctx, name)
}

type closable struct {
	*memoryStorage
	isClosed bool
}

func (c *closable) Unlock(ctx context.Context, name string) error {
	if c.isClosed {
		return fs.ErrClosed
	}
	return c.memoryStorage.Unlock(ctx, name)
}

// The same with files, whose locks are kept fresh: the folder of the locks is
// away while one is to be given back.
func TestALockInAFileThatCannotBeGivenBackIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	d := directory(t, open(t, &certmagic.FileStorage{Path: dir}))
	if _, err := d.Create(t.Context(), Consumer{Username: "ann"}); err != nil {
		t.Fatal(err)
	}
	locks := filepath.Join(dir, "locks")
	file := filepath.Join(locks, lockName+".lock")
	contents, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A folder with something in it cannot be removed, whoever asks.
	if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	store := d.store
	if err := store.live.releaseFor(store.storage); err == nil {
		t.Fatal("the test does not test a lock that was not given back")
	}
	if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, contents, 0o600)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if _, err := d.Create(t.Context(), Consumer{Username: "bob"}); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("after the storage came back a change took %s: %v", time.Since(start), err)
	}
}

// Another gateway may keep the lock for long. That is no reason for a reload
// to wait, nor not to see what others have changed.
func TestNobodyWaitsForAChangeThatWaitsForTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		before := Open(&named{storage}, zap.NewNop())
		if err := storage.Lock(t.Context(), lockName); err != nil {
			t.Fatal(err)
		}
		outcome := make(chan error, 1)
		go func() {
			_, err := directory(t, before).Create(t.Context(), Consumer{Username: "ann"})
			outcome <- err
		}()
		synctest.Wait()

		if err := commitElsewhere(t, storage, "bob"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(RefreshInterval + time.Millisecond)
		if directory(t, before).Find("bob") == nil {
			t.Errorf("what another gateway has changed is not known after %s", RefreshInterval)
		}

		start := time.Now()
		after := Open(&named{storage}, zap.NewNop())
		if took := time.Since(start); took > 0 {
			t.Errorf("the next configuration waited %s", took)
		}
		if err := before.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("a reload took %s", took)
		}
		storage.locked.unlock()
		if err := <-outcome; err != nil {
			t.Errorf("the change that had begun: %v", err)
		}
		if directory(t, after).Find("ann") == nil {
			t.Error("the next configuration does not know what was changed through the one before")
		}
		time.Sleep(2 * leaseIdle)
		if storage.isLocked() {
			t.Error("the lock that was taken through the configuration before is still held")
		}
		if err := after.Close(); err != nil {
			t.Error(err)
		}
	})
}

// commitElsewhere makes a change as another gateway that holds the lock does.
func commitElsewhere(t *testing.T, storage certmagic.Storage, username string) error {
	t.Helper()
	other, c := newLive(), Consumer{Username: username}
	if err := c.normalize(); err != nil {
		return err
	}
	if err := other.refresh(t.Context(), storage); err != nil {
		return err
	}
	return other.commit(t.Context(), storage, nil, &c)
}

func TestAReloadDoesNotCallConsumersUnknownThatAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		first := Open(&named{storage}, zap.NewNop())
		defer first.Close()
		storage.setFailure(away)
		for name, test := range map[string]struct {
			storage certmagic.Storage
			want    string
		}{
			"known":   {&named{storage}, "go on being used"},
			"unknown": {&closable{memoryStorage: storage}, "are unknown"},
		} {
			core, logs := observer.New(zap.ErrorLevel)
			store := Open(test.storage, zap.New(core))
			if all := logs.All(); len(all) != 1 || !strings.Contains(all[0].Message, test.want) {
				t.Errorf("%s: got %v, want one message that they %s", name, all, test.want)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
