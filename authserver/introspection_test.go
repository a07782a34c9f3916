// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
	"github.com/caddy-gluu/gateway/jose"
)

func TestIntrospectionTellsWhatATokenIsGoodFor(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	for _, client := range []string{"app", "jwt-app"} {
		t.Run(client, func(t *testing.T) {
			before := time.Now().Unix()
			a := server.introspect(server.token(client, "todos:read"))
			issued, _ := a.body["iat"].(float64)
			want := map[string]any{
				"active": true, "scope": "todos:read", "client_id": client, "sub": client, "token_type": "Bearer",
				"iss": testIssuer, "aud": []any{testIssuer}, "iat": issued, "exp": issued + 3600,
			}
			if !reflect.DeepEqual(a.body, want) || int64(issued) < before-1 {
				t.Errorf("got %v, want %v", a.body, want)
			}
			if got := a.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control: got %q, want no-store", got)
			}
		})
	}
}

func TestIntrospectionSaysNothingAboutTokensThatAreNotActive(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	opaque, jwt := server.token("app"), server.token("jwt-app")
	parts := strings.Split(jwt, ".")
	encode := base64.RawURLEncoding.EncodeToString
	stranger, err := jose.GenerateKey("RS256")
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	sign := func(payload []byte, key jose.PrivateKey, typ string) string {
		text, err := jose.Sign(payload, key, "RS256", server.rfc.Key.ID(), typ)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	edit := func(name string, value any) []byte {
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		claims[name] = value
		edited, _ := json.Marshal(claims)
		return edited
	}
	revokedOpaque, revokedJWT := server.token("app"), server.token("jwt-app")
	server.revoke("app", revokedOpaque)
	server.revoke("jwt-app", revokedJWT)

	tests := map[string]string{
		"made up":                        authcore.RandomText(authcore.TokenBytes),
		"one character more":             opaque + "A",
		"one character less":             opaque[:len(opaque)-1],
		"another case":                   strings.ToUpper(opaque),
		"white space around it":          " " + opaque,
		"very long":                      strings.Repeat("a", authcore.MaxToken+1),
		"not text":                       "\x00\xff",
		"revoked":                        revokedOpaque,
		"revoked JWT":                    revokedJWT,
		"JWT with another signature":     parts[0] + "." + parts[1] + "." + encode(make([]byte, 256)),
		"JWT without a signature":        parts[0] + "." + parts[1] + ".",
		"JWT with alg none":              encode([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + ".",
		"JWT with alg HS256":             encode([]byte(`{"alg":"HS256","typ":"at+jwt"}`)) + "." + parts[1] + "." + parts[2],
		"JWT with another payload":       parts[0] + "." + encode(edit("scope", "admin")) + "." + parts[2],
		"JWT signed with another key":    sign(payload, stranger, "at+jwt"),
		"JWT of another type":            sign(payload, server.rfc.Key, "JWT"),
		"JWT without a type":             sign(payload, server.rfc.Key, ""),
		"JWT of another issuer":          sign(edit("iss", "https://other.example"), server.rfc.Key, "at+jwt"),
		"JWT without a jti":              sign(edit("jti", ""), server.rfc.Key, "at+jwt"),
		"JWT that has expired":           sign(edit("exp", time.Now().Unix()), server.rfc.Key, "at+jwt"),
		"JWT of an unknown client":       sign(edit("client_id", "unknown"), server.rfc.Key, "at+jwt"),
		"JWT of a client without grants": sign(edit("client_id", "gateway"), server.rfc.Key, "at+jwt"),
		"dots":                           "..",
	}
	if !server.active(sign(payload, server.rfc.Key, "at+jwt")) {
		t.Fatal("the JWT that the others are made of is not active itself")
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			a := server.introspect(token)
			if want := map[string]any{"active": false}; !reflect.DeepEqual(a.body, want) {
				t.Errorf("got %v, want %v", a.body, want)
			}
		})
	}
}

func TestOnlyAuthenticatedClientsIntrospectAndRevoke(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	token := server.token("app")
	for _, e := range []endpoint{introspectEndpoint, revokeEndpoint} {
		t.Run(e.Label(), func(t *testing.T) {
			for name, form := range map[string]url.Values{
				"no client":    {"token": {token}},
				"public":       {"token": {token}, "client_id": {"app"}},
				"wrong secret": {"token": {token}, "client_id": {"app"}, "client_secret": {"x"}},
				"unknown":      {"token": {token}, "client_id": {"x"}, "client_secret": {"x"}},
				"only a token": {"token": {token}, "client_secret": {"app-secret"}},
			} {
				if a := server.post(e, "", form); a.Code != http.StatusUnauthorized || a.body["error"] != "invalid_client" {
					t.Errorf("%s: got %d %s, want 401 invalid_client", name, a.Code, a.text)
				}
			}
			bearer := postForm(e, url.Values{"token": {token}}.Encode())
			bearer.Header.Set("Authorization", "Bearer "+token)
			if a := server.do(bearer); a.Code != http.StatusUnauthorized {
				t.Errorf("with the token itself: got %d, want 401", a.Code)
			}
			if a := server.post(e, "app", url.Values{}); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_request" {
				t.Errorf("without a token: got %d %s, want 400 invalid_request", a.Code, a.text)
			}
		})
	}
	if !server.active(token) {
		t.Error("the token was revoked by one of them")
	}
}

