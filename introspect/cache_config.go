// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
)

// CacheConfig bounds how many tokens are remembered and for how long.
type CacheConfig struct {
	// How many verified tokens are kept at most, of all providers together. A
	// tenth of it, but at least 1,000, can be kept besides of tokens that were
	// found to be no good. Default: 100000.
	Size int `json:"size,omitempty"`

	// How long a verified token is used without asking its authorization
	// server again, however late it expires. A token that is revoked there
	// goes on working for this long. Default: 10m.
	MaxAge caddy.Duration `json:"max_age,omitempty"`

	// How long it is remembered that a token is no good. Default: 10s.
	NegativeAge caddy.Duration `json:"negative_age,omitempty"`

	// A Redis or Valkey through which several gateways share what they have
	// verified, and tell each other of revocations:
	// `redis://[[user]:password@]host[:port][/database]`, `rediss://` for TLS,
	// or `unix:///path`. While it is away each gateway works on its own.
	// Placeholders that are known when the configuration loads are allowed.
	Redis string `json:"redis,omitempty"`

	// The secret, 32 bytes or more, that seals what is stored in Redis. All
	// gateways have the same. Required with `redis`. Placeholders that are
	// known when the configuration loads are allowed.
	RedisKey string `json:"redis_key,omitempty"`
}

const (
	defaultCacheSize   = 100_000
	defaultMaxAge      = 10 * time.Minute
	defaultNegativeAge = 10 * time.Second
	minNegativeSize    = 1000
	maxCacheSize       = 100_000_000

	// maxCachedClaims is the size of a token, in claims, beyond which it is
	// used but not remembered: the cache is bounded by count, and this makes
	// that a bound of memory.
	maxCachedClaims = 64 << 10
)

// settled returns the settings with defaults.
func (c *CacheConfig) settled() CacheConfig {
	var settled CacheConfig
	if c != nil {
		settled = *c
	}
	if settled.Size == 0 {
		settled.Size = defaultCacheSize
	}
	if settled.MaxAge == 0 {
		settled.MaxAge = caddy.Duration(defaultMaxAge)
	}
	if settled.NegativeAge == 0 {
		settled.NegativeAge = caddy.Duration(defaultNegativeAge)
	}
	return settled
}

// Check refuses impossible settings, whatever the placeholders in them will
// stand for.
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

// checkValues refuses what is wrong with a setting by itself, whatever the
// others are. The Caddyfile parser calls it after each, to name its line.
func (c *CacheConfig) checkValues(open func(value string) bool) error {
	switch {
	case c.Size < 0:
		return fmt.Errorf("cache: size cannot be negative, got %d", c.Size)
	case c.Size > maxCacheSize:
		return fmt.Errorf("cache: size can be %d at most, got %d", maxCacheSize, c.Size)
	case c.MaxAge < 0:
		return fmt.Errorf("cache: max_age cannot be negative, got %s", time.Duration(c.MaxAge))
	case c.NegativeAge < 0:
		return fmt.Errorf("cache: negative_age cannot be negative, got %s", time.Duration(c.NegativeAge))
	case c.RedisKey != "" && !open(c.RedisKey) && len(c.RedisKey) < minRedisKey:
		return fmt.Errorf("cache: redis_key has %d bytes, %d are needed: make one with 'openssl rand -hex 32'", len(c.RedisKey), minRedisKey)
	}
	return c.checkRedis(open)
}

// minRedisKey is how long a secret has to be that nobody must guess who has
// all day.
const minRedisKey = 32

// checkRedis says nothing of the value itself, which may have a password in it.
func (c *CacheConfig) checkRedis(open func(value string) bool) error {
	if c.Redis == "" || open(c.Redis) {
		return nil
	}
	u, err := url.Parse(c.Redis)
	if err != nil {
		return errors.New("cache: redis is no URL: write 'redis://<host>:<port>', with what is special in a password percent-encoded")
	}
	isSocket := u.Scheme == "unix"
	switch {
	case !slices.Contains(redisSchemes, u.Scheme):
		return fmt.Errorf("cache: redis is a URL with one of the schemes %s: write 'redis://<host>:<port>', say", strings.Join(redisSchemes, ", "))
	case isSocket && u.Path == "", !isSocket && u.Hostname() == "":
		return errors.New("cache: redis names no server: write 'redis://<host>:<port>' or 'unix:///<path>'")
	case u.Fragment != "" || u.RawQuery != "" && !isSocket:
		return errors.New("cache: redis takes no options after a '?' or '#': leave them out")
	}
	if _, err := redisOption(c.Redis); err != nil {
		return errors.New("cache: redis is not a URL as it should be: write 'redis://<user>:<password>@<host>:<port>/<database number>'")
	}
	return nil
}

var redisSchemes = []string{"redis", "rediss", "valkey", "valkeys", "unix"}

// resolved returns the settings with placeholders replaced.
func (c *CacheConfig) resolved() (*CacheConfig, error) {
	if c == nil {
		return nil, nil
	}
	r := *c
	var err1, err2 error
	r.Redis, err1 = directive.Resolve(c.Redis)
	r.RedisKey, err2 = directive.Resolve(c.RedisKey)
	if err1 != nil {
		return nil, fmt.Errorf("cache: redis: %w", err1)
	}
	if err2 != nil {
		return nil, fmt.Errorf("cache: redis_key: %w", err2)
	}
	return &r, r.check(isNeverOpen)
}
