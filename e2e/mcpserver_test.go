// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// mcpServerCaddyfile is the one of docs/mcp.md, on one address.
const mcpServerCaddyfile = `
{
	debug
	gluu {
		provider {
			embedded
			issuer {$SITE}
			audience {$SITE}/mcp
		}
	}
}
{$SITE} {
	basic_auth /oauth2/authorize* {
		alice PERSON
	}
	gluu_oauth_server {
		issuer {$SITE}
		scope mcp "Use the tools"
		resources {$SITE}/other {$SITE}/mcp
		consent_page
		registration {
			open
		}
		client_metadata_documents *
	}
	gluu_resource_metadata {
		resource {$SITE}/mcp
		scopes mcp
	}
	gluu_oauth_auth {
		consumer_mapping false
	}
	gluu_oauth_pep {
		path /mcp {
			? scope mcp
		}
	}
	reverse_proxy {$UPSTREAM}
}
`

// The gateway alone is all that an MCP server needs: the SDK finds the authorization
// server of the gateway, registers, has a person asked, gets a token for this server and
// no other resource, and calls a tool.
func TestMCPClientWithTheGatewaysOwnServer(t *testing.T) {
	t.Parallel()
	var upstream struct{ Port int }
	if err := json.Unmarshal([]byte(harness.StartNode(t, "mcp/server.mjs")), &upstream); err != nil {
		t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("alice-password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	g := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.Replace(mcpServerCaddyfile, "PERSON", string(hash), 1),
		Env:       map[string]string{"UPSTREAM": fmt.Sprintf("127.0.0.1:%d", upstream.Port)},
	})
	type output struct {
		Tools   []string
		Text    string
		Visited []string
		Asked   map[string]string
		Granted map[string]any
	}
	run := func(args ...string) (got output) {
		t.Helper()
		text := harness.RunNode(t, "mcp/client.mjs", "", args...)
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return got
	}
	resource, person := "http://"+g.Addr+"/mcp", "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:alice-password"))
	t.Run("registration", func(t *testing.T) {
		got := run(resource, person)
		if !slices.Equal(got.Tools, []string{"whoami"}) || got.Text != "alice" {
			t.Errorf("the tools are %q and the caller is %q, want whoami and alice", got.Tools, got.Text)
		}
		if !slices.Contains(got.Visited, "POST /oauth2/register 201") || !slices.Contains(got.Visited, "POST /oauth2/token 200") {
			t.Errorf("the client's way was %q", got.Visited)
		}
		if got.Asked["resource"] != resource || got.Asked["code_challenge_method"] != "S256" || got.Asked["scope"] != "mcp" {
			t.Errorf("it asked for %v", got.Asked)
		}
		if got.Granted["scope"] != "mcp" || got.Granted["expires_in"] != 600.0 {
			t.Errorf("it got %v", got.Granted)
		}
	})
	t.Run("metadata document", func(t *testing.T) {
		const document = "https://client.example/metadata.json"
		got := run(resource, person, document)
		if got.Asked["client_id"] != document || slices.ContainsFunc(got.Visited, func(v string) bool { return strings.Contains(v, "/register") }) {
			t.Errorf("the client is %q, and its way was %q", got.Asked["client_id"], got.Visited)
		}
	})
}
