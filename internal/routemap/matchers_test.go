// SPDX-License-Identifier: Apache-2.0

package routemap

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// counting is a matcher of another party. Asking it is an event.
type counting struct{ asked *int }

func (counting) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "http.matchers.counting"} }

func (c counting) MatchWithError(*http.Request) (bool, error) { *c.asked++; return true, nil }

func TestWhichMatchersAreAsked(t *testing.T) {
	foreign := counting{new(int)}
	for name, c := range map[string]struct {
		matcher any
		want    bool
	}{
		"host":                           {caddyhttp.MatchHost{"a.example"}, true},
		"path":                           {caddyhttp.MatchPath{"/a"}, true},
		"file":                           {fileserver.MatchFile{}, false},
		"another party's":                {foreign, false},
		"not a module":                   {struct{}{}, false},
		"not path":                       {&caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{caddyhttp.MatchPath{"/a"}}}}, true},
		"not file":                       {caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{caddyhttp.MatchPath{"/a"}, fileserver.MatchFile{}}}}, false},
		"not not another party's":        {caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{foreign}}}}}}, false},
		"an expression":                  {&caddyhttp.MatchExpression{Expr: `path('/a/*') && {method} in ["GET"] && !(size({query}) > 3)`}, true},
		"an expression that reads files": {&caddyhttp.MatchExpression{Expr: `path('/a') || file ({'try_files': ['/x']})`}, false},
		"an expression of someone else":  {caddyhttp.MatchExpression{Expr: `counting('x')`}, false},
	} {
		if got, isPlain := plainMatcher(c.matcher); isPlain != c.want {
			t.Errorf("%s: got %s %t, want %t", name, got, isPlain, c.want)
		}
	}
}

// A question on a page does not run what is not known.
func TestSec_S410_AQuestionAsksNoForeignMatcher(t *testing.T) {
	foreign := counting{new(int)}
	server := &caddyhttp.Server{Routes: caddyhttp.RouteList{
		{MatcherSets: caddyhttp.MatcherSets{{caddyhttp.MatchPath{"/other"}, foreign}, {caddyhttp.MatchPath{"/a"}, foreign}}, Handlers: []caddyhttp.MiddlewareHandler{&caddyhttp.StaticResponse{}}},
		{MatcherSets: caddyhttp.MatcherSets{{foreign}, {caddyhttp.MatchPath{"/a"}}}, Handlers: []caddyhttp.MiddlewareHandler{&caddyhttp.StaticResponse{}}},
	}}
	address, _ := url.Parse("http://a.example/a")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	taken := &Taken{Server: "s"}
	taken.walk(server, asReceived(r, server, address, "192.0.2.1"), plainMatcher)
	if *foreign.asked != 0 {
		t.Errorf("a matcher of another party was asked %d times", *foreign.asked)
	}
	want := "counting of /apps/http/servers/s/routes/0, counting of /apps/http/servers/s/routes/1"
	if got := strings.Join(taken.NotAsked, ", "); got != want || len(taken.Handlers) != 1 || taken.Site != "/apps/http/servers/s/routes/1" {
		t.Errorf("got %q and %q on %s, want %q and the second route", got, taken.Handlers, taken.Site, want)
	}
}
