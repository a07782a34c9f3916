// SPDX-License-Identifier: Apache-2.0

// Package siteguard checks requests where a site begins, ahead of all its
// handlers.
//
// A handler sees only the requests that its matcher lets through and that no
// handler before it has answered. An upstream sees more:
//
//	example.com {
//		gluu_oauth_auth /api/*
//		reverse_proxy localhost:9000
//	}
//
// believes `X-Consumer-ID` on every path, and so does an upstream behind
// handle_errors. So what must hold for a whole site is checked where the site
// begins: on each top-level route of the server that can receive requests for
// the hosts of the handler's own route. In a Caddyfile that is the site.
//
// A handler calls [Protect] while it is provisioned. Caddy has no hook for
// this, so the guard runs as a matcher: the last one of each matcher set, which
// sees only what the others have matched. Matchers may change requests and
// refuse them with an error, as `file` and `path_regexp` do; a handler would
// have to run before those that the route already has, which is possible only
// while Caddy has not set the route up (see [Refusal]).
package siteguard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Guard checks the requests of a site. Two guards are compared with ==, so
// that several handlers of a site can protect it with the same one.
type Guard interface {
	// GuardSite may change the request, or refuse it with an error, which
	// goes to the site's error routes; a [caddyhttp.HandlerError] sets the
	// status. It is called once per request, however many routes a site has:
	// headers that the configuration sets on the way are not the client's.
	GuardSite(r *http.Request) error
}

// Site identifies the site of the handler that is being provisioned. All
// handlers of a site get the same value, "" if the site is unknown.
func Site(ctx caddy.Context) string {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return ""
	}
	current := slices.IndexFunc(server.Routes, isUnderWay)
	if current < 0 {
		return ""
	}
	return fmt.Sprintf("%p %q", server, hostsOf(server.Routes[current]))
}

// Key identifies the routes that a guard of the handler that is being provisioned
// checks: those of its site, or all of its server for a handler in a named route
// or an error route. It is "" outside of a server.
func Key(ctx caddy.Context) string {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return ""
	}
	return cmp.Or(Site(ctx), fmt.Sprintf("%p", server))
}

// Protect has a guard check all requests of the site of the handler that is
// being provisioned. It fails where some of them would escape the guard.
func Protect(ctx caddy.Context, guard Guard) error { return protectSite(ctx, guard, scope{}) }

// ProtectRoutes is Protect without the error routes, for a guard that has nothing
// to say about requests which are refused already. If the guard refuses requests
// with a [Refusal], these are answered.
func ProtectRoutes(ctx caddy.Context, guard Guard, refuses bool) error {
	return protectSite(ctx, guard, scope{routesOnly: true, answers: refuses})
}

// scope is what a guard covers beside the matchers of the site's routes.
type scope struct {
	routesOnly bool // no error routes
	answers    bool // what it refuses is answered
}

func protectSite(ctx caddy.Context, guard Guard, scope scope) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil // not in a server, as in tests of one handler
	}
	p := protection{
		server:  server,
		scope:   scope,
		matcher: matcher{guard: guard, mark: fmt.Sprintf("gluu.guarded %T %[1]p", guard)},
	}
	p.matcher.once = server.Errors == nil && oneRouteEach(server.Routes)
	// Caddy provisions handlers route by route, after all matchers, and drops
	// the raw form of a route's handlers when it is done with them: first the
	// routes of the server, then the error routes, then the named routes.
	if current := slices.IndexFunc(server.Routes, isUnderWay); current >= 0 {
		for i := range server.Routes {
			p.add(server.Routes, i, current)
		}
		if !scope.routesOnly {
			p.protectErrors()
		}
		return nil
	}
	return p.addLate()
}

func isUnderWay(route caddyhttp.Route) bool { return route.HandlersRaw != nil }

// protection adds a guard to the routes of a server.
type protection struct {
	server  *caddyhttp.Server
	matcher matcher
	scope   scope
}

