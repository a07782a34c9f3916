// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/session"
	"github.com/caddy-gluu/gateway/internal/sessionpool"
)

// OpenSessions returns the sessions of people, for a handler that is being
// provisioned. All handlers of a configuration share them.
func (a *App) OpenSessions(ctx caddy.Context) (*session.Manager, error) {
	manager, release, err := a.sessions.Open(ctx, a.Session, a.StoreRaw, a.logger)
	if release != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.releases = append(a.releases, release)
	}
	return manager, err
}

// Sessions returns the sessions of people, as an operator sees them.
func (a *App) Sessions() *sessionpool.Sessions { return &a.sessions }

// DefaultStore returns the settings of the store for all that name no store of their
// own, nil if there are none.
func (a *App) DefaultStore() json.RawMessage { return a.StoreRaw }

// CacheKey is the key that seals the cache in Redis, "" for none. A shared store without a
// key of its own has this one.
func (a *App) CacheKey() string {
	if a.Cache == nil {
		return ""
	}
	return a.Cache.RedisKey
}

// StoreEngine is the engine of the default store, such as `embedded`.
func (a *App) StoreEngine() string {
	if a.StoreRaw == nil {
		return "embedded"
	}
	return sessionpool.EngineOf(a.StoreRaw)
}

// SharedWithOthers names the option by which this gateway shares what it knows with other
// gateways, "" for none.
func (a *App) SharedWithOthers() string {
	isShared := func(store json.RawMessage) bool { return store != nil && sessionpool.EngineOf(store) != "embedded" }
	switch {
	case isShared(a.StoreRaw):
		return "store " + sessionpool.EngineOf(a.StoreRaw)
	case a.Session != nil && isShared(a.Session.StoreRaw):
		return "session { store " + sessionpool.EngineOf(a.Session.StoreRaw) + " }"
	case a.Cache != nil && a.Cache.Redis != "":
		return "cache { redis }"
	}
	return ""
}
