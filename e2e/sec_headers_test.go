// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// identityHeaders are all names that the standard set can have.
var identityHeaders = []string{
	"X-Consumer-ID", "X-Consumer-Custom-ID", "X-Consumer-Username", "X-OAuth-Client-ID", "X-OAuth-Expiration",
	"X-RPT-Expiration", "X-Authenticated-Scope", "X-Authenticated-Userid", "X-Anonymous-Consumer", "X-Consumer-Groups", "X-Credential-Identifier",
}

// spellings are the ways to write a header name that some backend takes for
// the same one (CGI and WSGI turn `-` into `_`, some servers `.` too).
func spellings(name string) []string {
	return []string{
		name,
		strings.ToLower(name),
		strings.ToUpper(name),
		strings.ReplaceAll(name, "-", "_"),
		strings.ToLower(strings.ReplaceAll(name, "-", "_")),
		strings.ReplaceAll(name, "-", "."),
		strings.Replace(name, "-", "_", 1),
	}
}

// fold is the comparison of such a backend.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return r
	}, strings.ToLower(name))
}

const forged = "forged-by-the-client"

// forgeAll sends every identity header in every spelling.
func forgeAll() []harness.Field {
	var fields []harness.Field
	for _, name := range identityHeaders {
		for _, spelling := range spellings(name) {
			fields = append(fields, harness.Field{Name: spelling, Value: forged})
		}
	}
	return fields
}

// noForgery fails for every header with the forged value, and for every name
// of the standard set that occurs more than once.
func noForgery(t *testing.T, what string, echo *harness.Received) {
	t.Helper()
	count := map[string]int{}
	for _, field := range echo.Fields {
		if strings.Contains(field.Value, forged) {
			t.Errorf("%s: the upstream received %s: %s", what, field.Name, field.Value)
		}
		count[fold(field.Name)]++
	}
	for _, name := range identityHeaders {
		if n := count[fold(name)]; n > 1 {
			t.Errorf("%s: the upstream received %d headers that fold to %s", what, n, name)
		}
	}
}

// S-18, S-20: a header that the gateway does not set on this request must
// not come from the client instead, in no spelling.
func TestSec_S18_S20_ForgedIdentityHeaders(t *testing.T) {
	t.Parallel()
	anonymous := site{auth: "anonymous guest", pep: todoRules + "\n\tdeny_by_default false"}.start(t)
	silent := site{auth: "upstream_headers off\nconsumer_mapping false"}.start(t)
	token := anonymous.server.Token(t, secondApp, harness.Opaque, "todos:read")
	mapped := anonymous.server.Token(t, todoApp, harness.JWT, "todos:read")

	for _, test := range []struct {
		name   string
		api    *api
		target string
		fields []harness.Field
	}{
		{"verified", anonymous, "/todos", []harness.Field{harness.Bearer(mapped)}},
		{"anonymous without a token", anonymous, "/open", nil},
		{"anonymous with a bad token", anonymous, "/open", []harness.Field{harness.Bearer("bad-token-bad-token")}},
		{"no headers set, no consumer", silent, "/todos", []harness.Field{harness.Bearer(token)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := *test.api
			in.t = t
			for _, client := range in.Clients() {
				echo := in.passedOver(client, harness.Request{Target: test.target, Fields: append(forgeAll(), test.fields...)})
				noForgery(t, client.Protocol(), echo)
			}
		})
	}
}

// S-18: a site without an authentication handler, in a configuration that
// sets the headers elsewhere, does not let them through to a PEP's upstream.
func TestSec_S18_EnforcementWithoutAuthentication(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	upstream := harness.StartUpstream(t)
	config := site{}.config(upstream.Addr, server.Issuer)
	config.Caddyfile = strings.Replace(config.Caddyfile, "gluu_oauth_auth {\n\t\t\n\t}", "", 1)
	if strings.Contains(config.Caddyfile, "gluu_oauth_auth") {
		t.Fatalf("the authentication is still in\n%s", config.Caddyfile)
	}
	a := &api{t: t, upstream: upstream, server: server}
	a.Gateway = harness.StartGateway(t, config)
	token := server.Token(t, todoApp, harness.JWT, "todos:read")
	for _, client := range a.Clients() {
		a.refusedOver(client, get("/todos", token, forgeAll()...),
			want{status: 403, code: "access_denied", reason: "not_authenticated"})
	}
}

