// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

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
// the site begins: on every top-level route of the server by which requests
// for the hosts can come that the route is for in which the handler stands. In
// a Caddyfile that is the site.

// SiteOf names the site in which a handler stands that is being provisioned: the
// same for all handlers of a site, "" where that is not known.
func SiteOf(ctx caddy.Context) string {
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

// ProtectSite is called by every handler of the gateway while it is
// provisioned, and sees to it that requests of its site lose such headers
// before anything else happens to them. It fails where that cannot be had.
func ProtectSite(ctx caddy.Context, app *introspect.App) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil // not in a server, as in tests of one handler
	}
	p := protection{app: app, server: server, once: server.Errors == nil && oneRouteEach(server.Routes)}
	// Handlers are provisioned route by route, after all matchers, and a route
	// loses the raw form of its handlers when it is done: first the routes of
	// the server, then those for errors, then the named ones.
	if current := slices.IndexFunc(server.Routes, isUnderWay); current >= 0 {
		for i := range server.Routes {
			p.add(server.Routes, i, current)
		}
		protectErrors(server, siteStripper{app: app, once: p.once, only: anyHost})
		return nil
	}
	sites, known := p.sitesOfLateHandlers()
	for _, each := range sites {
		if err := p.addLate(each); err != nil && known {
			return err
		}
	}
	return nil
}

func isUnderWay(route caddyhttp.Route) bool { return route.HandlersRaw != nil }

// protection adds what strips requests to the routes of a server.
type protection struct {
	app    *introspect.App
	server *caddyhttp.Server
	once   bool
}

// sitesOfLateHandlers returns the indexes of the routes by which requests come
// to a handler in a route for errors or in a named route; all, if it is not
// known which.
func (p *protection) sitesOfLateHandlers() (sites []int, known bool) {
	leadsHere := p.leadsToNamedRoute()
	if i := slices.IndexFunc(p.errors(), isUnderWay); i >= 0 {
		leadsHere = p.hasHostsOf(p.errors()[i])
	}
	for i, route := range p.server.Routes {
		if leadsHere(route) {
			sites = append(sites, i)
		}
	}
	if len(sites) > 0 {
		return sites, true
	}
	for i := range p.server.Routes {
		sites = append(sites, i)
	}
	return sites, false
}

// leadsToNamedRoute returns whether requests of a route can come to the named
// route in which the handler stands, by way of the site's routes for errors,
// too.
func (p *protection) leadsToNamedRoute() func(caddyhttp.Route) bool {
	names := p.namesUnderWay()
	var byErrors []func(caddyhttp.Route) bool
	for _, route := range p.errors() {
		if invokes(route.Handlers, names) {
			byErrors = append(byErrors, p.hasHostsOf(route))
		}
	}
	return func(route caddyhttp.Route) bool {
		return invokes(route.Handlers, names) ||
			slices.ContainsFunc(byErrors, func(hasHosts func(caddyhttp.Route) bool) bool { return hasHosts(route) })
	}
}

// hasHostsOf returns whether a route is for the same hosts as another.
func (p *protection) hasHostsOf(other caddyhttp.Route) func(caddyhttp.Route) bool {
	hosts := hostsOf(other)
	return func(route caddyhttp.Route) bool { return slices.Equal(hostsOf(route), hosts) }
}

// namesUnderWay returns the names of the named routes that may be the one in
// which the handler stands, and of those that lead there. Some have been set up
// already, the others are looked at as they were written.
func (p *protection) namesUnderWay() map[string]bool {
	names := make(map[string]bool)
	for name, route := range p.server.NamedRoutes {
		if isUnderWay(*route) && writes(*route, `"gluu_`) {
			names[name] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for name, route := range p.server.NamedRoutes {
			if !names[name] && (invokes(route.Handlers, names) || isUnderWay(*route) && writes(*route, `"invoke"`)) {
				names[name], grown = true, true
			}
		}
	}
	return names
}

// writes reports whether the handlers of a route, as they were written, have a
// text among them.
func writes(route caddyhttp.Route, text string) bool {
	return slices.ContainsFunc(route.HandlersRaw, func(raw json.RawMessage) bool { return bytes.Contains(raw, []byte(text)) })
}

// invokes reports whether there is a way from handlers to one of the named
// routes.
func invokes(handlers []caddyhttp.MiddlewareHandler, names map[string]bool) bool {
	inRoutes := func(routes caddyhttp.RouteList) bool {
		return slices.ContainsFunc(routes, func(r caddyhttp.Route) bool { return invokes(r.Handlers, names) })
	}
	inResponses := func(responses []caddyhttp.ResponseHandler) bool {
		return slices.ContainsFunc(responses, func(r caddyhttp.ResponseHandler) bool { return inRoutes(r.Routes) })
	}
	return slices.ContainsFunc(handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		switch h := handler.(type) {
		case *caddyhttp.Invoke:
			return names[h.Name]
		case *caddyhttp.Subroute:
			return inRoutes(h.Routes) || h.Errors != nil && inRoutes(h.Errors.Routes)
		case *reverseproxy.Handler:
			return inResponses(h.HandleResponse)
		case *intercept.Intercept:
			return inResponses(h.HandleResponse)
		}
		return false
	})
}

