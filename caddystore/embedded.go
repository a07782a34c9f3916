// SPDX-License-Identifier: Apache-2.0

package caddystore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
	"github.com/caddy-gluu/gateway/internal/storedsecret"
)

func init() {
	caddy.RegisterModule(Embedded{})
}

// Embedded keeps a store in a file, for one gateway. It survives a restart.
type Embedded struct {
	// The file. Default: `gluu/store.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	path   string
	keys   certmagic.Storage
	logger *zap.Logger
}

// embeddedSecret is where Caddy's storage keeps the key of the file.
const embeddedSecret = "gluu/store/secret"

// CaddyModule returns the Caddy module information.
func (Embedded) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu.store.embedded",
		New: func() caddy.Module { return new(Embedded) },
	}
}

// Provision finds the file. It does not touch it.
func (e *Embedded) Provision(ctx caddy.Context) (err error) {
	e.keys, e.logger = ctx.Storage(), ctx.Logger()
	if e.path, err = directive.Resolve(e.Path); err != nil {
		return fmt.Errorf("store embedded: path: %w", err)
	}
	if e.path == "" {
		e.path = filepath.Join(caddy.AppDataDir(), "gluu", "store.db")
	}
	return nil
}

// OpenStore implements store.Opener.
func (e *Embedded) OpenStore() (*store.Store, func() error, error) {
	return OpenFile(context.Background(), e.keys, e.path, e.logger, nil)
}

// OpenFile opens a store in a file, or takes part in it if it is open, with the key of this
// machine. Before the caller uses it, a function, unless it is nil, gets to see what else is
// in the file.
func OpenFile(ctx context.Context, storage certmagic.Storage, path string, logger *zap.Logger, opened func(*embedded.Engine, *store.Store) error) (*store.Store, func() error, error) {
	path, err := makeFolder(path)
	if err != nil {
		return nil, nil, fmt.Errorf("store embedded: making the folder of the file: %w", err)
	}
	secret, err := storedsecret.Get(ctx, storage, embeddedSecret, logger)
	if err != nil {
		return nil, nil, fmt.Errorf("store embedded: %w", err)
	}
	p := newPlace("embedded", path, []string{secret}, 0, func() (store.Engine, error) { return embedded.Open(path) })
	if opened != nil {
		p.opened = func(engine store.Engine, s *store.Store) error { return opened(engine.(*embedded.Engine), s) }
	}
	return p.openStore()
}

// makeFolder makes the folder of a file, and returns the path in the one spelling that
// all have who use the file: it can be opened once in this process.
func makeFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(folder, filepath.Base(path)), err
}

// UnmarshalCaddyfile reads
//
//	embedded [<file>]
func (e *Embedded) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	directive.Begin(d)
	if d.NextArg() {
		e.Path = d.Val()
	}
	if d.NextArg() {
		return d.Errf("embedded takes one file, got %q too", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("embedded has no options, got %q", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Embedded)(nil)
	_ store.Opener          = (*Embedded)(nil)
	_ caddyfile.Unmarshaler = (*Embedded)(nil)
)