// S-22: Connection cannot name the gateway's headers as hop-by-hop.
func TestSec_S22_ConnectionCannotRemoveIdentityHeaders(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for _, connection := range [][]harness.Field{
		{{Name: "Connection", Value: "X-Consumer-ID"}},
		{{Name: "connection", Value: "close, x-consumer-id, X-CONSUMER-USERNAME"}},
		{{Name: "CONNECTION", Value: "keep-alive"}, {Name: "Connection", Value: "X-OAuth-Client-ID,X-Consumer-ID"}},
		{{Name: "Connection", Value: "Authorization"}},
	} {
		echo := a.passed(get("/todos", token, connection...))
		for name, want := range map[string]string{
			"X-Consumer-ID":       "5c9ec0ef-1f0b-4d0a-9c53-3f1c3f2a7a01",
			"X-Consumer-Username": "todo-app",
			"X-OAuth-Client-ID":   todoApp,
		} {
			if got := echo.Value(name); got != want {
				t.Errorf("with %q: %s is %q, want %q", connection, name, got, want)
			}
		}
	}
}

// S-18: trailers arrive after the decision; those with an identity header's
// name are not announced to the upstream and not sent.
func TestSec_S18_Trailers(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	token := a.server.Token(t, todoApp, harness.Opaque, "todos:write")
	raw := "POST /todos HTTP/1.1\r\nHost: " + a.Addr + "\r\nAuthorization: Bearer " + token + "\r\n" +
		"Transfer-Encoding: chunked\r\nTrailer: X-Consumer-ID, x_oauth_client_id, X-Harmless\r\n\r\n" +
		"1\r\nx\r\n0\r\nX-Consumer-ID: " + forged + "\r\nx_oauth_client_id: " + forged + "\r\nX-Harmless: 1\r\n\r\n"
	a.Forbid(token)
	response, err := harness.SendRaw(t.Context(), a.Addr, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	echo := response.Echo()
	if echo == nil {
		t.Fatalf("got %s", response)
	}
	noForgery(t, "trailers", echo)
	if got := echo.Value("Trailer"); strings.Contains(fold(got), "consumer") || strings.Contains(fold(got), "oauth") {
		t.Errorf("the upstream was promised the trailers %q", got)
	}
}

// S-24, S-27: nothing that a client says about itself or about the request,
// beside its credential, changes the decision.
func TestSec_S24_S27_ClientHeadersChangeNoDecision(t *testing.T) {
	t.Parallel()
	a := site{}.start(t)
	read := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	for _, fields := range [][]harness.Field{
		{{Name: "X-Forwarded-For", Value: "127.0.0.1"}, {Name: "X-Real-IP", Value: "127.0.0.1"}},
		{{Name: "X-Forwarded-Uri", Value: "/open"}, {Name: "X-Original-URL", Value: "/open"}, {Name: "X-Rewrite-URL", Value: "/open"}},
		{{Name: "X-Forwarded-Method", Value: "GET"}, {Name: "X-HTTP-Method-Override", Value: "GET"}, {Name: "X-HTTP-Method", Value: "GET"}},
		{{Name: "X-Forwarded-Host", Value: "internal"}, {Name: "Forwarded", Value: `for=127.0.0.1;host=internal;proto=https`}},
		{{Name: "User-Agent", Value: "GoogleHC/1.0"}, {Name: "User-Agent", Value: "kube-probe/1.30"}},
		{{Name: "Content-Type", Value: "application/json-rpc"}, {Name: "Accept", Value: "text/event-stream"}},
	} {
		for _, client := range a.Clients() {
			a.refusedOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: fields}, noToken)
			a.refusedOver(client, harness.Request{
				Method: "POST", Target: "/todos", Fields: append([]harness.Field{harness.Bearer(read)}, fields...),
			}, missingScope("todos:write"))
		}
	}
}
