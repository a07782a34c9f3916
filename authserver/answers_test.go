// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// S-229: what a client or a person gets to read, refusals among it, does not say which
// product has answered. The texts of Kong's plugin are those of `profile kong` alone.
func TestSec_S229_NoAnswerNamesAProduct(t *testing.T) {
	config := registrationConfig()
	server := start(t, config, t.TempDir())
	b := server.browser("alice")
	answers := map[string]answer{
		"a page":              b.authorize(authorization("web")),
		"an error page":       b.authorize(authorization("unknown")),
		"an error by address": b.authorize(authorization("web", "scope", "admin")),
		"nobody logged in":    server.browser("").authorize(authorization("web")),
		"metadata":            server.do(httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)),
		"a registration":      server.register(http.MethodPost, "/oauth2/register", "", appMetadata),
		"a bad registration":  server.register(http.MethodPost, "/oauth2/register", "", "{}"),
		"a token":             server.post(tokenEndpoint, "app", url.Values{"grant_type": {"client_credentials"}}),
	}
	for _, path := range []string{"token", "introspect", "revoke", "par", "userinfo", "logout", "register", "jwks", "authorize", "authorize/x"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch} {
			answers[method+" "+path] = server.do(httptest.NewRequest(method, "/oauth2/"+path, nil))
		}
	}
	for _, grant := range []string{"", "password", "x", "authorization_code", "refresh_token"} {
		answers["grant "+grant] = server.post(tokenEndpoint, "web", url.Values{"grant_type": {grant}, "code": {"x"}, "refresh_token": {"x"}})
		answers["a wrong secret, grant "+grant] = server.post(tokenEndpoint, "unknown", url.Values{"grant_type": {grant}})
	}
	for name, a := range answers {
		all := strings.ToLower(a.text)
		for header, values := range a.Header() {
			all += "\n" + strings.ToLower(header+": "+strings.Join(values, ", "))
		}
		for _, product := range []string{"kong", "caddy", "gluu gateway", "golang"} {
			if strings.Contains(all, product) {
				t.Errorf("%s says %q: %d %s", name, product, a.Code, all)
			}
		}
	}
}
