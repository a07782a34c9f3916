// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// OpenID Connect Core section 3.1.2.2: a client that names a person by an ID token gets
// nothing about another person, even if that one is logged in.
func TestSec_AnIDTokenHintNamesTheOnlyPerson(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	alice := server.browser("alice")
	granted := server.post(tokenEndpoint, "web", exchange(alice.code(authorization("web", "scope", "openid"))))
	hint := text(granted, "id_token")
	if page := alice.authorize(authorization("web", "scope", "openid todos:read", "id_token_hint", hint)); page.Code != http.StatusOK {
		t.Errorf("the person herself: %d %v", page.Code, page.Header())
	}
	bob := server.browser("bob")
	for name, test := range map[string]struct{ client, hint, want string }{
		"another person":             {"web", hint, "login_required"},
		"a token of another client":  {"web-jwt", hint, "invalid_request"},
		"a forged token":             {"web", hint[:len(hint)-4] + "AAAA", "invalid_request"},
		"an access token":            {"web", text(granted, "access_token"), "invalid_request"},
		"a token without signature":  {"web", hint[:strings.LastIndex(hint, ".")+1], "invalid_request"},
		"a hint that is not a token": {"web", "alice", "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, prompt := range []string{"", "none"} {
				values := redirectTo(t, bob.authorize(authorization(test.client, "scope", "openid", "id_token_hint", test.hint, "prompt", prompt)), testRedirect)
				if values.Get("error") != test.want || values.Has("code") {
					t.Errorf("prompt %q: got %v, want %s", prompt, values, test.want)
				}
			}
		})
	}
}

// The login application is told, and cannot answer with another person.
func TestSec_AnIDTokenHintBindsTheLoginApplication(t *testing.T) {
	server := start(t, loginConfig(), t.TempDir())
	b := server.browser("")
	login := func(form url.Values, subject string) answer {
		name := b.challenge(form)
		return server.application(http.MethodPut, name, "login-key", `{"subject":"`+subject+`"}`)
	}
	put := login(authorization("web", "scope", "openid"), "alice")
	back := b.send(http.MethodGet, strings.TrimPrefix(text(put, "redirect_to"), testIssuer), nil)
	hint := text(server.post(tokenEndpoint, "web", exchange(redirectTo(t, back, testRedirect).Get("code"))), "id_token")

	again := authorization("web", "scope", "openid", "id_token_hint", hint)
	if a := login(again, "bob"); a.Code != http.StatusBadRequest {
		t.Errorf("another person: %d %s", a.Code, a.text)
	}
	if a := login(again, "alice"); a.Code != http.StatusOK {
		t.Errorf("the same person: %d %s", a.Code, a.text)
	}
	if shown := server.application(http.MethodGet, b.challenge(again), "login-key", ""); shown.body["subject"] != "alice" {
		t.Errorf("the application is not told who is wanted: %s", shown.text)
	}
}

// A HEAD request is not the browser that comes back from its login.
func TestHEADDoesNotEndALogin(t *testing.T) {
	server := start(t, loginConfig(), t.TempDir())
	b := server.browser("")
	name := b.challenge(authorization("web"))
	server.application(http.MethodPut, name, "login-key", `{"subject":"alice"}`)
	if a := b.send(http.MethodHead, "/oauth2/authorize?login="+name, nil); a.Header().Get("Location") != "" {
		t.Errorf("HEAD: %d %v", a.Code, a.Header())
	}
	if values := redirectTo(t, b.send(http.MethodGet, "/oauth2/authorize?login="+name, nil), testRedirect); !values.Has("code") {
		t.Errorf("GET after it: %v", values)
	}
}

// OpenID Connect Core sections 6 and 7.2.1: what is not served is refused by name.
func TestParametersThatAreNotServed(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	for name, want := range map[string]string{"request": "request_not_supported", "registration": "registration_not_supported"} {
		values := redirectTo(t, server.browser("alice").authorize(authorization("web", name, "x")), testRedirect)
		if values.Get("error") != want || values.Get("state") != "s t&=a" || values.Get("iss") != testIssuer {
			t.Errorf("%s: got %v, want %s", name, values, want)
		}
	}
}

// RFC 7009 section 2.1: a client that never got the answer with its next refresh token has
// only the old one to take its grant back with.
func TestRevokingAReplacedRefreshTokenEndsTheGrant(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	first := server.post(tokenEndpoint, "web", exchange(server.browser("alice").code(authorization("web"))))
	second := server.post(tokenEndpoint, "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(first, "refresh_token")}})
	if second.Code != http.StatusOK {
		t.Fatal(second.text)
	}
	if a := server.revoke("web-jwt", text(first, "refresh_token")); a.Code != http.StatusBadRequest || !server.active(text(second, "access_token")) {
		t.Errorf("by another client: %d", a.Code)
	}
	if a := server.revoke("web", text(first, "refresh_token")); a.Code != http.StatusOK {
		t.Errorf("got %d %s", a.Code, a.text)
	}
	for _, token := range []string{text(first, "access_token"), text(second, "access_token")} {
		if server.active(token) {
			t.Error("an access token of the grant is active")
		}
	}
	next := server.post(tokenEndpoint, "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(second, "refresh_token")}})
	if next.Code != http.StatusBadRequest || next.body["error"] != "invalid_grant" {
		t.Errorf("the next refresh token: %d %s", next.Code, next.text)
	}
}
