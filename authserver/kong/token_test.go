// SPDX-License-Identifier: Apache-2.0

package kong

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestToken(t *testing.T) {
	machine := map[string]any{"grant_type": "client_credentials", "client_id": "machine", "client_secret": "machine-secret", "scope": "step_counts"}
	password := map[string]any{"grant_type": "password", "provision_key": provision, "authenticated_userid": "ann", "client_id": "steps", "client_secret": "steps-secret", "scope": "step_counts"}
	noClient := fault("invalid_client", "Invalid client authentication")
	noKey := fault("invalid_provision_key", "Invalid provision_key")
	noGrant := fault("unsupported_grant_type", "Invalid grant_type")
	noMatch := fault("invalid_request", "Invalid redirect_uri that does not match with any redirect_uri created with the application")
	mandatory := all()
	mandatory.MandatoryScope = true
	custom := all()
	custom.AuthHeader = "X-Client"
	never := all()
	never.TokenExpiration = new(caddy.Duration)
	for _, test := range []struct {
		name    string
		profile Profile
		request request
		status  int
		want    map[string]string
		basic   bool // whether there is a challenge
	}{
		{"nothing", all(), request{}, 400, noClient, false},
		{"nothing but a state", all(), request{params: map[string]any{"state": "s"}}, 400, with2(fault("invalid_client", "Invalid client authentication"), "state", "s"), false},
		{"a client without a secret", all(), request{params: with(machine, "client_secret", nil)}, 400, noClient, false},
		{"an empty secret", all(), request{params: with(machine, "client_secret", "")}, 400, noClient, false},
		{"a secret that is not a text", all(), request{params: with(machine, "client_secret", nil, "client_secret", true)}, 400, noClient, false},
		{"an empty client", all(), request{params: with(machine, "client_id", "", "client_secret", "")}, 400, noClient, false},
		{"no grant", all(), request{params: with(password, "grant_type", nil)}, 400, noGrant, false},
		{"an unknown grant", all(), request{params: with(password, "grant_type", "device")}, 400, noGrant, false},
		{"a grant that is off", Profile{}, request{params: password}, 400, noGrant, false},
		{"a grant that is off, of an unknown client", Profile{}, request{params: with(machine, "client_id", "nobody")}, 400, noGrant, false},
		{"a code where none are issued", Profile{Grants: []string{"client_credentials"}}, request{params: exchange("x")}, 400, fault("invalid_request", "Invalid code"), false},
		{"a public client for itself, where that is off", Profile{}, request{params: with(machine, "client_id", "mobile", "client_secret", nil)}, 400, noGrant, false},
		{"a grant that the client cannot use", all(), request{params: with(machine, "client_id", "limited", "client_secret", "limited-secret")}, 400, noGrant, false},
		{"a wrong secret before a wrong grant", all(), request{params: with(password, "grant_type", "device", "client_secret", "x")}, 400, noClient, false},
		{"a wrong secret in the header", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:wrong")}, 401, noClient, true},
		{"an unknown client in the header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("nobody:wrong")}, 401, noClient, true},
		{"an unknown client in the header, for itself", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("nobody:wrong")}, 400, noClient, false},
		{"a header of another scheme", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {"Bearer x"}}}, 401, noClient, true},
		{"a header that is not base64", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {"Basic %%%"}}}, 401, noClient, true},

		{"client credentials", all(), request{params: machine}, 200, accessOnly, false},
		{"client credentials in the header", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:machine-secret")}, 200, accessOnly, false},
		{"and the client in the body too", all(), request{params: with(machine, "client_secret", nil), header: basic("machine:machine-secret")}, 200, accessOnly, false},
		{"a secret with colons", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("colon:a:b:c")}, 200, accessOnly, false},
		{"another header", custom, request{params: with(machine, "client_id", nil, "client_secret", nil), header: http.Header{"X-Client": basic("machine:machine-secret")["Authorization"]}}, 200, accessOnly, false},
		{"another header than the one that is configured", custom, request{params: with(machine, "client_id", nil, "client_secret", nil), header: basic("machine:machine-secret")}, 400, noClient, false},
		{"a form", all(), request{contentType: "application/x-www-form-urlencoded; charset=utf-8", body: form(machine)}, 200, accessOnly, false},
		{"a multipart form", all(), multipartOf(machine), 200, accessOnly, false},
		{"parameters in the URL", all(), request{query: "grant_type=client_credentials&client_id=machine&scope=step_counts", params: map[string]any{"client_secret": "machine-secret"}}, 200, accessOnly, false},
		{"the secret in the URL", all(), request{query: form(machine)}, 400, noClient, false},
		{"a header without padding", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {strings.TrimRight(basic("machine:machine-secret")["Authorization"][0], "=")}}}, 200, accessOnly, false},
		{"a header with the scheme in lower case", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {strings.Replace(basic("machine:machine-secret")["Authorization"][0], "Basic", "basic", 1)}}}, 200, accessOnly, false},
		{"a header with the scheme in capitals", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {strings.Replace(basic("steps:steps-secret")["Authorization"][0], "Basic", "BASIC", 1)}}}, 401, noClient, true},
		{"a header without a colon", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("steps")}, 401, noClient, true},
		{"the body before the header", all(), request{params: machine, header: basic("machine:wrong")}, 200, accessOnly, false},
		{"a wrong secret in the body beside a right header", all(), request{params: with(machine, "client_secret", "wrong"), header: basic("machine:machine-secret")}, 400, noClient, false},
		{"a wrong header and a foreign redirect URI", all(), request{params: with(password, "client_id", nil, "client_secret", nil, "redirect_uri", "https://evil.example"), header: basic("steps:wrong")}, 401, noClient, true},
		{"a wrong header and an unknown grant", all(), request{params: with(password, "client_id", nil, "client_secret", nil, "grant_type", "device"), header: basic("steps:wrong")}, 401, noClient, true},
		{"a right header and an unknown grant", all(), request{params: with(password, "client_id", nil, "client_secret", nil, "grant_type", "device"), header: basic("steps:steps-secret")}, 400, noGrant, false},
		{"a right header and a wrong code", all(), request{params: exchange("x", "client_id", nil, "client_secret", nil), header: basic("steps:steps-secret")}, 400, fault("invalid_request", "Invalid code"), false},
		{"a user that is false needs no key", all(), request{params: with(machine, "authenticated_userid", false)}, 200, accessOnly, false},
		{"an empty user needs the key", all(), request{params: with(machine, "authenticated_userid", "")}, 400, noKey, false},
		{"a foreign redirect URI of a client for itself", all(), request{params: with(machine, "redirect_uri", "https://evil.example")}, 200, accessOnly, false},
		{"a grant in another case", all(), request{params: with(password, "grant_type", "Password")}, 400, noGrant, false},
		{"an unknown grant of a client without a redirect URI", all(), request{params: with(machine, "grant_type", "Client_Credentials")}, 400, noClient, false},
		{"a grant that is a list", all(), request{params: with(password, "grant_type", []string{"password"})}, 400, noGrant, false},
		{"a form with a wrong secret", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(machine, "client_secret", "wrong"))}, 400, noClient, false},
		{"a form with an unknown grant", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(password, "grant_type", "device"))}, 400, noGrant, false},
		{"a form with a wrong scope", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(machine, "scope", "wrong"))}, 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"a form with a scope without equals sign", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(machine, "scope", nil)) + "&scope"}, 400, fault("invalid_scope", "scope must be a string"), false},
		{"a form for a user without the key", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(password, "provision_key", nil))}, 400, noKey, false},
		{"a form without a user", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(password, "authenticated_userid", nil))}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter"), false},
		{"a form, password", all(), request{contentType: "application/x-www-form-urlencoded", body: form(password)}, 200, andRefresh, false},
		{"a multipart form with a wrong secret", all(), multipartOf(with(machine, "client_secret", "wrong")), 400, noClient, false},
		{"a multipart form with an unknown grant", all(), multipartOf(with(password, "grant_type", "device")), 400, noGrant, false},
		{"a multipart form with a wrong scope", all(), multipartOf(with(machine, "scope", "wrong")), 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"a multipart form without the key", all(), multipartOf(with(password, "provision_key", nil)), 400, noKey, false},
		{"a multipart form, password", all(), multipartOf(password), 200, andRefresh, false},
		{"a multipart form with a wrong code", all(), multipartOf(exchange("x")), 400, fault("invalid_request", "Invalid code"), false},
		{"a state that is true", all(), request{params: with(machine, "state", true)}, 200, with2(map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}, "state", "true"), false},
		{"a state", all(), request{params: with(machine, "state", "wot")}, 200, with2(map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}, "state", "wot"), false},
		{"a state twice", all(), request{contentType: "application/x-www-form-urlencoded", body: form(with(machine, "scope", "wrong", "state", "a")) + "&state=b"}, 400, with2(fault("invalid_scope", `"wrong" is an invalid scope`), "state", `["a","b"]`), false},
		{"credentials behind other text", all(), request{params: with(machine, "client_id", nil, "client_secret", nil), header: http.Header{"Authorization": {"x " + basic("machine:machine-secret")["Authorization"][0]}}}, 200, accessOnly, false},
		{"a secret in the header and in the body", all(), request{params: machine, header: basic("machine:wrong")}, 200, accessOnly, false},
		{"a wrong secret in the body and the right one in the header", all(), request{params: with(machine, "client_secret", "wrong"), header: basic("machine:machine-secret")}, 400, noClient, false},
		{"a state that is a number", all(), request{params: with(machine, "state", 7)}, 200, with2(map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer", "expires_in": "7200"}, "state", "7"), false},
		{"a user without the key", all(), request{params: with(machine, "authenticated_userid", "ann")}, 400, noKey, false},
		{"a user with a wrong key", all(), request{params: with(machine, "authenticated_userid", "ann", "provision_key", "x")}, 400, noKey, false},
		{"a user with the key", all(), request{params: with(machine, "authenticated_userid", "ann", "provision_key", provision)}, 200, accessOnly, false},
		{"a user that is not a text", all(), request{params: with(machine, "authenticated_userid", 1, "provision_key", provision)}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter"), false},
		{"an unknown client with a user and without the key", all(), request{params: with(machine, "client_id", "nobody", "authenticated_userid", "ann")}, 400, noKey, false},
		{"a wrong scope", all(), request{params: with(machine, "scope", "wrong")}, 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"a scope that is a number", all(), request{params: with(machine, "scope", 1)}, 400, fault("invalid_scope", "scope must be a string"), false},
		{"a scope that is false", all(), request{params: with(machine, "scope", false)}, 400, fault("invalid_scope", "scope must be a string"), false},
		{"no scope, where one is needed", mandatory, request{params: with(machine, "scope", nil)}, 400, fault("invalid_scope", "You must specify a scope"), false},
		{"a token that never expires", never, request{params: machine}, 200, map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer"}, false},
		{"a public client for itself", all(), request{params: with(machine, "client_id", "mobile", "client_secret", nil)}, 400, noClient, false},

		{"password without the key", all(), request{params: with(password, "provision_key", nil)}, 400, noKey, false},
		{"password without a user", all(), request{params: with(password, "authenticated_userid", nil)}, 400, fault("invalid_authenticated_userid", "Missing authenticated_userid parameter"), false},
		{"password", all(), request{params: password}, 200, andRefresh, false},
		{"password with the header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("steps:steps-secret")}, 200, andRefresh, false},
		{"password with a wrong header", all(), request{params: with(password, "client_id", nil, "client_secret", nil), header: basic("steps:steps-secret2")}, 401, noClient, true},
		{"password with a foreign redirect URI", all(), request{params: with(password, "redirect_uri", "https://evil.example")}, 400, noMatch, false},
		{"password of a client without a redirect URI", all(), request{params: with(password, "client_id", "machine", "client_secret", "machine-secret")}, 400, noClient, false},
		{"password with a wrong scope", all(), request{params: with(password, "scope", "wrong")}, 400, fault("invalid_scope", `"wrong" is an invalid scope`), false},
		{"password, never expires", never, request{params: password}, 200, map[string]string{"access_token": "^" + isToken + "$", "token_type": "bearer"}, false},

		{"no code", all(), request{params: exchange("", "code", nil)}, 400, fault("invalid_request", "Invalid code"), false},
		{"a wrong code", all(), request{params: exchange(strings.Repeat("x", 32))}, 400, fault("invalid_request", "Invalid code"), false},
		{"a code that is not a text", all(), request{params: exchange("", "code", 12)}, 400, fault("invalid_request", "Invalid code"), false},
		{"a code of nobody, with a foreign redirect URI", all(), request{params: exchange("x", "redirect_uri", "https://evil.example")}, 400, noMatch, false},
		{"no refresh token", all(), request{params: map[string]any{"grant_type": "refresh_token", "client_id": "steps", "client_secret": "steps-secret"}}, 400, fault("invalid_request", "Invalid refresh_token"), false},
		{"a wrong refresh token", all(), request{params: map[string]any{"grant_type": "refresh_token", "refresh_token": "hello", "client_id": "steps", "client_secret": "steps-secret", "state": "s"}}, 400, with2(fault("invalid_request", "Invalid refresh_token"), "state", "s"), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, test.profile)
			if test.request.path = "/oauth2/token"; test.request.method == "" {
				test.request.method = http.MethodPost
			}
			w := f.send(test.request)
			var got map[string]any
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if w.Code != test.status {
				t.Errorf("got status %d, want %d", w.Code, test.status)
			}
			wantMatch(t, got, test.want)
			challenge := ""
			if test.basic {
				challenge = `Basic realm="OAuth2.0"`
			}
			if w.Header().Get("WWW-Authenticate") != challenge || w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Pragma") != "no-cache" {
				t.Errorf("got the header %v", w.Header())
			}
		})
	}
}

