// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/provider"
	"github.com/caddy-gluu/gateway/internal/provider/providertest"
)

func TestConfigurationsThatCannotBeRight(t *testing.T) {
	const issuer = `"issuer": "https://as.example"`
	provider := func(members string) string { return `{"providers": {"default": {` + members + `}}}` }
	tests := []struct{ name, app, want string }{
		{"no issuer", provider(`"client_id": "g"`), "needs an issuer"},
		{"null provider", `{"providers": {"default": null}}`, "there is nothing in it"},
		{"provider without a name", `{"providers": {"": {` + issuer + `}}}`, "name"},
		{"provider with a space", `{"providers": {"a b": {` + issuer + `, "verify": "jwt"}}}`, `not "a b"`},
		{"http issuer", provider(`"issuer": "http://as.example", "verify": "jwt"`), "https://"},
		{"http issuer that only begins like a loopback", provider(`"issuer": "http://127.0.0.1.example", "verify": "jwt"`), "https://"},
		{"issuer with a query", provider(`"issuer": "https://as.example?x", "verify": "jwt"`), "query"},
		{"issuer with an empty query", provider(`"issuer": "https://as.example?", "verify": "jwt"`), "query"},
		{"issuer with a fragment", provider(`"issuer": "https://as.example#", "verify": "jwt"`), "fragment"},
		{"issuer with a password", provider(`"issuer": "https://a:b@as.example", "verify": "jwt"`), "password"},
		{"issuer without a host", provider(`"issuer": "https:///x", "verify": "jwt"`), "host"},
		{"issuer as a word", provider(`"issuer": "default", "verify": "jwt"`), "https://"},
		{"issuer twice", provider(issuer + `, "op_url": "https://as.example", "verify": "jwt"`), "op_url"},
		{"introspection without a client", provider(issuer), "client_id"},
		{"client without a secret", provider(issuer + `, "client_id": "g"`), "client_secret"},
		{"secret without a client", provider(issuer + `, "client_secret": "s", "verify": "jwt"`), "client_id"},
		{"secret that is not used", provider(issuer + `, "client_id": "g", "client_secret": "s", "client_auth": "none"`), "client_secret"},
		{"short secret for HMAC", provider(issuer + `, "client_id": "g", "client_secret": "s", "client_auth": "client_secret_jwt"`), "32"},
		{"unknown client authentication", provider(issuer + `, "client_id": "g", "client_secret": "s", "client_auth": "basic"`), "client_secret_basic"},
		{"private_key_jwt without a key", provider(issuer + `, "client_id": "g", "client_auth": "private_key_jwt"`), "client_key"},
		{"key that is not used", provider(issuer + `, "client_id": "g", "client_secret": "s", "client_key": "k.pem"`), "client_key"},
		{"tls_client_auth without a certificate", provider(issuer + `, "client_id": "g", "client_auth": "tls_client_auth"`), "client_certificate"},
		{"certificate without a key", provider(issuer + `, "client_id": "g", "client_secret": "s", "client_certificate": "c.pem"`), "key"},
		{"register beside a client", provider(issuer + `, "client_id": "g", "client_secret": "s", "register": {}`), "register"},
		{"unknown verify", provider(issuer + `, "client_id": "g", "client_secret": "s", "verify": "both"`), "auto"},
		{"HMAC tokens", provider(issuer + `, "verify": "jwt", "algorithms": ["RS256", "HS256"]`), "HS256"},
		{"unsigned tokens", provider(issuer + `, "verify": "jwt", "algorithms": ["none"]`), "none"},
		{"empty audience", provider(issuer + `, "verify": "jwt", "audience": [""]`), "audience"},
		{"issuer that is a word, without keys", provider(`"issuer": "users-auth", "verify": "jwt"`), "jwks_uri"},
		{"pattern without tenants", provider(`"issuer": "https://a.example/{tid}", "verify": "jwt", "jwks_uri": "https://a.example/keys"`), "tenants"},
		{"discovery over plain http", provider(issuer + `, "verify": "jwt", "discovery_url": "http://as.internal/x"`), "discovery_url"},
		{"tenant with a slash", provider(`"issuer": "https://a.example/{tid}", "tenants": ["a/b"], "verify": "jwt", "jwks_uri": "https://a.example/keys"`), "tenants"},
		{"insecure host with a scheme", provider(issuer + `, "verify": "jwt", "insecure_hosts": ["http://a"]`), "insecure_hosts"},
		{"grants without a claim", provider(issuer + `, "verify": "jwt", "grants": [{"prefix": "role:"}]`), "empty"},
		{"grants with prefixes within each other", provider(issuer + `, "verify": "jwt", "grants": [{"claim": "a", "prefix": "r"}, {"claim": "b", "prefix": "role:"}]`), "begins with the other"},
		{"client id claim without a name", provider(issuer + `, "verify": "jwt", "client_id_claims": [""]`), "client_id_claims"},
		{"http endpoint", provider(issuer + `, "verify": "jwt", "jwks_uri": "http://as.example/jwks"`), "jwks_uri"},
		{"endpoint host with a path", provider(issuer + `, "verify": "jwt", "endpoint_hosts": ["as.example/x"]`), "endpoint_hosts"},
		{"endpoint host with a scheme", provider(issuer + `, "verify": "jwt", "endpoint_hosts": ["https://as.example"]`), "endpoint_hosts"},
		{"negative timeout", provider(issuer + `, "verify": "jwt", "timeout": -1`), "timeout"},
		{"negative stale_if_error", provider(issuer + `, "verify": "jwt", "stale_if_error": -1`), "stale_if_error"},
		{"missing key file", provider(issuer + `, "client_id": "g", "client_auth": "private_key_jwt", "client_key": "/nonexistent/k.pem"`), "client_key"},
		{"unknown member", provider(issuer + `, "verify": "jwt", "verifyy": "jwt"`), "verifyy"},

		{"secret from nowhere", provider(issuer + `, "client_id": "g", "client_secret": "{env.GLUU_TEST_UNSET}"`), "client_secret"},
		{"secret from no file", provider(issuer + `, "client_id": "g", "client_secret": "{file./nonexistent/secret}"`), "client_secret"},
		{"secret from a request", provider(issuer + `, "client_id": "g", "client_secret": "{http.request.header.X}"`), "http.request.header.X"},

		{"negative size", `{"cache": {"size": -1}}`, "size"},
		{"negative max_age", `{"cache": {"max_age": -1}}`, "max_age"},
		{"negative negative_age", `{"cache": {"negative_age": -1}}`, "negative_age"},
		{"error format", `{"error_format": "xml"}`, "error_format"},
		{"consumer twice", `{"consumers": [{"username": "a"}, {"username": "a"}]}`, "a"},
		{"client id of two consumers", `{"consumers": [{"username": "a", "custom_id": "c"}, {"username": "b", "custom_id": "c"}]}`, "c"},
		{"missing signing key", `{"signing_key": "/nonexistent/key.pem"}`, "signing_key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := load(t, t.TempDir(), test.app)
			if err == nil {
				_ = caddy.Stop()
				t.Fatal("loaded")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q, which does not say %q", err, test.want)
			}
		})
	}
}

