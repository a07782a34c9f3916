// SPDX-License-Identifier: Apache-2.0

package kongconfig_test

import (
	"strings"
	"testing"
	"time"
)

// An expression of one host does not change which route of another host wins, and each path
// of a route counts for itself.
func TestSec_S253_S255_RoutesDoNotChangeEachOther(t *testing.T) {
	const one = `{name: a, url: "http://UPSTREAM/A", routes: [{name: A, hosts: [one.example], paths: [/foo, "~/any/long/path$"], strip_path: false}]},
 {name: b, url: "http://UPSTREAM/B", routes: [{name: B, hosts: [one.example], paths: ["~/foo/b.r$"], strip_path: false}]}`
	const other = `, {name: c, url: "http://UPSTREAM/C", routes: [{name: C, hosts: [other.example], paths: ["~/foo.*"], regex_priority: 100, strip_path: false}]}`
	for name, services := range map[string]string{"alone": one, "beside another host": one + other} {
		t.Run(name, func(t *testing.T) {
			g := run(t, `{_format_version: "3.0", services: [`+services+`]}`, nil)
			for request, want := range map[string]string{
				"GET one.example /foo/bar": "/B/foo/bar", "GET one.example /foo/x": "/A/foo/x", "GET one.example /any/long/path": "/A/any/long/path", "GET one.example /any": noRoute,
			} {
				if got := g.ask(request).said(); got != want {
					t.Errorf("%s: got %q, want %q", request, got, want)
				}
			}
		})
	}
}