func multipartOf(params map[string]any) request {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name, value := range params {
		_ = w.WriteField(name, value.(string))
	}
	_ = w.Close()
	return request{contentType: w.FormDataContentType(), body: b.String()}
}

// A code gives its client tokens for what was granted, once.
func TestSec_S201_S207_S232_ACodeIsRedeemedOnceByItsOwner(t *testing.T) {
	f := newFixture(t, all())
	other := *f.Server
	other.Service = "another-api"
	noCode := fault("invalid_request", "Invalid code")
	code := f.code("scope", "step_counts  profile", "client_id", "two", "redirect_uri", twoSecond)
	mine := exchange(code, "client_id", "two", "client_secret", "two-secret")
	for _, wrong := range []struct {
		name   string
		server *Server
		params map[string]any
		want   map[string]string
	}{
		{"another client", f.Server, exchange(code), noCode},
		{"another API", &other, mine, noCode},
		{"another redirect URI of the client", f.Server, with(mine, "redirect_uri", twoFirst), fault("invalid_request", "Invalid redirect_uri that does not match with any redirect_uri created with the application")},
		{"a verifier without a challenge", f.Server, with(mine, "code_verifier", verifier), fault("invalid_request", "there is a code_verifier, and the authorization request had no code_challenge")},
		{"a longer code", f.Server, with(mine, "code", code+"x"), noCode},
	} {
		g := &fixture{TB: t, Server: wrong.server}
		status, body := g.ask(request{path: "/oauth2/token", params: wrong.params})
		if status != http.StatusBadRequest {
			t.Errorf("%s: got %d %v", wrong.name, status, body)
		}
		wantMatch(t, body, wrong.want)
	}
	status, body := f.ask(request{path: "/oauth2/token", params: with(mine, "redirect_uri", twoSecond)})
	if status != http.StatusOK {
		t.Fatalf("its owner: got %d %v", status, body)
	}
	wantMatch(t, body, andRefresh)
	found, err := f.Store.FindToken(t.Context(), f.Issuer, body["access_token"].(string))
	if err != nil || found.Subject != "ann" || found.ClientID != "two" || found.Service != "steps-api" || !slices.Equal(found.Scopes, []string{"step_counts", "profile"}) {
		t.Errorf("got %+v %v", found, err)
	}
	status, again := f.ask(request{path: "/oauth2/token", params: mine})
	if status != http.StatusBadRequest {
		t.Errorf("a second time: got %d", status)
	}
	wantMatch(t, again, noCode)
	if f.isActive(body["access_token"]) {
		t.Error("a code that was used twice leaves its tokens active")
	}
}

