// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// With an anonymous consumer the authentication handler lets every caller in.
// The PEP does not: to it an anonymous caller has no token.
func TestAnonymousCallers(t *testing.T) {
	t.Parallel()
	a := site{
		auth: "anonymous guest",
		pep: todoRules + `
	deny_by_default false`,
	}.start(t)
	valid := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
	stranger := a.server.Token(t, secondApp, harness.Opaque, "todos:read")
	unknown := "an-unknown-token-0123456789abcdef"

	for name, fields := range map[string][]harness.Field{
		"no token":                    nil,
		"another scheme":              {{Name: "Authorization", Value: "Basic Z3Vlc3Q6Z3Vlc3Q="}},
		"an unknown token":            {harness.Bearer(unknown)},
		"a client without a consumer": {harness.Bearer(stranger)},
		"forged identity headers":     {{Name: "X-Consumer-Username", Value: "todo-app"}, {Name: "X-Anonymous-Consumer", Value: "false"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := *a
			in.t = t
			for _, client := range a.Clients() {
				echo := in.passedOver(client, harness.Request{Target: "/open", Fields: fields})
				for name, want := range map[string]string{
					"X-Anonymous-Consumer": "true",
					"X-Consumer-ID":        "7f6fcd0a-52b5-4d2f-8a6e-0a1b2c3d4e5f",
					"X-Consumer-Username":  "guest",
					"X-OAuth-Client-ID":    "",
					// A credential that was not accepted is not forwarded.
					"Authorization": "",
				} {
					if got := echo.Value(name); got != want {
						t.Errorf("%s: %s is %q, want %q", client.Protocol(), name, got, want)
					}
				}
				in.refusedOver(client, harness.Request{Method: "GET", Target: "/todos", Fields: fields},
					want{status: 401, code: "unauthorized", reason: "no_token", challenge: []string{"Bearer "}})
			}
		})
	}

	t.Run("a malformed request is refused", func(t *testing.T) {
		a.refused(harness.Request{Method: "GET", Target: "/open", Fields: []harness.Field{
			{Name: "Authorization", Value: "Bearer"},
		}}, malformed)
	})
	t.Run("a valid token is not anonymous", func(t *testing.T) {
		echo := a.passed(get("/todos", valid))
		if got := echo.Values("X-Anonymous-Consumer"); len(got) > 0 {
			t.Errorf("X-Anonymous-Consumer: got %q, want none", got)
		}
	})
}

// While the authorization server is unavailable, callers are not treated as
// anonymous and tokens are not called invalid.
func TestAuthorizationServerUnavailable(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, auth string }{
		{"without anonymous", ""},
		{"with anonymous", "anonymous guest"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := site{auth: test.auth, server: ownServer(t)}.start(t)
			known := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
			unseen := a.server.Token(t, todoApp, harness.Opaque, "todos:read")
			a.passed(get("/todos", known))

			mark := a.Log.Mark()
			for name, fault := range map[string]struct {
				status int
				code   string
			}{
				"refusing":   {500, "x"},
				"overloaded": {429, "x"},
				"denying us": {401, "invalid_client"}, // any other 401 would be about the token
			} {
				a.server.Fault(harness.IntrospectionPath, harness.Answer(fault.status, "application/json", fmt.Sprintf(`{"error":%q}`, fault.code)))
				response := a.Get("/todos", harness.Bearer(unseen))
				if response.Status != 503 || response.Header.Get("Retry-After") == "" {
					t.Errorf("%s: got %s with Retry-After %q, want 503 with one", name, response, response.Header.Get("Retry-After"))
				}
				if code, _ := response.Error(); code != "temporarily_unavailable" {
					t.Errorf("%s: got error %q, want temporarily_unavailable", name, code)
				}
			}
			a.WaitReason(mark, "provider_unavailable")
			a.server.Fault("*", harness.CloseConnection)
			a.passed(get("/todos", known))

			a.server.Fault("*", nil)
			a.server.Fault(harness.IntrospectionPath, nil)
			a.WaitReady("/todos", harness.Bearer(unseen))
			a.passed(get("/todos", unseen))
		})
	}
}

// A gateway can start before its authorization server.
func TestGatewayStartsBeforeItsAuthorizationServer(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	server.Fault("*", harness.CloseConnection)
	upstream := harness.StartUpstream(t)
	a := &api{t: t, upstream: upstream, server: server}
	a.Gateway = harness.StartGateway(t, site{}.config(upstream.Addr, server.Issuer))
	a.Forbid(gatewaySecret)

	a.refused(harness.Request{Method: "GET", Target: "/todos"}, noToken)
	if response := a.Get("/todos", harness.Bearer("some-token-some-token")); response.Status != 503 {
		t.Errorf("got %s, want 503", response)
	}
	server.Fault("*", nil)
	token := server.Token(t, todoApp, harness.JWT, "todos:read")
	a.WaitReady("/todos", harness.Bearer(token))
	a.passed(get("/todos", token))
}
