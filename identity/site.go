// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/introspect"
)

// A handler sees the requests that its matcher lets through, and only those
// that no handler before it has answered. An upstream sees more:
//
//	example.com {
//		gluu_oauth_auth /api/*
//		reverse_proxy localhost:9000
//	}
//
// believes `X-Consumer-ID` whatever the path is, and so does one behind
// handle_errors. So the headers that only the gateway may set are removed where
// the site begins: on every top-level route of the server that has the hosts
// of the route in which the handler stands. In a Caddyfile that is the site.

// ProtectSite is called by every handler of the gateway while it is
// provisioned, and sees to it that requests of its site lose such headers
// before anything else happens to them.
func ProtectSite(ctx caddy.Context, app *introspect.App) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return // not in a server, as in tests of one handler
	}
	// Handlers are provisioned route by route, after all matchers, and a route
	// loses the raw form of its handlers when it is done. In routes for errors,
	// and in named ones, there is none left: requests come there by way of
	// others.
	current := slices.IndexFunc(server.Routes, func(r caddyhttp.Route) bool { return r.HandlersRaw != nil })
	if current < 0 {
		return
	}
	site := hostsOf(server.Routes[current])
	stripper := siteStripper{app, server.Errors == nil && oneRouteEach(server.Routes)}
	for i := range server.Routes {
		if slices.Equal(hostsOf(server.Routes[i]), site) {
			protect(&server.Routes[i], stripper)
		}
	}
	protectErrors(server, stripper)
}

// protectErrors strips requests that come to the routes for errors by no other:
// Caddy refuses some - a method that is too long, a Host that is none - before
// it looks at any route.
func protectErrors(server *caddyhttp.Server, stripper siteStripper) {
	if server.Errors == nil {
		return
	}
	routes := server.Errors.Routes
	if len(routes) > 0 && len(routes[0].MatcherSets) > 0 && len(routes[0].MatcherSets[0]) > 0 {
		if _, done := routes[0].MatcherSets[0][0].(errorStripper); done {
			return // by another handler
		}
	}
	first := caddyhttp.Route{MatcherSets: caddyhttp.MatcherSets{{errorStripper{stripper, server}}}}
	server.Errors.Routes = slices.Insert(routes, 0, first)
}

// errorStripper is the matcher that stands first among the routes for errors.
type errorStripper struct {
	siteStripper
	server *caddyhttp.Server
}

// MatchWithError strips the request, unless its host is that of other sites
// alone, and returns true.
func (s errorStripper) MatchWithError(r *http.Request) (bool, error) {
	others := false
	for _, route := range s.server.Routes {
		if !isFor(route, r) {
			continue
		}
		if isProtected(route) {
			return s.siteStripper.MatchWithError(r)
		}
		others = true
	}
	if others {
		return true, nil
	}
	return s.siteStripper.MatchWithError(r) // nobody's: a catch-all may pass it on
}

// isFor reports whether a route is for the host of a request.
func isFor(route caddyhttp.Route, r *http.Request) bool {
	if len(hostsOf(route)) == 0 {
		return true
	}
	for _, set := range route.MatcherSets {
		matches := true
		for _, matcher := range set {
			if host, ok := matcher.(*caddyhttp.MatchHost); ok {
				ok, err := host.MatchWithError(r)
				matches = matches && ok && err == nil
			}
		}
		if matches {
			return true
		}
	}
	return false
}

// isProtected reports whether a route strips all that it matches.
func isProtected(route caddyhttp.Route) bool {
	return len(route.MatcherSets) > 0 && !slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return !endsInStripper(set)
	})
}

func endsInStripper(set caddyhttp.MatcherSet) bool {
	if len(set) == 0 {
		return false
	}
	_, ok := set[len(set)-1].(siteStripper)
	return ok
}

// oneRouteEach reports whether no request can be in more than one of the
// routes, as in a Caddyfile with hosts.
func oneRouteEach(routes caddyhttp.RouteList) bool {
	return len(routes) == 1 || !slices.ContainsFunc(routes, func(r caddyhttp.Route) bool { return !r.Terminal })
}

// hostsOf returns the hosts that a route is for, sorted, none if for all.
func hostsOf(route caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if names, ok := matcher.(*caddyhttp.MatchHost); ok {
				hosts = append(hosts, *names...)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// protect adds a matcher to a route that matches everything and strips what it
// has matched. A handler would have to stand before those that the route has
// already, which Caddy allows nobody to change; matchers may leave their mark
// on requests, as those for files and regular expressions do.
func protect(route *caddyhttp.Route, stripper siteStripper) {
	if len(route.MatcherSets) == 0 {
		route.MatcherSets = caddyhttp.MatcherSets{caddyhttp.MatcherSet{}}
	}
	for i, set := range route.MatcherSets {
		if !endsInStripper(set) {
			route.MatcherSets[i] = append(set, stripper)
		}
	}
}

// siteStripper is the matcher. It stands last in a set, so that it sees only
// what the others have matched.
type siteStripper struct {
	app *introspect.App

	// No request can come by a second time, so that it needs no mark.
	once bool
}

// strippedVar marks requests that have been through a siteStripper: a site may
// have several routes, and what the configuration itself sets on the way is
// not the client's.
const strippedVar = "gluu.stripped"

// MatchWithError strips the request and returns true.
func (s siteStripper) MatchWithError(r *http.Request) (bool, error) {
	if s.once {
		s.app.Stripper().StripRequest(r)
		return true, nil
	}
	vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok || vars[strippedVar] == true {
		return true, nil
	}
	if _, authenticated := vars[identityVar].(*Identity); authenticated {
		return true, nil // the headers are ours
	}
	vars[strippedVar] = true
	s.app.Stripper().StripRequest(r)
	return true, nil
}

// Interface guards
var (
	_ caddyhttp.RequestMatcherWithError = siteStripper{}
	_ caddyhttp.RequestMatcherWithError = errorStripper{}
)
