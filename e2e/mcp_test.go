// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const mcpCaddyfile = `
{
	debug
	gluu {
		provider {
			issuer {$ISSUER}
			verify jwt
			audience {$RESOURCE}
		}
	}
}
{$SITE} {
	gluu_resource_metadata {
		resource {$RESOURCE}
	}
	gluu_oauth_auth {
		consumer_mapping false
		pass_credentials hide
	}
	gluu_oauth_pep {
		path /mcp {
			GET POST DELETE scope mcp:call
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// A client of the Model Context Protocol knows the address of a server behind
// this gateway and nothing else. It finds out from the first 401 where to get
// a token, registers itself there, has a person log in and calls a tool.
func TestMCPClientFindsItsWayFromThe401(t *testing.T) {
	t.Parallel()
	var upstream struct{ Port int }
	if err := json.Unmarshal([]byte(harness.StartNode(t, "mcp/server.mjs")), &upstream); err != nil {
		t.Fatal(err)
	}
	// The API's address for clients is a relay's: it is known before the
	// authorization server and the gateway start, which both name it.
	front := harness.StartRelay(t, "127.0.0.1:9")
	resource := "http://" + front.Addr + "/mcp"
	server := harness.StartOIDCProvider(t, harness.OIDCConfig{
		Scopes:    []string{"mcp:call"},
		Clients:   []map[string]any{},
		Person:    "ann",
		Resources: map[string][]string{resource: {"mcp:call"}},
	})
	gateway := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: mcpCaddyfile,
		Env: map[string]string{
			"ISSUER": server.Issuer, "RESOURCE": resource, "UPSTREAM": fmt.Sprintf("127.0.0.1:%d", upstream.Port),
		},
	})
	front.ForwardTo(gateway.Addr)

	var got struct {
		Tools   []string
		Text    string
		Visited []string
	}
	output := harness.RunNode(t, "mcp/client.mjs", "", resource)
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !slices.Equal(got.Tools, []string{"whoami"}) || got.Text != "ann" {
		t.Errorf("the tools are %q and the caller is %q, want whoami and ann", got.Tools, got.Text)
	}
	// It began with a refusal, and the refusal said where to go.
	if len(got.Visited) < 2 || got.Visited[0] != "POST /mcp 401" ||
		got.Visited[1] != "GET /.well-known/oauth-protected-resource/mcp 200" {
		t.Errorf("the client's way was %q", got.Visited)
	}
	if !slices.Contains(got.Visited, "POST /reg 201") || !slices.Contains(got.Visited, "POST /token 200") {
		t.Errorf("the client did not register and get a token: %q", got.Visited)
	}
}
