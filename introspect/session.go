// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/seal"
	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/storedsecret"
	"github.com/caddy-gluu/gateway/internal/streams"
)

// SessionConfig says where the sessions of people are kept who log in with
// `gluu_openid_connect`, and how.
type SessionConfig struct {
	// Where sessions are kept: `embedded`, a file in Caddy's data directory that
	// survives a restart, or a store that several gateways share. Default: the
	// app's `store`.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=gluu.store inline_key=engine"`

	// Secrets of 32 bytes or more that seal the sessions, together with a secret
	// that only the browser has. The first seals. The others open what was sealed
	// before they were replaced: without them those people log in again. Load-time
	// placeholders are allowed. Default: generated into Caddy's storage for
	// `embedded`, else the store's own keys.
	Keys []string `json:"key,omitempty"`

	// How many sessions are kept in memory, opened. Default: 50000.
	Size int `json:"size,omitempty"`

	// How long a session that this gateway has seen goes on while the store is
	// unavailable. `0` ends it at once, with 503. Default: `60s`.
	StoreGrace *caddy.Duration `json:"store_grace,omitempty"`
}

const (
	defaultSessions   = 50_000
	defaultStoreGrace = time.Minute
	maxStoreGrace     = time.Hour
	embeddedStore     = `{"engine":"embedded"}`

	// sessionSecret is where the key of the embedded store's sessions is kept.
	sessionSecret = "gluu/session/secret"
)

// check refuses what cannot be right.
func (c *SessionConfig) check() error {
	if c == nil {
		return nil
	}
	for i, key := range c.Keys {
		if !directive.HasPlaceholder(key) && len(key) < seal.MinSecret {
			return fmt.Errorf("session: key %d has %d bytes, %d are needed: make one with 'openssl rand -hex 32'", i+1, len(key), seal.MinSecret)
		}
	}
	if c.Size < 0 {
		return fmt.Errorf("session: size is a number of sessions, at least 1, not %d", c.Size)
	}
	if c.StoreGrace != nil && (*c.StoreGrace < 0 || time.Duration(*c.StoreGrace) > maxStoreGrace) {
		return fmt.Errorf("session: store_grace takes 0s to %s, not %s", maxStoreGrace, time.Duration(*c.StoreGrace))
	}
	return nil
}

// sessionPool holds the sessions of each store that a configuration uses.
// What is in memory outlives a reload.
var sessionPool = caddy.NewUsagePool()

// pooledSessions are the sessions in one store.
type pooledSessions struct {
	*session.Manager
	release func() error // of the store
}

// Destruct implements caddy.Destructor.
func (p *pooledSessions) Destruct() error {
	p.Close()
	return p.release()
}

// sharedStore is a store that other gateways change too. Its keys are the same
// everywhere.
type sharedStore interface{ StoreKeys() []string }

// Sessions returns the sessions of people, for a handler that is being
// provisioned. All handlers of a configuration share them.
func (a *App) Sessions(ctx caddy.Context) (*session.Manager, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sessions != nil {
		return a.sessions, nil
	}
	c := a.Session
	if c == nil {
		c = new(SessionConfig)
	}
	opener, identity, err := a.openSessions(ctx, c)
	if err != nil {
		return nil, err
	}
	pooled, _, err := sessionPool.LoadOrNew(identity, opener)
	if err != nil {
		return nil, err
	}
	a.sessions = pooled.(*pooledSessions).Manager
	a.releases = append(a.releases, func() error {
		_, err := sessionPool.Delete(identity)
		return err
	})
	return a.sessions, registerSessions(ctx.GetMetricsRegistry(), a.sessions, engineOf(a.sessionStore(c)))
}

// sessionStore is the configuration of the store that sessions are in.
func (a *App) sessionStore(c *SessionConfig) json.RawMessage {
	switch {
	case c.StoreRaw != nil:
		return c.StoreRaw
	case a.StoreRaw != nil:
		return a.StoreRaw
	}
	return json.RawMessage(embeddedStore)
}

// DefaultStore returns the settings of the store for all that name no store of their
// own, nil if there are none.
func (a *App) DefaultStore() json.RawMessage { return a.StoreRaw }

// StoreEngine is the engine of the default store, such as `embedded`.
func (a *App) StoreEngine() string {
	if a.StoreRaw == nil {
		return "embedded"
	}
	return engineOf(a.StoreRaw)
}

// SharedWithOthers names the option by which this gateway shares what it knows with other
// gateways, "" for none.
func (a *App) SharedWithOthers() string {
	isShared := func(store json.RawMessage) bool { return store != nil && engineOf(store) != "embedded" }
	switch {
	case isShared(a.StoreRaw):
		return "store " + engineOf(a.StoreRaw)
	case a.Session != nil && isShared(a.Session.StoreRaw):
		return "session { store " + engineOf(a.Session.StoreRaw) + " }"
	case a.Cache != nil && a.Cache.Redis != "":
		return "cache { redis }"
	}
	return ""
}

// engineOf is the name of the engine of a store.
func engineOf(store json.RawMessage) string {
	var named struct{ Engine string }
	_ = json.Unmarshal(store, &named) // it was loaded, so it is an object
	return named.Engine
}

// registerSessions makes the number of sessions visible in a configuration's
// registry.
func registerSessions(registry *prometheus.Registry, sessions *session.Manager, engine string) error {
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "gluu_sessions", Help: "Sessions of people that this gateway has opened in memory, by the engine that they are stored in.",
		ConstLabels: prometheus.Labels{"store": engine},
	}, func() float64 { return float64(sessions.InMemory()) }))
}

// openSessions returns how the sessions are opened, and what identifies them.
func (a *App) openSessions(ctx caddy.Context, c *SessionConfig) (caddy.Constructor, [sha256.Size]byte, error) {
	var identity [sha256.Size]byte
	raw := a.sessionStore(c)
	module, err := loadStore(ctx, raw)
	if err != nil {
		return nil, identity, err
	}
	keys, err := a.sessionKeys(ctx, c, module)
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
	_, config.Shared = module.(sharedStore)
	parts := [][]byte{raw, fmt.Appendf(nil, "%d %s", config.Size, config.Grace)}
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
		return &pooledSessions{manager, release}, nil
	}, identity, nil
}

// loadStore loads the module of a store.
func loadStore(ctx caddy.Context, raw json.RawMessage) (store.Opener, error) {
	loaded, err := ctx.LoadModule(&SessionConfig{StoreRaw: raw}, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	opener, ok := loaded.(store.Opener)
	if !ok {
		return nil, fmt.Errorf("store: %T is not a store", loaded)
	}
	return opener, nil
}

// sessionKeys are the keys of the configuration, else those of a shared store,
// else one that Caddy's storage keeps.
func (a *App) sessionKeys(ctx caddy.Context, c *SessionConfig, module store.Opener) ([]string, error) {
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
	secret, err := storedsecret.Get(ctx, ctx.Storage(), sessionSecret, a.logger)
	return []string{secret}, err
}
