// SPDX-License-Identifier: Apache-2.0

package sessionpool

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/storedsecret"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// pool holds the sessions of each store that a configuration uses.
// What is in memory outlives a reload.
var pool = caddy.NewUsagePool()

// pooled are the sessions in one store.
type pooled struct {
	*session.Manager
	release func() error // of the store
}

// Destruct implements caddy.Destructor.
func (p *pooled) Destruct() error {
	p.Close()
	return p.release()
}

// sharedStore is a store that other gateways change too. Its keys are the same
// everywhere.
type sharedStore interface{ StoreKeys() []string }

// Sessions are those of one configuration. The zero value has none yet.
type Sessions struct {
	mu      sync.Mutex
	manager *session.Manager // nil until a handler asks for it
	keepers []Keeper
}

// Open returns the sessions in the store of config, else in the default one of the
// app. All handlers of a configuration share them. Release is nil if they were open
// already.
func (s *Sessions) Open(ctx caddy.Context, config *Config, defaultStore json.RawMessage, logger *zap.Logger) (m *session.Manager, release func() error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.manager != nil {
		return s.manager, nil, nil
	}
	if config == nil {
		config = new(Config)
	}
	raw := config.storeOr(defaultStore)
	opener, identity, err := config.opener(ctx, raw, logger)
	if err != nil {
		return nil, nil, err
	}
	opened, _, err := pool.LoadOrNew(identity, opener)
	if err != nil {
		return nil, nil, err
	}
	s.manager = opened.(*pooled).Manager
	release = func() error {
		_, err := pool.Delete(identity)
		return err
	}
	return s.manager, release, register(ctx.GetMetricsRegistry(), s.manager, EngineOf(raw))
}

// Ping asks the store whether it answers, if there are sessions.
func (s *Sessions) Ping(ctx context.Context) error {
	s.mu.Lock()
	manager := s.manager
	s.mu.Unlock()
	if manager == nil {
		return nil
	}
	return manager.Ping(ctx)
}

// storeOr is the configuration of the store that sessions are in.
func (c *Config) storeOr(defaultStore json.RawMessage) json.RawMessage {
	switch {
	case c.StoreRaw != nil:
		return c.StoreRaw
	case defaultStore != nil:
		return defaultStore
	}
	return json.RawMessage(embeddedStore)
}

// EngineOf is the name of the engine of a store.
func EngineOf(store json.RawMessage) string {
	var named struct{ Engine string }
	_ = json.Unmarshal(store, &named) // it was loaded, so it is an object
	return named.Engine
}

// register makes the number of sessions visible in a configuration's
// registry.
func register(registry *prometheus.Registry, sessions *session.Manager, engine string) error {
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gluu_sessions", Help: "Sessions of people that this gateway has opened in memory, by the engine that they are stored in.",
		ConstLabels: prometheus.Labels{"store": engine},
	}, func() float64 { return float64(sessions.InMemory()) }))
}

// opener returns how the sessions are opened, and what identifies them.
func (c *Config) opener(ctx caddy.Context, raw json.RawMessage, logger *zap.Logger) (caddy.Constructor, [sha256.Size]byte, error) {
	var identity [sha256.Size]byte
	module, err := loadStore(ctx, raw)
	if err != nil {
		return nil, identity, err
	}
	keys, err := c.keys(ctx, module, logger)
	if err != nil {
		return nil, identity, err
	}
	sealer, err := seal.New(session.Label, keys...)
	if err != nil {
		return nil, identity, err
	}
	config := session.Config{Sealer: sealer, Size: c.Size, Grace: defaultStoreGrace}
	if config.Size == 0 {
		config.Size = defaultSessions
	}
	if c.StoreGrace != nil {
		config.Grace = time.Duration(*c.StoreGrace)
	}
	parts := [][]byte{raw, fmt.Appendf(nil, "%d %s", config.Size, config.Grace)}
	if shared, ok := module.(sharedStore); ok {
		config.Shared = true
		keys = slices.Concat(keys, shared.StoreKeys()) // not in raw if they are the keys of the cache
	}
	for _, key := range keys {
		parts = append(parts, []byte(key))
	}
	identity = sha256.Sum256(seal.Join("sessions", parts...))
	return func() (caddy.Destructor, error) {
		opened, release, err := module.OpenStore()
		if err != nil {
			return nil, err
		}
		config.Store = opened
		manager, err := session.NewManager(config)
		if err != nil {
			return nil, errors.Join(err, release())
		}
		manager.OnChange(streams.Open.SessionChanged)
		return &pooled{manager, release}, nil
	}, identity, nil
}

// loadStore loads the module of a store.
func loadStore(ctx caddy.Context, raw json.RawMessage) (store.Opener, error) {
	loaded, err := ctx.LoadModule(&Config{StoreRaw: raw}, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	opener, ok := loaded.(store.Opener)
	if !ok {
		return nil, fmt.Errorf("store: %T is not a store", loaded)
	}
	return opener, nil
}

// keys are the keys of the configuration, else those of a shared store,
// else one that Caddy's storage keeps.
func (c *Config) keys(ctx caddy.Context, module store.Opener, logger *zap.Logger) ([]string, error) {
	if len(c.Keys) > 0 {
		keys := make([]string, len(c.Keys))
		for i, key := range c.Keys {
			resolved, err := directive.Resolve(key)
			if err != nil {
				return nil, fmt.Errorf("key %d: %w", i+1, err)
			}
			keys[i] = resolved
		}
		return keys, nil
	}
	if shared, ok := module.(sharedStore); ok {
		return shared.StoreKeys(), nil
	}
	secret, err := storedsecret.Get(ctx, ctx.Storage(), sessionSecret, logger)
	return []string{secret}, err
}
