// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Role is what a handler is there for.
type Role string

// The roles that matter here.
const (
	Authenticates Role = "authenticates" // finds out who is calling, or has people log in
	Decides       Role = "decides"       // by rules, groups or a policy
	Answers       Role = "answers"       // with content that may have to be protected
	Ends          Role = "ends"          // answers with a redirect, a refusal or an error
	Contains      Role = "contains"      // has routes inside
)

var (
	authenticating = []string{"gluu_oauth_auth", "gluu_uma_auth", "gluu_openid_connect", "authentication"}
	deciding       = []string{"gluu_oauth_pep", "gluu_uma_pep", "gluu_opa_pep", "gluu_acl"}
	containing     = []string{"subroute", "invoke", "gluu_routes"}
	passing        = []string{
		"copy_response_headers", "encode", "headers", "intercept", "log_append", "map", "push", "request_body",
		"rewrite", "templates", "tracing", "vars", "acme_server", "rate_limit", "copy_response",
	}
)

// roleOf says what a handler is there for, "" if it only prepares what follows or
// answers for the gateway itself. A handler that is not known may answer.
func roleOf(name string, raw json.RawMessage) Role {
	switch {
	case slices.Contains(authenticating, name):
		return Authenticates
	case slices.Contains(deciding, name):
		return Decides
	case slices.Contains(containing, name):
		return Contains
	case name == "error":
		return Ends
	case name == "static_response":
		return roleOfStatic(raw)
	case len(name) > 5 && name[:5] == "gluu_", slices.Contains(passing, name):
		return ""
	}
	return Answers
}

// roleOfStatic tells a fixed answer with content from a redirect or a refusal.
func roleOfStatic(raw json.RawMessage) Role {
	var h struct {
		Status json.RawMessage `json:"status_code"`
		Abort  bool            `json:"abort"`
	}
	if json.Unmarshal(raw, &h) != nil || h.Abort {
		return Ends
	}
	text := string(h.Status)
	if unquoted, err := strconv.Unquote(text); err == nil {
		text = unquoted
	}
	if status, err := strconv.Atoi(text); err == nil && status >= 300 {
		return Ends
	}
	return Answers
}

// Protection is what stands before a handler that answers.
type Protection string

// The protections, the best one first.
const (
	ByRules Protection = "rules"          // each request is decided about
	ByLogin Protection = "authentication" // the caller is known, and nothing more is asked
	Partly  Protection = "partly"         // some requests get by: a condition, a dry run, or what no rule names
	None    Protection = "none"
)

// guard is what a request has certainly passed, or may have.
type guard struct{ known, decided, maybe bool }

func (g guard) protection() Protection {
	switch {
	case g.decided:
		return ByRules
	case g.known:
		return ByLogin
	case g.maybe:
		return Partly
	}
	return None
}

// protect finds out what stands before each handler that answers.
func (s *Server) protect() {
	lists := map[string][]*Route{}
	for _, site := range s.Sites {
		lists[site.Kind] = append(lists[site.Kind], site.Route)
	}
	for _, list := range lists {
		followAll(list, &guard{}, func(h *Handler, g guard) { h.Protection = g.protection() })
	}
	for _, site := range s.Sites {
		site.Unprotected = site.Kind == "" && site.isUnprotected()
	}
}

// isUnprotected reports whether some requests get to a handler that answers without
// anything having decided about them.
func (r *Route) isUnprotected() bool {
	return slices.ContainsFunc(r.Handle, func(h *Handler) bool {
		return h.Protection == None || h.Protection == Partly || slices.ContainsFunc(h.Routes, (*Route).isUnprotected)
	})
}

// follow goes through the handlers of a route in their order. It reports whether no
// request goes on behind the last of them.
func (r *Route) follow(g *guard, answers func(*Handler, guard)) (ends bool) {
	for _, h := range r.Handle {
		if h.follow(g, answers) {
			return true
		}
	}
	return false
}

func (h *Handler) follow(g *guard, answers func(*Handler, guard)) (ends bool) {
	switch h.Role {
	case Authenticates:
		h.pass(g, func(g *guard) { g.known = true })
	case Decides:
		h.pass(g, func(g *guard) { g.decided = true })
	case Answers:
		answers(h, *g)
		return !mayPassOn(h)
	case Ends:
		return true
	case Contains:
		return followAll(h.Routes, g, answers)
	}
	return false
}

// pass notes that a handler has let requests by. One that refuses nothing, or not all
// that it should, is a maybe.
func (h *Handler) pass(g *guard, note func(*guard)) {
	var options struct {
		DryRun   bool  `json:"dry_run"`
		Deny     *bool `json:"deny_by_default"`
		Optional bool  `json:"optional"`
	}
	_ = json.Unmarshal(h.raw, &options) // it was loaded
	if g.maybe = true; !options.DryRun && (options.Deny == nil || *options.Deny) && !options.Optional {
		note(g)
	}
}

// mayPassOn reports whether requests go on behind a handler that answers.
func mayPassOn(h *Handler) bool {
	var options struct {
		PassThru bool `json:"pass_thru"`
	}
	switch h.Name {
	case "reverse_proxy", "static_response", "metrics":
		return false
	case "file_server":
		_ = json.Unmarshal(h.raw, &options) // it was loaded
		return options.PassThru
	}
	return true // it is not known
}

// followAll goes through routes in their order. A route with a condition changes what
// is certain only for the requests that it takes, and what goes on behind a group has
// been in one of its routes.
func followAll(routes []*Route, g *guard, answers func(*Handler, guard)) (ends bool) {
	groups := map[string]*group{}
	for _, r := range routes {
		of := &group{before: *g}
		if r.Group != "" {
			if groups[r.Group] == nil {
				groups[r.Group] = of
			}
			of = groups[r.Group]
		}
		inner := of.before
		if !r.follow(&inner, answers) && !r.Terminal {
			of.goesOn(inner)
		}
		switch {
		case !r.always && of.behind != nil:
			*g = merge(*g, *of.behind)
		case r.always && of.behind == nil:
			return true
		case r.always:
			*g = *of.behind
		}
	}
	return false
}

// group are routes of which one runs: often only one.
type group struct {
	before guard
	behind *guard // of the requests that go on behind it, nil as long as there are none
}

func (g *group) goesOn(inner guard) {
	if g.behind != nil {
		inner = merge(*g.behind, inner)
	}
	g.behind = &inner
}

// merge is what holds whichever of two ways a request went.
func merge(a, b guard) guard {
	return guard{a.known && b.known, a.decided && b.decided, a.maybe || b.maybe}
}
