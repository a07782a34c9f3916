// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

func TestGatewaysThatShareAStorageShareConsumers(t *testing.T) {
	ctx := t.Context()
	files := &certmagic.FileStorage{Path: t.TempDir()}
	here, there := open(t, files), open(t, elsewhere{files})
	if here.live == there.live {
		t.Fatal("the test does not test two gateways")
	}
	a, b := directory(t, here), directory(t, there)

	if _, err := a.Create(ctx, Consumer{Username: "ann", CustomID: "client-a"}); err != nil {
		t.Fatal(err)
	}
	release(t, here)
	if err := there.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	ann := b.ByClient("", "client-a")
	if ann == nil {
		t.Fatal("the other gateway does not know the consumer after a refresh")
	}

	// A gateway that has not refreshed yet cannot take a name either.
	if _, err := b.Create(ctx, Consumer{Username: "bob"}); err != nil {
		t.Fatal(err)
	}
	release(t, there)
	var conflict *ConflictError
	if _, err := a.Create(ctx, Consumer{Username: "bob"}); !errors.As(err, &conflict) {
		t.Errorf("got %v, want a conflict with the consumer that the other gateway has just created", err)
	}
	if err := a.Delete(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	release(t, here)
	if err := there.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if b.ByClient("", "client-a") != nil {
		t.Error("the other gateway still knows the consumer after a refresh")
	}
}

func release(t *testing.T, store *Store) {
	t.Helper()
	store.live.writer.leave(store.storage)
}

// A pointer that stays the same is what rendered headers are remembered by.
func TestConsumersThatDidNotChangeKeepTheirPointers(t *testing.T) {
	ctx := t.Context()
	files := &certmagic.FileStorage{Path: t.TempDir()}
	here, there := open(t, files), open(t, elsewhere{files})
	a, b := directory(t, here), directory(t, there)
	first, err := a.Create(ctx, Consumer{Username: "first", ID: idInPart(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	release(t, here)
	if _, err := b.Create(ctx, Consumer{Username: "second", ID: idInPart(0, 1)}); err != nil {
		t.Fatal(err)
	}
	release(t, there)
	if err := here.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if a.Find("second") == nil || a.Find("first") != first {
		t.Errorf("got %p for the consumer that did not change, want %p", a.Find("first"), first)
	}
}

// idInPart returns one of the ids that fall into a part.
func idInPart(part uint8, skip int) string {
	for i := 0; ; i++ {
		if id := DeriveID(fmt.Sprint(i)); partOf(id) == part {
			if skip == 0 {
				return id
			}
			skip--
		}
	}
}

func TestAReloadReadsNothingAgain(t *testing.T) {
	ctx := t.Context()
	storage := newMemoryStorage()
	first := open(t, storage)
	if _, err := directory(t, first).Create(ctx, Consumer{Username: "ann", CustomID: "client-a"}); err != nil {
		t.Fatal(err)
	}
	storage.loads = 0
	second := open(t, storage)
	if second.live != first.live {
		t.Fatal("the second configuration has consumers of its own")
	}
	if storage.loads > 1 {
		t.Errorf("a reload read %d keys, want at most the head", storage.loads)
	}
	if directory(t, second).ByClient("", "client-a") == nil {
		t.Error("the second configuration does not know the consumer")
	}
}

func TestAChangeThatFailsChangesNothing(t *testing.T) {
	ctx := t.Context()
	broken := errors.New("disk full")
	for _, where := range []string{partsKey, headKey} {
		storage := newMemoryStorage()
		store := open(t, storage)
		d := directory(t, store)
		if _, err := d.Create(ctx, Consumer{Username: "ann"}); err != nil {
			t.Fatal(err)
		}
		storage.failure = func(operation, key string) error {
			if operation == "store" && strings.HasPrefix(key, where) {
				return broken
			}
			return nil
		}
		if _, err := d.Create(ctx, Consumer{Username: "bob"}); !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want the storage's error", where, err)
		}
		if d.Find("bob") != nil || d.Find("ann") == nil {
			t.Errorf("%s: a change that failed was made in memory", where)
		}
		storage.failure = nil
		if _, err := d.Create(ctx, Consumer{Username: "bob"}); err != nil {
			t.Errorf("%s: after the failure: %v", where, err)
		}
	}
}

// A gateway that is killed between two writes leaves a value behind.
func TestLeftoversAreSwept(t *testing.T) {
	ctx := t.Context()
	storage := newMemoryStorage()
	storage.values[partsKey+"/00-LEFTOVER"] = []byte(`[{"id":"x","username":"ghost"}]`)
	d := directory(t, open(t, storage))
	if d.Find("ghost") != nil {
		t.Error("a value that no head refers to counts")
	}
	for i := range 20 {
		if _, err := d.Create(ctx, Consumer{Username: fmt.Sprint("ann-", i), ID: idInPart(0, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if keys, _ := storage.List(ctx, partsKey, false); len(keys) != 1 {
		t.Errorf("got keys %v, want the one value of the part", keys)
	}
}

func TestAStorageThatCannotBeReadIsNotAnEmptyOne(t *testing.T) {
	ctx := t.Context()
	storage := newMemoryStorage()
	storage.failure = func(operation, key string) error { return errors.New("connection refused") }
	store := open(t, storage)
	d := directory(t, store)
	if d.Ready() {
		t.Error("the directory claims to know the consumers of a storage that cannot be read")
	}
	if _, err := d.Create(ctx, Consumer{Username: "ann"}); err == nil {
		t.Error("a consumer was created in a storage that cannot be read")
	}
	storage.setFailure(nil)
	if err := store.Refresh(ctx); err != nil || !d.Ready() {
		t.Errorf("after the storage came back: error %v, ready %t", err, d.Ready())
	}
}

func TestAPartThatIsReplacedWhileItIsReadIsReadAgain(t *testing.T) {
	ctx := t.Context()
	storage := newMemoryStorage()
	writer := open(t, storage)
	if _, err := directory(t, writer).Create(ctx, Consumer{Username: "ann"}); err != nil {
		t.Fatal(err)
	}
	reader := newLive()
	missing := 0
	storage.failure = func(operation, key string) error {
		if operation == "load" && strings.HasPrefix(key, partsKey) && missing < 2 {
			missing++
			return fs.ErrNotExist
		}
		return nil
	}
	if err := reader.refresh(ctx, storage); err != nil || reader.byUsername.get("ann") == nil {
		t.Errorf("got error %v and consumer %v", err, reader.byUsername.get("ann"))
	}
}

func TestReadersNeedNoLockWhileConsumersChange(t *testing.T) {
	ctx := t.Context()
	d := directory(t, openMemory(t))
	if _, err := d.Create(ctx, Consumer{Username: "stays", CustomID: "stays"}); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d.ByClient("", "stays") == nil {
					t.Error("a consumer that stays was not found")
					return
				}
				d.ByClient("", "comes-and-goes")
				d.List(10, "")
			}
		})
	}
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("comes-and-goes-%d-%d", w, i)
				if _, err := d.Create(ctx, Consumer{Username: name, CustomID: name}); err != nil {
					t.Error(err)
				}
				if d.ByClient("", name) == nil {
					t.Errorf("%s was created and is not found", name)
				}
				if err := d.Delete(ctx, name); err != nil {
					t.Error(err)
				}
				if d.ByClient("", name) != nil {
					t.Errorf("%s was deleted and is found", name)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// The storage's lock is expensive: many changes in a row take it once, but no
// gateway keeps it from others for long.
func TestTheLockIsKeptForAMomentAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)
		create := func(i int) {
			if _, err := d.Create(t.Context(), Consumer{Username: fmt.Sprint("ann-", i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 20 {
			create(i)
			time.Sleep(turnIdle / 2)
		}
		if storage.locks != 1 {
			t.Errorf("20 changes in a row took the lock %d times, want once", storage.locks)
		}
		time.Sleep(2 * turnIdle)
		if storage.isLocked() {
			t.Fatal("the lock is still held after nothing has happened for a while")
		}

		start, longest := time.Now(), time.Duration(0)
		for i := 20; time.Since(start) < 3*turnMax; i++ {
			before := time.Now()
			create(i)
			longest = max(longest, time.Since(before))
			time.Sleep(turnIdle / 5)
		}
		if storage.locks < 3 || longest < turnPause-turnIdle/5 {
			t.Errorf("in %s of changes the lock was taken %d times and left alone for %s", 3*turnMax, storage.locks-1, longest)
		}
	})
}

// What another gateway has changed is known within the interval, and a
// storage that fails for a while loses nothing.
func TestTheStoreLooksForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := newMemoryStorage()
		store := Open(storage, zap.NewNop())
		defer store.Close()
		d := directory(t, store)

		other := newLive() // another process
		change := func(username string) {
			c := Consumer{Username: username}
			if err := c.normalize(); err != nil {
				t.Fatal(err)
			}
			there := &Store{live: other, storage: storage, logger: zap.NewNop()}
			if err := there.change(t.Context(), func(*draft) (*Consumer, *Consumer, error) { return nil, &c, nil }); err != nil {
				t.Fatal(err)
			}
			release(t, there)
		}
		change("ann")
		time.Sleep(RefreshInterval + time.Millisecond)
		if d.Find("ann") == nil {
			t.Errorf("a change is not known after %s", RefreshInterval)
		}
		storage.setFailure(func(operation, _ string) error {
			if operation == "load" {
				return errors.New("connection refused")
			}
			return nil
		})
		time.Sleep(5 * RefreshInterval)
		if d.Find("ann") == nil || !d.Ready() {
			t.Error("a storage that fails made the gateway forget what it knew")
		}
		storage.setFailure(nil)
		change("bob")
		time.Sleep(RefreshInterval + time.Millisecond)
		if d.Find("bob") == nil {
			t.Error("the gateway does not look for news after a failure")
		}
	})
}
