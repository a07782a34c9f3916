// SPDX-License-Identifier: Apache-2.0

package caddyui

import "net/http"

// route is an address with a method. What is not in the table does not exist.
type route struct {
	path    string
	method  string
	least   role   // who may use it
	changes bool   // something that stays: refused by edit none
	edits   string // what edit must name for it, "" for nothing
	body    int64  // bound of its form, 0 for maxBody
	live    bool   // asked by itself: does not keep a session alive
	nav     string // its entry in the navigation, "" for none
	serve   func(v *visit) error
}

// routes is the whole of it. Every path is one element, so that all links are
// relative to the same place and hold under any prefix; what a page is about is in
// the query. A GET changes nothing.
var routes []route

func init() { // the pages refer to the table for the navigation
	routes = []route{
		{path: "/style.css", method: http.MethodGet, least: nobody, serve: asset},
		{path: "/app.js", method: http.MethodGet, least: nobody, serve: asset},
		{path: "/icon.svg", method: http.MethodGet, least: nobody, serve: asset},
		{path: "/open", method: http.MethodGet, least: nobody, serve: showOpen},
		{path: "/open", method: http.MethodPost, least: nobody, serve: openDoor},
		{path: "/close", method: http.MethodPost, least: viewer, serve: closeDoor},

		{path: "/", method: http.MethodGet, least: viewer, nav: "Overview", serve: showOverview},
		{path: "/routes", method: http.MethodGet, least: viewer, nav: "Routes", serve: showLanes},
		{path: "/route", method: http.MethodGet, least: viewer, serve: showHandler},
		{path: "/rules", method: http.MethodGet, least: viewer, serve: showRules},
		{path: "/rules", method: http.MethodPost, least: admin, changes: true, edits: "policies", serve: loadRules},
		{path: "/rules-review", method: http.MethodPost, least: viewer, serve: reviewRules},
		{path: "/decisions", method: http.MethodGet, least: viewer, nav: "Decisions", serve: showDecisions},
		{path: "/tail", method: http.MethodGet, least: viewer, live: true, serve: showTail},
		{path: "/why", method: http.MethodGet, least: viewer, nav: "Why", serve: showWhy},
		{path: "/playground", method: http.MethodGet, least: viewer, nav: "Playground", serve: showPlayground},
		{path: "/playground", method: http.MethodPost, least: viewer, serve: play},
		{path: "/playground-replay", method: http.MethodPost, least: viewer, serve: replayDrafts},
		{path: "/playground-tests", method: http.MethodPost, least: viewer, serve: runTests},
		{path: "/playground-save", method: http.MethodPost, least: admin, changes: true, edits: "policies", serve: saveTest},
		{path: "/consumers", method: http.MethodGet, least: viewer, nav: "Consumers", serve: showConsumers},
		{path: "/consumer", method: http.MethodGet, least: viewer, serve: showConsumer},
		{path: "/consumer", method: http.MethodPost, least: admin, changes: true, edits: "consumers", serve: saveConsumer},
		{path: "/consumer-delete", method: http.MethodPost, least: admin, changes: true, edits: "consumers", serve: deleteConsumer},
		{path: "/providers", method: http.MethodGet, least: viewer, nav: "Providers", serve: showProviders},
		{path: "/uma", method: http.MethodGet, least: viewer, nav: "UMA", serve: showUMA},
		{path: "/opa", method: http.MethodGet, least: viewer, nav: "OPA", serve: showOPA},
		{path: "/tokens", method: http.MethodGet, least: viewer, nav: "Tokens", serve: showTokens},
		{path: "/tokens", method: http.MethodPost, least: viewer, serve: explainToken},
		{path: "/forget", method: http.MethodPost, least: operator, changes: true, serve: forgetTokens},
		{path: "/sessions", method: http.MethodGet, least: viewer, nav: "Sessions", serve: showSessions},
		{path: "/sessions-end", method: http.MethodPost, least: operator, changes: true, serve: endSessions},
		{path: "/metrics", method: http.MethodGet, least: viewer, nav: "Metrics", serve: showMetrics},
		{path: "/streams", method: http.MethodGet, least: viewer, nav: "Streams", serve: showStreams},
		{path: "/streams-end", method: http.MethodPost, least: operator, changes: true, serve: endStreams},
		{path: "/configuration", method: http.MethodGet, least: viewer, nav: "Configuration", serve: showConfiguration},
		{path: "/configuration", method: http.MethodPost, least: admin, changes: true, edits: "config", body: maxConfigBody, serve: editConfiguration},
		{path: "/configuration-version", method: http.MethodGet, least: viewer, serve: showVersion},
		{path: "/configuration-import", method: http.MethodPost, least: admin, changes: true, edits: "config", body: maxConfigBody, serve: importKong},
		// They end what the former configuration allowed to begin, whatever this one says.
		{path: "/configuration-confirm", method: http.MethodPost, least: admin, serve: confirmConfiguration},
		{path: "/configuration-return", method: http.MethodPost, least: admin, serve: returnConfiguration},
		{path: "/changes", method: http.MethodGet, least: viewer, nav: "Changes", serve: showChanges},
	}
}

// routeOf returns the route of a request. HEAD is GET without a body. If there is
// none, allowed are the methods that the path has.
func routeOf(path, method string) (found *route, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		if routes[i].path != path {
			continue
		}
		if routes[i].method == method {
			return &routes[i], nil
		}
		allowed = append(allowed, routes[i].method)
	}
	return nil, allowed
}
