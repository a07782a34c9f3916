// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net/http"
	"strings"
	"testing"
)

// The harness itself is shown to be trustworthy: what a test sends arrives
// byte for byte, what it would accuse the gateway of is found.

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
		t.Errorf("target %q", echo.Target)
	}
	if got := strings.Join(echo.Values("x-a"), ","); got != "2,3" {
		t.Errorf("X-A %q", got)
	}
	if got := echo.Fields[1]; got != (Field{"x_a", "1"}) {
		t.Errorf("second line %q", got)
	}
	if echo.Body != "body" || response.Status != http.StatusOK {
		t.Errorf("body %q, answer %s", echo.Body, response)
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
		t.Errorf("forwarded as %+v", echo)
	}
	relay.Fault("/x", Answer(500, "text/plain", "no"))
	if response := get("/x"); response.Status != 500 {
		t.Errorf("with a fault: %s", response)
	}
	relay.Fault("/x", nil)
	get("/x")
	if relay.Count("/x") != 3 {
		t.Errorf("counted %v", relay.Counts())
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
		t.Errorf("opaque token %q", token)
	}
	if token := server.Token(t, "machine", JWT, "todos:read"); strings.Count(token, ".") != 2 {
		t.Errorf("JWT %q", token)
	}
	personal := server.PersonalToken(t, Person{Client: "app", Subject: "alice", Scopes: "todos:read", Resource: JWT + ":60:ES256"})
	if strings.Count(personal, ".") != 2 {
		t.Errorf("personal JWT %q", personal)
	}
	server.RotateKeys(t)
	if server.Count(TokenPath) != 2 {
		t.Errorf("counted %v", server.Counts())
	}
}
