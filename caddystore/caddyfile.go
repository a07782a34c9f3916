// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
	"github.com/caddy-gluu/gateway/internal/store/redis"
)

// UnmarshalCaddyfile reads
//
//	postgres <dsn> {
//		key     <secret>...
//		timeout <duration>
//	}
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.unmarshal(d, "postgres", "postgres://<user>:<password>@<host>:<port>/<database>", &p.DSN, postgres.CheckDSN)
}

// UnmarshalCaddyfile reads
//
//	redis <url> {
//		key     <secret>...
//		timeout <duration>
//	}
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return r.unmarshal(d, "redis", "redis://<host>:<port>", &r.URL, func(address string) error {
		_, err := redis.ClientOption(address)
		return err
	})
}

// unmarshal reads an address and the settings. Whether there is a key also depends on the
// cache of the app: see store.LacksKey.
func (s *Settings) unmarshal(d *caddyfile.Dispenser, engine, example string, address *string, check func(string) error) error {
	start := directive.Begin(d)
	if !d.NextArg() {
		return d.Errf("%s names no server: write '%s %s { key <secret> }'", engine, engine, example)
	}
	*address = d.Val()
	if !directive.HasPlaceholder(*address) {
		if err := check(*address); err != nil {
			return d.Errf("%s: %v", engine, err)
		}
	}
	if d.NextArg() {
		return d.Errf("%s takes one address, got %q too: put options into its block", engine, d.Val())
	}
	var once directive.Once
	for d.NextBlock(0) {
		if err := once.Check(d); err != nil {
			return err
		}
		if err := s.unmarshalOption(d, engine); err != nil {
			return err
		}
	}
	if err := s.check(); err != nil {
		return start.Errf("%s: %v", engine, err)
	}
	return nil
}

func (s *Settings) unmarshalOption(d *caddyfile.Dispenser, engine string) (err error) {
	switch d.Val() {
	case "key":
		if s.Keys, err = directive.Strings(d); err != nil {
			return err
		}
		for _, key := range s.Keys {
			if directive.HasPlaceholder(key) {
				continue
			}
			if err := checkKey(key); err != nil {
				return d.Errf("key: %v", err)
			}
		}
	case "timeout":
		if s.Timeout, err = directive.Duration(d); err == nil && s.Timeout <= 0 {
			err = d.Err("timeout is the time that a request waits for the store: write 3s, for example")
		}
	default:
		err = directive.Unknown(d, engine, "key", "timeout")
	}
	return err
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Postgres)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
