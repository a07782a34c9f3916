// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// With `responses rfc` the same requests have the outcome of the standards.
func TestOutcomesOfTheStandards(t *testing.T) {
	profile := all()
	profile.Responses = rfcResponses
	f := newFixture(t, profile)
	for _, test := range []struct {
		name    string
		path    string
		request request
		status  int
		code    string // of the error
	}{
		{"a wrong code", "token", request{params: exchange("x")}, 400, "invalid_grant"},
		{"a wrong refresh token", "token", request{params: map[string]any{"grant_type": "refresh_token", "refresh_token": "x", "client_id": "steps", "client_secret": "steps-secret"}}, 400, "invalid_grant"},
		{"a wrong secret in the body", "token", request{params: exchange("x", "client_secret", "wrong")}, 401, "invalid_client"},
		{"an unknown client", "token", request{params: exchange("x", "client_id", "nobody")}, 401, "invalid_client"},
		{"password", "token", request{params: exchange("x", "grant_type", "password")}, 400, "unsupported_grant_type"},
		{"implicit", "authorize", request{params: authorization("response_type", "token")}, 400, ""},
		{"a foreign redirect URI", "authorize", request{params: authorization("redirect_uri", "https://evil.example")}, 400, "invalid_request"},
		{"a wrong provision key", "authorize", request{params: authorization("provision_key", "x")}, 401, "invalid_client"},
		{"no user", "authorize", request{params: authorization("authenticated_userid", nil)}, 400, "invalid_request"},
		{"a scheme in capitals", "token", request{params: exchange("x", "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {strings.Replace(basic("steps:steps-secret")["Authorization"][0], "Basic", "BASIC", 1)}}}, 400, "invalid_grant"},
		{"an empty redirect URI is left out", "authorize", request{params: authorization("redirect_uri", "")}, 200, ""},
		{"an empty scope is left out", "token", request{contentType: "application/x-www-form-urlencoded", body: "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&scope="}, 200, ""},
		{"a scope without equals sign is left out", "token", request{contentType: "application/x-www-form-urlencoded", body: "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&scope"}, 200, ""},
		{"an empty grant is left out", "token", request{params: exchange("x", "grant_type", "")}, 400, "invalid_request"},
		{"no grant", "token", request{params: exchange("x", "grant_type", nil)}, 400, "invalid_request"},
		{"an unknown grant", "token", request{params: exchange("x", "grant_type", "device")}, 400, "unsupported_grant_type"},
		{"no code", "token", request{params: exchange("x", "code", nil)}, 400, "invalid_request"},
		{"no refresh token", "token", request{params: exchange("x", "grant_type", "refresh_token")}, 400, "invalid_request"},
		{"a secret in the header and in the body", "token", request{params: exchange("x"), header: basic("steps:steps-secret")}, 400, "invalid_request"},
		{"another client in the header", "token", request{params: exchange("x", "client_id", "two", "client_secret", nil), header: basic("steps:steps-secret")}, 400, "invalid_request"},
		{"the same client in the header", "token", request{params: exchange("x", "client_secret", nil), header: basic("steps:steps-secret")}, 400, "invalid_grant"},
		{"two headers", "token", request{params: exchange("x", "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {basic("steps:steps-secret")["Authorization"][0], "Bearer x"}}}, 400, "invalid_request"},
		{"an encoded secret in the header", "token", request{params: exchange("x", "client_id", nil, "client_secret", nil), header: basic("steps:steps%2Dsecret")}, 400, "invalid_grant"},
		{"a wrong secret in the header", "token", request{params: exchange("x", "client_id", nil, "client_secret", nil), header: basic("steps:steps%2Dwrong")}, 401, "invalid_client"},
		{"no authentication", "token", request{params: exchange("x", "client_secret", nil)}, 401, "invalid_client"},
		{"a state with a refusal", "token", request{params: exchange("x", "state", "s")}, 400, "invalid_grant"},
		{"an empty user is left out", "token", request{params: map[string]any{"grant_type": "client_credentials", "client_id": "machine", "client_secret": "machine-secret", "authenticated_userid": ""}}, 200, ""},
		{"a parameter twice", "token", request{contentType: "application/x-www-form-urlencoded", body: "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&scope=profile&scope=profile"}, 400, "invalid_request"},
	} {
		test.request.path = "/oauth2/" + test.path
		status, body := f.ask(test.request)
		code, _ := body["error"].(string)
		if status != test.status || code != test.code || test.path == "token" && body["state"] != nil {
			t.Errorf("%s: got %d %v, want %d %s", test.name, status, body, test.status, test.code)
		}
	}
	status, body := f.ask(request{path: "/oauth2/authorize", params: authorization("redirect_uri", steps, "state", "s")})
	uri, _ := body["redirect_uri"].(string)
	sent, err := url.Parse(uri)
	if status != http.StatusOK || err != nil || sent.Query().Get("iss") != f.Issuer || sent.Query().Get("state") != "s" {
		t.Fatalf("got %d %v", status, body)
	}
	code := sent.Query().Get("code")
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(code)}); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("without the redirect URI of the request: got %d %v", status, body)
	}
	status, body = f.ask(request{path: "/oauth2/token", params: exchange(code, "redirect_uri", steps, "state", "s")})
	if status != http.StatusOK {
		t.Fatalf("got %d %v", status, body)
	}
	wantMatch(t, body, map[string]string{"access_token": "^.{32}$", "token_type": "Bearer", "expires_in": "7200", "refresh_token": "^.{32}$", "scope": "step_counts"})
}

func TestProfilesThatCannotBeRight(t *testing.T) {
	duration := func(d time.Duration) *caddy.Duration { c := caddy.Duration(d); return &c }
	for name, test := range map[string]struct {
		profile Profile
		want    string
	}{
		"a grant":                  {Profile{Grants: []string{"device"}}, `grants names "device"`},
		"a grant twice":            {Profile{Grants: []string{"authorization_code", "authorization_code"}}, "twice"},
		"implicit":                 {Profile{Grants: []string{"implicit"}}, "write 'legacy implicit'"},
		"password":                 {Profile{Grants: []string{"password"}}, "write 'legacy password'"},
		"pkce":                     {Profile{PKCE: "always"}, `pkce is none, lax or strict, not "always"`},
		"responses":                {Profile{Responses: "xml"}, `responses is kong or rfc, not "xml"`},
		"rfc without PKCE":         {Profile{PKCE: "none", Responses: "rfc"}, "pkce none and responses rfc exclude each other"},
		"rfc with eternal tokens":  {Profile{Responses: "rfc", TokenExpiration: duration(0)}, "token_expiration 0 and responses rfc"},
		"rfc with eternal refresh": {Profile{Responses: "rfc", RefreshTokenTTL: duration(0)}, "refresh_token_ttl 0 and responses rfc"},
		"nanoseconds":              {Profile{TokenExpiration: duration(7200)}, "token_expiration is a duration of 1s or more"},
		"three keys":               {Profile{ProvisionKey: []string{"a", "b", "c"}}, "two are allowed"},
		"a header":                 {Profile{AuthHeader: "a b"}, "not a valid name of a header"},
		"a realm":                  {Profile{Realm: "a\"b"}, "characters that a challenge cannot"},
	} {
		test.profile.Name = Name
		if err := test.profile.Check(Legacy{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if err := new(Profile).Check(Legacy{}); err == nil || !strings.Contains(err.Error(), "there is no profile") {
		t.Errorf("without a name: got %v", err)
	}
	fine := all()
	fine.Name = Name
	if err := fine.Check(Legacy{Implicit: true, Password: true}); err != nil {
		t.Error(err)
	}
}
