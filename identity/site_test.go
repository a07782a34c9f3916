// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestOneRouteEach(t *testing.T) {
	on := func(host string, terminal bool) caddyhttp.Route {
		return caddyhttp.Route{Terminal: terminal, MatcherSets: caddyhttp.MatcherSets{{&caddyhttp.MatchHost{host}}}}
	}
	tests := []struct {
		name   string
		routes caddyhttp.RouteList
		want   bool
	}{
		{"the only route of a server", caddyhttp.RouteList{on("a.example", false)}, true},
		{"sites of a Caddyfile", caddyhttp.RouteList{on("a.example", true), on("*.example", true)}, true},
		{"a route that goes on to the next", caddyhttp.RouteList{on("a.example", false), on("*.example", true)}, false},
		{"a site that stands for a whole server", caddyhttp.RouteList{{}, {}, {}}, false},
	}
	for _, test := range tests {
		if got := oneRouteEach(test.routes); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}
