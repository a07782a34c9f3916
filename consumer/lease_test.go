// SPDX-License-Identifier: Apache-2.0

package consumer

import (
	"context"
	"errors"
	"io/fs"
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
