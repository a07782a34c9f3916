// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/authserver"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

// issuersSite has two servers of one issuer, of which one has ID tokens, and one of another.
const issuersSite = `{
	admin %[3]s
	persist_config off
	storage file_system %[2]s
}
http://%[1]s {
	handle_path /people/* {
		gluu_oauth_server {
			issuer https://as.example.com
			scopes openid
			consent_page
			service people
			client app {
				secret %[4]s
				grants authorization_code
				scopes openid
				redirect_uris https://app.example.com/cb
			}
		}
	}
	handle_path /machines/* {
		gluu_oauth_server {
			issuer https://as.example.com
			service machines
			client batch {
				secret %[4]s
				grants client_credentials
			}
		}
	}
	handle_path /other/* {
		gluu_oauth_server {
			issuer https://other.example.com
			client batch {
				secret %[4]s
				grants client_credentials
			}
		}
	}
}
`

// An issuer has one key set: what one of its servers signs can be verified with the keys that
// another one publishes.
func TestAnIssuerHasOneKeySet(t *testing.T) {
	g := newKongGateway(t)
	secret, err := authserver.HashSecret([]byte("a-secret"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddytest.Run(fmt.Sprintf(issuersSite, g.address, g.root, g.admin, secret), g.address); err != nil {
		t.Fatal(err)
	}
	sets := make(map[string]string)
	for _, at := range []string{"people", "machines", "other"} {
		status, _, text := g.do(http.MethodGet, g.address+"/"+at+"/oauth2/jwks", nil, http.Header{})
		if sets[at] = text; status != http.StatusOK || !strings.Contains(text, `"RS256"`) {
			t.Fatalf("%s: %d %s", at, status, text)
		}
	}
	if sets["people"] != sets["machines"] || !strings.Contains(sets["people"], `"ES256"`) {
		t.Errorf("servers of one issuer: got %s and %s", sets["people"], sets["machines"])
	}
	if strings.Contains(sets["other"], `"ES256"`) {
		t.Errorf("an issuer without ID tokens: got %s", sets["other"])
	}
}
