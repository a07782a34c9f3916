// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// The worst case for path confusion: all is public except /admin.
const adminRules = `
	deny_by_default false
	path /admin/?? {
		? scope admin
	}`

func adminSite() site { return site{auth: "anonymous guest", pep: adminRules} }

// resolve reads a request target as a lenient server behind the gateway
// would: decoded once, backslashes as slashes, parameters cut off, dot
// segments resolved.
func resolve(target string) string {
	target, _, _ = strings.Cut(target, "?")
	target, _, _ = strings.Cut(target, "#")
	if rest, absolute := strings.CutPrefix(target, "http://"); absolute {
		_, target, _ = strings.Cut(rest, "/")
	}
	if decoded, err := url.PathUnescape(target); err == nil {
		target = decoded
	}
	elements := strings.Split(strings.ReplaceAll(target, `\`, "/"), "/")
	for i, element := range elements {
		elements[i], _, _ = strings.Cut(element, ";")
	}
	return path.Clean("/" + strings.Join(elements, "/"))
}

func isAdmin(target string) bool {
	resolved := resolve(target)
	return resolved == "/admin" || strings.HasPrefix(resolved, "/admin/")
}

// unprotected checks that a target does not reach /admin: the gateway or Go's
// server refuses it, or the upstream receives another path.
func (a *api) unprotected(client harness.Client, target string) *harness.Response {
	a.t.Helper()
	before := a.upstream.Count()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	response, err := client.Do(ctx, harness.Request{Method: "GET", Target: target})
	if err != nil {
		if ctx.Err() != nil {
			a.t.Fatalf("%s %q: no answer: %v", client.Protocol(), target, err)
		}
		response = &harness.Response{Status: 400, Body: err.Error()}
	}
	for _, received := range a.upstream.Received()[before:] {
		if isAdmin(received.Target) {
			a.t.Errorf("%s %q reached the upstream as %q without a token", client.Protocol(), target, received.Target)
		}
	}
	return response
}

// S-01, S-02, S-08: an ambiguous path is a bad request.
func TestSec_S01_S02_S08_AmbiguousPaths(t *testing.T) {
	t.Parallel()
	a := adminSite().start(t)
	for _, target := range []string{
		// dot segments
		"/public/../admin", "/public/%2e%2e/admin", "/public/.%2E/admin", "/public/%2e./admin",
		"/./admin", "/%2e/admin", "/public/..", "/public/.", "/..", "/admin/..", "/public/../../admin",
		"/public/..;/admin", "/public/..;x=y/admin",
		// encoded separators
		"/public/..%2fadmin/secret", "/public%2F..%2Fadmin", "/public%2fadmin", "/%2fadmin", "/admin%2f", "/admin%2Fsecret",
		"/public/..%5cadmin", "/public%5C..%5Cadmin", `/public\..\admin`, `/public\admin`, `/\admin`,
		// parameters
		"/admin;x", "/admin;jsessionid=1/x", "/;x/admin", "/admin%3bx", "/admin%3B", "/a;/admin",
		// control characters
		"/admin%00", "/admin%0a", "/admin%0d%0aX:1", "/%09admin", "/admin%7f", "/admin%1f",
		// invalid UTF-8
		"/admin%ff", "/%c0%afadmin", "/admin%c0%80", "/%e0%80%afadmin", "/admin%ed%a0%80",
	} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: target}, ambiguous)
			a.unprotected(client, target)
		}
	}
}

// S-01: unambiguous spellings of a path get the same decision, and the
// upstream receives the canonical one.
func TestSec_S01_OtherSpellingsOfAPath(t *testing.T) {
	t.Parallel()
	a := adminSite().start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "admin")
	weak := a.server.Token(t, todoApp, harness.Opaque, "email")
	for target, canonical := range map[string]string{
		"/admin":                 "/admin",
		"/admin/":                "/admin/",
		"//admin":                "/admin",
		"/admin//x":              "/admin/x",
		"///admin///":            "/admin/",
		"/%61dmin":               "/admin",
		"/%61%64%6D%69%6E/x":     "/admin/x",
		"/admin/%7Ex":            "/admin/~x",
		"/admin?x=/public/..":    "/admin?x=/public/..",
		"/admin?../../public":    "/admin?../../public",
		"/admin/x%3Fy":           "/admin/x%3Fy",
		"/admin/x%23y":           "/admin/x%23y",
		"/admin/x%20y":           "/admin/x%20y",
		"/admin/%252e%252e%252f": "/admin/%252e%252e%252f",
		"/admin/caf%C3%A9":       "/admin/caf%C3%A9",
	} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: target}, noTokenAnonymous)
			a.refusedOver(client, get(target, weak), missingScope("admin"))
			if echo := a.passedOver(client, get(target, token)); echo.Target != canonical {
				t.Errorf("%s %s: the upstream received %q, want %q", client.Protocol(), target, echo.Target, canonical)
			}
		}
	}
}

// noTokenAnonymous is how the PEP refuses an anonymous caller.
var noTokenAnonymous = want{status: 401, code: "unauthorized", reason: "no_token", challenge: []string{"Bearer "}}

// S-07: the query and what looks like a fragment are not part of the path.
func TestSec_S07_QueryAndFragment(t *testing.T) {
	t.Parallel()
	// /public is open, everything else is closed.
	a := site{pep: `
	path /public/?? {
		? scope email
	}
	path /private/?? {
		? scope admin
	}`}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "email")
	for _, target := range []string{
		"/private?x=/public/", "/private?/public", "/private%23/public", "/private/x%23/public/", "/private%3F/../public",
		"/private/secret%23/bar", "/private/?public",
	} {
		for _, client := range a.Clients() {
			response := a.SendOver(client, get(target, token))
			if response.Status != 403 && response.Status != 400 {
				t.Errorf("%s %s: got %s, want it refused", client.Protocol(), target, response)
			}
		}
	}
	// A raw # is not legal in a request target; Go reads it as part of the path.
	for _, target := range []string{"/private#/public", "/private#/../public"} {
		if response := a.Send(get(target, token)); response.Status == 200 {
			t.Errorf("%s: got %s, want it refused", target, response)
		}
	}
	if n := a.upstream.Count(); n != 0 {
		t.Errorf("the upstream received %d requests, want none", n)
	}
}

// S-04: paths are case-sensitive, as documented; hosts are not.
func TestSec_S04_CaseOfPathAndHost(t *testing.T) {
	t.Parallel()
	var hosts []string
	for i := range 101 {
		hosts = append(hosts, fmt.Sprintf("http://Host%d.example:{$PORT}", i))
	}
	server := sharedServer(t)
	upstream := harness.StartUpstream(t)
	config := site{}.config(upstream.Addr, server.Issuer)
	config.Caddyfile = strings.Replace(config.Caddyfile, "{$SITE} {", strings.Join(hosts, ", ")+", {$SITE} {", 1)
	a := &api{t: t, upstream: upstream, server: server}
	a.Gateway = harness.StartGateway(t, config)
	a.WaitReady("/", harness.Bearer("is-the-authorization-server-there"))
	token := server.Token(t, todoApp, harness.Opaque, "todos:read")

	for _, host := range []string{"host0.example", "HOST0.EXAMPLE", "hOsT100.eXample", "host50.example:1"} {
		fields := []harness.Field{{Name: "Host", Value: host}}
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: fields}, noToken)
			a.passedOver(client, get("/todos", token, fields...))
			a.refusedOver(client, get("/TODOS", token, fields...), noRule)
			a.refusedOver(client, get("/Todos", token, fields...), noRule)
		}
	}
	// Other hosts than the site's reach nothing.
	before := upstream.Count()
	for _, host := range []string{"host0.example.", "host101.example", "xhost0.example", "host0.example.evil", ""} {
		for _, client := range a.Clients() {
			if client.Protocol() == "HTTP/2" && host == "" {
				continue // it cannot leave the authority out
			}
			response := a.SendOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: []harness.Field{{Name: "Host", Value: host}}})
			if response.Echo() != nil {
				t.Errorf("%s Host %q: got %s, want no answer from the upstream", client.Protocol(), host, response)
			}
		}
	}
	if n := upstream.Count() - before; n != 0 {
		t.Errorf("the upstream received %d requests for other hosts, want none", n)
	}
}

// S-06: after strip_prefix, rewrite and handle_path the decision is about the
// path that the upstream receives. No spelling reaches /admin.
func TestSec_S06_DecisionAfterRewrites(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before string
		prefix string // what precedes the path that the decision is about
	}{
		{"nothing before", "", ""},
		{"uri strip_prefix", "uri strip_prefix /v1", "/v1"},
		{"uri replace", "uri replace /v1/ /", "/v1"},
		{"uri path_regexp", `uri path_regexp ^/v[0-9]+/ /`, "/v7"},
		{"rewrite", "@v1 path_regexp v1 ^/v1(/.*)$\n\trewrite @v1 {re.v1.1}", "/v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := adminSite()
			s.before = test.before
			a := s.start(t)
			token := a.server.Token(t, todoApp, harness.Opaque, "admin")
			for _, client := range a.Clients() {
				a.refusedOver(client, harness.Request{Method: "GET", Target: test.prefix + "/admin/x"}, noTokenAnonymous)
				if echo := a.passedOver(client, get(test.prefix+"/admin/x", token)); echo.Target != "/admin/x" {
					t.Errorf("%s: the upstream received %q, want /admin/x", client.Protocol(), echo.Target)
				}
				if echo := a.passedOver(client, harness.Request{Target: test.prefix + "/public"}); echo.Target != "/public" {
					t.Errorf("%s: the upstream received %q, want /public", client.Protocol(), echo.Target)
				}
			}
			a.randomSpellings(test.prefix)
		})
	}
}

// randomSpellings sends paths made of pieces that servers read differently.
func (a *api) randomSpellings(prefix string) {
	a.t.Helper()
	pieces := []string{
		"/", "/", "/", "//", "%2f", "%2F", "..", ".", "%2e", "%2E%2e", `\`, "%5c", ";", ";x=1", "%3b", "?", "#", "%23", "%3f",
		"admin", "admin", "Admin", "%61dmin", "adm%69n", "public", "v1", "%76%31", "%", "%zz", "%252e", "%252f", "%00", "%ff", "~", "%7e", " ", "\t",
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 6))
	for range 400 {
		var target strings.Builder
		if random.IntN(4) > 0 {
			target.WriteString(prefix)
		}
		target.WriteString("/")
		for range 1 + random.IntN(7) {
			target.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := target.String()
		for _, client := range a.Clients() {
			if client.Protocol() == "HTTP/1.1" && strings.ContainsAny(text, " \t") {
				continue // it would end the request target
			}
			a.unprotected(client, text)
		}
		if a.t.Failed() {
			a.t.Fatalf("with the seed %d", seed)
		}
	}
}

// S-13: methods match exactly; method override headers are ignored.
func TestSec_S13_Methods(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for _, method := range []string{"get", "Get", "post", "Delete", "pROPFIND"} {
		for _, client := range a.Clients() {
			request := get("/todos", token)
			request.Method = method
			a.refusedOver(client, request, want{status: 400, code: "invalid_request", reason: "malformed_request"})
		}
	}
	for _, method := range []string{"GETX", "XGET", "PROPFIND", "OPTIONS", "TRACE", "PATCH", "DELETE"} {
		for _, client := range a.Clients() {
			request := get("/todos", token, harness.Field{Name: "X-HTTP-Method-Override", Value: "GET"})
			request.Method = method
			a.refusedOver(client, request, noRule)
		}
	}
	before := a.upstream.Count()
	for _, line := range []string{
		"GET\t/todos HTTP/1.1", "GET  /todos HTTP/1.1", " GET /todos HTTP/1.1", "GET /todos", "GET /todos HTTP/1.1 HTTP/1.1",
		"GET /todos HTTP/9.9", "G\x00ET /todos HTTP/1.1", "GET todos HTTP/1.1", "CONNECT /todos HTTP/1.1", "CONNECT todos:80 HTTP/1.1",
		"OPTIONS * HTTP/1.1", "GET * HTTP/1.1",
	} {
		raw := line + "\r\nHost: " + a.Addr + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		response, err := harness.SendAndHangUp(t.Context(), a.Addr, []byte(raw))
		if err == nil && response.Echo() != nil {
			t.Errorf("%q: got %s, want it refused", line, response)
		}
	}
	if n := a.upstream.Count() - before; n != 0 {
		t.Errorf("the upstream received %d of these requests, want none", n)
	}
}

// The decision about an absolute-form target depends on its path, not its host.
func TestSec_S01_AbsoluteForm(t *testing.T) {
	t.Parallel()
	a := adminSite().start(t)
	for _, target := range []string{
		"http://" + a.Addr + "/admin", "http://" + a.Addr + "//admin", "http://" + a.Addr + "/public/../admin",
		"http://other.example/admin", "HTTP://" + a.Addr + "/admin",
	} {
		response := a.unprotected(harness.HTTP1(a.Addr), target)
		if response.Echo() != nil {
			t.Errorf("%s: got %s, want it refused", target, response)
		}
	}
}

// S-14: a request with several credentials is refused; the gateway picks none.
func TestSec_S14_SeveralCredentials(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	read := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	admin := a.server.Token(t, todoApp, harness.Opaque, "admin")
	for _, client := range a.Clients() {
		for _, fields := range [][]harness.Field{
			{harness.Bearer(read), harness.Bearer(admin)},
			{harness.Bearer(admin), harness.Bearer(read)},
			{harness.Bearer(read), {Name: "authorization", Value: "Bearer " + read}},
			{{Name: "Authorization", Value: "Bearer " + read + ", Bearer " + admin}},
		} {
			a.refusedOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: fields}, malformed)
		}
	}
}

// S-16, S-46, S-48: a token that passed one rule is checked again by the next,
// in both orders, even if only one path element differs.
func TestSec_S16_S46_S48_DecisionsAreNotCarriedOver(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read todos:hh")
	post := get("/todos", token)
	post.Method = "POST"
	for range 3 {
		a.passed(get("/todos", token))
		a.refused(post, missingScope("todos:write"))
		a.passed(get("/todos/hh", token))
		a.refused(get("/todos/ll", token), missingScope(""))
		a.refused(get("/todos/todos:hh", token), missingScope(""))
	}
}
