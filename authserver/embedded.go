// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/caddystore"
	"github.com/caddy-gluu/gateway/directive"
	"github.com/caddy-gluu/gateway/internal/store"
	"github.com/caddy-gluu/gateway/internal/store/embedded"
)

func init() {
	caddy.RegisterModule(EmbeddedStorage{})
}

// defaultMaxTokens takes about 50 MB of disk at the most for a client.
const defaultMaxTokens = 100_000

// EmbeddedStorage keeps what an authorization server has to remember in one file of
// this machine, sealed with a key in Caddy's storage. Nothing has to be installed for it, and what it holds survives
// restarts, reloads and crashes. One process at a time can use a file; several
// servers of one process may share it.
type EmbeddedStorage struct {
	// The file. Default: `gluu/oauth_server.db` in Caddy's data directory.
	// It is created when it is missing, readable for its owner only, and
	// does not shrink: the space of expired tokens is used again.
	Path string `json:"path,omitempty"`

	// The most tokens of its own that one client can hold at a time, expired ones not
	// counted: one that asks for a token with each of its requests is
	// refused, and fills no disk. Default: 100000.
	MaxTokensPerClient int `json:"max_tokens_per_client,omitempty"`

	path   string
	keys   certmagic.Storage
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (EmbeddedStorage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "gluu.oauth_server.storage.embedded",
		New: func() caddy.Module { return new(EmbeddedStorage) },
	}
}

// Provision works out where the file is. It does not touch it.
func (s *EmbeddedStorage) Provision(ctx caddy.Context) error {
	s.logger, s.keys = ctx.Logger(), ctx.Storage()
	s.path = filepath.Join(caddy.AppDataDir(), "gluu", "oauth_server.db")
	if s.Path != "" {
		resolved, err := directive.Resolve(s.Path)
		if err != nil {
			return fmt.Errorf("path of the storage: %w", err)
		}
		s.path = resolved
	}
	if s.MaxTokensPerClient == 0 {
		s.MaxTokensPerClient = defaultMaxTokens
	}
	return nil
}

// Validate checks the limit.
func (s *EmbeddedStorage) Validate() error {
	if s.MaxTokensPerClient < 1 {
		return fmt.Errorf("max_tokens_per_client is %d; it is the number of tokens that a client can hold, at least 1", s.MaxTokensPerClient)
	}
	return nil
}

// UnmarshalCaddyfile reads
//
//	embedded {
//		path                  <file>
//		max_tokens_per_client <number>
//	}
func (s *EmbeddedStorage) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if _, err := directive.BeginBlock(d, "write 'path %s' into the block"); err != nil {
		return err
	}
	return directive.EachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "path":
			return directive.SetString(d, &s.Path)
		case "max_tokens_per_client":
			return directive.Set(d, &s.MaxTokensPerClient, directive.Positive)
		}
		return directive.Unknown(d, "embedded", "path", "max_tokens_per_client")
	})
}

// OpenStore implements store.Opener: it opens the file, or takes part in it if the running
// configuration, or another server, has it open. What an older version has left in it is
// taken over first.
func (s *EmbeddedStorage) OpenStore() (*store.Store, func() error, error) {
	opened, release, err := caddystore.OpenFile(context.Background(), s.keys, s.path, s.logger, func(file *embedded.Engine, records *store.Store) error {
		return migrate(file, records, s.logger)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the token storage: %w", err)
	}
	return opened, release, nil
}

// Interface guards
var (
	_ store.Opener          = (*EmbeddedStorage)(nil)
	_ caddy.Provisioner     = (*EmbeddedStorage)(nil)
	_ caddy.Validator       = (*EmbeddedStorage)(nil)
	_ caddyfile.Unmarshaler = (*EmbeddedStorage)(nil)
)
