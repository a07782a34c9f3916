// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/internal/redact"
)

// The same secret under many names, in many places. None of them is shown.
func TestSec_S410_SecretsAreNotShown(t *testing.T) {
	const secret = "hunter2-very-secret"
	for _, member := range []string{
		"client_secret", "secret", "password", "Password", "passwd", "passphrase", "private_key", "key", "keys", "api_key", "apiKey", "api-key",
		"access_key", "access_key_id", "secret_access_key", "secretKey", "token", "bearer_token", "refresh_token", "authToken", "initial_access_token",
		"credentials", "credential", "authorization", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "cookie_secret",
		"encryption_key", "signing_key", "hmac", "hmac_key", "salt", "pin", "psk", "dsn", "jwt", "hash", "password_hash", "session_id", "X-Api-Key", "client_credentials",
	} {
		for name, raw := range map[string]any{
			"directly":      map[string]any{"handler": "gluu_oauth_auth", member: secret},
			"in an object":  map[string]any{"handler": "headers", "request": map[string]any{"set": map[string]any{member: []any{secret}}}},
			"below a name":  map[string]any{"handler": "gluu_oauth_auth", member: map[string]any{"value": secret, "n": []any{secret}}},
			"in a subroute": map[string]any{"handler": "subroute", "routes": []any{map[string]any{"handle": []any{map[string]any{"handler": "gluu_oauth_auth", member: secret}}}}},
		} {
			text, err := json.Marshal(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(redact.Handler(text)); strings.Contains(got, secret) || !strings.Contains(got, redact.Hidden) {
				t.Errorf("%s %s: got %s", member, name, got)
			}
		}
	}
}

func TestSec_S410_ValuesThatLookLikeSecretsAreNotShown(t *testing.T) {
	for _, value := range []string{
		"https://user:hunter2@example.com/", "redis://:hunter2@cache:6379", "Bearer abcdefgh", "basic dXNlcjpwYXNz", "DPoP abc",
		"-----BEGIN PRIVATE KEY-----\nMIIE", "eyJhbGciOiJIUzI1NiJ9.e30.abc", "$argon2id$v=19$m=1", "$2a$14$abc", "https://x.example/hook?token=abc", "https://x.example/?a=1&client_secret=abc",
	} {
		text, _ := json.Marshal(map[string]any{"handler": "static_response", "body": value})
		if got := string(redact.Handler(text)); !strings.Contains(got, redact.Hidden) {
			t.Errorf("%q: got %s", value, got)
		}
	}
}

func TestSec_S410_NothingIsKnownOfOtherModules(t *testing.T) {
	got := string(redact.Handler(json.RawMessage(`{"handler": "someones_auth", "magic": "hunter2", "size": 3, "on": true, "from": "{env.MAGIC}", "list": ["hunter2"]}`)))
	for _, want := range []string{`"handler": "someones_auth"`, `"size": 3`, `"on": true`, `"from": "{env.MAGIC}"`} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
	if strings.Contains(got, "hunter2") {
		t.Errorf("got %s", got)
	}
}

func TestSettingsStayReadable(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{"handler": "reverse_proxy", "upstreams": [{"dial": "localhost:9000"}]}`, `"dial": "localhost:9000"`},
		{`{"handler": "gluu_oauth_auth", "client_secret": "{env.SECRET}"}`, `"client_secret": "{env.SECRET}"`},
		{`{"handler": "gluu_oauth_auth", "several_tokens": "refuse"}`, `"several_tokens": "refuse"`},
		{`{"handler": "gluu_oauth_auth", "max": 12345678901234567890}`, `12345678901234567890`},
		{`{"handler": "static_response", "body": "<b>&"}`, `"<b>&"`},
		{`[1]`, `null`},
	} {
		if got := string(redact.Handler(json.RawMessage(c.raw))); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %s in it", c.raw, got, c.want)
		}
	}
}
