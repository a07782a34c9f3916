// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/tokencache"
)

// CacheConfig bounds how many tokens are remembered and for how long.
type CacheConfig struct {
	// How many verified tokens are kept at most, of all providers together. In
	// addition a tenth of that number, but at least 1,000, can be kept of refused
	// tokens. Default: 100000.
	Size int `json:"size,omitempty"`

	// How many bytes of memory the verified tokens may take, together with what
	// handlers keep with them, such as the headers for the upstream. A token that
	// takes more than its share, `memory` divided by `size`, takes the room of
	// several. Default: 256 MiB, or 2.6 KiB for each of `size` if that is more.
	Memory int64 `json:"memory,omitempty"`

	// How long a verified token is used without asking its authorization
	// server again, however late it expires. A token that is revoked there
	// keeps working for up to this long. Default: 10m.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How long a refusal is used without verifying the token again. Default: 10s.
	NegativeAge caddy.Duration `json:"negative_age,omitempty"`

	// A Redis or Valkey through which several gateways share what they have
	// verified, and tell each other of revocations:
	// `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS,
	// or `unix:///path`. While it is unavailable, each gateway works on its own.
	// Placeholders that are known when the configuration loads are allowed.
	Redis string `json:"redis,omitempty"`

	// The secret, 32 bytes or more, that seals what is stored in Redis. All
	// gateways have the same. Required with `redis`. Placeholders that are
	// known when the configuration loads are allowed.
	RedisKey string `json:"redis_key,omitempty"`
}

const (
	defaultCacheSize   = tokencache.DefaultSize
	defaultMaxAge      = 10 * time.Minute
	defaultNegativeAge = 10 * time.Second
	maxCacheSize       = 100_000_000
	minCacheMemory     = 1 << 20
)

// settings returns the settings with placeholders resolved, and with defaults.
func (c *CacheConfig) settings() (tokencache.Settings, error) {
	resolved, err := c.resolved()
	if err != nil {
		return tokencache.Settings{}, err
	}
	return tokencache.Settings{
		Size:        cmp.Or(resolved.Size, defaultCacheSize),
		MaxAge:      cmp.Or(time.Duration(resolved.MaxAge), defaultMaxAge),
		NegativeAge: cmp.Or(time.Duration(resolved.NegativeAge), defaultNegativeAge),
		Redis:       resolved.Redis,
		RedisKey:    resolved.RedisKey,
		Memory:      uint64(resolved.Memory),
	}, nil
}

// maxAge is how long an answer is used without asking again.
func (c *CacheConfig) maxAge() time.Duration {
	if c == nil {
		return defaultMaxAge
	}
	return cmp.Or(time.Duration(c.MaxAge), defaultMaxAge)
}

// Check refuses impossible settings, whatever the values of the placeholders in
// them will be.
func (c *CacheConfig) Check() error { return c.check(directive.HasPlaceholder) }

func (c *CacheConfig) check(open func(value string) bool) error {
	if c == nil {
		return nil
	}
	if err := c.checkValues(open); err != nil {
		return err
	}
	switch {
	case c.Redis != "" && c.RedisKey == "":
		return errors.New("cache: redis needs a key to seal what is stored there: write 'redis_key <secret>', the same for all gateways")
	case c.RedisKey != "" && c.Redis == "":
		return errors.New("cache: redis_key needs a Redis: write 'redis redis://<host>:<port>'")
	}
	return nil
}

// checkValues refuses settings that are wrong on their own, whatever the others
// are. The Caddyfile parser calls it after each setting, to name its line.
func (c *CacheConfig) checkValues(open func(value string) bool) error {
	switch {
	case c.Size < 0:
		return fmt.Errorf("cache: size cannot be negative, got %d", c.Size)
	case c.Size > maxCacheSize:
		return fmt.Errorf("cache: size can be %d at most, got %d", maxCacheSize, c.Size)
	case c.Memory < 0 || c.Memory > 0 && c.Memory < minCacheMemory:
		return fmt.Errorf("cache: memory must be %d bytes (1 MiB) or more, got %d", minCacheMemory, c.Memory)
	case c.MaxAge < 0:
		return fmt.Errorf("cache: max_age cannot be negative, got %s", time.Duration(c.MaxAge))
	case c.NegativeAge < 0:
		return fmt.Errorf("cache: negative_age cannot be negative, got %s", time.Duration(c.NegativeAge))
	case c.RedisKey != "" && !open(c.RedisKey) && len(c.RedisKey) < minRedisKey:
		return fmt.Errorf("cache: redis_key has %d bytes, %d are needed: make one with 'openssl rand -hex 32'", len(c.RedisKey), minRedisKey)
	}
	return c.checkRedis(open)
}

// minRedisKey is the length of a secret that withstands guessing offline.
const minRedisKey = 32

// checkRedis does not quote the value, which may contain a password.
func (c *CacheConfig) checkRedis(open func(value string) bool) error {
	if c.Redis == "" || open(c.Redis) {
		return nil
	}
	u, err := url.Parse(c.Redis)
	if err != nil {
		return errors.New("cache: redis is not a valid URL: write 'redis://<host>:<port>', with special characters in a password percent-encoded")
	}
	isSocket := u.Scheme == "unix"
	switch {
	case !slices.Contains(redisSchemes, u.Scheme):
		return fmt.Errorf("cache: redis is a URL with one of the schemes %s: write 'redis://<host>:<port>', for example", strings.Join(redisSchemes, ", "))
	case isSocket && u.Path == "", !isSocket && u.Hostname() == "":
		return errors.New("cache: redis names no server: write 'redis://<host>:<port>' or 'unix:///<path>'")
	case u.Fragment != "" || u.RawQuery != "" && !isSocket:
		return errors.New("cache: redis takes no options after a '?' or '#': leave them out")
	}
	if tokencache.CheckAddress(c.Redis) != nil {
		return errors.New("cache: redis is not a URL of a Redis: write 'redis://<user>:<password>@<host>:<port>/<database number>'")
	}
	return nil
}

var redisSchemes = []string{"redis", "rediss", "valkey", "valkeys", "unix"}

// resolved returns the settings with placeholders resolved.
func (c *CacheConfig) resolved() (r CacheConfig, err error) {
	if c == nil {
		return r, nil
	}
	r = *c
	if r.Redis, err = directive.Resolve(c.Redis); err != nil {
		return r, fmt.Errorf("cache: redis: %w", err)
	}
	if r.RedisKey, err = directive.Resolve(c.RedisKey); err != nil {
		return r, fmt.Errorf("cache: redis_key: %w", err)
	}
	return r, r.check(isNeverOpen)
}

func isNeverOpen(string) bool { return false }
