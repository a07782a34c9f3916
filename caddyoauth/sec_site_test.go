// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// On a site that has a gateway handler no forged header arrives anywhere:
// not on paths that the handler's matcher leaves out, not on error routes
// that are reached before it.
func TestSec_S18_TheWholeSiteIsProtected(t *testing.T) {
	const basicAuth = "basic_auth /secret {\nann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
	const errors = "handle_errors {\nreverse_proxy {upstream}\n}\n"
	sites := map[string]string{
		"matcher":       "gluu_oauth_auth /api/*\nreverse_proxy {upstream}\n",
		"handle":        "handle /api/* {\ngluu_oauth_auth\nreverse_proxy {upstream}\n}\nhandle {\nreverse_proxy {upstream}\n}\n",
		"handle last":   "handle /other {\nreverse_proxy {upstream}\n}\nhandle {\ngluu_oauth_auth\nreverse_proxy {upstream}\n}\n",
		"only a pep":    "route /api/* {\ngluu_oauth_pep {\npath /x {\nGET scope a\n}\n}\n}\nreverse_proxy {upstream}\n",
		"errors before": basicAuth + "gluu_oauth_auth /api/*\nreverse_proxy {upstream}\n" + errors,
	}
	lines, _ := forged()
	for name, site := range sites {
		g := start(t, simpleApp, site)
		// The same as the only site of a server, whose routes Caddy does not
		// put into one.
		for _, address := range []string{"", "bare"} {
			if address == "bare" {
				g.bare = true
				g.load(simpleApp, site)
			}
			for _, target := range []string{"/other", "/secret"} {
				if target == "/secret" && !strings.Contains(site, "basic_auth") {
					continue
				}
				before := g.upstream.requests()
				got := g.get(target, "", lines...)
				if g.upstream.requests() != before+1 {
					t.Errorf("%s %s%s: the upstream was not asked: %d %s", name, target, address, got.status, got.body)
				}
				g.expectNothingForged(got, name+" "+target+" "+address)
			}
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Caddy refuses some requests before it looks at any route, and answers them by
// the routes for errors: those strip them too.
func TestSec_S18_RefusedBeforeAnyRoute(t *testing.T) {
	lines, _ := forged()
	for _, bare := range []bool{false, true} {
		g := start(t, simpleApp, "gluu_oauth_auth\nreverse_proxy {upstream}\n")
		g.bare = bare
		g.load(simpleApp, "gluu_oauth_auth\ngluu_oauth_pep {\npath /x {\nGET scope a\n}\n}\nreverse_proxy {upstream}\nhandle_errors {\nrequest_header X-Authenticated-Userid \"of the configuration\"\nreverse_proxy {upstream}\n}\n")
		before := g.upstream.requests()
		got := g.request(strings.Repeat("M", 33), "/x", "", lines...)
		if g.upstream.requests() != before+1 {
			t.Fatalf("bare %t: the error route did not ask the upstream: %d %s", bare, got.status, got.body)
		}
		if !slices.Equal(got.received("X-Authenticated-Userid"), []string{"of the configuration"}) {
			t.Errorf("bare %t: what the configuration sets arrives as %q", bare, got.received("X-Authenticated-Userid"))
		}
		for _, name := range []string{"X-Consumer-ID", "X-Consumer-Username", "X-OAuth-Client-ID", "X-Authenticated-Scope"} {
			if values := got.received(name); len(values) > 0 {
				t.Errorf("bare %t: %s arrived as %q", bare, name, values)
			}
		}
		if bare {
			if got := g.send("GET /x HTTP/1.1\nHost: \nX-Consumer-ID: evil"); len(got.received("X-Consumer-ID")) > 0 {
				t.Errorf("without a host %q arrived", got.received("X-Consumer-ID"))
			}
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// expectStripped sends a forged header, with a method and target, to a host, and
// checks whether it arrives at the upstream.
func (g *gateway) expectStripped(request, host string, stripped bool) {
	g.Helper()
	before := g.upstream.requests()
	got := g.send(request + " HTTP/1.1\nHost: " + host + "\nX-Consumer-ID: evil")
	if g.upstream.requests() != before+1 {
		g.Fatalf("%s at %q: the upstream was not asked: %d %s", request, host, got.status, got.body)
	}
	if arrived := len(got.received("X-Consumer-ID")) > 0; arrived == stripped {
		g.Errorf("%s at %q: the header arrived: %t, want %t", request, host, arrived, !stripped)
	}
}

// JSON can have routes for errors that are for any host. They get nothing of
// the gateway's site unstripped either, nor of no site, and lose nothing of
// another site.
func TestSec_S18_ErrorRoutesForAnyHost(t *testing.T) {
	g := start(t, simpleApp, "")
	_, port, _ := strings.Cut(g.address, ":")
	source := fmt.Sprintf(skeleton, caddytest.Options(g.dir, ""), fmt.Sprintf(provider, g.auth.URL)+simpleApp, g.address,
		fmt.Sprintf("gluu_oauth_auth\nreverse_proxy %[1]s\n}\nhttp://other.example:%[2]s {\nreverse_proxy %[1]s\nhandle_errors {\nreverse_proxy %[1]s\n}\n", g.upstream.Addr(), port))
	adapted, err := caddytest.Adapt(source)
	if err != nil {
		t.Fatal(err)
	}
	const ofOther = `"errors":{"routes":[{"match":[{"host":["other.example"]}],`
	if !strings.Contains(string(adapted), ofOther) {
		t.Fatalf("the routes for errors are not where they were: %s", adapted)
	}
	if err := caddytest.Load([]byte(strings.Replace(string(adapted), ofOther, `"errors":{"routes":[{`, 1)), g.address); err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(g.address, ":")
	for host, stripped := range map[string]bool{
		host:            true,
		"none.example":  true,  // no site
		"":              true,  // no host
		"other.example": false, // another site
	} {
		g.expectStripped(strings.Repeat("M", 33)+" /x", host, stripped)
	}
}

// Handlers in named routes and in routes for errors protect the site as others
// do. Caddy sets them up when the site's own routes cannot be changed any more;
// what is left then is to say so.
func TestSec_S18_HandlersOutsideOfTheSitesRoutes(t *testing.T) {
	const named = "}\n&(auth) {\ngluu_oauth_auth\n}\n&(pep) {\ngluu_oauth_pep {\npath /x {\nGET scope a\n}\n}\n"
	tests := map[string]struct {
		site       string
		refusedFor string // how the site is written when it is refused: "bare" or ""
	}{
		"invoked in a route":         {"route /api/* {\ninvoke auth\nreverse_proxy {upstream}\n}\nreverse_proxy {upstream}\n" + named, "bare"},
		"only a pep":                 {"handle /api/* {\ninvoke pep\n}\nreverse_proxy {upstream}\n" + named, "bare"},
		"beside another handler":     {"gluu_jwks\nroute /api/* {\ninvoke auth\n}\nreverse_proxy {upstream}\n" + named, ""},
		"beside another, and errors": {"gluu_jwks\nbasic_auth /other {\nann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\ninvoke /api/* auth\nhandle_errors {\ninvoke /never auth\nreverse_proxy {upstream}\n}\n" + named, ""},
		"with routes for errors":     {"basic_auth /other {\nann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\ninvoke /api/* auth\nrespond hi\nhandle_errors {\nreverse_proxy {upstream}\n}\n" + named, "bare"},
		"in the routes for errors":   {"reverse_proxy {upstream}\nhandle_errors {\ngluu_oauth_auth\nreverse_proxy {upstream}\n}\n", "bare"},
	}
	lines, _ := forged()
	for name, test := range tests {
		g := start(t, simpleApp, "")
		for _, address := range []string{"", "bare"} {
			g.bare = address == "bare"
			err := g.tryLoad(simpleApp, test.site)
			if address == test.refusedFor && address != "" {
				if err == nil || !strings.Contains(err.Error(), "write the handlers as a snippet") {
					t.Errorf("%s %s: got %v, want it refused", name, address, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s %s: %v", name, address, err)
			}
			before := g.upstream.requests()
			got := g.get("/other", "", lines...)
			if g.upstream.requests() != before+1 {
				t.Errorf("%s %s: the upstream was not asked: %d %s", name, address, got.status, got.body)
			}
			g.expectNothingForged(got, name+" "+address)
		}
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// Which sites invoke a named route cannot be known, so a handler in one protects
// all sites of the server, and is refused where it cannot.
func TestSec_S18_HandlersInNamedRoutesProtectTheWholeServer(t *testing.T) {
	g := start(t, simpleApp, "")
	_, port, _ := strings.Cut(g.address, ":")
	proxy := "reverse_proxy " + g.upstream.Addr().String()
	secret := "basic_auth /secret {\nann $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
	sites := []struct{ host, block string }{
		{"http://direct.test", "invoke /api/* gw\n" + proxy},
		{"http://nested.test", "handle /x/* {\nroute {\ninvoke outer\n}\n}\n" + proxy},
		{"http://errors.test", secret + proxy + "\nhandle_errors {\ninvoke gw\n" + proxy + "\n}"},
		{"http://response.test", secret + proxy + " {\n@gone status 410\nhandle_response @gone {\ninvoke gw\n}\n}\nhandle_errors {\n" + proxy + "\n}"},
		{"http://other.test", "invoke /api/* common\n" + proxy},
	}
	source := fmt.Sprintf(skeleton, caddytest.Options(g.dir, ""), fmt.Sprintf(provider, g.auth.URL)+simpleApp, g.address, "respond x") +
		"&(gw) {\ngluu_oauth_auth /never\n}\n&(outer) {\ninvoke gw\n}\n&(common) {\nencode\n}\n"
	for _, site := range sites {
		source += fmt.Sprintf("%s:%s {\n%s\n}\n", site.host, port, site.block)
	}
	catchAll := "http://:" + port + " {\n%s\n" + proxy + "\n}\n"
	for range 5 { // Caddy sets up named routes in any order
		if config, err := caddytest.Adapt(source + fmt.Sprintf(catchAll, "")); err != nil {
			t.Fatal(err)
		} else if err := caddytest.Load(config, g.address); err == nil || !strings.Contains(err.Error(), "write the handlers as a snippet") {
			t.Errorf("with an unprotected catch-all site: got %v, want it refused", err)
		}
	}
	source += fmt.Sprintf(catchAll, "gluu_jwks") // as the message recommends
	for range 5 {
		config, err := caddytest.Adapt(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := caddytest.Load(config, g.address); err != nil {
			t.Fatal(err)
		}
		for _, target := range []struct{ host, path string }{
			{"direct.test", "/other"}, {"nested.test", "/other"}, {"errors.test", "/other"}, {"errors.test", "/secret"},
			{"response.test", "/other"}, {"response.test", "/secret"}, {"other.test", "/other"}, {"unknown.test", "/other"},
		} {
			g.expectStripped("GET "+target.path, target.host+":"+port, true)
		}
	}
}

// In JSON a host can have several routes, alone or with others.
func TestSec_S18_RoutesThatShareAHost(t *testing.T) {
	g := start(t, simpleApp, "")
	_, port, _ := strings.Cut(g.address, ":")
	route := func(match, handlers string) string {
		return `{"match":[` + match + `],"handle":[` + handlers + `{"handler":"reverse_proxy","upstreams":[{"dial":"` + g.upstream.Addr().String() + `"}]}]}`
	}
	const auth = `{"handler":"gluu_oauth_auth"},`
	source := fmt.Sprintf(skeleton, caddytest.Options(g.dir, ""), fmt.Sprintf(provider, g.auth.URL)+simpleApp, "PLACE:"+port, "respond x")
	adapted, err := caddytest.Adapt(source)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	server := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)["srv0"].(map[string]any)
	server["routes"] = json.RawMessage("[" + strings.Join([]string{
		route(`{"host":["a.test","b.test"],"path":["/first/*"]}`, ""),
		route(`{"host":["a.test","b.test"],"path":["/api/*"]}`, auth),
		route(`{"host":["a.test"],"path":["/x/*"]}`, ""),
		route(`{"host":["*.test"],"path":["/wild/*"]}`, ""),
		route(`{"path":["/y/*"]}`, ""),
		route(`{"host":["other.test"]}`, ""),
	}, ",") + "]")
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddytest.Load(text, g.address); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host, path string
		stripped   bool
	}{
		{"a.test", "/first/x", true}, {"a.test", "/x/1", true}, {"a.test", "/wild/1", true}, {"b.test", "/wild/1", true},
		{"a.test", "/y/1", true}, {"b.test", "/y/1", true}, {"A.TEST", "/y/1", true},
		{"other.test", "/wild/1", false}, {"other.test", "/y/1", false}, {"other.test", "/z", false},
	} {
		g.expectStripped("GET "+test.path, test.host+":"+port, test.stripped)
	}
}

// What the configuration itself sets is not the client's, and a site without
// a handler of the gateway is left alone.
func TestSitesOfOthersAreLeftAlone(t *testing.T) {
	g := start(t, simpleApp, "")
	other := caddytest.FreeAddress(t)
	site := `gluu_oauth_auth /api/*
		request_header X-Consumer-ID "set by the configuration"
		reverse_proxy {upstream}
	}
	http://other.example:%[2]s {
		reverse_proxy {upstream}
	}
	http://%[1]s {
		reverse_proxy {upstream}`
	_, port, _ := strings.Cut(g.address, ":")
	g.load(simpleApp, fmt.Sprintf(site, other, port))
	if got := g.get("/other", ""); !slices.Equal(got.received("X-Consumer-ID"), []string{"set by the configuration"}) {
		t.Errorf("got %q on the site itself", got.received("X-Consumer-ID"))
	}
	got := g.send("GET / HTTP/1.1\nHost: other.example:" + port + "\nX-Consumer-ID: of another gateway")
	if !slices.Equal(got.received("X-Consumer-ID"), []string{"of another gateway"}) {
		t.Errorf("got %q on another site of the same server", got.received("X-Consumer-ID"))
	}
}

// The headers that the gateway sets survive the routes that follow.
func TestOurHeadersSurviveTheRestOfTheSite(t *testing.T) {
	g := start(t, simpleApp, "")
	g.bare = true
	g.auth.issue("good", claims("client-a", "read"))
	g.load(simpleApp, "gluu_oauth_auth\nheader X-A b\n@two path /two\nrequest_header @two X-B c\nreverse_proxy {upstream}\n")
	for _, target := range []string{"/", "/two"} {
		g.expectReceived(g.get(target, "good"), map[string]string{"X-Consumer-Username": "ann"})
	}
}
