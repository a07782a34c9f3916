// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"strings"
	"testing"
)

const noRoute = "404 no Route matched with those values"

// Twelve questions of which Kong's users know the answers, asked of a running
// gateway.
func TestRoutingAsKong(t *testing.T) {
	for _, test := range []struct {
		name, file string
		asked      []string // pairs of request and answer
	}{
		{"1 prefix without a slash", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/a]}]}]}`,
			[]string{"GET h /ab", "/b", "GET h /b", noRoute}},
		{"2 service path", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/a]}]}]}`,
			[]string{"GET h /a", "/base", "GET h /a/", "/base/", "GET h /ax", "/base/x"}},
		{"2 with v1", `{_format_version: "2.1", services: [{name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/a], path_handling: v1}]}]}`,
			[]string{"GET h /ax", "/basex"}},
		{"2 with v1 in a 3.0 file", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/a], path_handling: v1}]}]}`,
			[]string{"GET h /ax", "/base/x"}},
		{"3 service path with a slash", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM/base/", routes: [{name: r, paths: [/a]}]}]}`,
			[]string{"GET h /a", "/base", "GET h /a/", "/base/"}},
		{"4 nothing stripped", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/], strip_path: false}]}]}`,
			[]string{"GET h /", "/base", "GET h /a", "/base/a"}},
		{"4 with v1", `{_format_version: "1.1", services: [{name: s, url: "http://UPSTREAM/base", routes: [{name: r, paths: [/], strip_path: false, path_handling: v1}]}]}`,
			[]string{"GET h /a", "/basea"}},
		{"5 expression", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: ["~/v[12]/x"]}]}]}`,
			[]string{"GET h /v1/xyz", "/yz", "GET h /A/v1/x", noRoute}},
		{"6 host before length", `{_format_version: "3.0", services: [
			{name: a, url: "http://UPSTREAM/A", routes: [{name: A, hosts: [h], paths: [/]}]},
			{name: b, url: "http://UPSTREAM/B", routes: [{name: B, paths: [/very/long]}]}]}`,
			[]string{"GET h /very/long", "/A/very/long", "GET i /very/long", "/B"}},
		{"7 split routes", `{_format_version: "3.0", services: [
			{name: a, url: "http://UPSTREAM/A", routes: [{name: A, paths: [/foo, "~/any$"], strip_path: false}]},
			{name: b, url: "http://UPSTREAM/B", routes: [{name: B, paths: ["~/foo/bar$"], strip_path: false}]}]}`,
			[]string{"GET h /foo/bar", "/B/foo/bar", "GET h /foo/b", "/A/foo/b", "GET h /any", "/A/any"}},
		{"8 wildcard host", `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, hosts: ["*.ex.com"]}]}]}`,
			[]string{"GET a.b.ex.com:8443 /x", "/x", "GET ex.com /x", noRoute}},
		{"10 disabled instance", `{_format_version: "3.0", plugins: [{name: request-termination, config: {status_code: 401, message: stop}}],
			services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/], plugins: [{name: request-termination, enabled: false}]}]}]}`,
			[]string{"GET h /", "401 stop"}},
		{"11 expression of Kong 2", `{_format_version: "2.1", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: ['/status/\d+'], strip_path: false}]}]}`,
			[]string{"GET h /status/7", "/status/7", "GET h /status/x", noRoute}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := run(t, strings.ReplaceAll(test.file, "\t", " "), nil)
			for i := 0; i < len(test.asked); i += 2 {
				if got := g.ask(test.asked[i]).said(); got != test.asked[i+1] {
					t.Errorf("%s: got %q, want %q", test.asked[i], got, test.asked[i+1])
				}
			}
		})
	}
}

// Case 12: of limits for a consumer, a route, and a route with its service, the
// last one counts.
func TestTheMostSpecificLimit(t *testing.T) {
	as := newAuthorizationServer(t)
	file := `{_format_version: "3.0", consumers: [{username: c, custom_id: client-c}], services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}],
 plugins: [` + as.plugin("") + `, {name: rate-limiting, consumer: c, config: {hour: 5}}, {name: rate-limiting, route: r, config: {hour: 100}}THIRD]}`
	for third, want := range map[string]string{", {name: rate-limiting, route: r, service: s, config: {hour: 50}}": "50", "": "5"} {
		g := run(t, strings.ReplaceAll(file, "THIRD", third), nil)
		got := g.ask("GET h /", "Authorization: Bearer of-client-c")
		if got.status != 200 || got.header.Get("X-RateLimit-Limit-Hour") != want {
			t.Errorf("got %d %v, want a limit of %s", got.status, got.header, want)
		}
	}
}

