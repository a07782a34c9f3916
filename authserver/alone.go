// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// sharer is the app `gluu`, which knows what else it shares with other gateways.
type sharer interface{ SharedWithOthers() string }

// warnIfAlone warns of a store that is a file, where the rest of the configuration says
// that there are several gateways. Each would be an authorization server of its own then:
// what one has issued is unknown to the others, which looks like tokens that fail at
// random.
func (s *Server) warnIfAlone(ctx caddy.Context) error {
	if !s.isFile {
		return nil
	}
	because, err := sharedOption(ctx)
	if err != nil || because == "" {
		return err
	}
	s.logger.Warn("the tokens of this authorization server are in a file of this machine, and other gateways, which seem to be there, do not know them: write 'store postgres <dsn>' or 'store redis <url>'",
		zap.String("issuer", s.issuer.Name), zap.String("shared", because))
	return nil
}

// sharedOption names what the configuration shares with other gateways, "" for nothing.
func sharedOption(ctx caddy.Context) (string, error) {
	if _, isFile := ctx.Storage().(*certmagic.FileStorage); !isFile {
		return "Caddy's storage", nil
	}
	app, err := ctx.AppIfConfigured("gluu")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	shares, ok := app.(sharer)
	if !ok {
		return "", fmt.Errorf("the app gluu is a %T, which does not know what it shares", app)
	}
	return shares.SharedWithOthers(), nil
}