// An expression that Go's engine does not know runs as in PCRE, and one that no engine
// understands is refused: no route stops matching without a word.
func TestSec_S254_ExpressionsMeanWhatTheyDidInKong(t *testing.T) {
	for expression, asked := range map[string][2]string{`~/a(?=b)`: {"/ab", "/ac"}, `~/(a)\\1$`: {"/aa", "/ab"}, `~/(?!x)[a-z]$`: {"/y", "/x"}, `~/(?<y>\\d+)$`: {"/12", "/x"}} {
		g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: ["`+expression+`"], strip_path: false}]}]}`, nil)
		if got := g.ask("GET h " + asked[0]).said(); got != asked[0] {
			t.Errorf("%s: %s: got %q", expression, asked[0], got)
		}
		if got := g.ask("GET h " + asked[1]).said(); got != noRoute {
			t.Errorf("%s: %s: got %q", expression, asked[1], got)
		}
	}
	for _, expression := range []string{`~/(`, `~/[b`, `~/\\p{Foo}`, `~/(a)\\2`, `~/*a(`} {
		_, _, err := adapt(t, `{_format_version: "3.0", services: [{name: s, url: "http://h", routes: [{name: r, paths: ["`+expression+`"]}]}]}`, nil)
		if err == nil || !strings.Contains(err.Error(), `route "r": paths`) {
			t.Errorf("%s: got %v", expression, err)
		}
	}
}

// Between the path of the service and the rest there is as many slashes as Kong writes.
func TestSec_S256_SlashesBetweenServiceAndRest(t *testing.T) {
	for path, want := range map[string][]string{
		"":       {"GET h /a", "/", "GET h /a/", "/", "GET h /a/x", "/x", "GET h /ax", "/x"},
		"/base":  {"GET h /a", "/base", "GET h /a/", "/base/", "GET h /a/x", "/base/x", "GET h /ax", "/base/x"},
		"/base/": {"GET h /a", "/base", "GET h /a/", "/base/", "GET h /a/x", "/base/x", "GET h /ax", "/base/x"},
	} {
		g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM`+path+`", routes: [{name: r, paths: [/a]}]}]}`, nil)
		for i := 0; i < len(want); i += 2 {
			if got := g.ask(want[i]).said(); got != want[i+1] {
				t.Errorf("path %q, %s: got %q, want %q", path, want[i], got, want[i+1])
			}
		}
	}
}

// Of several instances of a plugin the most specific runs, wherever it stands in the file.
func TestSec_S257_TheMostSpecificInstanceRuns(t *testing.T) {
	instances := []string{"{name: request-termination, config: {status_code: 410}}", "{name: request-termination, service: s, config: {status_code: 411}}", "{name: request-termination, route: r, config: {status_code: 412}}"}
	for first := range instances {
		rotated := append(append([]string{}, instances[first:]...), instances[:first]...)
		g := run(t, `{_format_version: "3.0", services: [{name: s, url: "http://UPSTREAM", routes: [{name: r, paths: [/a]}, {name: q, paths: [/b]}]}, {name: t, url: "http://UPSTREAM", routes: [{name: p, paths: [/c]}]}],
 plugins: [`+strings.Join(rotated, ", ")+`]}`, nil)
		for path, want := range map[string]int{"/a": 412, "/b": 411, "/c": 410} {
			if got := g.ask("GET h " + path).status; got != want {
				t.Errorf("in the order %d, %s: got %d, want %d", first, path, got, want)
			}
		}
	}
}

// A plugin that protects and does not run here refuses the file: nothing of it is served.
func TestSec_S259_S260_WhatDoesNotRunRefusesTheFile(t *testing.T) {
	for _, name := range []string{"key-auth", "basic-auth", "jwt", "hmac-auth", "ldap-auth", "ip-restriction-of-mine"} {
		for at, plugins := range map[string]string{
			"for all": `plugins: [{name: ` + name + `}], services: [{name: s, url: "http://h", routes: [{name: r, paths: [/]}]}]`,
			"a route": `services: [{name: s, url: "http://h", routes: [{name: r, paths: [/], plugins: [{name: ` + name + `}]}]}]`,
		} {
			config, _, err := adapt(t, `{_format_version: "3.0", `+plugins+`}`, nil)
			if err == nil || config != nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s, %s: got %s, %v", name, at, config, err)
			}
		}
	}
}

// Both formats are read, and a variable stays one: its value is not in the configuration.
func TestSec_S261_VariablesAreNotBakedIn(t *testing.T) {
	for _, file := range []string{
		`{_format_version: "3.0", services: [{name: s, host: '${{ env "DECK_HOST" }}', routes: [{name: r, paths: [/]}]}]}`,
		`{"_format_version": "3.0", "services": [{"id": "8b7a2c4e-0000-4000-8000-000000000001", "name": "s", "host": "${{ env \"DECK_HOST\" }}"}], "routes": [{"name": "r", "paths": ["/"], "service": {"id": "8b7a2c4e-0000-4000-8000-000000000001"}}]}`,
	} {
		got, _, err := adapt(t, file, environment{"DECK_HOST": "value-of-now"})
		if err != nil || !strings.Contains(string(got), "{env.DECK_HOST}") || strings.Contains(string(got), "value-of-now") {
			t.Errorf("got %s, %v", got, err)
		}
	}
}

// When all targets are down the answer is 503, and one that is back is used again without a
// reload.
func TestSec_S262_TargetsThatAreDown(t *testing.T) {
	g := run(t, `{_format_version: "3.0", upstreams: [{name: u, targets: [{target: "127.0.0.1:1"}], healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}},
 {name: v, targets: [{target: "127.0.0.1:1"}, {target: "UPSTREAM"}], healthchecks: {passive: {unhealthy: {tcp_failures: 1}}}}],
 services: [{name: s, host: u, retries: 1, connect_timeout: 300, routes: [{name: r, paths: [/down]}]}, {name: t, host: v, routes: [{name: q, paths: [/half]}]}]}`, nil)
	for range 3 {
		if got := g.ask("GET h /down").status; got != 502 && got != 503 {
			t.Errorf("all down: got %d", got)
		}
	}
	if got := g.ask("GET h /down").status; got != 503 {
		t.Errorf("all known to be down: got %d, want 503", got)
	}
	deadline := time.Now().Add(10 * time.Second)
	for good := 0; good < 5; good++ {
		if got := g.ask("GET h /half").status; got != 200 {
			good = -1
			if time.Now().After(deadline) {
				t.Fatalf("one of two down: got %d", got)
			}
		}
	}
}

// The endpoints of a plugin for all routes answer on each of them, and elsewhere as in Kong:
// a path that no route has is not found, whatever it ends in.
func TestSec_S258_EndpointsAnswerOnRoutesAlone(t *testing.T) {
	g := runOAuth2(t, "", nil)
	for path, want := range map[string]int{"/steps/oauth2/token": 400, "/other/oauth2/token": 400, "/steps/oauth2/authorize": 400, "/oauth2/token": 404, "/oauth2/authorize": 404} {
		if status, answer := g.post(path, nil); status != want {
			t.Errorf("%s: got %d %v, want %d", path, status, answer, want)
		}
	}
}

// Who loads such a file is told so, unless a route has the path.
func TestSec_S258_MissingEndpointsAreWarnedAbout(t *testing.T) {
	const global = `plugins: [{name: oauth2, config: {provision_key: an-invented-provision-key-0123, enable_authorization_code: true}}]`
	const ofService = `plugins: [{name: oauth2, service: s, config: {provision_key: an-invented-provision-key-0123, enable_authorization_code: true}}]`
	for _, test := range []struct {
		name, route, plugins string
		want                 bool
	}{
		{"another path", "paths: [/steps]", global, true},
		{"a longer path", "paths: [/oauth2/tokens]", global, true},
		{"an expression for another path", `paths: ["~/steps/[0-9]+$"]`, global, true},
		{"the path without POST", "paths: [/oauth2], methods: [GET]", global, true},
		{"the path", "paths: [/steps, /oauth2]", global, false},
		{"the path with POST", "paths: [/oauth2/token], methods: [GET, POST]", global, false},
		{"an expression for the path", `paths: ["~/(v1/)?oauth2/.*"]`, global, false},
		{"all paths", "paths: [/]", global, false},
		{"any path", "hosts: [api.example.com]", global, false},
		{"a plugin of a service", "paths: [/steps]", ofService, false},
		{"a plugin that is off", "paths: [/steps]", strings.Replace(global, "{name: oauth2,", "{name: oauth2, enabled: false,", 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, warnings, err := adapt(t, `{_format_version: "3.0", services: [{name: s, url: "http://h", routes: [{name: r, `+test.route+`}]}], `+test.plugins+`}`, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := find(warnings, "no route takes POST /oauth2/token") >= 0; got != test.want {
				t.Errorf("warned: %t, want %t; %v", got, test.want, warnings)
			}
		})
	}
}
