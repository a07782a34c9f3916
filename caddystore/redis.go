// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/redis"
)

func init() {
	caddy.RegisterModule(Redis{})
}

// Redis keeps a store in a Redis 6.2 or newer, or a Valkey. It may forget the last
// second of writes when a server fails.
type Redis struct {
	// `redis://<user>:<password>@<host>:<port>/<database number>`, `rediss://`
	// for TLS, or `unix:///<path>`. Further servers of a Cluster follow as
	// `?addr=<host>:<port>&addr=...`. Behind Sentinel the addresses are those
	// of the sentinels, and `master_set=<name>` names the primary. May be
	// or contain load-time placeholders. Required.
	URL string `json:"url,omitempty"`

	Settings

	place place
}

// CaddyModule returns the Caddy module information.
func (Redis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu.store.redis",
		New: func() caddy.Module { return new(Redis) },
	}
}

// Provision checks the settings. It connects to nothing.
func (r *Redis) Provision(ctx caddy.Context) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	address, err := directive.Resolve(r.URL)
	if err != nil {
		return fmt.Errorf("store redis: the URL: %w", err)
	}
	if _, err := redis.ClientOption(address); err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	keys, err := r.keys(ctx)
	if err != nil {
		return fmt.Errorf("store redis: %w", err)
	}
	r.place = newPlace("redis", address, keys, r.Timeout, func() (store.Engine, error) {
		return redis.Open(redis.Options{URL: address, Logger: processLogger()})
	})
	return nil
}

// OpenStore implements store.Opener.
func (r *Redis) OpenStore() (*store.Store, func() error, error) { return r.place.openStore() }

// Interface guards
var (
	_ caddy.Provisioner = (*Redis)(nil)
	_ store.Opener      = (*Redis)(nil)
)
