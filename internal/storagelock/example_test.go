// SPDX-License-Identifier: Apache-2.0

package storagelock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/storagelock"
)

// Of several gateways one makes the key, and the others find it.
func Example() {
	dir, err := os.MkdirTemp("", "storage")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	storage := &certmagic.FileStorage{Path: dir}

	loadOrMake := func(ctx context.Context) (string, error) {
		release, err := storagelock.Acquire(ctx, storage, "example_key", zap.NewNop())
		if err != nil {
			return "", err
		}
		defer release()
		// Read under the lock: another gateway may have been faster.
		key, err := storage.Load(ctx, "key")
		if errors.Is(err, fs.ErrNotExist) {
			key = []byte("a new key")
			err = storage.Store(ctx, "key", key)
		}
		return string(key), err
	}
	fmt.Println(loadOrMake(context.Background()))
	// Output: a new key <nil>
}
