// SPDX-License-Identifier: Apache-2.0

package caddyoidc

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"
)

// logoutClaims are those of a good logout token, with some of them set otherwise; a
// claim that is nil is left out.
func logoutClaims(changes map[string]any) []byte {
	claims := map[string]any{
		"iss": testIssuer, "aud": testClient, "iat": testTime.Unix(), "exp": testTime.Unix() + 60, "jti": "j-1",
		"sub": "alice", "sid": "s-1", "events": map[string]any{logoutEvent: map[string]any{}},
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return text
}

func TestLogoutTokenSignature(t *testing.T) {
	rsa, ec := newKey(t, "RS256"), newKey(t, "ES256")
	v := testVerifier(testKeys{"rsa": rsa, "ec": ec})
	v.algorithms = []string{"RS256"}
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, test := range []struct{ name, raw, fault string }{
		{"as configured", sign(t, rsa, logoutClaims(nil), "rsa", "logout+jwt"), ""},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-alg-none", part(`{"alg":"none","typ":"logout+jwt"}`) + "." + part(string(logoutClaims(nil))) + ".", "compact"},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg", sign(t, ec, logoutClaims(nil), "ec", "logout+jwt"), "algorithm"},
		{"another key", sign(t, newKey(t, "RS256"), logoutClaims(nil), "rsa", "logout+jwt"), "signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := v.verifyLogout(t.Context(), test.raw)
			if (err == nil) != (test.fault == "") || err != nil && !strings.Contains(err.Error(), test.fault) {
				t.Errorf("got %v, want an error with %q", err, test.fault)
			}
		})
	}
}

func TestLogoutToken(t *testing.T) {
	key := newKey(t, "RS256")
	v := testVerifier(testKeys{"k": key})
	for _, test := range []struct {
		name    string
		changes map[string]any
		typ     string
		fault   string
	}{
		{"oidcc-client-test-rp-backchannel-rpinitlogout", nil, "logout+jwt", ""},
		{"without typ", nil, "", ""},
		{"typ JWT", nil, "JWT", ""},
		{"typ of an access token", nil, "at+jwt", "typ"},
		{"sid alone", map[string]any{"sub": nil}, "", ""},
		{"sub alone", map[string]any{"sid": nil}, "", ""},
		{"neither sid nor sub", map[string]any{"sid": nil, "sub": nil}, "", "neither"},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-no-event", map[string]any{"events": nil}, "", "events is missing"},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event", map[string]any{"events": map[string]any{"x": map[string]any{}}}, "", "no logout event"},
		{"events that is a list", map[string]any{"events": []string{logoutEvent}}, "", "events"},
		{"an event that is a text", map[string]any{"events": map[string]any{logoutEvent: "yes"}}, "", "the logout event"},
		{"an event with members", map[string]any{"events": map[string]any{logoutEvent: map[string]any{"x": 1}}}, "", ""},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce", map[string]any{"nonce": "n"}, "", "nonce"},
		{"nonce that is null", map[string]any{"nonce": json.RawMessage("null")}, "", "nonce"},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud", map[string]any{"aud": "other"}, "", "aud"},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss", map[string]any{"iss": "https://other.example"}, "", "iss"},
		{"iat missing", map[string]any{"iat": nil}, "", "iat"},
		{"iat ten minutes ago", map[string]any{"iat": testTime.Add(-maxLogoutTokenAge).Unix()}, "", ""},
		{"iat too old", map[string]any{"iat": testTime.Add(-maxLogoutTokenAge - time.Second).Unix()}, "", "iat"},
		{"iat in the future", map[string]any{"iat": testTime.Add(31 * time.Second).Unix()}, "", "iat"},
		{"exp missing", map[string]any{"exp": nil}, "", ""},
		{"expired", map[string]any{"exp": testTime.Add(-30 * time.Second).Unix()}, "", "expired"},
		{"jti missing", map[string]any{"jti": nil}, "", "jti"},
		{"jti that is a number", map[string]any{"jti": 1}, "", "not a string"},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := v.verifyLogout(t.Context(), sign(t, key, logoutClaims(test.changes), "k", test.typ))
			switch {
			case test.fault == "" && err != nil:
				t.Errorf("got %v, want the token to be accepted", err)
			case test.fault != "" && (err == nil || !strings.Contains(err.Error(), test.fault)):
				t.Errorf("got %v, want an error with %q", err, test.fault)
			case err == nil && (token.id != "j-1" || token.subject+token.sid == "" || !token.expires.After(testTime)):
				t.Errorf("got %+v", token)
			}
		})
	}
	if _, err := v.verify(t.Context(), sign(t, key, []byte(`{"iss":"`+testIssuer+`","aud":"web","iat":1790000000,"exp":1790000060,"sub":"alice","events":{"`+logoutEvent+`":{}}}`), "k", ""), expectation{nonce: "n"}); err == nil {
		t.Error("a logout token was accepted as an ID token")
	}
}
