// SPDX-License-Identifier: Apache-2.0

package siteguard

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// recorder is a guard that records the paths that it has seen, and refuses one.
type recorder struct {
	refuse string
	seen   []string
}

var errRefused = errors.New("refused")

func (g *recorder) GuardSite(r *http.Request) error {
	g.seen = append(g.seen, r.Host+r.URL.Path)
	if g.refuse != "" && r.URL.Path == g.refuse {
		return errRefused
	}
	return nil
}

// site is the route of a site of a Caddyfile; without hosts, of JSON.
func site(hosts ...string) caddyhttp.Route {
	if len(hosts) == 0 {
		return caddyhttp.Route{}
	}
	matchHost := caddyhttp.MatchHost(hosts)
	return caddyhttp.Route{Terminal: true, MatcherSets: caddyhttp.MatcherSets{{&matchHost}}}
}

// underWay is a route whose handlers are being provisioned.
func underWay(route caddyhttp.Route) caddyhttp.Route {
	route.HandlersRaw = []json.RawMessage{[]byte(`{}`)}
	return route
}

func inServer(t *testing.T, server *caddyhttp.Server) caddy.Context {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	ctx.Context = context.WithValue(ctx.Context, caddyhttp.ServerCtxKey, server)
	return ctx
}

// request is a request as a Caddy server hands it to its routes.
func request(host, path string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://"+host+path, nil)
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
}

func TestProtect(t *testing.T) {
	matchPath := caddyhttp.MatchPath{"/first/*"}
	hosts := caddyhttp.MatchHost{"a.test"}
	tests := []struct {
		name      string
		routes    caddyhttp.RouteList
		errors    caddyhttp.RouteList
		protected []bool // the routes
	}{
		{"the only site", caddyhttp.RouteList{underWay(site("a.test"))}, nil, []bool{true}},
		{"one site of two", caddyhttp.RouteList{site("b.test"), underWay(site("a.test"))}, nil, []bool{false, true}},
		{"all routes of a bare site", caddyhttp.RouteList{{}, underWay(site()), {}}, nil, []bool{true, true, true}},
		{"routes that share a host", caddyhttp.RouteList{{MatcherSets: caddyhttp.MatcherSets{{&matchPath, &hosts}}}, underWay(site("a.test"))}, nil, []bool{true, true}},
		{"an error route of one site", caddyhttp.RouteList{site("a.test"), site("b.test")}, caddyhttp.RouteList{underWay(site("b.test"))}, []bool{false, true}},
		{"an error route of no site", caddyhttp.RouteList{site("a.test"), site("b.test")}, caddyhttp.RouteList{underWay(site("c.test"))}, []bool{true, true}},
		{"a named route", caddyhttp.RouteList{site("a.test"), site("b.test")}, caddyhttp.RouteList{site("b.test")}, []bool{true, true}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := &caddyhttp.Server{Routes: test.routes}
			if test.errors != nil {
				server.Errors = &caddyhttp.HTTPErrorConfig{Routes: test.errors}
			}
			guard := new(recorder)
			for range 2 { // a second handler of the site changes nothing
				if err := Protect(inServer(t, server), guard); err != nil {
					t.Fatal(err)
				}
			}
			for i, route := range server.Routes {
				host := append(hostsOf(route), "any.test")[0]
				guard.seen = nil
				if matches, err := route.MatcherSets.AnyMatchWithError(request(host, "/first/x")); !matches || err != nil {
					t.Fatalf("route %d: matches is %t, error %v", i, matches, err)
				}
				want := []string(nil)
				if test.protected[i] {
					want = []string{host + "/first/x"}
				}
				if !slices.Equal(guard.seen, want) {
					t.Errorf("route %d: the guard saw %q, want %q", i, guard.seen, want)
				}
			}
		})
	}
}