// Addresses that a request could choose would let it choose its own issuer.
func TestSec_S34_RequestPlaceholdersAreRefused(t *testing.T) {
	for _, field := range []string{
		"issuer", "op_url", "client_id", "client_secret", "introspection_endpoint", "jwks_uri", "token_endpoint",
		"revocation_endpoint", "registration_endpoint", "client_key", "client_certificate",
		"uma_configuration", "permission_endpoint", "resource_registration_endpoint",
	} {
		for _, placeholder := range []string{"{http.request.host}", "{host}", "{query.iss}", "{header.X-Issuer}", "{http.vars.x}"} {
			members := map[string]any{"issuer": "https://as.example", "client_id": "g", "client_secret": "s"}
			if field == "op_url" {
				delete(members, "issuer")
			}
			members[field] = "https://" + placeholder
			if field == "client_certificate" {
				members["client_certificate_key"] = "k"
			}
			text, _ := json.Marshal(members)
			err := load(t, t.TempDir(), `{"providers": {"default": `+string(text)+`}}`)
			if err == nil || !strings.Contains(err.Error(), placeholder) {
				t.Errorf("%s %s: got %v", field, placeholder, err)
			}
		}
	}
	for _, field := range []string{"audience", "endpoint_hosts"} {
		err := load(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": {"issuer": "https://as.example", "verify": "jwt", %q: ["{host}"]}}}`, field))
		if err == nil || !strings.Contains(err.Error(), "{host}") {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestSecretsComeFromTheEnvironmentAndFiles(t *testing.T) {
	server := providertest.NewServer(t)
	server.On("/introspect", providertest.Respond(providertest.Active("")))
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GLUU_TEST_ISSUER", server.URL)
	t.Setenv("GLUU_TEST_CLIENT", "from-the-environment")
	config := provider.Config{
		Issuer: "{env.GLUU_TEST_ISSUER}", ClientID: "{env.GLUU_TEST_CLIENT}", ClientSecret: "{file." + file + "}",
		Verify: provider.VerifyIntrospection, IntrospectionEndpoint: "{env.GLUU_TEST_ISSUER}/introspect",
	}
	app := mustLoad(t, t.TempDir(), fmt.Sprintf(`{"providers": {"default": %s}}`, providerJSON(config)))
	if _, err := verify(t, app, "", "token"); err != nil {
		t.Fatal(err)
	}
	id, secret, _ := (&http.Request{Header: server.LastHeader()}).BasicAuth()
	if id != "from-the-environment" || secret != "from-a-file" {
		t.Errorf("the server got %q and %q", id, secret)
	}
}

// The value of a placeholder is checked like everything else, even if it looks
// like a placeholder itself.
func TestResolvedSettingsAreChecked(t *testing.T) {
	for _, value := range []string{"http://as.example", "http://as.example/{x}", "http://as.example/{", "https://as.example?{x}"} {
		t.Setenv("GLUU_TEST_ISSUER", value)
		if err := load(t, t.TempDir(), `{"providers": {"default": {"issuer": "{env.GLUU_TEST_ISSUER}", "verify": "jwt"}}}`); err == nil {
			_ = caddy.Stop()
			t.Errorf("the issuer %s was taken", value)
		}
		if err := load(t, t.TempDir(), `{"providers": {"default": {"issuer": "https://as.example", "verify": "jwt", "jwks_uri": "{env.GLUU_TEST_ISSUER}"}}}`); strings.HasPrefix(value, "http:") && err == nil {
			_ = caddy.Stop()
			t.Errorf("the endpoint %s was taken", value)
		}
	}
	_ = caddy.Stop()
}
