// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// areApart reports whether no request of a site can come to a route. Sites of a
// Caddyfile are apart: requests for their hosts end in the first one that has
// the host. Routes in JSON may share hosts, and paths decide where a request
// goes.
func (p *protection) areApart(route caddyhttp.Route, site int) bool {
	return areApart(route, p.server.Routes[site])
}

func areApart(a, b caddyhttp.Route) bool {
	return isWholeSite(a) && isWholeSite(b) && !slices.Equal(hostsOf(a), hostsOf(b))
}

// isWholeSite reports whether a route takes all requests for its hosts and
// lets none go on.
func isWholeSite(route caddyhttp.Route) bool {
	if !route.Terminal {
		return false
	}
	return !slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return slices.ContainsFunc(set, func(m any) bool {
			switch m.(type) {
			case *caddyhttp.MatchHost, matcher:
				return false
			}
			return true
		})
	})
}

// isFor reports whether a route is for the host of a request.
func isFor(route caddyhttp.Route, r *http.Request) bool {
	for _, set := range route.MatcherSets {
		matches := true
		for _, m := range set {
			if host, ok := m.(*caddyhttp.MatchHost); ok {
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

// oneRouteEach reports whether no request can be in more than one of the
// routes, as in a Caddyfile with hosts.
func oneRouteEach(routes caddyhttp.RouteList) bool {
	return len(routes) == 1 || !slices.ContainsFunc(routes, func(r caddyhttp.Route) bool { return !r.Terminal })
}

// hostsOf returns the hosts that a route is for, sorted, none if for all.
func hostsOf(route caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSets {
		for _, m := range set {
			if names, ok := m.(*caddyhttp.MatchHost); ok {
				hosts = append(hosts, *names...)
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
