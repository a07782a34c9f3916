// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gluu/gateway/internal/authcore"
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
		{"no client", "authorize", request{params: authorization("client_id", nil)}, 400, "invalid_request"},
		{"an unknown client of a login", "authorize", request{params: authorization("client_id", "nobody")}, 400, "invalid_request"},
		{"none of several redirect URIs", "authorize", request{params: authorization("client_id", "two")}, 400, "invalid_request"},
		{"one of several redirect URIs", "authorize", request{params: authorization("client_id", "two", "redirect_uri", twoFirst)}, 200, ""},
		{"a grant that the client does not have", "token", request{params: map[string]any{"grant_type": "client_credentials", "client_id": "limited", "client_secret": "limited-secret"}}, 400, "unauthorized_client"},
		{"a public client for itself", "token", request{params: map[string]any{"grant_type": "client_credentials", "client_id": "mobile"}}, 400, "unauthorized_client"},
		{"a public client with a secret", "token", request{params: exchange("x", "client_id", "mobile", "client_secret", "y")}, 401, "invalid_client"},
		{"a foreign redirect URI with a code", "token", request{params: exchange("x", "redirect_uri", "https://evil.example/")}, 400, "invalid_grant"},
		{"a redirect URI with a refresh token means nothing", "token", request{params: with(map[string]any{"grant_type": "refresh_token", "refresh_token": "x", "client_id": "steps", "client_secret": "steps-secret"}, "redirect_uri", "https://evil.example/")}, 400, "invalid_grant"},
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

// What a client's browser is sent back with, by the standards.
func TestErrorsAtTheRedirectURIOfTheStandards(t *testing.T) {
	profile := all()
	profile.Responses = rfcResponses
	f := newFixture(t, profile)
	f.FindClient = func(ctx context.Context, id string) (*authcore.Client, error) {
		if id == "batch" {
			return &authcore.Client{ClientID: id, RedirectURIs: []string{steps}, Grants: []string{authcore.GrantClientCredentials}}, nil
		}
		return newFixture(t, profile).FindClient(ctx, id)
	}
	for _, test := range []struct {
		name   string
		params map[string]any
		code   string
	}{
		{"implicit is off", authorization("response_type", "token"), "unsupported_response_type"},
		{"no response type", authorization("response_type", nil), "invalid_request"},
		{"a client without the grant", authorization("client_id", "batch"), "unauthorized_client"},
		{"an unknown scope", authorization("scope", "wrong"), "invalid_scope"},
		{"a public client without PKCE", authorization("client_id", "mobile"), "invalid_request"},
		{"a plain challenge", authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "plain"), "invalid_request"},
		{"a challenge without a method, which is plain", authorization("code_challenge", challengeOfVerifier), "invalid_request"},
		{"a method in lower case", authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "s256"), "invalid_request"},
		{"a challenge that is not a SHA-256", authorization("code_challenge", "1234", "code_challenge_method", "S256"), "invalid_request"},
		{"a challenge that is a number", authorization("code_challenge", 5), "invalid_request"},
		{"a challenge that is a list, of a public client", authorization("client_id", "mobile", "code_challenge", []string{challengeOfVerifier}), "invalid_request"},
		{"a challenge", authorization("code_challenge", challengeOfVerifier, "code_challenge_method", "S256"), ""},
	} {
		_, body := f.ask(request{path: "/oauth2/authorize", params: with(test.params, "state", "a b")})
		uri, _ := body["redirect_uri"].(string)
		sent, err := url.Parse(uri)
		if err != nil || sent.Query().Get("error") != test.code || sent.Query().Has("code") != (test.code == "") || sent.Query().Get("iss") != f.Issuer || sent.Query().Get("state") != "a b" {
			t.Errorf("%s: got %v, want %q", test.name, body, test.code)
		}
	}
}

// By the standards a refresh can ask for fewer scopes, and never for more. Kong does not read
// the scope there.
func TestTheScopeOfARefresh(t *testing.T) {
	for _, test := range []struct {
		responses, scope, want string // the scope of the token, or the error
	}{
		{rfcResponses, "profile", "profile"},
		{rfcResponses, "profile step_counts", "profile step_counts"},
		{rfcResponses, "", "step_counts profile"},
		{rfcResponses, "profile.name", "invalid_scope"},
		{rfcResponses, "a\"b", "invalid_scope"},
		{kongResponses, "profile", "step_counts profile"},
		{kongResponses, "profile.name", "step_counts profile"},
	} {
		profile := all()
		profile.Responses = test.responses
		f := newFixture(t, profile)
		_, tokens := f.ask(request{path: "/oauth2/token", params: exchange(f.code("scope", "step_counts profile"))})
		status, body := f.ask(refreshOf(tokens, "scope", test.scope))
		got, _ := body["error"].(string)
		if status == http.StatusOK {
			found, err := f.Store.FindToken(t.Context(), f.Issuer, body["access_token"].(string))
			if err != nil {
				t.Fatal(err)
			}
			got = strings.Join(found.Scopes, " ")
		}
		if got != test.want {
			t.Errorf("%s, %q: got %d %q, want %q", test.responses, test.scope, status, got, test.want)
		}
	}
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
