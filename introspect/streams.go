// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/routemap"
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
		streams.Open.EndForbidden(func(s streams.Admitted) bool { return forbidsStream(ctx, s) })
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

// opaHandler is asked about a request once, when it comes in: a policy may look at
// header fields and a body that are not kept.
const opaHandler = "gluu_opa_pep"

// forbidsStream reports whether a handler of the running configuration that the
// stream's request would meet now refuses its caller.
func forbidsStream(ctx context.Context, s streams.Admitted) bool {
	taken, err := routemap.TakeReceived(ctx, routemap.Received{
		Method: s.Method, Host: s.Host, Target: s.Target, Header: s.Header(), ClientIP: s.ClientIP, Port: s.Port, IsSecure: s.IsSecure,
	})
	if err != nil {
		return false // nothing is known about it
	}
	caller := &explain.Caller{
		Provider: s.Provider, ClientID: s.ClientID, Subject: s.Subject, ExpiresAt: s.ExpiresAt,
		Consumer: s.Consumer, ConsumerID: s.ConsumerID, Anonymous: s.Token == nil && s.Session == "", Token: s.Token,
	}
	for i, pointer := range taken.Handlers {
		if refuses(ctx, routemap.Running(pointer), taken.Seen[i], s, caller) {
			return true
		}
	}
	return false
}

// refuses reports whether a handler refuses the caller of a stream, whose request it
// sees as this one.
func refuses(ctx context.Context, handler any, seen routemap.Line, s streams.Admitted, caller *explain.Caller) bool {
	switch h := handler.(type) {
	case explain.Gate:
		list := h.ExplainCaller(caller)
		return !list.DryRun && forbids(list.Refused)
	case explain.Enforcer:
		if caddy.GetModuleName(handler) == opaHandler || s.Session != "" && s.Token == nil {
			return false // rules about a person ask the session
		}
		r := (&http.Request{Method: seen.Method, URL: &seen.URL, RequestURI: seen.URL.RequestURI(), Host: s.Host, Header: http.Header{}}).WithContext(ctx)
		d := h.ExplainRequest(r, caller, false)
		if d.DryRun || d.Resource != nil && d.Resource.ObtainRPT {
			return false // the gateway would get the permission for the person
		}
		return forbids(d.Refused)
	}
	return false
}

// forbids reports whether a refusal is about the caller, and not about a gateway that
// cannot decide yet: a moment after a reload it may not know all that it needs.
func forbids(r *explain.Refusal) bool {
	return r != nil && r.Status < http.StatusInternalServerError
}
