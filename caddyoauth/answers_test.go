// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"fmt"
	"strings"
	"testing"
)

const simpleApp = `
consumer ann {
	custom_id client-a
}
consumer guest
`

const simplePEP = `gluu_oauth_pep {
	path /todos/? {
		GET scope read and list
		POST scope write or admin
	}
}
reverse_proxy {upstream}
`

// The table of answers: status, challenge, error code and reason code.
func TestAnswersToRefusedClients(t *testing.T) {
	g := start(t, simpleApp, "gluu_oauth_auth\n"+simplePEP)
	g.auth.issue("good", claims("client-a", "read list"))
	g.auth.issue("narrow", claims("client-a", "other"))
	g.auth.issue("stranger", claims("client-x", "read list"))
	g.auth.issue("elsewhere", claims("client-a", "read list", "aud", "another-api"))
	g.auth.issue("over", claims("client-a", "read list", "exp", 1))
	g.auth.issue("bound", claims("client-a", "read list", "cnf", map[string]any{"jkt": strings.Repeat("A", 43)}))

	const invalidToken = `Bearer realm="api", error="invalid_token"`
	tests := []struct {
		name, method, target, authorization string
		status                              int
		challenge, code, reason             string
	}{
		{"granted", "GET", "/todos/1", "Bearer good", 200, "", "", ""},
		{"scheme in another case", "GET", "/todos/1", "bEaReR   good", 200, "", "", ""},
		{"no token", "GET", "/todos/1", "", 401, `Bearer realm="api"`, "unauthorized", "no_token"},
		{"empty header", "GET", "/todos/1", " ", 401, `Bearer realm="api"`, "unauthorized", "no_token"},
		{"another scheme", "GET", "/todos/1", "Basic Zm9vOmJhcg==", 401, `Bearer realm="api"`, "unauthorized", "no_token"},
		{"Bearer alone", "GET", "/todos/1", "Bearer", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"two words", "GET", "/todos/1", "Bearer good good", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"two tokens in one", "GET", "/todos/1", "Bearer good, Bearer good", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"two headers", "GET", "/todos/1", "Bearer good\nAuthorization: Bearer good", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"a header of another scheme beside", "GET", "/todos/1", "Basic Zg==\nauthorization: Bearer good", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"tab", "GET", "/todos/1", "Bearer\tgood", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"padding within", "GET", "/todos/1", "Bearer go=od", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"only padding", "GET", "/todos/1", "Bearer ==", 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"too long", "GET", "/todos/1", "Bearer " + strings.Repeat("a", 16<<10+1), 400, `Bearer realm="api", error="invalid_request"`, "invalid_request", "malformed_request"},
		{"unknown token", "GET", "/todos/1", "Bearer nonsense", 401, invalidToken, "invalid_token", "token_inactive"},
		{"wrong audience", "GET", "/todos/1", "Bearer elsewhere", 401, invalidToken, "invalid_token", "token_invalid"},
		{"expired", "GET", "/todos/1", "Bearer over", 401, invalidToken, "invalid_token", "token_expired"},
		{"unknown consumer", "GET", "/todos/1", "Bearer stranger", 401, invalidToken, "invalid_token", "unknown_consumer"},
		{"bound token as plain bearer", "GET", "/todos/1", "Bearer bound", 401, `DPoP realm="api", error="invalid_token"`, "invalid_token", "token_bound"},
		{"scopes missing", "GET", "/todos/1", "Bearer narrow", 403, `Bearer realm="api", error="insufficient_scope", scope="read list"`, "insufficient_scope", "scope_missing"},
		{"scopes missing, no single set", "POST", "/todos/1", "Bearer narrow", 403, `Bearer realm="api", error="insufficient_scope"`, "insufficient_scope", "scope_missing"},
		{"no rule for the path", "GET", "/other", "Bearer good", 403, "", "access_denied", "no_rule"},
		{"no rule for the method", "DELETE", "/todos/1", "Bearer good", 403, "", "access_denied", "no_rule"},
		{"ambiguous path", "GET", "/todos/%2e%2e", "Bearer good", 400, "", "invalid_request", "ambiguous_path"},
		{"too long a path", "GET", "/todos/" + strings.Repeat("a", 16<<10), "Bearer good", 414, "", "invalid_request", "path_too_long"},
		{"HEAD is judged as GET", "HEAD", "/todos/1", "Bearer narrow", 403, `Bearer realm="api", error="insufficient_scope", scope="read list"`, "", "scope_missing"},
		{"OPTIONS is a method like any other", "OPTIONS", "/todos/1", "Bearer good", 403, "", "access_denied", "no_rule"},
		{"method in lower case", "get", "/todos/1", "Bearer good", 400, "", "invalid_request", "malformed_request"},
		{"asterisk", "GET", "*", "Bearer good", 400, "", "invalid_request", "ambiguous_path"},
		{"CONNECT", "CONNECT", "ADDRESS", "Bearer good", 400, "", "invalid_request", "ambiguous_path"},
		{"absolute form", "GET", "http://ADDRESS/todos/1", "Bearer good", 200, "", "", ""},
		{"absolute form without a rule", "GET", "http://ADDRESS/other", "Bearer good", 403, "", "access_denied", "no_rule"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, passed := len(g.records("request refused")), g.upstream.requests()
			target := strings.ReplaceAll(test.target, "ADDRESS", g.address)
			request := test.method + " " + target + " HTTP/1.1\nHost: " + g.address
			if test.authorization != "" {
				request += "\nAuthorization: " + test.authorization
			}
			got := g.send(request)
			if got.status != test.status || strings.Join(got.header["Www-Authenticate"], "|") != test.challenge || (test.status != 200 && got.code() != test.code) {
				t.Errorf("got %d, challenge %q, body %s; want %d, challenge %q, code %q",
					got.status, got.header["Www-Authenticate"], got.body, test.status, test.challenge, test.code)
			}
			refused := g.records("request refused")
			if test.status == 200 {
				if len(refused) != before {
					t.Errorf("got a record of a refusal: %v", refused[len(refused)-1])
				}
				return
			}
			if g.upstream.requests() != passed {
				t.Error("the request reached the upstream")
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got Cache-Control %q, want no-store", got.header.Get("Cache-Control"))
			}
			if len(refused) != before+1 || refused[before]["reason"] != test.reason {
				t.Errorf("got records %v, want one with the reason %s", refused[before:], test.reason)
			}
		})
	}
}

