// SPDX-License-Identifier: Apache-2.0

package enforce

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-gluu/gateway/identity"
	"github.com/caddy-gluu/gateway/internal/events"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
)

// Gate is the run-time half of every enforcing handler, whatever it decides by: how
// paths are read, and how refused clients are answered.
type Gate struct {
	Config

	app      *introspect.App
	answerer identity.Answerer
}

// Provision sets up the gate of a handler of a kind.
func (g *Gate) Provision(ctx caddy.Context, kind identity.Kind) error {
	if err := g.check(); err != nil {
		return err
	}
	app, err := introspect.FromContext(ctx)
	if err != nil {
		return err
	}
	if err := siteguard.Protect(ctx, app); err != nil {
		return err
	}
	metrics, err := identity.NewMetrics(ctx, kind)
	if err != nil {
		return err
	}
	app.CountGrants(metrics.Grants)
	emitter, err := events.NewEmitter(ctx)
	if err != nil {
		return err
	}
	g.app = app
	g.answerer = identity.Answerer{JSON: app.ErrorJSON(), Stripper: app.Stripper, Logger: ctx.Logger(), Metrics: metrics, Events: emitter,
		Handler: identity.HandlerOf(ctx, false)}
	if err := identity.ProtectSite(ctx, app, &g.answerer, g.siteRules()); err != nil {
		return err
	}
	app.NoteEnforcement(siteguard.Site(ctx))
	warnWithoutAuthentication(ctx)
	if g.DryRun {
		ctx.Logger().Warn("dry_run is on: requests are not refused")
		app.AddWarning(identity.Where(ctx), "dry_run is on: requests are not refused")
	}
	return nil
}

// App is the app of the configuration that the handler is part of.
func (g *Gate) App() *introspect.App { return g.app }

// OfferExplanations lets the admin API ask a handler about requests.
func (g *Gate) OfferExplanations(ctx caddy.Context, by explain.Enforcer) {
	hosts, _ := siteguard.Address(ctx)
	g.app.AddExplained(explain.Part{Site: siteguard.Site(ctx), Hosts: hosts, Enforcer: by})
}

// Metrics count the decisions of the handler.
func (g *Gate) Metrics() *identity.Metrics { return g.answerer.Metrics }

// Open reports whether requests pass about which nothing is said.
func (g *Gate) Open() bool { return g.open() }

// Identify returns the identity of a request, nil if no authentication handler ran:
// then it also removes the headers in which a client claims one.
func (g *Gate) Identify(r *http.Request) *identity.Identity {
	id := identity.Of(r)
	if id == nil {
		g.app.Stripper().StripRequest(r)
	}
	return id
}

// Canonicalize sets the path of a request to the canonical one, everywhere where an
// upstream may read it, and returns it decoded, or how to refuse the request.
func (g *Gate) Canonicalize(r *http.Request) (string, *identity.Refusal) {
	path, err := canonicalize(r, checkMethod, g.PathOptions())
	if err != nil {
		refusal := asRefusal(err)
		return "", &refusal
	}
	return path, nil
}

// Granted logs a request that may pass, if that is wanted.
func (g *Gate) Granted(r *http.Request, id *identity.Identity, fields ...zap.Field) {
	if g.LogGrants {
		g.answerer.Granted(r, id, fields...)
	}
}

// Passed notes that the handler lets a request pass. The identity may be nil.
func (g *Gate) Passed(id *identity.Identity) { g.answerer.Passed(id) }

// Unauthenticated refuses a request that no authentication handler has looked at.
func Unauthenticated() identity.Refusal {
	refusal := identity.NotAuthenticated()
	refusal.Cause = errNotAuthenticated
	return refusal
}

var errNotAuthenticated = errors.New("no authentication handler ran before this one: add gluu_oauth_auth or gluu_uma_auth, or check its matcher and the order in a route block")

// Reject refuses a request, or passes it on in a dry run. Both are recorded.
func (g *Gate) Reject(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, refusal identity.Refusal) error {
	return g.reject(w, r, next, refusal)
}
