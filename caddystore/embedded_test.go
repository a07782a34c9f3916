// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

// A file can be opened once in a process, so everyone who names it gets the same store,
// whatever the spelling.
func TestAFileIsOneStore(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	storage := &certmagic.FileStorage{Path: t.TempDir()}
	var first *store.Store
	looked := 0
	look := func(*embedded.Engine, *store.Store) error { looked++; return nil }
	for _, path := range []string{filepath.Join(dir, "a.db"), "a.db", filepath.Join(link, "a.db"), filepath.Join(dir, "x", "..", "a.db")} {
		s, release, err := OpenFile(t.Context(), storage, path, zap.NewNop(), look)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer release()
		if first == nil {
			first = s
		}
		if s != first {
			t.Errorf("%s is another store", path)
		}
	}
	if looked != 4 {
		t.Errorf("%d of 4 have seen what else is in the file", looked)
	}
	refusal := errors.New("an unknown format")
	if _, _, err := OpenFile(t.Context(), storage, "a.db", zap.NewNop(), func(*embedded.Engine, *store.Store) error { return refusal }); !errors.Is(err, refusal) {
		t.Errorf("got %v, want what the function said", err)
	}
}
