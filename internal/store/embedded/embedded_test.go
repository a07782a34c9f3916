// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
	"github.com/caddy-gluu/gateway/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if path := crashPath(); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// file is a place for the records of one test.
type file struct {
	path   string
	opened *embedded.Engine
}

func newFile(t testing.TB) storetest.Place {
	return &file{path: filepath.Join(t.TempDir(), "store.db")}
}

func (f *file) Open(t testing.TB) store.Engine {
	t.Helper()
	engine, err := embedded.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.opened = engine
	return engine
}

func (f *file) Leftovers(t testing.TB) (n int) {
	t.Helper()
	err := embedded.Database(f.opened).View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			if string(name) != "store_meta" {
				n += b.Stats().KeyN
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSec_S201_S202_S203_S219_S222_S226_Embedded(t *testing.T) {
	storetest.Suite{New: newFile}.Run(t)
}

func BenchmarkEmbedded(b *testing.B) { storetest.Suite{New: newFile}.Bench(b) }

func TestOnlyOneProcessHasTheFile(t *testing.T) {
	f := newFile(t)
	engine := f.Open(t)
	defer engine.Close()
	_, err := embedded.Open(f.(*file).path)
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("got %v, want that another process uses it", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	db, err := bbolt.Open(newer, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("store_meta"))
		if err != nil {
			return err
		}
		return meta.Put([]byte("format"), []byte("2"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		newer:                             `its format is "2"`,
		damaged(t, "short", "not a file"): "is not a store, or is damaged",
		damaged(t, "long", strings.Repeat("x", 1<<16)):     "is not a store, or is damaged",
		filepath.Join(dir, "no", "such", "folder", "f.db"): "opening the store",
	} {
		engine, err := embedded.Open(path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", filepath.Base(path), err, want)
		}
		if engine != nil {
			engine.Close()
		}
	}
}
