// SPDX-License-Identifier: Apache-2.0

package sessionpool

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store"
)

// UnmarshalCaddyfile reads the block `session`.
func (c *Config) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.CountRemainingArgs() > 0 {
		return d.Errf("session takes a block and no value: write 'session { store redis <url> }'")
	}
	return directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		if err := c.unmarshalOption(d); err != nil {
			return err
		}
		return directive.Located(d, c.Check())
	})
}

func (c *Config) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "store":
		return UnmarshalStore(d, &c.StoreRaw)
	case "key":
		c.Keys, err = directive.Strings(d)
	case "size":
		c.Size, err = directive.Positive(d)
	case "store_grace":
		grace, durationErr := directive.Duration(d)
		c.StoreGrace, err = &grace, durationErr
	default:
		err = directive.Unknown(d, "session", "store", "key", "size", "store_grace")
	}
	return err
}

// UnmarshalStore reads the engine and hands the rest to its module.
func UnmarshalStore(d *caddyfile.Dispenser, settings *json.RawMessage) error {
	if !d.NextArg() {
		return d.Errf("store names an engine: write 'store embedded', 'store postgres <dsn>' or 'store redis <url>'")
	}
	engine := d.Val()
	if _, err := caddy.GetModule("gluu.store." + engine); err != nil {
		return d.WrapErr(store.UnknownEngine("store", engine))
	}
	module, err := caddyfile.UnmarshalModule(d, "gluu.store."+engine)
	if err != nil {
		return err
	}
	*settings = caddyconfig.JSONModuleObject(module, "engine", engine, nil)
	return nil
}
