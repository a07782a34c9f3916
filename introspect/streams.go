// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/streamjudge"
	"github.com/caddy-gluu/gateway/internal/streams"
	"github.com/caddy-gluu/gateway/internal/token"
)

// NewStreamGuard returns what ends the streams of a handler that is being
// provisioned.
func (a *App) NewStreamGuard(ctx caddy.Context, config *streams.Config) (*streams.Guard, error) {
	return streams.NewGuard(ctx, config, a.Cache.maxAge())
}

// endStreams ends the streams whose tokens are revoked.
func endStreams(isRevoked func(t *token.Token, raw string) bool) { streams.Open.EndTokens(isRevoked) }

// sweepInterval is how soon a stream ends whose consumer was deleted.
const sweepInterval = time.Second

// watchStreams ends streams for reasons that nothing tells them about.
func (a *App) watchStreams(ctx context.Context) { streams.Open.Watch(ctx, sweepInterval, a.endsStream) }

// endsStream returns why a stream must not go on under this configuration, ""
// for none.
func (a *App) endsStream(s streams.Info) streams.Reason {
	if s.ConsumerID != "" && a.directory.Ready() && a.directory.Find(s.ConsumerID) == nil {
		return streams.ConsumerDeleted
	}
	return ""
}

// RulesChanged tells that a handler has other rules than before. Streams that they
// forbid are ended.
func (a *App) RulesChanged() {
	select {
	case a.rulesChanged <- struct{}{}:
	default: // the streams are going to be judged anyway
	}
}

// judgeStreams ends streams that the rules forbid: once as soon as this configuration
// is the running one, and whenever rules change.
func (a *App) judgeStreams(ctx context.Context) {
	ticker := time.NewTicker(sweepInterval / 10)
	defer ticker.Stop()
	for !a.isRunning() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
	ticker.Stop()
	for {
		streamjudge.EndForbidden(ctx, a.logger)
		select {
		case <-ctx.Done():
			return
		case <-a.rulesChanged:
		}
	}
}

// isRunning reports whether this configuration is the one that runs. Caddy says so
// after it has started all apps.
func (a *App) isRunning() bool {
	running, err := caddy.ActiveContext().AppIfConfigured("gluu")
	return err == nil && running == caddy.App(a)
}
