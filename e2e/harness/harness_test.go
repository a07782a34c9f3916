// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net/http"
	"strings"
	"testing"
)

// These tests show that the harness can be trusted: what a test sends arrives
// byte for byte, and what the harness reports is true.

func TestUpstreamReceivesWhatWasSent(t *testing.T) {
	upstream := StartUpstream(t)
	client := HTTP1(upstream.Addr)
	response, err := client.Do(t.Context(), Request{
		Method: "POST",
		Target: "/a/../b//%2e%2E;x?q=%zz",
		Fields: []Field{{"x_a", "1"}, {"X-A", "2"}, {"x-A", " 3"}},
		Body:   "body",
	})
	if err != nil {
		t.Fatal(err)
	}
	echo := upstream.Received()[0]
	if echo.Target != "/a/../b//%2e%2E;x?q=%zz" {
		t.Errorf("got target %q, want it unchanged", echo.Target)
	}
	if got := strings.Join(echo.Values("x-a"), ","); got != "2,3" {
		t.Errorf("X-A: got %q, want 2,3", got)
	}
	if got := echo.Fields[1]; got != (Field{"x_a", "1"}) {
		t.Errorf("second line: got %q, want x_a: 1", got)
	}
	if echo.Body != "body" || response.Status != http.StatusOK {
		t.Errorf("got body %q and answer %s, want \"body\" and 200", echo.Body, response)
	}
}

func TestGatewayPassesBothProtocols(t *testing.T) {
	upstream := StartUpstream(t)
	gateway := StartGateway(t, GatewayConfig{
		Caddyfile: `
{
	servers {
		protocols h1 h2c
	}
}
{$SITE} {
	reverse_proxy {$UPSTREAM}
}`,
		Env: map[string]string{"UPSTREAM": upstream.Addr},
	})
	for _, client := range gateway.Clients() {
		for _, target := range []string{"/plain", "//double", "/dots/../up", "/enc%2foded%2e"} {
			response := gateway.SendOver(client, Request{Target: target, Fields: []Field{{"X-Test", "1"}}})
			echo := response.Echo()
			if echo == nil {
				t.Errorf("%s %s: %s", client.Protocol(), target, response)
				continue
			}
			if echo.Target != target || echo.Value("X-Test") != "1" {
				t.Errorf("%s %s: upstream received %+v", client.Protocol(), target, echo)
			}
		}
	}
}

func TestRelayCountsAndAnswersItself(t *testing.T) {
	upstream := StartUpstream(t)
	relay := StartRelay(t, upstream.Addr)
	client := HTTP1(relay.Addr)
	get := func(target string) *Response {
		t.Helper()
		response, err := client.Do(t.Context(), Request{Target: target})
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	if echo := get("/x").Echo(); echo == nil || echo.Value("Host") != relay.Addr {
		t.Errorf("got %+v, want it forwarded with the relay's Host", echo)
	}
	relay.Fault("/x", Answer(500, "text/plain", "no"))
	if response := get("/x"); response.Status != 500 {
		t.Errorf("with a fault: got %s, want 500", response)
	}
	relay.Fault("/x", nil)
	get("/x")
	if relay.Count("/x") != 3 {
		t.Errorf("got the counts %v, want 3 for /x", relay.Counts())
	}
}

func TestOIDCProviderGivesTokens(t *testing.T) {
	server := StartOIDCProvider(t, OIDCConfig{
		Scopes: []string{"todos:read", "todos:write"},
		Clients: []map[string]any{
			ClientCredentials("machine", "machine-secret-machine-secret-0000"),
			LoginClient("app", "app-secret-app-secret-app-secret"),
		},
	})
	if token := server.Token(t, "machine", Opaque, "todos:read"); strings.Contains(token, ".") {
		t.Errorf("got %q, want an opaque token", token)
	}
	if token := server.Token(t, "machine", JWT, "todos:read"); strings.Count(token, ".") != 2 {
		t.Errorf("got %q, want a JWT", token)
	}
	personal := server.PersonalToken(t, Person{Client: "app", Subject: "alice", Scopes: "todos:read", Resource: JWT + ":60:ES256"})
	if strings.Count(personal, ".") != 2 {
		t.Errorf("got %q, want a JWT", personal)
	}
	server.RotateKeys(t)
	if server.Count(TokenPath) != 2 {
		t.Errorf("got the counts %v, want 2 for %s", server.Counts(), TokenPath)
	}
}
