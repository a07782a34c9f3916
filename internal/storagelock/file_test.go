// SPDX-License-Identifier: Apache-2.0

package storagelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// FileStorage keeps a lock fresh for as long as its file is there. Here the
// file cannot be removed while the lock is given back.
func TestALockInAFileThatCannotBeRemovedIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	release := mustAcquire(t, &certmagic.FileStorage{Path: dir})
	file := filepath.Join(dir, "locks", testLock+".lock")
	contents, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A folder with something in it cannot be removed, even by root.
	if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	release()
	if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, contents, 0o600)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	release, err = Acquire(t.Context(), &certmagic.FileStorage{Path: dir}, testLock, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the next one got the lock after %s", took)
	}
	release()
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the lock is still there: %v", err)
	}
}

// settings is a storage that Caddy makes anew for each configuration.
type settings struct {
	certmagic.Storage `json:"-"`
	Address           string `json:"address,omitempty"`
}

func TestAStorageKeepsItsNameAcrossReloads(t *testing.T) {
	for name, test := range map[string]struct {
		before, after certmagic.Storage
		same          bool
	}{
		"says what it is":    {&certmagic.FileStorage{Path: "/a"}, &certmagic.FileStorage{Path: "/a"}, true},
		"says it is another": {&certmagic.FileStorage{Path: "/a"}, &certmagic.FileStorage{Path: "/b"}, false},
		"same settings":      {&settings{Address: "a"}, &settings{Address: "a"}, true},
		"other settings":     {&settings{Address: "a"}, &settings{Address: "b"}, false},
		"no settings":        {&settings{}, &settings{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if before, after := NameOf(test.before), NameOf(test.after); (before == after) != test.same {
				t.Errorf("got %q and %q; want the same: %v", before, after, test.same)
			}
		})
	}
}
