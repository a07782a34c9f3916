// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/postgres"
)

func init() {
	caddy.RegisterModule(Postgres{})
}

// Postgres keeps a store in PostgreSQL 13 or newer, in a schema called `gluu`,
// which it makes and keeps up to date.
type Postgres struct {
	// The connection string:
	// `postgres://<user>:<password>@<host>:<port>/<database>?sslmode=verify-full`.
	// May be or contain load-time placeholders. Required.
	DSN string `json:"dsn,omitempty"`

	Settings

	place place
}

// CaddyModule returns the Caddy module information.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu.store.postgres",
		New: func() caddy.Module { return new(Postgres) },
	}
}

// Provision checks the settings. It connects to nothing.
func (p *Postgres) Provision(ctx caddy.Context) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	if p.DSN == "" {
		return errors.New("store postgres: dsn is missing: write 'postgres://<user>:<password>@<host>:<port>/<database>'")
	}
	dsn, err := directive.Resolve(p.DSN)
	if err != nil {
		return fmt.Errorf("store postgres: the connection string: %w", err)
	}
	if err := postgres.CheckDSN(dsn); err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	keys, err := p.keys(ctx)
	if err != nil {
		return fmt.Errorf("store postgres: %w", err)
	}
	p.place = newPlace("postgres", dsn, keys, p.Timeout, func() (store.Engine, error) {
		return postgres.Open(postgres.Options{DSN: dsn, Logger: processLogger()})
	})
	return nil
}

// OpenStore implements store.Opener.
func (p *Postgres) OpenStore() (*store.Store, func() error, error) { return p.place.openStore() }

// Interface guards
var (
	_ caddy.Provisioner = (*Postgres)(nil)
	_ store.Opener      = (*Postgres)(nil)
)