func (p *protection) errors() caddyhttp.RouteList {
	if p.server.Errors == nil {
		return nil
	}
	return p.server.Errors.Routes
}

// addLate protects the site of a route when routes are compiled already: those
// for errors too, unless one of them is under way. To what is compiled a
// matcher can be added where there are others, and not where there is none.
func (p *protection) addLate(site int) error {
	p.once = false
	lists := []caddyhttp.RouteList{p.server.Routes}
	if !hasErrorStripper(p.errors()) { // which takes care of all sites, these too
		lists = append(lists, p.errors())
	}
	for _, list := range lists {
		compiled := !slices.ContainsFunc(list, isUnderWay)
		for i := range list {
			if compiled && len(list[i].MatcherSets) == 0 && !p.areApart(list[i], site) {
				return errors.New("this handler stands in a named route (or in handle_errors) and nothing else of the gateway stands in the site itself, " +
					"so that other routes of the site would pass on identity headers that clients have made up: " +
					"write the handlers as a snippet, '(name) { ... }' with 'import name' in place of '&(name) { ... }' with 'invoke name', or put one of them into the site as well")
			}
			p.add(list, i, site)
		}
	}
	return nil
}

// add protects one route of a list against what clients of a site send.
func (p *protection) add(list caddyhttp.RouteList, i, site int) {
	if p.areApart(list[i], site) {
		return
	}
	stripper := siteStripper{app: p.app, once: p.once, server: p.server, only: site}
	if slices.Equal(hostsOf(list[i]), hostsOf(p.server.Routes[site])) {
		stripper.server, stripper.only = nil, anyHost
	}
	protect(&list[i], stripper)
}

// areApart reports whether no request of a site can come to a route. Sites of a
// Caddyfile are apart: requests for its hosts end in the first one that has
// them. Routes in JSON may share hosts, and paths tell where a request goes.
func (p *protection) areApart(route caddyhttp.Route, site int) bool {
	gateway := p.server.Routes[site]
	return isWholeSite(route) && isWholeSite(gateway) && !slices.Equal(hostsOf(route), hostsOf(gateway))
}

// isWholeSite reports whether a route takes all requests of its hosts and
// lets none go on.
func isWholeSite(route caddyhttp.Route) bool {
	if !route.Terminal {
		return false
	}
	return !slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, func(matcher any) bool {
			switch matcher.(type) {
			case *caddyhttp.MatchHost, siteStripper:
				return false
			}
			return true
		})
	})
}

// protectErrors strips requests that come to the routes for errors by no other:
// Caddy refuses some - a method that is too long, a Host that is none - before
// it looks at any route.
func protectErrors(server *caddyhttp.Server, stripper siteStripper) {
	if server.Errors == nil {
		return
	}
	routes := server.Errors.Routes
	if hasErrorStripper(routes) {
		return // by another handler
	}
	first := caddyhttp.Route{MatcherSets: caddyhttp.MatcherSets{{errorStripper{stripper, server}}}}
	server.Errors.Routes = slices.Insert(routes, 0, first)
}

func hasErrorStripper(routes caddyhttp.RouteList) bool {
	if len(routes) == 0 || len(routes[0].MatcherSets) == 0 || len(routes[0].MatcherSets[0]) == 0 {
		return false
	}
	_, has := routes[0].MatcherSets[0][0].(errorStripper)
	return has
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
		if isProtected(route, r) {
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
	return len(route.MatcherSets) == 0
}

// isProtected reports whether a route strips all that it matches of the host
// of a request.
func isProtected(route caddyhttp.Route, r *http.Request) bool {
	return len(route.MatcherSets) > 0 && !slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return !slices.ContainsFunc(set, func(matcher any) bool {
			stripper, ok := matcher.(siteStripper)
			return ok && stripper.concerns(r)
		})
	})
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
		if !slices.ContainsFunc(set, func(matcher any) bool { return matcher == stripper }) {
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

	// Only requests for the hosts of this route of the server are stripped;
	// anyHost: all.
	server *caddyhttp.Server
	only   int
}

const anyHost = -1

// concerns reports whether a request is for the site.
func (s siteStripper) concerns(r *http.Request) bool {
	return s.only == anyHost || isFor(s.server.Routes[s.only], r)
}

// strippedVar marks requests that have been through a siteStripper: a site may
// have several routes, and what the configuration itself sets on the way is
// not the client's.
const strippedVar = "gluu.stripped"

// MatchWithError strips the request and returns true.
func (s siteStripper) MatchWithError(r *http.Request) (bool, error) {
	if !s.concerns(r) {
		return true, nil
	}
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
