// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// matcher matches everything and has its guard check what it matches.
type matcher struct {
	guard Guard

	// The request variable that marks requests which the guard has seen.
	mark string

	// Whether a request can come by only once, so that it needs no mark.
	once bool

	// Whether the route's first handler answers what the guard refuses.
	answers bool

	// Only requests for the hosts of this route are checked; nil: all.
	site *caddyhttp.Route
}

// MatchWithError calls the guard. It returns true unless the guard refuses the
// request.
func (m matcher) MatchWithError(r *http.Request) (bool, error) {
	if !m.concerns(r) {
		return true, nil
	}
	if !m.once {
		vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
		if !ok || vars[m.mark] == true {
			return true, nil
		}
		vars[m.mark] = true
	}
	err := m.guard.GuardSite(r)
	refusal, ok := errors.AsType[Refusal](err)
	switch {
	case ok && m.answers:
		caddyhttp.SetVar(r.Context(), refusalVar, refusal)
		return true, nil
	case ok:
		err = refusal.HandlerError(r)
	}
	return err == nil, err
}

// concerns reports whether a request is for the site.
func (m matcher) concerns(r *http.Request) bool {
	return m.site == nil || isFor(*m.site, r)
}

// IsGuard reports whether a compiled matcher is one of this package, which matches
// everything that it does not refuse.
func IsGuard(m any) bool {
	switch m.(type) {
	case matcher, errorMatcher:
		return true
	}
	return false
}

// protect adds a matcher to all matcher sets of a route, last in each.
func protect(route *caddyhttp.Route, m matcher) {
	if len(route.MatcherSets) == 0 {
		route.MatcherSets = caddyhttp.MatcherSets{caddyhttp.MatcherSet{}}
	}
	for i, set := range route.MatcherSets {
		same := slices.IndexFunc(set, m.isSame)
		switch {
		case same < 0:
			route.MatcherSets[i] = append(set, m)
		case m.answers:
			set[same] = m
		}
	}
}

// isSame reports whether another matcher has the same guard look at the same
// requests.
func (m matcher) isSame(other any) bool {
	o, ok := other.(matcher)
	return ok && o.guard == m.guard && o.site == m.site && o.once == m.once
}

// errorMatcher is the first matcher of the error routes.
type errorMatcher struct {
	matcher
	server *caddyhttp.Server
}

// MatchWithError calls the guard, unless the request's host belongs only to
// sites that the guard does not protect.
func (m errorMatcher) MatchWithError(r *http.Request) (bool, error) {
	others := false
	for _, route := range m.server.Routes {
		if !isFor(route, r) {
			continue
		}
		if m.isProtected(route, r) {
			return m.matcher.MatchWithError(r)
		}
		others = true
	}
	if others {
		return true, nil
	}
	return m.matcher.MatchWithError(r) // for no site; a catch-all error route may pass it on
}

// isProtected reports whether the guard checks all requests that a route
// matches for the host of this one.
func (m errorMatcher) isProtected(route caddyhttp.Route, r *http.Request) bool {
	return len(route.MatcherSets) > 0 && !slices.ContainsFunc(route.MatcherSets, func(set caddyhttp.MatcherSet) bool {
		return !slices.ContainsFunc(set, func(other any) bool {
			same, ok := other.(matcher)
			return ok && same.guard == m.guard && same.concerns(r)
		})
	})
}

// Interface guards
var (
	_ caddyhttp.RequestMatcherWithError = matcher{}
	_ caddyhttp.RequestMatcherWithError = errorMatcher{}
)