// A site without any matcher cannot get one once it is compiled.
func TestProtectRefusesWhatItCannotGuard(t *testing.T) {
	tests := map[string]*caddyhttp.Server{
		"a named route beside a catch-all site":              {Routes: caddyhttp.RouteList{site("a.test"), {}}},
		"an error route of a catch-all site":                 {Routes: caddyhttp.RouteList{{}}, Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{underWay(site())}}},
		"a named route beside a catch-all error route":       {Routes: caddyhttp.RouteList{site("a.test")}, Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{{}}}},
		"an error route of no site, beside a catch-all site": {Routes: caddyhttp.RouteList{{}}, Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{underWay(site("c.test"))}}},
	}
	for name, server := range tests {
		t.Run(name, func(t *testing.T) {
			if err := Protect(inServer(t, server), new(recorder)); !errors.Is(err, errUnguarded) {
				t.Errorf("got %v, want it refused", err)
			}
		})
	}
}

// Guards run in the order of Protect, each once per request, and one that
// refuses ends it.
func TestGuardsOfOneSite(t *testing.T) {
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{underWay(site()), {}}}
	first, second := &recorder{refuse: "/x"}, &recorder{refuse: "/y"}
	for _, guard := range []*recorder{first, second, first} {
		if err := Protect(inServer(t, server), guard); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(path string) error {
		r := request("a.test", path)
		for _, route := range server.Routes {
			if _, err := route.MatcherSets.AnyMatchWithError(r); err != nil {
				return err
			}
		}
		return nil
	}
	if err := pass("/z"); err != nil {
		t.Errorf("/z: %v", err)
	}
	for _, path := range []string{"/x", "/y"} {
		if err := pass(path); !errors.Is(err, errRefused) {
			t.Errorf("%s: got %v, want it refused", path, err)
		}
	}
	if want := []string{"a.test/z", "a.test/x", "a.test/y"}; !slices.Equal(first.seen, want) {
		t.Errorf("the first guard saw %q, want %q", first.seen, want)
	}
	if want := []string{"a.test/z", "a.test/y"}; !slices.Equal(second.seen, want) {
		t.Errorf("the second guard saw %q, want %q", second.seen, want)
	}
}

// Requests that reach the error routes alone are checked there, unless they are
// for another site.
func TestErrorRoutes(t *testing.T) {
	server := &caddyhttp.Server{
		Routes: caddyhttp.RouteList{underWay(site("a.test")), site("b.test")},
		Errors: &caddyhttp.HTTPErrorConfig{Routes: caddyhttp.RouteList{{}}},
	}
	guard := new(recorder)
	if err := Protect(inServer(t, server), guard); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"a.test", "b.test", "c.test"} {
		if _, err := server.Errors.Routes[0].MatcherSets.AnyMatchWithError(request(host, "/")); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"a.test/", "c.test/"}; !slices.Equal(guard.seen, want) {
		t.Errorf("the guard saw %q, want %q", guard.seen, want)
	}
	// A request that has come by the site's own route is not checked again.
	r := request("a.test", "/once")
	guard.seen = nil
	for _, route := range []caddyhttp.Route{server.Routes[0], server.Errors.Routes[0]} {
		if _, err := route.MatcherSets.AnyMatchWithError(r); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"a.test/once"}; !slices.Equal(guard.seen, want) {
		t.Errorf("the guard saw %q, want %q", guard.seen, want)
	}
}

func TestSite(t *testing.T) {
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{underWay(site("a.test")), site("b.test")}}
	first := Site(inServer(t, server))
	if first == "" || first != Site(inServer(t, server)) {
		t.Errorf("two handlers of a site got %q and %q", first, Site(inServer(t, server)))
	}
	server.Routes[0].HandlersRaw, server.Routes[1] = nil, underWay(server.Routes[1])
	if other := Site(inServer(t, server)); other == "" || other == first {
		t.Errorf("another site got %q as well", other)
	}
	server.Routes[1].HandlersRaw = nil
	if got := Site(inServer(t, server)); got != "" {
		t.Errorf("a named route got %q", got)
	}
}

func TestOneRouteEach(t *testing.T) {
	goesOn := site("a.example")
	goesOn.Terminal = false
	tests := []struct {
		name   string
		routes caddyhttp.RouteList
		want   bool
	}{
		{"the only route of a server", caddyhttp.RouteList{goesOn}, true},
		{"sites of a Caddyfile", caddyhttp.RouteList{site("a.example"), site("*.example")}, true},
		{"a route that goes on to the next", caddyhttp.RouteList{goesOn, site("*.example")}, false},
		{"a site that has the whole server", caddyhttp.RouteList{{}, {}, {}}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := oneRouteEach(test.routes); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}
