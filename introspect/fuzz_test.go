// SPDX-License-Identifier: Apache-2.0

package introspect

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzIntrospectionAnswer looks for answers that panic, and for answers that
// are taken for a verified token although another reader would not see
// `active: true` in them.
func FuzzIntrospectionAnswer(f *testing.F) {
	for _, seed := range []string{
		active(""), `{"active":false}`, `{"active":"true"}`, `{"active":true,"exp":1e308}`, `{"active":true,"exp":-1}`,
		`{"active":true,"scope":["a","b"],"aud":["x"],"cnf":{"jkt":"k"}}`, `{"active":true,"active":false}`,
		`{"active":true,"scope":"a\u0020b\u00a0c","sub":"\ud800"}`, `{"ACTIVE":true}`, `{"active":true}garbage`,
		strings.Repeat(`{"active":`, 50) + "true" + strings.Repeat("}", 50),
	} {
		f.Add(seed)
	}
	p := providerFor(f, ProviderConfig{
		Issuer: "https://as.example", ClientID: "g", ClientAuth: clientAuthNone, Verify: verifyIntrospection,
		IntrospectionEndpoint: "https://as.example/introspect",
	}, CacheConfig{})
	f.Fuzz(func(t *testing.T, body string) {
		claims, err := parseIntrospection(&answer{status: http.StatusOK, mediaType: "application/json", body: []byte(body)})
		if err != nil {
			return
		}
		token, err := p.verifier.validateResponse(claims, []byte(body))
		if err != nil {
			if reasonOf(t, err) == "" {
				t.Errorf("an error without a reason: %v", err)
			}
			return
		}
		var other map[string]any
		if err := json.Unmarshal([]byte(body), &other); err != nil || other["active"] != true {
			t.Errorf("verified, but encoding/json reads %v, %v", other["active"], err)
		}
		if token.Expired(time.Now()) {
			t.Errorf("verified, but expired at %v", token.ExpiresAt)
		}
		for _, scope := range token.Scopes {
			if scope == "" || strings.Contains(scope, " ") {
				t.Errorf("got scope %q", scope)
			}
		}
		if _, ok := other["cnf"]; ok && token.Confirmation == nil {
			t.Error("a bound token became a plain one")
		}
	})
}

// FuzzMetadata looks for metadata that leads the gateway to another origin.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{
		`{"issuer":"https://as.example","token_endpoint":"https://as.example/t"}`,
		`{"issuer":"https://as.example","jwks_uri":"https://as.example@evil.example/"}`,
		`{"issuer":"https://as.example","jwks_uri":"https://as.example:443/\\evil.example"}`,
		`{"issuer":"https://as.example","mtls_endpoint_aliases":{"token_endpoint":"https://evil.example"}}`,
	} {
		f.Add(seed)
	}
	p := providerFor(f, ProviderConfig{Issuer: "https://as.example", ClientID: "g", ClientSecret: "s"}, CacheConfig{})
	f.Fuzz(func(t *testing.T, body string) {
		found, err := p.server.parseMetadata([]byte(body))
		if err != nil {
			return
		}
		for name, address := range found.endpoints {
			req, err := http.NewRequest(http.MethodGet, address, nil)
			if err != nil {
				continue // no request can be made of it
			}
			if !strings.EqualFold(req.URL.Scheme, "https") || !strings.EqualFold(req.URL.Hostname(), "as.example") || (req.URL.Port() != "" && req.URL.Port() != "443") {
				t.Errorf("%s leads to %s", name, req.URL)
			}
		}
	})
}
