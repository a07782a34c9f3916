// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// A public client has no secret, needs PKCE, and can do nothing that needs one.
func TestPublicClients(t *testing.T) {
	config := peopleConfig()
	config.PKCE = "public"
	server := start(t, config, t.TempDir())
	b := server.browser("alice")
	const uri = "http://127.0.0.1:51234/cb"
	values := redirectTo(t, b.authorize(authorization("phone", "redirect_uri", uri, "code_challenge", "", "code_challenge_method", "")), uri)
	if values.Get("error") != "invalid_request" {
		t.Errorf("without PKCE: %v", values)
	}
	values = redirectTo(t, b.decide(b.authorize(authorization("phone", "redirect_uri", uri)), "allow"), uri)
	form := exchange(values.Get("code"), "redirect_uri", uri, "client_id", "phone")
	secret := exchange(values.Get("code"), "redirect_uri", uri, "client_id", "phone", "client_secret", "phone-secret")
	if a := server.post(tokenEndpoint, "", secret); a.Code != http.StatusUnauthorized {
		t.Errorf("with a secret: %d %s", a.Code, a.text)
	}
	granted := server.post(tokenEndpoint, "", form)
	if granted.Code != http.StatusOK {
		t.Fatal(granted.text)
	}
	for name, a := range map[string]answer{
		"introspection":      server.post(introspectEndpoint, "", url.Values{"client_id": {"phone"}, "token": {text(granted, "access_token")}}),
		"another's refresh":  server.post(tokenEndpoint, "", url.Values{"client_id": {"web"}, "grant_type": {"refresh_token"}, "refresh_token": {text(granted, "refresh_token")}}),
		"client credentials": server.post(tokenEndpoint, "", url.Values{"client_id": {"phone"}, "grant_type": {"client_credentials"}}),
	} {
		if a.Code < 400 {
			t.Errorf("%s: %d %s", name, a.Code, a.text)
		}
	}
	if a := server.post(revokeEndpoint, "", url.Values{"client_id": {"phone"}, "token": {text(granted, "access_token")}}); a.Code != http.StatusOK || server.active(text(granted, "access_token")) {
		t.Errorf("revocation: %d %s", a.Code, a.text)
	}
	// A confidential client may go without PKCE here, but not remove it from a request.
	code := b.code(authorization("web", "code_challenge", "", "code_challenge_method", ""))
	if a := server.post(tokenEndpoint, "web", exchange(code)); a.body["error"] != "invalid_request" {
		t.Errorf("a verifier without challenge: %s", a.text)
	}
	if a := server.post(tokenEndpoint, "web", exchange(code, "code_verifier", "")); a.Code != http.StatusOK {
		t.Errorf("without either: %s", a.text)
	}
}

func TestPushedAuthorizationRequests(t *testing.T) {
	config := peopleConfig()
	config.PushedAuthorization = "required"
	server := start(t, config, t.TempDir())
	b := server.browser("alice")
	if values := redirectTo(t, b.authorize(authorization("web")), testRedirect); values.Get("error") != "invalid_request" {
		t.Errorf("not pushed: %v", values)
	}
	if a := server.post("/oauth2/par", "", authorization("web")); a.Code != http.StatusUnauthorized {
		t.Errorf("without authentication: %d %s", a.Code, a.text)
	}
	if a := server.post("/oauth2/par", "web", authorization("web", "redirect_uri", "https://evil.example")); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_request" {
		t.Errorf("a wrong redirect URI: %d %s", a.Code, a.text)
	}
	pushed := server.post("/oauth2/par", "web", authorization("web"))
	if pushed.Code != http.StatusCreated || pushed.body["expires_in"] != 60.0 {
		t.Fatalf("got %d %s", pushed.Code, pushed.text)
	}
	name := text(pushed, "request_uri")
	if a := b.authorize(url.Values{"client_id": {"web-jwt"}, "request_uri": {name}}); a.Code != http.StatusBadRequest {
		t.Errorf("another client: %d", a.Code)
	}
	page := b.authorize(url.Values{"client_id": {"web"}, "request_uri": {name}, "scope": {"todos:write"}, "state": {"other"}})
	values := redirectTo(t, b.decide(page, "allow"), testRedirect)
	if values.Get("state") != "s t&=a" {
		t.Errorf("the state of the URL counted: %v", values)
	}
	if a := server.post(tokenEndpoint, "web", exchange(values.Get("code"))); a.body["scope"] != "todos:read" {
		t.Errorf("the scope of the URL counted: %s", a.text)
	}
	if a := b.authorize(url.Values{"client_id": {"web"}, "request_uri": {name}}); a.Code != http.StatusBadRequest {
		t.Errorf("a second time: %d", a.Code)
	}
}

func TestOtherMethodsAreRefusedWithAllow(t *testing.T) {
	config := peopleConfig()
	config.Registration = &Registration{Open: true}
	server := start(t, config, t.TempDir())
	for target, allow := range map[string]string{
		"/oauth2/authorize": "GET, HEAD, POST", "/oauth2/authorize/x": "POST", "/oauth2/par": "POST", "/oauth2/token": "POST", "/oauth2/introspect": "POST", "/oauth2/revoke": "POST",
		"/oauth2/register": "POST", "/oauth2/register/x": "DELETE, GET, PUT", "/oauth2/userinfo": "GET, HEAD, POST", "/oauth2/logout": "GET, HEAD, POST", "/oauth2/jwks": "GET, HEAD",
		"/.well-known/openid-configuration": "GET, HEAD",
	} {
		a := server.do(httptest.NewRequest(http.MethodPatch, target, nil))
		if a.Code != http.StatusMethodNotAllowed || a.Header().Get("Allow") != allow || server.next != 0 {
			t.Errorf("%s: got %d, Allow %q, want 405, %q", target, a.Code, a.Header().Get("Allow"), allow)
		}
	}
}
