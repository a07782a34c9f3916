// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// memoryStorage is a storage in memory whose operations can be made to fail.
type memoryStorage struct {
	certmagic.Storage // panics on what a store should not use

	mu      sync.Mutex
	locked  sync.Mutex
	values  map[string][]byte
	loads   int
	locks   int
	failure func(operation, key string) error
}

func newMemoryStorage() *memoryStorage {
	return &memoryStorage{values: make(map[string][]byte)}
}

func (s *memoryStorage) fail(operation, key string) error {
	if s.failure != nil {
		return s.failure(operation, key)
	}
	return nil
}

func (s *memoryStorage) Lock(context.Context, string) error {
	s.locked.Lock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks++
	return nil
}

func (s *memoryStorage) Unlock(context.Context, string) error { s.locked.Unlock(); return nil }

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

func TestLiveConsumersAreCreatedChangedAndDeleted(t *testing.T) {
	ctx := t.Context()
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	d := directory(t, open(t, storage))

	ann, err := d.Create(ctx, Consumer{Username: "ann", CustomID: "client-a", Tags: []string{"partner"}})
	if err != nil {
		t.Fatal(err)
	}
	if ann.ID == "" || ann.CreatedAt == 0 {
		t.Errorf("got %+v, want an id and a time of creation", ann)
	}
	if got := d.ByClientID("client-a"); got != ann {
		t.Errorf("right after its creation the consumer is %v", got)
	}

	changed, err := d.Update(ctx, "ann", func(c *Consumer) error { c.CustomID = "client-b"; return nil })
	if err != nil {
		t.Fatal(err)
	}
	if d.ByClientID("client-a") != nil || d.ByClientID("client-b") != changed || changed.Tags[0] != "partner" {
		t.Errorf("after the change the consumer is %+v, the old client's %v", changed, d.ByClientID("client-a"))
	}
	if ann.CustomID != "client-a" {
		t.Error("a consumer that had been handed out was changed")
	}

	put, created, err := d.Put(ctx, "ann", Consumer{CustomID: "client-c"})
	if err != nil {
		t.Fatal(err)
	}
	if created || put.ID != ann.ID || put.CreatedAt != ann.CreatedAt || put.Tags != nil {
		t.Errorf("got %+v (created: %t), want the same consumer without tags", put, created)
	}
	bob, created, err := d.Put(ctx, DeriveID("bob"), Consumer{Username: "bob"})
	if err != nil || !created || bob.ID != DeriveID("bob") {
		t.Errorf("got %+v, %t, %v, want a new consumer with the id of the address", bob, created, err)
	}

	if err := d.Delete(ctx, ann.ID); err != nil {
		t.Fatal(err)
	}
	if d.ByClientID("client-c") != nil || d.Find("ann") != nil || d.Find(ann.ID) != nil {
		t.Error("a deleted consumer is still found")
	}
	if err := d.Delete(ctx, "ann"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}

	// What a process that starts now finds.
	again := directory(t, open(t, elsewhere{storage}))
	if got := again.Find("bob"); got == nil || !got.equal(bob) || again.Find("ann") != nil {
		t.Errorf("after a restart: bob is %+v and ann is %v", got, again.Find("ann"))
	}
}

func TestChangesThatAreRefused(t *testing.T) {
	ctx := t.Context()
	d := directory(t, openMemory(t), Consumer{Username: "static", CustomID: "client-s"})
	ann, err := d.Create(ctx, Consumer{Username: "ann", CustomID: "client-a"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, Consumer{Username: "bob", CustomID: "client-b"}); err != nil {
		t.Fatal(err)
	}
	nothing := func(*Consumer) error { return nil }
	set := func(field func(*Consumer) *string, value string) func(*Consumer) error {
		return func(c *Consumer) error { *field(c) = value; return nil }
	}
	username := func(c *Consumer) *string { return &c.Username }
	id := func(c *Consumer) *string { return &c.ID }
	update := func(name string, edit func(*Consumer) error) error {
		_, err := d.Update(ctx, name, edit)
		return err
	}
	create := func(c Consumer) error { _, err := d.Create(ctx, c); return err }
	put := func(name string, c Consumer) error { _, _, err := d.Put(ctx, name, c); return err }

	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"username taken":                   {create(Consumer{Username: "ann"}), "username 'ann' belongs to another consumer"},
		"custom_id taken":                  {create(Consumer{CustomID: "client-b"}), "custom_id 'client-b' belongs to another consumer"},
		"id taken":                         {create(Consumer{ID: ann.ID, Username: "x"}), "id '" + ann.ID + "' belongs to another consumer"},
		"username of the configuration":    {create(Consumer{Username: "static"}), "belongs to a consumer of the configuration"},
		"custom_id of the configuration":   {create(Consumer{CustomID: "client-s"}), "belongs to a consumer of the configuration"},
		"id of the configuration":          {create(Consumer{ID: DeriveID("static"), Username: "x"}), "belongs to a consumer of the configuration"},
		"no name":                          {create(Consumer{}), "username is required"},
		"rename to a taken one":            {update("ann", set(username, "bob")), "username 'bob' belongs to another consumer"},
		"rename to a configured one":       {update("ann", set(username, "static")), "belongs to a consumer of the configuration"},
		"another id":                       {update("ann", set(id, DeriveID("x"))), "id cannot be changed"},
		"change of nobody":                 {update("nobody", nothing), ErrNotFound.Error()},
		"change of the configuration":      {update("static", nothing), ErrConfigured.Error()},
		"change of the configuration's id": {update(DeriveID("static"), nothing), ErrConfigured.Error()},
		"put over the configuration":       {put("static", Consumer{}), ErrConfigured.Error()},
		"put with another name":            {put("ann", Consumer{Username: "eve"}), "not that of the consumer named in the address"},
		"put with another id":              {put(ann.ID, Consumer{ID: DeriveID("x"), Username: "ann"}), "not that of the consumer named in the address"},
		"put with a taken client":          {put("ann", Consumer{CustomID: "client-b"}), "belongs to another consumer"},
		"deletion of the configuration":    {d.Delete(ctx, "static"), ErrConfigured.Error()},
		"no storage":                       {directory(t, nil).Delete(ctx, "ann"), ErrNoStore.Error()},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: got error %v, want one that says %q", name, test.err, test.want)
		}
	}
	if got := d.Find("ann"); got != ann {
		t.Errorf("after changes that were refused the consumer is %+v", got)
	}
}

