// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gluu/gateway/authserver/rfc"
)

func TestIssuer(t *testing.T) {
	tests := []struct {
		name, issuer string
		err          string // part of it; empty: accepted
	}{
		{"https", "https://as.example.com", ""},
		{"with a port", "https://as.example.com:8443", ""},
		{"with a path", "https://example.com/tenants/one", ""},
		{"with a slash at the end", "https://example.com/", ""},
		{"http on loopback", "http://127.0.0.1:8080", ""},
		{"http on another loopback address", "http://127.8.9.1", ""},
		{"http on loopback, IPv6", "http://[::1]:8080", ""},
		{"http on localhost", "http://localhost:8080", ""},

		{"none", "", "issuer is missing"},
		{"http", "http://as.example.com", "not protected"},
		{"http on a name that looks like loopback", "http://localhost.example.com", "not protected"},
		{"http on an address that looks like loopback", "http://127.0.0.1.example.com", "not protected"},
		{"http on any address", "http://0.0.0.0", "not protected"},
		{"another scheme", "ftp://as.example.com", "not protected"},
		{"no scheme", "as.example.com", "not a URL with a host"},
		{"no host", "https:///path", "not a URL with a host"},
		{"only a port", "https://:8080", "not a URL with a host"},
		{"no URL", "https://[", "not a URL with a host"},
		{"a query", "https://as.example.com?a=b", "query or a fragment"},
		{"an empty query", "https://as.example.com?", "query or a fragment"},
		{"a fragment", "https://as.example.com#a", "query or a fragment"},
		{"an empty fragment", "https://as.example.com#", "query or a fragment"},
		{"a password", "https://a:b@as.example.com", "user name or password"},
		{"a quote", "https://as.example.com/a\"b", "no URL can have"},
		{"a line feed", "https://as.example.com/a\nb", "no URL can have"},
		{"a letter beyond ASCII", "https://as.example.com/ä", "no URL can have"},
		{"an encoded path", "https://as.example.com/a%20b", ""},
		{"dot segments", "https://as.example.com/a/../b", "dot segments"},
		{"empty segments", "https://as.example.com//a", "dot segments"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := rfc.ParseIssuer(test.issuer, false)
			if (err == nil) != (test.err == "") || (err != nil && !strings.Contains(err.Error(), test.err)) {
				t.Errorf("got %v, want an error with %q", err, test.err)
			}
			if err != nil && strings.Contains(err.Error(), "a:b") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestRequestsAreForTheServerByTheirExactPathAndMethod(t *testing.T) {
	root := start(t, testConfig(), t.TempDir())
	config := testConfig()
	config.Issuer = "https://example.com/tenants/one"
	tenant := start(t, config, t.TempDir())

	tests := []struct {
		server  *running
		request string
		want    endpoint // empty: passed on
	}{
		{root, "POST /oauth2/token", tokenEndpoint},
		{root, "POST /oauth2/introspect", introspectEndpoint},
		{root, "POST /oauth2/revoke", revokeEndpoint},
		{root, "GET /oauth2/jwks", jwksEndpoint},
		{root, "HEAD /oauth2/jwks", jwksEndpoint},
		{root, "GET /.well-known/openid-configuration", rfc.MetadataEndpoint},
		{root, "GET /.well-known/oauth-authorization-server", rfc.MetadataEndpoint},
		{root, "GET /oauth2/jwks?a=b", jwksEndpoint},

		{root, "POST /oauth2/token/", ""},
		{root, "POST //oauth2/token", ""},
		{root, "POST /oauth2//token", ""},
		{root, "POST /OAuth2/token", ""},
		{root, "POST /oauth2/%74oken", ""},
		{root, "POST /oauth2%2ftoken", ""},
		{root, "POST /x/../oauth2/token", ""},
		{root, "POST /oauth2/authorize", ""},
		{root, "GET /oauth2/authorize", ""},
		{root, "GET /healthz", ""},
		{root, "GET /ready", ""},
		{root, "GET /.well-known/openid-configuration/tenants/one", ""},
		{root, "GET /", ""},

		{tenant, "POST /tenants/one/oauth2/token", tokenEndpoint},
		{tenant, "POST /oauth2/token", tokenEndpoint},
		{tenant, "GET /tenants/one/.well-known/openid-configuration", rfc.MetadataEndpoint},
		{tenant, "GET /.well-known/oauth-authorization-server/tenants/one", rfc.MetadataEndpoint},
		{tenant, "GET /.well-known/openid-configuration/tenants/one", rfc.MetadataEndpoint},
		{tenant, "GET /tenants/one/.well-known/oauth-authorization-server", rfc.MetadataEndpoint},
		// Those of another issuer: https://example.com, and .../two.
		{tenant, "GET /.well-known/openid-configuration", ""},
		{tenant, "GET /.well-known/oauth-authorization-server/tenants/two", ""},
		{tenant, "POST /tenants/two/oauth2/token", ""},
	}
	for _, test := range tests {
		t.Run(test.server.issuer.Name+" "+test.request, func(t *testing.T) {
			method, target, _ := strings.Cut(test.request, " ")
			request := httptest.NewRequest(method, target, nil)
			if got := test.server.rfc.Answers(request); got != (test.want != "") {
				t.Errorf("answers: %v, want it for %q", got, test.want)
			}
			before := test.server.next
			test.server.do(request)
			if passed := test.server.next > before; passed != (test.want == "") {
				t.Errorf("passed on: got %v, want %v", passed, test.want == "")
			}
		})
	}
}

// Within handle_path a handler sees the path without its prefix.
func TestIssuerPathMayBeStrippedBeforeTheServer(t *testing.T) {
	config := testConfig()
	config.Issuer = "https://example.com/tenants/one"
	server := start(t, config, t.TempDir())
	for original, want := range map[string]bool{
		"/tenants/one/.well-known/openid-configuration": true,
		"/tenants/two/.well-known/openid-configuration": false,
		"/.well-known/openid-configuration":             false,
	} {
		first := httptest.NewRequest(http.MethodGet, original, nil)
		stripped := httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil)
		stripped = stripped.WithContext(context.WithValue(stripped.Context(), caddyhttp.OriginalRequestCtxKey, *first))
		if got := server.rfc.Answers(stripped); got != want {
			t.Errorf("asked for %s: got %v, want %v", original, got, want)
		}
	}
}

func TestMetadataListsWhatIsSupportedAndNothingElse(t *testing.T) {
	for _, test := range []struct{ issuer, base, path string }{
		{"https://as.example.com", "https://as.example.com", ""},
		{"https://as.example.com/", "https://as.example.com", ""},
		{"https://example.com/tenants/one", "https://example.com/tenants/one", "/tenants/one"},
	} {
		t.Run(test.issuer, func(t *testing.T) {
			config := testConfig()
			config.Issuer = test.issuer
			server := start(t, config, t.TempDir())
			path := test.path
			methods := []any{"client_secret_basic", "client_secret_post"}
			want := map[string]any{
				"issuer":                                test.issuer,
				"token_endpoint":                        test.base + "/oauth2/token",
				"introspection_endpoint":                test.base + "/oauth2/introspect",
				"revocation_endpoint":                   test.base + "/oauth2/revoke",
				"jwks_uri":                              test.base + "/oauth2/jwks",
				"scopes_supported":                      []any{"todos:read", "todos:write", "admin"},
				"grant_types_supported":                 []any{"client_credentials"},
				"response_types_supported":              []any{},
				"token_endpoint_auth_methods_supported": methods,
				"introspection_endpoint_auth_methods_supported": methods,
				"revocation_endpoint_auth_methods_supported":    methods,
				"request_uri_parameter_supported":               false,
			}
			for _, target := range []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path} {
				a := server.do(httptest.NewRequest(http.MethodGet, target, nil))
				if a.Code != http.StatusOK || !reflect.DeepEqual(a.body, want) {
					t.Errorf("%s: got %d %v, want %v", target, a.Code, a.body, want)
				}
			}
		})
	}
}

func TestKeySetShowsNoPrivateKey(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	a := server.do(httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil))
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(a.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("got %s, %v; want a set of one key", a.text, err)
	}
	for name, want := range map[string]any{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": server.rfc.Key.ID()} {
		if set.Keys[0][name] != want {
			t.Errorf("%s: got %v, want %v", name, set.Keys[0][name], want)
		}
	}
	for name := range set.Keys[0] {
		if !strings.Contains(" kty use alg kid n e ", " "+name+" ") {
			t.Errorf("the key set has the member %q", name)
		}
	}
}

// Where there are ID tokens, the key for those with ES256 is in the set too.
func TestKeySetOfAnOpenIDProvider(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	text := server.do(httptest.NewRequest(http.MethodGet, "/oauth2/jwks", nil)).text
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(text), &set); err != nil || len(set.Keys) != 2 {
		t.Fatalf("got %s, %v; want a set of two keys", text, err)
	}
	for i, want := range []string{"kty use alg kid n e", "kty use alg kid crv x y"} {
		if key := set.Keys[i]; len(key) != len(strings.Fields(want)) {
			t.Errorf("got %v, want the members %s", key, want)
		}
		for name := range strings.FieldsSeq(want) {
			if set.Keys[i][name] == nil {
				t.Errorf("the key %d has no %s: %v", i, name, set.Keys[i])
			}
		}
	}
	if set.Keys[0]["alg"] != "RS256" || set.Keys[1]["alg"] != "ES256" || set.Keys[0]["kid"] == set.Keys[1]["kid"] {
		t.Errorf("got %v", set.Keys)
	}
}