// add protects one route of a list against what clients of a site send.
func (p *protection) add(list caddyhttp.RouteList, i, site int) {
	if p.areApart(list[i], site) {
		return
	}
	m := p.matcher
	if !slices.Equal(hostsOf(list[i]), hostsOf(p.server.Routes[site])) {
		m.site = &p.server.Routes[site]
	}
	p.protect(&list[i], m)
}

// protect adds the matcher to a route, and the handler that answers for it.
func (p *protection) protect(route *caddyhttp.Route, m matcher) {
	m.answers = p.scope.answers && addAnswerer(route)
	protect(route, m)
}

// addLate protects the site of a handler in an error route or in a named
// route.
//
// An error route belongs to the sites with its hosts. A named route belongs to
// those that invoke it, and that cannot be known: other handlers, which need
// not be Caddy's own, may have routes inside that invoke it. So a handler in a
// named route protects all sites of the server.
func (p *protection) addLate() error {
	p.matcher.once = false
	lists := []caddyhttp.RouteList{p.server.Routes}
	if !p.scope.routesOnly && !p.hasErrorMatcher() { // which already covers all sites
		lists = append(lists, p.errors())
	}
	sites := p.sitesOfErrorRoute()
	for _, list := range lists {
		if err := p.addAll(list, sites); err != nil {
			return err
		}
	}
	return nil
}

// sitesOfErrorRoute returns the routes with the hosts of the error route that
// is being provisioned; none if there is no such error route.
func (p *protection) sitesOfErrorRoute() (sites []int) {
	current := slices.IndexFunc(p.errors(), isUnderWay)
	if current < 0 {
		return nil
	}
	hosts := hostsOf(p.errors()[current])
	for i, route := range p.server.Routes {
		if slices.Equal(hostsOf(route), hosts) {
			sites = append(sites, i)
		}
	}
	return sites
}

// addAll protects the routes of a list against what clients of the given sites
// send, or of all if none is given.
func (p *protection) addAll(list caddyhttp.RouteList, sites []int) error {
	compiled := !slices.ContainsFunc(list, isUnderWay)
	for i := range list {
		apart := func(site int) bool { return p.areApart(list[i], site) }
		if len(sites) > 0 && !slices.ContainsFunc(sites, func(site int) bool { return !apart(site) }) {
			continue
		}
		// Compiled routes hold a copy of their slice of matcher sets: sets can
		// be replaced in it, but none can be added.
		if compiled && len(list[i].MatcherSets) == 0 {
			return errUnguarded
		}
		if len(sites) == 0 {
			p.protect(&list[i], p.matcher)
		}
		for _, site := range sites {
			p.add(list, i, site)
		}
	}
	return nil
}

// errUnguarded refuses a configuration in which the guard cannot see all
// requests.
var errUnguarded = errors.New("this handler is in a named route (or in handle_errors), and a site of the same server has no host and no handler of the gateway, " +
	"so it would pass on forged identity headers: " +
	"write the handlers as a snippet, '(name) { ... }' with 'import name' in place of '&(name) { ... }' with 'invoke name', " +
	"or put a handler of the gateway (gluu_jwks, for example) into that site as well")

func (p *protection) errors() caddyhttp.RouteList {
	if p.server.Errors == nil {
		return nil
	}
	return p.server.Errors.Routes
}

// protectErrors covers requests that reach the error routes only: Caddy
// refuses some, such as those with a method of 33 characters or a malformed
// Host, before it looks at any route.
func (p *protection) protectErrors() {
	if p.server.Errors == nil || p.hasErrorMatcher() {
		return
	}
	first := caddyhttp.Route{MatcherSets: caddyhttp.MatcherSets{{errorMatcher{p.matcher, p.server}}}}
	p.server.Errors.Routes = slices.Insert(p.server.Errors.Routes, 0, first)
}

// hasErrorMatcher reports whether another handler has protected the error
// routes with the same guard.
func (p *protection) hasErrorMatcher() bool {
	return slices.ContainsFunc(p.errors(), func(route caddyhttp.Route) bool {
		if len(route.MatcherSets) == 0 || len(route.MatcherSets[0]) == 0 {
			return false
		}
		m, ok := route.MatcherSets[0][0].(errorMatcher)
		return ok && m.guard == p.matcher.guard
	})
}
