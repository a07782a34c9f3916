// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

var errUnavailable = errors.New("the storage is unavailable")

// unavailable makes all operations fail.
func unavailable(string, string) error { return errUnavailable }

func refuseUnlock(operation, _ string) error {
	if operation == "unlock" {
		return errUnavailable
	}
	return nil
}

// The policy for a lock that cannot be given back is that of storagelock. Here
// it must show that neither a reload nor the next change waits for long.
func TestAStorageThatFailsForASecondAfterAChange(t *testing.T) {
	for name, failure := range map[string]func(string, string) error{"nothing works": unavailable, "only unlocking fails": refuseUnlock} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				storage := newMemoryStorage()
				before, after := Open(&named{storage}, zap.NewNop()), Open(&named{storage}, zap.NewNop())
				if before.live != after.live {
					t.Fatal("the test does not test a reload")
				}
				if _, err := directory(t, before).Create(t.Context(), Consumer{Username: "ann"}); err != nil {
					t.Fatal(err)
				}
				storage.setFailure(failure)
				start := time.Now()
				if err := before.Close(); err != nil || time.Since(start) > closeTimeout {
					t.Errorf("closing took %s: %v", time.Since(start), err)
				}
				if !storage.isLocked() {
					t.Fatal("the test does not test a lock that was not given back")
				}
				time.Sleep(time.Second)
				storage.setFailure(nil)
				start = time.Now()
				if _, err := directory(t, after).Create(t.Context(), Consumer{Username: "bob"}); err != nil || time.Since(start) > 2*time.Second {
					t.Errorf("a change after the reload took %s: %v", time.Since(start), err)
				}
				if err := after.Close(); err != nil {
					t.Error(err)
				}
				if storage.isLocked() {
					t.Error("the lock is still held after the storage came back")
				}
				time.Sleep(time.Minute) // until nothing runs in the background
			})
		})
	}
}

// named is a storage that the next configuration has another value for.
type named struct{ *memoryStorage }

func (*named) String() string { return "memory" }

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

// waiting makes changes that have to wait for the storage's lock, and returns
// their outcomes in order.
func waiting(t *testing.T, storage *memoryStorage, changes ...func() error) []error {
	t.Helper()
	if err := storage.Lock(t.Context(), lockName); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	for i, change := range changes {
		wg.Go(func() { errs[i] = change() })
		synctest.Wait()
	}
	storage.locked.unlock()
	wg.Wait()
	return errs
}

// Changes that wait together are written together, each as if it were alone.
func TestChangesThatWaitAreWrittenUnderOneHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)
		if _, err := d.Create(t.Context(), Consumer{Username: "old", CustomID: "freed"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * turnIdle)
		heads := 0
		storage.setFailure(func(operation, key string) error {
			if operation == "store" && key == headKey {
				heads++
			}
			return nil
		})
		create := func(c Consumer) func() error {
			return func() error { _, err := d.Create(t.Context(), c); return err }
		}
		rename := func(c *Consumer) error { c.Username = "carl"; return nil }
		errs := waiting(t, storage,
			create(Consumer{Username: "ann"}),
			create(Consumer{Username: "ann"}), // a conflict with what is not written yet
			func() error { return d.Delete(t.Context(), "old") },
			create(Consumer{Username: "bob", CustomID: "freed"}), // by the change before
			func() error { _, err := d.Update(t.Context(), "bob", rename); return err },
			create(Consumer{Username: "bob"}), // freed by the renaming
			create(Consumer{Username: "dan"}),
			func() error { return d.Delete(t.Context(), "dan") },
			func() error { return d.Delete(t.Context(), "dan") },
			func() error {
				_, err := d.Update(t.Context(), "ann", func(*Consumer) error { panic("a fault") })
				return err
			},
		)
		for i, want := range []string{"", "username", "", "", "", "", "", "", ErrNotFound.Error(), "a fault"} {
			if err := errs[i]; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("change %d: got %v, want %q", i, err, want)
			}
		}
		if heads != 1 {
			t.Errorf("the head was written %d times, want once", heads)
		}
		fresh := newLive() // what is in memory is what was written
		if err := fresh.refresh(t.Context(), storage); err != nil {
			t.Fatal(err)
		}
		for where, l := range map[string]*live{"memory": store.live, "storage": fresh} {
			for name, want := range map[string]bool{"ann": true, "bob": true, "carl": true, "dan": false, "old": false} {
				if got := l.byUsername.get(name) != nil; got != want {
					t.Errorf("%s: %s is known: %v, want %v", where, name, got, want)
				}
			}
			if c := l.byClient.get("freed"); c == nil || c.Username != "carl" {
				t.Errorf("%s: the custom_id belongs to %v, want carl", where, c)
			}
		}
	})
}

func TestABatchThatCannotBeWrittenChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)
		storage.setFailure(func(operation, key string) error {
			if operation == "store" && key == headKey {
				return errUnavailable
			}
			return nil
		})
		create := func() error { _, err := d.Create(t.Context(), Consumer{Username: "ann"}); return err }
		errs := waiting(t, storage, create, create)
		// The second is not told of a conflict with a change that was not made.
		for i, err := range errs {
			if !errors.Is(err, errUnavailable) {
				t.Errorf("change %d: got %v, want %v", i, err, errUnavailable)
			}
		}
		if d.Find("ann") != nil {
			t.Error("a change is visible that was not written")
		}
		storage.setFailure(nil)
		if err := create(); err != nil {
			t.Errorf("after the storage came back: %v", err)
		}
	})
}

// What its caller was told has failed must not happen later.
func TestAChangeThatWasGivenUpIsNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)
		if err := storage.Lock(t.Context(), lockName); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, err := d.Create(t.Context(), Consumer{Username: "ann"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != writeTimeout {
			t.Errorf("got %v after %s, want %v after %s", err, time.Since(start), context.DeadlineExceeded, writeTimeout)
		}
		storage.locked.unlock()
		if _, err := d.Create(t.Context(), Consumer{Username: "bob"}); err != nil {
			t.Error(err)
		}
		if d.Find("ann") != nil {
			t.Error("a change was made after its caller was told that it failed")
		}
	})
}

// Another gateway may keep the lock for a long time. A reload must not wait for
// it, and must still see what others have changed.
func TestAReloadDoesNotWaitForTheLock(t *testing.T) {
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
		time.Sleep(2 * turnIdle)
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
	d := other.newDraft()
	d.add(&c)
	return other.commit(t.Context(), storage, d)
}

func TestAReloadDoesNotCallConsumersUnknownThatAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		first := Open(&named{storage}, zap.NewNop())
		defer first.Close()
		storage.setFailure(unavailable)
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