func TestRevocation(t *testing.T) {
	for _, client := range []string{"app", "jwt-app"} {
		t.Run(client, func(t *testing.T) {
			server := start(t, testConfig(), t.TempDir())
			token, other := server.token(client), server.token(client)

			if a := server.revoke("plain", token); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_grant" {
				t.Errorf("by another client: got %d %s, want 400 invalid_grant", a.Code, a.text)
			}
			if a := server.revoke("gateway", token); a.Code != http.StatusBadRequest {
				t.Errorf("by a resource server: got %d %s, want 400", a.Code, a.text)
			}
			if !server.active(token) {
				t.Fatal("another client has revoked the token")
			}
			for range 2 { // revoking it again changes nothing
				if a := server.revoke(client, token); a.Code != http.StatusOK || a.text != "" {
					t.Fatalf("by its owner: got %d %q, want 200 and nothing", a.Code, a.text)
				}
				if server.active(token) {
					t.Error("the token is still active")
				}
			}
			if !server.active(other) {
				t.Error("another token of the client was revoked, too")
			}
			// RFC 7009 section 2.2: an invalid token counts as revoked.
			for _, text := range []string{"made-up", "a.b.c", token + "x"} {
				if a := server.revoke(client, text); a.Code != http.StatusOK {
					t.Errorf("of %q: got %d, want 200", text, a.Code)
				}
			}
			// Section 2.1: a wrong hint must not keep a token alive.
			hinted := server.post(revokeEndpoint, client, url.Values{"token": {other}, "token_type_hint": {"refresh_token"}, "grant_type": {"password"}})
			if hinted.Code != http.StatusOK || server.active(other) {
				t.Errorf("with a wrong hint: got %d, active %v", hinted.Code, server.active(other))
			}
		})
	}
}

func TestTokensExpire(t *testing.T) {
	server := start(t, testConfig(), t.TempDir())
	now := time.Now()
	server.rfc.Now = func() time.Time { return now }
	opaque, jwt := server.token("app"), server.token("jwt-app")
	for _, token := range []string{opaque, jwt} {
		issued := now
		expires, _ := server.introspect(token).body["exp"].(float64)
		now = time.Unix(int64(expires), 0).Add(-time.Nanosecond)
		if !server.active(token) {
			t.Error("just before it expires: inactive")
		}
		now = time.Unix(int64(expires), 0)
		if server.active(token) {
			t.Error("when it expires: active")
		}
		now = issued
	}
	now = now.Add(2 * time.Hour)
	if a := server.revoke("jwt-app", jwt); a.Code != http.StatusOK {
		t.Errorf("revoking an expired token: got %d, want 200", a.Code)
	}
}

func TestATokenLosesWhatItsClientLoses(t *testing.T) {
	dir := t.TempDir()
	first := start(t, testConfig(), dir)
	tokens := map[string]string{"opaque": first.token("app"), "JWT": first.token("jwt-app")}

	narrowed := testConfig()
	narrowed.Clients["app"].Scopes = []string{"todos:write"}
	narrowed.Clients["jwt-app"].Scopes = nil
	second := start(t, narrowed, dir) // while the first still runs, as in a reload
	if got := second.introspect(tokens["opaque"]).body["scope"]; got != "todos:write" {
		t.Errorf("scope of the opaque token: got %v, want todos:write", got)
	}
	if a := second.introspect(tokens["JWT"]); a.body["active"] != true || a.body["scope"] != nil {
		t.Errorf("JWT: got %s, want an active one without scopes", a.text)
	}

	removed := testConfig()
	delete(removed.Clients, "app")
	removed.Clients["jwt-app"].Grants, removed.Clients["jwt-app"].Scopes = nil, nil
	third := start(t, removed, dir)
	for name, token := range tokens {
		if third.active(token) {
			t.Errorf("the %s is active though its client is gone", name)
		}
	}
}