func TestTheConfigurationWins(t *testing.T) {
	ctx := t.Context()
	store := openMemory(t)
	before := directory(t, store)
	live, err := before.Create(ctx, Consumer{Username: "ann", CustomID: "client-live"})
	if err != nil {
		t.Fatal(err)
	}
	after := directory(t, store, Consumer{Username: "ann", CustomID: "client-static"})
	if got := after.Find("ann"); got == nil || got.CustomID != "client-static" {
		t.Errorf("got %+v, want the consumer of the configuration", got)
	}
	if got := after.ByClientID("client-live"); got != nil {
		t.Errorf("got %+v for a consumer that shares its name with another one", got)
	}
	if page, _, _ := after.List(10, ""); len(page) != 1 {
		t.Errorf("got %d consumers, want the hidden one not listed", len(page))
	}
	if before.ByClientID("client-live") != live {
		t.Error("the configuration before has lost its consumer")
	}
	// The one that is hidden can be got rid of by its id.
	if err := after.Delete(ctx, live.ID); err != nil {
		t.Error(err)
	}
	if before.ByClientID("client-live") != nil {
		t.Error("it is not deleted")
	}
}

func TestListingPagesThroughEverythingOnce(t *testing.T) {
	static := many(7)
	store := openMemory(t)
	var live []Consumer
	for i := range 50 {
		live = append(live, Consumer{Username: fmt.Sprintf("live-%d", i)})
	}
	fill(t, store, live)
	d := directory(t, store, static...)
	for _, size := range []int{1, 2, 7, 8, 10, 57, 100} {
		seen := make(map[string]int)
		offset, pages := "", 0
		for {
			page, next, err := d.List(size, offset)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range page {
				seen[c.ID]++
			}
			if pages++; next == "" {
				break
			}
			if len(page) != size {
				t.Errorf("size %d: a page before the last has %d", size, len(page))
			}
			offset = next
		}
		if want := (57 + size - 1) / size; len(seen) != 57 || pages != want {
			t.Errorf("size %d: got %d consumers on %d pages, want 57 on %d", size, len(seen), pages, want)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("size %d: %s was listed %d times", size, id, n)
			}
		}
	}
	for _, offset := range []string{"%", "eA", "Yw==", formatOffset("c", "../x"), formatOffset("x", "")} {
		if _, _, err := d.List(1, offset); !errors.Is(err, ErrOffset) {
			t.Errorf("offset %q: got %v, want ErrOffset", offset, err)
		}
	}
}

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
	ann := b.ByClientID("client-a")
	if ann == nil {
		t.Fatal("the other gateway does not know the consumer after a refresh")
	}

	// Whoever has not looked yet cannot take a name either.
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
	if b.ByClientID("client-a") != nil {
		t.Error("the other gateway still knows the consumer after a refresh")
	}
}