// A rule is named only by the handler that has it.
func TestTheRuleOfAnotherHandlerIsNotNamed(t *testing.T) {
	const pep = "gluu_oauth_pep {\npath %s {\nGET scope read\n}\n%s}\n"
	for _, second := range []string{"", "dry_run\n"} {
		g := start(t, simpleApp+"error_format caddy\n", "route {\ngluu_oauth_auth\n"+fmt.Sprintf(pep, "/a/??", "")+fmt.Sprintf(pep, "/a/b", second)+
			"reverse_proxy {upstream}\n}\nhandle_errors {\nrespond \"rule={gluu.rule}\"\n}\n")
		g.auth.issue("one", claims("client-a", "read"))
		message, answer := "request refused", "rule="
		if second != "" {
			message, answer = "request would be refused", ""
		}
		if got := g.get("/a/x", "one"); answer != "" && got.body != answer {
			t.Errorf("got %q, want %q", got.body, answer)
		}
		if got := g.records(message); len(got) != 1 || got[0]["rule"] != "" || got[0]["reason"] != "no_rule" {
			t.Errorf("got %v, want one line with no_rule and no rule", got)
		}
		if got := g.get("/a/b", "one"); got.status != 200 {
			t.Errorf("got %d %s where both have a rule", got.status, got.body)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnAuthorizationServerThatIsAwayIs503(t *testing.T) {
	for _, site := range []string{"gluu_oauth_auth\n", "gluu_oauth_auth {\nanonymous guest\n}\n"} {
		g := start(t, simpleApp, site+simplePEP)
		g.auth.issue("cached", claims("client-a", "read list"))
		if got := g.get("/todos/1", "cached"); got.status != 200 {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		g.auth.setDown(true)
		got := g.get("/todos/1", "new")
		if got.status != 503 || got.header.Get("Retry-After") == "" || got.header.Get("Www-Authenticate") != "" || got.code() != "temporarily_unavailable" {
			t.Errorf("got %d %v %s, want 503 with Retry-After and no challenge", got.status, got.header, got.body)
		}
		if reason := g.lastReason(); reason != "provider_unavailable" {
			t.Errorf("got reason %s", reason)
		}
		if got := g.get("/todos/1", "cached"); got.status != 200 {
			t.Errorf("a token that is remembered got %d", got.status)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	}
}
