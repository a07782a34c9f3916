// SPDX-License-Identifier: Apache-2.0

package sessionpool

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/seal"
)

// Config says where the sessions of people are kept who log in with
// `gluu_openid_connect`, and how.
type Config struct {
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

// Check refuses what cannot be right.
func (c *Config) Check() error {
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
