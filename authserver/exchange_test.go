// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A token is exchanged for another one by refresh alone, and that has no more scopes and no
// other audience than the grant, whether or not they are named.
func TestSec_S247_ARefreshNeverWidens(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	granted := server.post(tokenEndpoint, "web", exchange(server.browser("alice").code(authorization("web", "scope", "todos:read todos:write", "resource", "https://api.example.com"))))
	refresh := text(granted, "refresh_token")
	for _, test := range []struct {
		name, scope, resource, want string
	}{
		{"another audience", "", "https://mcp.example.com/mcp", "invalid_target"},
		{"another scope", "openid", "", "invalid_scope"},
		{"a further scope", "todos:read openid", "", "invalid_scope"},
		{"fewer scopes and another audience", "todos:read", "https://mcp.example.com/mcp", "invalid_target"},
		{"fewer scopes", "todos:read", "", ""},
		{"all of it", "", "https://api.example.com", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}
			if test.scope != "" {
				form.Set("scope", test.scope)
			}
			if test.resource != "" {
				form.Set("resource", test.resource)
			}
			a := server.post(tokenEndpoint, "web", form)
			if code, _ := a.body["error"].(string); code != test.want {
				t.Fatalf("got %d %s, want %q", a.Code, a.text, test.want)
			}
			if test.want != "" {
				return
			}
			refresh = text(a, "refresh_token")
			about := server.post(introspectEndpoint, "gateway", url.Values{"token": {text(a, "access_token")}})
			want := "todos:read todos:write"
			if test.scope != "" {
				want = test.scope
			}
			if about.body["scope"] != want || !strings.Contains(about.text, `"aud":"https://api.example.com"`) && !strings.Contains(about.text, `"aud":["https://api.example.com"]`) {
				t.Errorf("the token is %s", about.text)
			}
		})
	}
}

// Token exchange (RFC 8693) is not offered: neither an active nor a revoked token of another
// client makes a new one.
func TestSec_S248_TokensAreNotExchanged(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	granted := server.post(tokenEndpoint, "web", exchange(server.browser("alice").code(authorization("web"))))
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {text(granted, "access_token")},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"https://mcp.example.com/mcp"},
	}
	for _, state := range []string{"active", "revoked"} {
		for _, client := range []string{"web", "app"} {
			if a := server.post(tokenEndpoint, client, form); a.Code != http.StatusBadRequest || a.body["error"] != "unsupported_grant_type" {
				t.Errorf("%s, %s: got %d %s", state, client, a.Code, a.text)
			}
		}
		server.revoke("web", text(granted, "access_token"))
	}
}
