// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/directive"
)

func init() {
	caddy.RegisterModule(EmbeddedStorage{})
}

// defaultMaxTokens takes about 50 MB of disk at the most for a client.
const defaultMaxTokens = 100_000

// EmbeddedStorage keeps the tokens of an authorization server in one file of
// this machine. Nothing has to be installed for it, and what it holds survives
// restarts, reloads and crashes. One process at a time can use a file; several
// servers of one process may share it.
type EmbeddedStorage struct {
	// The file. Default: `gluu/oauth_server.db` in Caddy's data directory.
	// It is created when it is missing, readable for its owner only, and
	// does not shrink: the space of expired tokens is used again.
	Path string `json:"path,omitempty"`

	// The most tokens that one client can hold at a time, expired ones not
	// counted: one that asks for a token with each of its requests is
	// refused, and fills no disk. Default: 100000.
	MaxTokensPerClient int `json:"max_tokens_per_client,omitempty"`

	path   string
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
	s.logger = ctx.Logger()
	s.path = filepath.Join(caddy.AppDataDir(), "gluu", "oauth_server.db")
	if s.Path != "" {
		resolved, err := directive.Resolve(s.Path)
		if err != nil {
			return fmt.Errorf("path of the storage: %w", err)
		}
		s.path = resolved
	}
	absolute, err := filepath.Abs(s.path)
	if err != nil {
		return fmt.Errorf("path of the storage: %w", err)
	}
	s.path = absolute
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
	var once directive.Once
	for d.NextBlock(0) {
		err := once.Check(d)
		if err != nil {
			return err
		}
		switch d.Val() {
		case "path":
			err = directive.SetString(d, &s.Path)
		case "max_tokens_per_client":
			err = directive.Set(d, &s.MaxTokensPerClient, directive.Positive)
		default:
			err = directive.Unknown(d, "embedded", "path", "max_tokens_per_client")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tokenFiles holds the files that are open in this process. bbolt locks a
// file, so a new configuration has to go on with what the previous one opened.
var tokenFiles = caddy.NewUsagePool()

// OpenStorage opens the file, or takes it over from the running configuration.
func (s *EmbeddedStorage) OpenStorage() (Storage, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the token storage: %w", err)
	}
	key := s.path
	if folder, err := filepath.EvalSymlinks(filepath.Dir(s.path)); err == nil {
		key = filepath.Join(folder, filepath.Base(s.path))
	}
	file, _, err := tokenFiles.LoadOrNew(key, func() (caddy.Destructor, error) {
		return openTokenFile(key, s.logger)
	})
	if err != nil {
		return nil, err
	}
	return &embeddedHandle{tokenFile: file.(*tokenFile), key: key, limit: s.MaxTokensPerClient}, nil
}

// embeddedHandle is one configuration's hold on a file.
type embeddedHandle struct {
	*tokenFile
	key   string
	limit int
	close sync.Once
}

func (h *embeddedHandle) PutToken(_ context.Context, token *Token) error {
	return h.put(token, h.limit)
}

func (h *embeddedHandle) Token(_ context.Context, id TokenID) (*Token, error) {
	return h.get(id)
}

func (h *embeddedHandle) DeleteToken(_ context.Context, id TokenID) error {
	return h.delete(id)
}

// Close gives the hold back; the last one closes the file.
func (h *embeddedHandle) Close() (err error) {
	h.close.Do(func() { _, err = tokenFiles.Delete(h.key) })
	return err
}

// Interface guards
var (
	_ StorageModule         = (*EmbeddedStorage)(nil)
	_ caddy.Provisioner     = (*EmbeddedStorage)(nil)
	_ caddy.Validator       = (*EmbeddedStorage)(nil)
	_ caddyfile.Unmarshaler = (*EmbeddedStorage)(nil)
	_ Storage               = (*embeddedHandle)(nil)
)
