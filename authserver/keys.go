// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/authserver/rfc"
	"github.com/caddy-gluu/gateway/internal/storagelock"
	"github.com/caddy-gluu/gateway/jose"
)

// keyTimeout bounds how long the start waits for Caddy's storage. The lock of
// a process that was killed holding it lasts a few seconds.
const keyTimeout = 30 * time.Second

// signingKey returns the key of an algorithm with which an issuer signs its tokens. It lives in
// Caddy's storage, so that gateways which share one sign with the same key,
// and is made there when it is needed first. A key that cannot be read is an
// error and never replaced: what was signed with it would no longer be valid.
func signingKey(ctx context.Context, storage certmagic.Storage, i rfc.Issuer, alg string, logger *zap.Logger) (jose.PrivateKey, error) {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	name := keyName(i, alg)
	key, err := loadKey(ctx, storage, name, alg)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	release, err := storagelock.Acquire(ctx, storage, name, logger)
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("making a signing key: %w", err)
	}
	defer release()
	// Another gateway may have made it meanwhile.
	key, err = loadKey(ctx, storage, name, alg)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = jose.GenerateKey(alg); err != nil {
		return jose.PrivateKey{}, err
	}
	pem, err := key.MarshalPEM()
	if err != nil {
		return jose.PrivateKey{}, err
	}
	if err := storage.Store(ctx, name, pem); err != nil {
		return jose.PrivateKey{}, fmt.Errorf("storing the signing key: %w", err)
	}
	// What is used is what the next start will read.
	return loadKey(ctx, storage, name, alg)
}

func loadKey(ctx context.Context, storage certmagic.Storage, name, alg string) (jose.PrivateKey, error) {
	pem, err := storage.Load(ctx, name)
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("reading the signing key: %w", err)
	}
	key, err := jose.ParsePrivateKey(pem)
	if err != nil {
		return jose.PrivateKey{}, fmt.Errorf("the signing key %s in Caddy's storage is damaged (%w): put back a copy of it, or delete it to have a new one made, after which JWTs signed with the old one are invalid", name, err)
	}
	if !key.Public().Fits(alg) {
		return jose.PrivateKey{}, fmt.Errorf("the signing key %s in Caddy's storage is not one for %s: put back a copy of it, or delete it to have a new one made", name, alg)
	}
	return key, nil
}

// keyName is where a key of an issuer lies. Each has its own: who can sign
// for one cannot sign for another.
func keyName(i rfc.Issuer, alg string) string {
	sum := sha256.Sum256([]byte(i.Name))
	file := "/signing_key.pem"
	if alg != rfc.SigningAlgorithm {
		file = "/signing_key_" + strings.ToLower(alg) + ".pem"
	}
	return "gluu/oauth_server/" + hex.EncodeToString(sum[:16]) + file
}
