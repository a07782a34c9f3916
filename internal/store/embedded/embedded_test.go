// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// Whatever a row is replaced by, what points to it is that of the last one: no entry is left
// and none is missing.
func TestReplacedRowsLeaveNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	f := newFile(t)
	engine := f.Open(t)
	defer engine.Close()
	hash := func(n int) store.Hash { return store.Hash{byte(n)} }
	now := time.UnixMilli(1_800_000_000_000)
	rows := map[int]store.Row{}
	for range 300 {
		n := random.IntN(5)
		row := store.Row{Kind: "k", Key: hash(n), Version: 1, Expires: now.Add(time.Duration(1+random.IntN(3)) * time.Hour), Value: []byte{byte(random.IntN(9))}}
		for i := range 4 {
			if random.IntN(2) == 0 {
				row.Index = append(row.Index, hash(100+i))
			}
		}
		op := store.RowOp{Action: store.PutAction, Row: row, Expect: store.Expect{Any: true}}
		if rows[n] = row; random.IntN(6) == 0 {
			op.Action = store.DeleteAction
			delete(rows, n)
		}
		if err := engine.Commit(t.Context(), now, []store.RowOp{op}, nil); err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, r := range rows {
			want += 2 + len(r.Index) // itself, its expiry, and its entries
		}
		if got := f.Leftovers(t); got != want {
			t.Fatalf("%d entries for %v, want %d", got, rows, want)
		}
	}
	for i := range 4 {
		listed, _, err := engine.List(t.Context(), "k", hash(100+i), nil, 10)
		want := 0
		for _, r := range rows {
			if slices.Contains(r.Index, hash(100+i)) {
				want++
			}
		}
		if err != nil || len(listed) != want {
			t.Errorf("the entry %d lists %d rows (%v), want %d", i, len(listed), err, want)
		}
	}
	if _, err := engine.Sweep(t.Context(), now.Add(4*time.Hour), 100); err != nil || f.Leftovers(t) != 0 {
		t.Errorf("%d entries are left after all has expired (%v)", f.Leftovers(t), err)
	}
}
