// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

const clientsCaddyfile = `
{$SITE} {
	basic_auth /oauth2/authorize* {
		alice PERSON
	}
	gluu_oauth_server {
		issuer {$SITE}
		scopes openid
		scope todos:read "Read your todos"
		consent_page
		registration {
			open
			scopes todos:read
		}
		client web {
			secret SECRET
			auth basic
			grants authorization_code refresh_token
			scopes openid todos:read
			redirect_uris http://127.0.0.1/callback
		}
	}
}
`

// Two libraries that people write clients with get tokens from the embedded server: by
// discovery, with pushed requests or registration, PKCE and iss; they renew, introspect and
// revoke them.
func TestClientLibrariesGetTokens(t *testing.T) {
	t.Parallel()
	hash := func(secret string) string {
		hashed, err := bcrypt.GenerateFromPassword([]byte(secret), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(hashed)
	}
	g := harness.StartGateway(t, harness.GatewayConfig{
		Caddyfile: strings.NewReplacer("PERSON", hash("alice-password"), "SECRET", hash("web-secret")).Replace(clientsCaddyfile),
	})
	person := "Basic " + base64.StdEncoding.EncodeToString([]byte("alice:alice-password"))
	output := harness.RunNode(t, "clients/login.mjs", "", "http://"+g.Addr, person)
	var got any
	if err := json.Unmarshal([]byte(output), &got); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	want := []any{
		map[string]any{"library": "openid-client", "sub": "alice", "userinfo": "alice", "scope": "openid todos:read", "active": true, "revoked": true},
		map[string]any{"library": "oauth4webapi", "scope": "todos:read", "expires": 600.0, "rotated": true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
