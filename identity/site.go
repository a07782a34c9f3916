// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/headers"
	"github.com/caddy-gluu/gateway/internal/siteguard"
	"github.com/caddy-gluu/gateway/introspect"
	"github.com/caddy-gluu/gateway/pathmatch"
)

// SiteRules are what a handler requires of every request of its site, wherever
// its matcher lets the handler itself see it.
type SiteRules struct {
	// StripOverrides removes headers that ask the upstream for another method or
	// path than the one that is decided on. PassOverrides of any handler of the
	// site prevents it.
	StripOverrides, PassOverrides bool

	// RefuseNothing is set by a handler that only tries its rules out: every
	// request of the site passes.
	RefuseNothing bool

	// Paths lift parts of what is refused where a matcher reads paths before a
	// handler does: all of it, or encoded slashes that are part of an element.
	Paths pathmatch.Options
}

// ProtectSite has the rules of a handler that is being provisioned apply to its
// site, together with those of the site's other handlers. Refusals are answered
// by the answerer of the first.
func ProtectSite(ctx caddy.Context, app *introspect.App, answerer *Answerer, rules SiteRules) error {
	key := siteguard.Key(ctx)
	if key == "" {
		return nil // not in a server, as in tests of one handler
	}
	guard := app.SiteValue(key, func() any { return &siteGuard{answerer: answerer} }).(*siteGuard)
	guard.add(rules)
	if !guard.checksPath {
		guard.checksPath = siteguard.IsBehindPathMatcher(ctx, decides)
	}
	if !guard.checksPath && !guard.rules.StripOverrides {
		return nil
	}
	return siteguard.ProtectRoutes(ctx, guard, guard.checksPath)
}

// decides reports whether a handler decides if a request may go on.
func decides(handler string) bool {
	switch handler {
	case "gluu_oauth_auth", "gluu_uma_auth", "gluu_openid_connect",
		"gluu_oauth_pep", "gluu_uma_pep", "gluu_opa_pep", "gluu_acl":
		return true
	}
	return false
}

// siteGuard applies the rules of all handlers of a site where the site begins.
// It does not change once the configuration is loaded.
type siteGuard struct {
	answerer   *Answerer
	rules      SiteRules
	checksPath bool // a matcher before a handler reads the path
}

func (g *siteGuard) add(rules SiteRules) {
	g.rules.StripOverrides = g.rules.StripOverrides || rules.StripOverrides
	g.rules.RefuseNothing = g.rules.RefuseNothing || rules.RefuseNothing
	g.rules.PassOverrides = g.rules.PassOverrides || rules.PassOverrides
	g.rules.Paths.AllowAmbiguous = g.rules.Paths.AllowAmbiguous || rules.Paths.AllowAmbiguous
	g.rules.Paths.KeepEncodedSlashes = g.rules.Paths.KeepEncodedSlashes || rules.Paths.KeepEncodedSlashes
}

// GuardSite implements [siteguard.Guard].
func (g *siteGuard) GuardSite(r *http.Request) error {
	if g.rules.StripOverrides && !g.rules.PassOverrides {
		headers.StripOverrides(r.Header)
	}
	if !g.checksPath || g.rules.Paths.AllowAmbiguous || g.rules.RefuseNothing {
		return nil
	}
	_, err := pathmatch.Canonicalize(r.URL, g.rules.Paths)
	if ambiguous, ok := errors.AsType[*pathmatch.AmbiguousError](err); ok && ambiguous.Kind == pathmatch.NotAbsolute {
		return nil // no path that could be read in two ways: "*", or that of CONNECT
	}
	if err != nil {
		return siteRefusal{g.answerer, PathRefusal(err)}
	}
	return nil
}

// PathRefusal refuses a path that pathmatch does not read.
func PathRefusal(err error) Refusal {
	if errors.Is(err, pathmatch.ErrTooLong) {
		return PathTooLong(err)
	}
	return AmbiguousPath(err)
}

// siteRefusal is a refusal on its way to where it is answered.
type siteRefusal struct {
	answerer *Answerer
	refusal  Refusal
}

func (s siteRefusal) Error() string { return s.refusal.Error + ": " + s.refusal.Description }

// Answer implements [siteguard.Refusal].
func (s siteRefusal) Answer(w http.ResponseWriter, r *http.Request) error {
	return s.answerer.RefuseAs(w, r, nil, s.refusal)
}

// HandlerError implements [siteguard.Refusal].
func (s siteRefusal) HandlerError(r *http.Request) error {
	s.answerer.Record(r, nil, s.refusal, "request refused")
	s.answerer.EmitRefused(r, nil, s.refusal)
	return s.answerer.hand(r, s.refusal)
}

// Interface guards
var (
	_ siteguard.Guard   = (*siteGuard)(nil)
	_ siteguard.Refusal = siteRefusal{}
)
