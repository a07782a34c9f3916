// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const answersCaddyfile = `
{
	debug
	servers {
		protocols h1 h2c
	}
	gluu {
		provider {
			issuer {$ISSUER}
			introspection_endpoint {$ISSUER}/introspect
			verify introspection
			audience api
			client_id gateway
			client_secret {env.CLIENT_SECRET}
		}
		consumer ann {
			custom_id app
		}
		FORMAT
	}
}
{$SITE} {
	gluu_cors {
		origins https://app.example.com
		credentials true
		max_age 600
	}
	handle /dry/* {
		gluu_oauth_auth
		gluu_oauth_pep {
			path /dry/?? {
				GET scope admin
			}
			dry_run
		}
		reverse_proxy {$UPSTREAM}
	}
	handle {
		gluu_oauth_auth
		gluu_oauth_pep {
			log_grants
			path /todos {
				GET scope read
				POST scope write
			}
			path /transfers {
				POST scope read {
					acr urn:example:gold urn:example:platinum
					max_age 10m
				}
			}
		}
		reverse_proxy {$UPSTREAM}
	}
	handle_errors {
		header Content-Type text/plain
		respond "{err.status_code} {gluu.error} {gluu.error.reason} {gluu.rule}: {gluu.error.description}"
	}
}
`

func startAnswers(t *testing.T, format string) *api {
	t.Helper()
	now := time.Now().Unix()
	server := httptest.NewServer(claimsServer{
		"token-that-may-read-only": {"jti": "1"},
		"token-of-a-strong-login-": {"acr": "urn:example:gold", "auth_time": now},
		"token-of-a-weak-login---": {"acr": "urn:example:bronze", "auth_time": now},
		"token-of-an-old-login---": {"acr": "urn:example:platinum", "auth_time": now - 3600},
		"token-of-a-silent-server": {},
	})
	t.Cleanup(server.Close)
	a := &api{t: t, upstream: harness.StartUpstream(t)}
	a.Gateway = harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(answersCaddyfile, "FORMAT", "error_format "+format, 1),
		Env:       map[string]string{"ISSUER": server.URL, "UPSTREAM": a.upstream.Addr, "CLIENT_SECRET": gatewaySecret},
	})
	a.Forbid(gatewaySecret)
	return a
}

// With error_format caddy the site writes the answer. It keeps the status and
// the challenge, and placeholders tell it the reason.
func TestErrorsGoToHandleErrors(t *testing.T) {
	t.Parallel()
	a := startAnswers(t, "caddy")
	for _, test := range []struct {
		request   harness.Request
		body      string
		challenge string
	}{
		{harness.Request{Target: "/todos"}, "401 unauthorized no_token : ", `Bearer realm="api"`},
		{harness.Request{Method: "POST", Target: "/todos", Fields: []harness.Field{harness.Bearer("token-that-may-read-only")}},
			"403 insufficient_scope scope_missing /todos: ", `Bearer realm="api", error="insufficient_scope", scope="write"`},
		{get("/nowhere", "token-that-may-read-only"), "403 access_denied no_rule : ", ""},
		{get("/a%2fb", "token-that-may-read-only"), "400 invalid_request ambiguous_path : ", ""},
	} {
		for _, client := range a.Clients() {
			response := a.SendOver(client, test.request)
			if !strings.HasPrefix(response.Body, test.body) || len(response.Body) == len(test.body) ||
				response.Header.Get("Content-Type") != "text/plain" {
				t.Errorf("%s %s: got %s, want the body %q", client.Protocol(), test.request.Target, response, test.body)
			}
			if got := response.Header.Get("WWW-Authenticate"); got != test.challenge {
				t.Errorf("%s %s: the challenge is %q, want %q", client.Protocol(), test.request.Target, got, test.challenge)
			}
			if want := test.body[:3]; strconv.Itoa(response.Status) != want {
				t.Errorf("%s %s: the status is %d, want %s", client.Protocol(), test.request.Target, response.Status, want)
			}
		}
	}
}

// RFC 9470: step-up authentication. The challenge says what to ask for.
func TestStepUp(t *testing.T) {
	t.Parallel()
	a := startAnswers(t, "json")
	transfer := func(token string) harness.Request {
		request := get("/transfers", token)
		request.Method = "POST"
		return request
	}
	a.passed(transfer("token-of-a-strong-login-"))
	wanted := want{status: 401, code: "insufficient_user_authentication", reason: "step_up_required", challenge: []string{
		`Bearer realm="api"`, `error="insufficient_user_authentication"`,
		`acr_values="urn:example:gold urn:example:platinum"`, `max_age="600"`,
	}}
	for _, client := range a.Clients() {
		for _, token := range []string{"token-of-a-weak-login---", "token-of-an-old-login---", "token-of-a-silent-server"} {
			a.refusedOver(client, transfer(token), wanted)
		}
		a.refusedOver(client, harness.Request{Method: "POST", Target: "/transfers"}, noToken)
	}
}

// A dry run lets pass what it would refuse, and logs it.
func TestDryRunRefusesNothing(t *testing.T) {
	t.Parallel()
	a := startAnswers(t, "json")
	mark := a.Log.Mark()
	a.passed(get("/dry/x", "token-that-may-read-only"))
	entry := a.WaitReason(mark, "scope_missing")
	if entry.Text("msg") != "request would be refused" || entry.Text("rule") != "/dry/??" || entry.Text("consumer") != "ann" || entry["status"] != 403.0 {
		t.Errorf("got the record %v, want a 403 that would be refused by /dry/?? for ann", entry)
	}
	mark = a.Log.Mark()
	a.passed(harness.Request{Method: "DELETE", Target: "/dry/x", Fields: []harness.Field{harness.Bearer("token-that-may-read-only")}})
	a.WaitReason(mark, "no_rule")
	// A request without a token is refused by the authentication handler.
	a.refused(harness.Request{Method: "GET", Target: "/dry/x"}, noToken)
}

func TestGrantsAreLoggedWhereAskedFor(t *testing.T) {
	t.Parallel()
	a := startAnswers(t, "json")
	a.passed(get("/todos?access=secret-in-a-query", "token-that-may-read-only"))
	a.passed(get("/dry/x", "token-that-may-read-only")) // no log_grants there
	var granted []harness.Entry
	harness.Eventually(t, patience, func() string {
		granted = a.Log.Entries(func(e harness.Entry) bool { return e.Text("msg") == "request granted" })
		if len(granted) == 0 {
			return "no grant is in the log"
		}
		return ""
	})
	if len(granted) != 1 {
		t.Fatalf("%d grants are in the log, want 1: %v", len(granted), granted)
	}
	for name, want := range map[string]string{
		"rule": "/todos", "client_id": "app", "consumer": "ann", "provider": "default", "method": "GET", "path": "/todos",
	} {
		if got := granted[0].Text(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A preflight carries no credential, so it is answered before authentication.
// The request that follows is checked as usual, and the page can read why it
// was refused.
func TestPreflightsAreAnsweredBeforeAuthentication(t *testing.T) {
	t.Parallel()
	a := startAnswers(t, "json")
	preflight := func(origin string) harness.Request {
		return harness.Request{Method: "OPTIONS", Target: "/todos", Fields: []harness.Field{
			{Name: "Origin", Value: origin},
			{Name: "Access-Control-Request-Method", Value: "POST"},
			{Name: "Access-Control-Request-Headers", Value: "authorization"},
		}}
	}
	for _, client := range a.Clients() {
		response := a.SendOver(client, preflight("https://app.example.com"))
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      "https://app.example.com",
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Max-Age":           "600",
		} {
			if got := response.Header.Get(name); got != want || response.Status >= 300 {
				t.Errorf("%s: %d with %s %q, want %q", client.Protocol(), response.Status, name, got, want)
			}
		}
		response = a.SendOver(client, preflight("https://evil.example"))
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: another origin: got Access-Control-Allow-Origin %q, want none", client.Protocol(), got)
		}
		response = a.SendOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: []harness.Field{{Name: "Origin", Value: "https://app.example.com"}}})
		if response.Status != 401 || response.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
			t.Errorf("%s: got %s with Access-Control-Allow-Origin %q, want a 401 that the page can read",
				client.Protocol(), response, response.Header.Get("Access-Control-Allow-Origin"))
		}
		// OPTIONS that is not a preflight is a method like any other.
		response = a.SendOver(client, harness.Request{Method: "OPTIONS", Target: "/todos"})
		if response.Status != 401 {
			t.Errorf("%s: OPTIONS without a token: got %s, want 401", client.Protocol(), response)
		}
	}
	if got := a.upstream.Count(); got != 0 {
		t.Errorf("the upstream received %d requests, want none", got)
	}
}