func TestACodeExpiresAfterFiveMinutes(t *testing.T) {
	f := newFixture(t, all())
	early, late := f.code(), f.code()
	f.offset.Add(int64(299 * time.Second))
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(early)}); status != http.StatusOK {
		t.Errorf("after 299 s: got %d %v", status, body)
	}
	f.offset.Add(int64(2 * time.Second))
	if status, body := f.ask(request{path: "/oauth2/token", params: exchange(late)}); status != http.StatusBadRequest {
		t.Errorf("after 301 s: got %d %v", status, body)
	}
}

// A verifier that is required, or has a challenge to belong to, is never ignored.
func TestSec_PKCEIsCheckedWherever(t *testing.T) {
	padded := strings.NewReplacer("-", "+", "_", "/").Replace(challengeOfVerifier) + "="
	for _, test := range []struct {
		name, client, challenge string
		verifier                any
		status                  int
		code, description       string
	}{
		{"right", "mobile", challengeOfVerifier, verifier, 200, "", ""},
		{"padded and in the other alphabet", "mobile", padded, verifier, 200, "", ""},
		{"right, of a confidential client", "steps", challengeOfVerifier, verifier, 200, "", ""},
		{"missing", "mobile", challengeOfVerifier, nil, 400, "invalid_request", "code_verifier is required for PKCE authorization requests"},
		{"missing, of a confidential client", "steps", challengeOfVerifier, nil, 400, "invalid_request", "code_verifier is required for PKCE authorization requests"},
		{"empty", "mobile", challengeOfVerifier, "", 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"not a text", "mobile", challengeOfVerifier, 12, 400, "invalid_request", "code_verifier is not a string"},
		{"short", "mobile", challengeOfVerifier, "short", 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"long", "mobile", challengeOfVerifier, strings.Repeat("abc123", 30), 400, "invalid_request", "code_verifier must be between 43 and 128 characters"},
		{"wrong", "mobile", challengeOfVerifier, strings.Repeat("w", 43), 400, "invalid_grant", "Invalid code"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t, all())
			code := f.code("client_id", test.client, "code_challenge", test.challenge)
			params := exchange(code, "client_id", test.client, "client_secret", nil)
			if test.client == "steps" {
				params["client_secret"] = "steps-secret"
			}
			status, body := f.ask(request{path: "/oauth2/token", params: with(params, "code_verifier", test.verifier)})
			if status != test.status {
				t.Errorf("got %d %v, want %d", status, body, test.status)
			}
			if test.status == 200 {
				wantMatch(t, body, andRefresh)
				return
			}
			wantMatch(t, body, fault(test.code, test.description))
			// The code stays usable by its owner.
			if status, body := f.ask(request{path: "/oauth2/token", params: with(params, "code_verifier", verifier)}); status != 200 {
				t.Errorf("then the right one: got %d %v", status, body)
			}
		})
	}
	strict := newFixture(t, all())
	code := strict.code() // from before PKCE became mandatory
	strict.Profile.PKCE = pkceStrict
	_, body := strict.ask(request{path: "/oauth2/token", params: exchange(code)})
	wantMatch(t, body, fault("invalid_request", "code_verifier is required for PKCE authorization requests"))
	_, body = strict.ask(request{path: "/oauth2/token", params: exchange(code, "code_verifier", verifier)})
	wantMatch(t, body, fault("invalid_grant", "Invalid code"))
}

func TestAPublicClientHasNoSecret(t *testing.T) {
	f := newFixture(t, all())
	for _, test := range []struct {
		name   string
		header http.Header
		secret any
		status int
	}{
		{"none", nil, nil, 200},
		{"blank", nil, "  ", 200},
		{"in the header, without a colon", basic("mobile"), nil, 200},
		{"in the header, with a colon", basic("mobile:"), nil, 200},
		{"a secret", nil, "mobile-secret", 400},
		{"a secret in the header", basic("mobile:mobile-secret"), nil, 400},
	} {
		code := f.code("client_id", "mobile", "code_challenge", challengeOfVerifier)
		params := exchange(code, "client_id", "mobile", "client_secret", test.secret, "code_verifier", verifier)
		if test.header != nil {
			delete(params, "client_id")
		}
		status, body := f.ask(request{path: "/oauth2/token", params: params, header: test.header})
		if status != test.status {
			t.Errorf("%s: got %d %v, want %d", test.name, status, body, test.status)
		}
		if test.status == 400 {
			wantMatch(t, body, fault("invalid_request", "client_secret is disallowed for public clients"))
		}
	}
}
