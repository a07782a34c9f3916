// SPDX-License-Identifier: Apache-2.0

// Package caddystore makes the engines of a store that several gateways share
// Caddy modules, in the namespace `gluu.store`. What uses a store loads one of
// them and asks it for the store: see store.Opener.
//
// A store outlives the configuration that opened it. A reload goes on with its
// connections as long as address, keys and timeout stay the same.
package caddystore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/store"
)

// Settings are those that every engine has.
type Settings struct {
	// Secrets of 32 bytes or more that seal what is stored, the same ones on
	// all gateways. The first seals. The others open what was sealed before
	// they were replaced: keep one until that has expired. May be load-time
	// placeholders (`{env.X}`, `{file./path}`). Default: the `redis_key` of the app's
	// `cache`; without that, required.
	Keys []string `json:"keys,omitempty"`

	// How long a request waits for the store before it counts as
	// unavailable. Default: 3s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
}

// check checks the settings as they stand in the configuration.
func (s *Settings) check() error {
	if s.Timeout < 0 {
		return fmt.Errorf("timeout is %s: it cannot be negative", time.Duration(s.Timeout))
	}
	return nil
}

// keyOwner is the app, whose cache has a key that all gateways share.
type keyOwner interface{ CacheKey() string }

// keys returns the keys with placeholders replaced. Without any there is the cache's.
func (s *Settings) keys(ctx caddy.Context) ([]string, error) {
	configured := s.Keys
	if len(configured) == 0 {
		app, err := ctx.AppIfConfigured("gluu")
		if err != nil && !errors.Is(err, caddy.ErrNotConfigured) {
			return nil, err
		}
		owner, ok := app.(keyOwner)
		if !ok || owner.CacheKey() == "" {
			return nil, store.ErrNoKey
		}
		configured = []string{owner.CacheKey()}
	}
	keys := make([]string, len(configured))
	for i, key := range configured {
		resolved, err := directive.Resolve(key)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if err := checkKey(resolved); err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		keys[i] = resolved
	}
	return keys, nil
}

func checkKey(key string) error {
	if len(key) < seal.MinSecret {
		return fmt.Errorf("it has %d bytes, %d are needed: make one with 'openssl rand -hex 32'", len(key), seal.MinSecret)
	}
	return nil
}

// place is a store that may be opened: what identifies it, and how.
type place struct {
	id      [sha256.Size]byte
	keys    []string
	timeout time.Duration
	open    func() (store.Engine, error)
	opened  func(store.Engine, *store.Store) error // each time; nil: nothing more to do
}

func newPlace(engine, address string, keys []string, timeout caddy.Duration, open func() (store.Engine, error)) place {
	parts := [][]byte{[]byte(address), []byte(time.Duration(timeout).String())}
	for _, key := range keys {
		parts = append(parts, []byte(key))
	}
	return place{id: sha256.Sum256(seal.Join(engine, parts...)), keys: keys, timeout: time.Duration(timeout), open: open}
}

// stores are those that are open in this process.
var stores = caddy.NewUsagePool()

// pooled makes a store fit for a pool.
type pooled struct {
	*store.Store
	engine store.Engine
}

// Destruct implements caddy.Destructor: no configuration uses the store any more.
func (p pooled) Destruct() error { return p.Close() }

// openStore opens the store, or takes part in it.
func (p place) openStore() (*store.Store, func() error, error) {
	opened, _, err := stores.LoadOrNew(p.id, func() (caddy.Destructor, error) {
		engine, err := p.open()
		if err != nil {
			return nil, err
		}
		s, err := store.New(engine, store.Options{Secrets: p.keys, Timeout: p.timeout, Logger: processLogger()})
		if err != nil {
			return nil, err
		}
		return pooled{s, engine}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	var once sync.Once
	release := func() (err error) {
		once.Do(func() { _, err = stores.Delete(p.id) })
		return err
	}
	s := opened.(pooled)
	if p.opened != nil {
		if err := p.opened(s.engine, s.Store); err != nil {
			return nil, nil, errors.Join(err, release())
		}
	}
	return s.Store, release, nil
}

// StoreKeys returns the keys of the store, with placeholders replaced: for what
// uses the store and seals on top of it. All gateways have the same ones.
func (p *Postgres) StoreKeys() []string { return p.place.keys }

// StoreKeys returns the keys of the store, see [Postgres.StoreKeys].
func (r *Redis) StoreKeys() []string { return r.place.keys }
