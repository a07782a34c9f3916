// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/jose"
)

func mustIssuer(t *testing.T, name string) rfc.Issuer {
	t.Helper()
	i, err := rfc.ParseIssuer(name, false)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestGatewaysThatShareStorageShareTheKey(t *testing.T) {
	dir := t.TempDir()
	i := mustIssuer(t, testIssuer)
	const gateways = 4
	var ids [gateways]string
	var wait sync.WaitGroup
	for n := range gateways {
		wait.Go(func() {
			key, err := signingKey(t.Context(), &certmagic.FileStorage{Path: dir}, i, rfc.SigningAlgorithm, zap.NewNop())
			if err != nil {
				t.Error(err)
				return
			}
			ids[n] = key.ID()
		})
	}
	wait.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("keys: got %q, want the same one for all", ids)
		}
	}
	other, err := signingKey(t.Context(), &certmagic.FileStorage{Path: dir}, mustIssuer(t, testIssuer+"/other"), rfc.SigningAlgorithm, zap.NewNop())
	if err != nil || other.ID() == ids[0] {
		t.Errorf("another issuer: got key %q, %v; want one of its own", other.ID(), err)
	}
	info, err := os.Stat(filepath.Join(dir, keyName(i, rfc.SigningAlgorithm)))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("permissions of the key: got %v, %v; want nothing for others", info.Mode(), err)
	}
}

func TestADamagedKeyIsNeverReplaced(t *testing.T) {
	elliptic, err := jose.GenerateKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := elliptic.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	i := mustIssuer(t, testIssuer)
	for name, test := range map[string]struct{ content, want string }{
		"empty":         {"", "damaged"},
		"text":          {"-----BEGIN NONSENSE-----", "damaged"},
		"another curve": {string(pem), "not one for RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			storage := &certmagic.FileStorage{Path: t.TempDir()}
			if err := storage.Store(t.Context(), keyName(i, rfc.SigningAlgorithm), []byte(test.content)); err != nil {
				t.Fatal(err)
			}
			if _, err := signingKey(t.Context(), storage, i, rfc.SigningAlgorithm, zap.NewNop()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if kept, err := storage.Load(t.Context(), keyName(i, rfc.SigningAlgorithm)); err != nil || string(kept) != test.content {
				t.Errorf("the key was replaced: %q, %v", kept, err)
			}
		})
	}
}

// brokenStorage is a storage that can do all but one thing.
type brokenStorage struct {
	certmagic.Storage
	load, lock, store error
}

func (s brokenStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if s.load != nil {
		return nil, s.load
	}
	return s.Storage.Load(ctx, key)
}

func (s brokenStorage) Lock(ctx context.Context, name string) error {
	if s.lock != nil {
		return s.lock
	}
	return s.Storage.Lock(ctx, name)
}

func (s brokenStorage) Store(ctx context.Context, key string, value []byte) error {
	if s.store != nil {
		return s.store
	}
	return s.Storage.Store(ctx, key, value)
}

// A server never signs with a key that the next start would not find.
func TestNoKeyIsUsedThatIsNotStored(t *testing.T) {
	for name, broken := range map[string]brokenStorage{
		"cannot read":  {load: errGone},
		"cannot lock":  {lock: errGone},
		"cannot write": {store: errGone},
	} {
		t.Run(name, func(t *testing.T) {
			files := &certmagic.FileStorage{Path: t.TempDir()}
			broken.Storage = files
			i := mustIssuer(t, testIssuer)
			if key, err := signingKey(t.Context(), broken, i, rfc.SigningAlgorithm, zap.NewNop()); !errors.Is(err, errGone) {
				t.Errorf("got key %q, %v; want %v", key.ID(), err, errGone)
			}
			if _, err := files.Load(t.Context(), keyName(i, rfc.SigningAlgorithm)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a key was stored all the same: %v", err)
			}
		})
	}
}
