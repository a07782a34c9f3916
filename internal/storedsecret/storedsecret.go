// SPDX-License-Identifier: Apache-2.0

// Package storedsecret keeps secrets that need no configuration: each is
// drawn once, kept in Caddy's storage, and the same for all gateways that share
// the storage.
package storedsecret

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/internal/storagelock"
)

// size is the length of a secret in bytes, before it is written as text.
const size = 32

// Get returns the secret of a name, which is a key of the storage, and draws it
// if there is none yet. Of several gateways that do so at once, all get the same
// one.
func Get(ctx context.Context, storage certmagic.Storage, name string, logger *zap.Logger) (string, error) {
	secret, err := load(ctx, storage, name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	release, err := storagelock.Acquire(ctx, storage, name, logger)
	if err != nil {
		return "", fmt.Errorf("locking %s in the storage: %w", name, err)
	}
	defer release()
	if secret, err = load(ctx, storage, name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	drawn := make([]byte, size)
	rand.Read(drawn) // never fails, see crypto/rand
	secret = base64.RawURLEncoding.EncodeToString(drawn)
	if err := storage.Store(ctx, name, []byte(secret)); err != nil {
		return "", fmt.Errorf("storing %s: %w", name, err)
	}
	return secret, nil
}

func load(ctx context.Context, storage certmagic.Storage, name string) (string, error) {
	text, err := storage.Load(ctx, name)
	if err != nil {
		return "", fmt.Errorf("loading %s from the storage: %w", name, err)
	}
	if decoded, err := base64.RawURLEncoding.DecodeString(string(text)); err != nil || len(decoded) != size {
		return "", fmt.Errorf("%s in the storage is not a secret of this gateway: restore it, or remove it to draw a new one, which loses what it sealed", name)
	}
	return string(text), nil
}