func TestRateLimiting(t *testing.T) {
	g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", plugins: [{name: rate-limiting, config: {year: 3, limit_by: service, policy: local, error_code: 430, error_message: slow down}}],
 routes: [{name: a, paths: [/a]}, {name: b, paths: [/b]}]}, {name: t, url: "http://UPSTREAM", routes: [{name: c, paths: [/c]}]}]}`, nil)
	for i, want := range []string{"/a", "/b", "/b", "430 slow down"} {
		path := []string{"/a/a", "/b/b", "/b/b", "/a/a"}[i]
		if got := g.ask("GET h " + path).said(); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if got := g.ask("GET h /c/c"); got.said() != "/c" || got.header.Get("RateLimit-Limit") != "" {
		t.Errorf("the other service: got %+v", got)
	}
}

func TestLimitsOnRedis(t *testing.T) {
	const file = `{"_format_version": "3.0", "plugins": [{"name": "rate-limiting", "config": {"minute": 5, "policy": %s}}], "routes": [{"paths": ["/"]}]}`
	for policy, want := range map[string]string{
		`"redis", "redis_host": "r.internal", "redis_password": "p@:s", "redis_database": 2`:                                  "redis://:p%40%3As@r.internal:6379/2",
		`"redis", "redis": {"host": "r.internal", "port": 6380, "ssl": true, "username": "u", "password": "{vault://env/p}"}`: "rediss://u:{env.P}@r.internal:6380/0",
	} {
		got, _, err := adapt(t, strings.ReplaceAll(file, "%s", policy), nil)
		if err != nil || !strings.Contains(string(got), `"redis":"`+want+`"`) {
			t.Errorf("%s: got %s, %v, want %s", policy, got, err, want)
		}
	}
	_, warnings, err := adapt(t, strings.ReplaceAll(file, "%s", `"cluster"`), nil)
	if err != nil || find(warnings, "each gateway counts alone") < 0 {
		t.Errorf("got %v, %v", warnings, err)
	}
}

func TestDebugHeader(t *testing.T) {
	const file = `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/]}]}]}`
	for setting, want := range map[string]string{"on": "r", "off": ""} {
		g := run(t, file, environment{"KONG_ALLOW_DEBUG_HEADER": setting})
		if got := g.ask("GET h /", "Kong-Debug: 1").header.Get("Kong-Route-Name"); got != want {
			t.Errorf("%s: got %q, want %q", setting, got, want)
		}
		if got := g.ask("GET h /").header.Get("Kong-Route-Name"); got != "" {
			t.Errorf("%s: got %q without Kong-Debug", setting, got)
		}
	}
}

func TestHTTPSOnly(t *testing.T) {
	g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [
 {name: upgrade, paths: [/u], protocols: [https]}, {name: redirect, paths: [/r], protocols: [https], https_redirect_status_code: 302}]}]}`, nil)
	got := g.ask("GET h /u")
	if got.said() != "426 Please use HTTPS protocol" || got.header.Get("Upgrade") != "TLS/1.2, HTTP/1.1" {
		t.Errorf("got %+v", got)
	}
	if got := g.ask("GET h:8000 /r/x?y=1"); got.status != 302 || got.header.Get("Location") != "https://h/r/x?y=1" {
		t.Errorf("got %+v", got)
	}
}

func TestAKong3PathWithAnExpression(t *testing.T) {
	_, _, err := adapt(t, "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://h\n  routes:\n  - name: status\n    paths:\n    - /status/\\d+\n", nil)
	if err == nil || !strings.Contains(err.Error(), `kong.yml:8: route "status": paths:`) || !strings.Contains(err.Error(), `write "~/status/\\d+"`) {
		t.Errorf("got %v", err)
	}
}