func release(t *testing.T, store *Store) {
	t.Helper()
	if err := store.live.releaseFor(store.storage); err != nil {
		t.Fatal(err)
	}
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
	if directory(t, second).ByClientID("client-a") == nil {
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
	storage.mu.Lock()
	storage.failure = nil
	storage.mu.Unlock()
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
				if d.ByClientID("stays") == nil {
					t.Error("a consumer that stays was not found")
					return
				}
				d.ByClientID("comes-and-goes")
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
				if d.ByClientID(name) == nil {
					t.Errorf("%s was created and is not found", name)
				}
				if err := d.Delete(ctx, name); err != nil {
					t.Error(err)
				}
				if d.ByClientID(name) != nil {
					t.Errorf("%s was deleted and is found", name)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// The storage's lock is dear: many changes in a row take it once, but nobody
// keeps it from others for long.
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
			time.Sleep(leaseIdle / 2)
		}
		if storage.locks != 1 {
			t.Errorf("20 changes in a row took the lock %d times, want once", storage.locks)
		}
		time.Sleep(2 * leaseIdle)
		if !storage.locked.TryLock() {
			t.Fatal("the lock is still held after nothing has happened for a while")
		}
		storage.locked.Unlock()

		start, longest := time.Now(), time.Duration(0)
		for i := 20; time.Since(start) < 3*leaseMax; i++ {
			before := time.Now()
			create(i)
			longest = max(longest, time.Since(before))
			time.Sleep(leaseIdle / 5)
		}
		if storage.locks < 3 || longest < leasePause {
			t.Errorf("in %s of changes the lock was taken %d times and left alone for %s", 3*leaseMax, storage.locks-1, longest)
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
			if err := other.mu.lock(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer other.mu.unlock()
			if err := other.acquire(t.Context(), storage); err != nil {
				t.Fatal(err)
			}
			if err := other.commit(t.Context(), storage, nil, &c); err != nil {
				t.Fatal(err)
			}
			if err := other.release(); err != nil {
				t.Fatal(err)
			}
		}
		change("ann")
		time.Sleep(RefreshInterval + time.Millisecond)
		if d.Find("ann") == nil {
			t.Errorf("a change is not known after %s", RefreshInterval)
		}
		setFailure := func(failure func(operation, key string) error) {
			storage.mu.Lock()
			defer storage.mu.Unlock()
			storage.failure = failure
		}
		setFailure(func(operation, _ string) error {
			if operation == "load" {
				return errors.New("connection refused")
			}
			return nil
		})
		time.Sleep(5 * RefreshInterval)
		if d.Find("ann") == nil || !d.Ready() {
			t.Error("a storage that fails made the gateway forget what it knew")
		}
		setFailure(nil)
		change("bob")
		time.Sleep(RefreshInterval + time.Millisecond)
		if d.Find("bob") == nil {
			t.Error("the gateway does not look for news after a failure")
		}
	})
}

// A process that creates consumers and says so is killed. Whatever it said
// must be true.
func TestKilledWhileWriting(t *testing.T) {
	if dir := os.Getenv("GLUU_TEST_WRITE_TO"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	writer := exec.Command(self, "-test.run=^TestKilledWhileWriting$")
	writer.Env = append(os.Environ(), "GLUU_TEST_WRITE_TO="+dir)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if said = append(said, lines.Text()); len(said) == 100 {
			if err := writer.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = writer.Wait() // it was killed

	d := directory(t, open(t, &certmagic.FileStorage{Path: dir}))
	for _, line := range said {
		if word, name, _ := strings.Cut(line, " "); word == "created" && d.ByClientID(name) == nil {
			if !slices.Contains(said, "deleted "+name) {
				t.Errorf("%s was created and is lost", name)
			}
		} else if word == "deleted" && d.ByClientID(name) != nil {
			t.Errorf("%s was deleted and is back", name)
		}
	}
	if len(said) < 100 {
		t.Fatalf("the writer said only %q", said)
	}
}

func writeUntilKilled(dir string) {
	d, err := NewDirectory(nil, Open(&certmagic.FileStorage{Path: dir}, zap.NewNop()))
	if err != nil {
		panic(err)
	}
	for i := range 100_000 {
		name := fmt.Sprint("client-", i)
		if _, err := d.Create(context.Background(), Consumer{CustomID: name, ID: DeriveID(name)}); err != nil {
			panic(err)
		}
		fmt.Println("created", name)
		if i%3 == 0 {
			if err := d.Delete(context.Background(), DeriveID(name)); err != nil {
				panic(err)
			}
			fmt.Println("deleted", name)
		}
	}
}

// What a process pays at its start for 100,000 live consumers, and a gateway
// for one change among them.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	files := &certmagic.FileStorage{Path: dir}
	store := open(b, files)
	consumers := many(100_000)
	fill(b, store, consumers)
	for n := range store.live.parts {
		// One change per part writes all of it.
		c := *sorted(store.live.parts[n])[0]
		c.Tags = []string{"changed"}
		if err := store.change(b.Context(), func() (*Consumer, *Consumer, error) {
			return store.live.byID.get(c.ID), &c, nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("start", func(b *testing.B) {
		for b.Loop() {
			fresh := newLive()
			if err := fresh.refresh(b.Context(), files); err != nil {
				b.Fatal(err)
			}
			if fresh.byCustomID.get("client-99999") == nil {
				b.Fatal("not all were read")
			}
		}
	})
	b.Run("change", func(b *testing.B) {
		d := directory(b, store)
		for i := 0; b.Loop(); i++ {
			_, err := d.Update(b.Context(), consumers[i%len(consumers)].ID, func(c *Consumer) error {
				c.Tags = []string{fmt.Sprint(i)}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	if left, err := filepath.Glob(filepath.Join(dir, partsKey, "*")); err != nil || len(left) != shardCount {
		b.Errorf("got %d files of parts, want %d (%v)", len(left), shardCount, err)
	}
}
