// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func registrationConfig() *Server {
	config := peopleConfig()
	config.Registration = &Registration{Open: true, Scopes: []string{"todos:read"}}
	return config
}

func (r *running) register(method, path, token, body string) answer {
	r.t.Helper()
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return r.do(request)
}

const appMetadata = `{"client_name":"An App","redirect_uris":["https://app.example.com/cb?x=1"],"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none","software_id":"ignored"}`

func TestAClientRegistersItself(t *testing.T) {
	server := start(t, registrationConfig(), t.TempDir())
	a := server.register(http.MethodPost, "/oauth2/register", "", appMetadata)
	id, token := text(a, "client_id"), text(a, "registration_access_token")
	if a.Code != http.StatusCreated || id == "" || token == "" || a.body["client_secret"] != nil || a.body["scope"] != "todos:read" || text(a, "registration_client_uri") != testIssuer+"/oauth2/register/"+id {
		t.Fatalf("got %d %s", a.Code, a.text)
	}
	b := server.browser("alice")
	page := b.authorize(authorization(id))
	if !strings.Contains(page.text, "registered itself") {
		t.Errorf("the page does not warn: %s", page.text)
	}
	values := redirectTo(t, b.decide(page, "allow"), testRedirect)
	granted := server.post(tokenEndpoint, "", exchange(values.Get("code"), "client_id", id))
	if granted.Code != http.StatusOK || text(granted, "refresh_token") == "" {
		t.Fatalf("got %d %s", granted.Code, granted.text)
	}

	path := "/oauth2/register/" + id
	for _, wrong := range []string{"", "x", text(granted, "access_token")} {
		if a := server.register(http.MethodGet, path, wrong, ""); a.Code != http.StatusUnauthorized {
			t.Errorf("reading with the token %q: %d", wrong, a.Code)
		}
	}
	if a := server.register(http.MethodGet, path, token, ""); a.Code != http.StatusOK || a.body["client_name"] != "An App" ||
		text(a, "registration_access_token") != token || text(a, "registration_client_uri") != testIssuer+path {
		t.Errorf("reading: %d %s", a.Code, a.text) // RFC 7592 section 3 wants both
	}
	for _, member := range []string{
		`"client_id":"another"`, `"client_id":1`, `"registration_access_token":"` + token + `"`, `"registration_client_uri":"https://evil.example"`,
		`"client_secret_expires_at":0`, `"client_id_issued_at":0`,
	} {
		body := strings.Replace(appMetadata, "{", "{"+member+",", 1)
		if a := server.register(http.MethodPut, path, token, body); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_client_metadata" {
			t.Errorf("changing with %s: %d %s", member, a.Code, a.text)
		}
	}
	changed := strings.Replace(appMetadata, "An App", "New", 1)
	changed = strings.Replace(changed, "{", `{"client_id":"`+id+`",`, 1) // RFC 7592 section 2.2
	if a := server.register(http.MethodPut, path, token, changed); a.Code != http.StatusOK || a.body["client_name"] != "New" {
		t.Errorf("changing: %d %s", a.Code, a.text)
	}
	if a := server.register(http.MethodPut, path, token, strings.Replace(changed, "none", "client_secret_basic", 1)); a.Code != http.StatusBadRequest {
		t.Errorf("changing the authentication: %d %s", a.Code, a.text)
	}
	if a := server.register(http.MethodDelete, path, token, ""); a.Code != http.StatusNoContent {
		t.Errorf("deleting: %d %s", a.Code, a.text)
	}
	if server.active(text(granted, "access_token")) {
		t.Error("a token of a deleted client is active")
	}
	if a := server.register(http.MethodGet, path, token, ""); a.Code != http.StatusUnauthorized {
		t.Errorf("reading what was deleted: %d", a.Code)
	}
}

func TestAConfidentialClientRegistersItself(t *testing.T) {
	server := start(t, registrationConfig(), t.TempDir())
	metadata := strings.Replace(appMetadata, "none", "client_secret_post", 1)
	a := server.register(http.MethodPost, "/oauth2/register", "", metadata)
	id, secret := text(a, "client_id"), text(a, "client_secret")
	if a.Code != http.StatusCreated || secret == "" || a.body["client_secret_expires_at"] != 0.0 {
		t.Fatalf("got %d %s", a.Code, a.text)
	}
	if again := server.register(http.MethodPost, "/oauth2/register", "", metadata); text(again, "client_id") == id {
		t.Error("two clients with secrets are one")
	}
	code := server.browser("alice").code(authorization(id))
	form := exchange(code, "client_id", id)
	if a := server.post(tokenEndpoint, "", form); a.Code != http.StatusUnauthorized {
		t.Errorf("without the secret: %d %s", a.Code, a.text)
	}
	request := postForm(tokenEndpoint, exchange(code).Encode())
	request.SetBasicAuth(id, secret)
	if a := server.do(request); a.Code != http.StatusUnauthorized {
		t.Errorf("with basic, registered with post: %d %s", a.Code, a.text)
	}
	form.Set("client_secret", secret)
	if a := server.post(tokenEndpoint, "", form); a.Code != http.StatusOK {
		t.Errorf("got %d %s", a.Code, a.text)
	}
}

func TestSec_S215_S216_S217_WhatCannotBeRegistered(t *testing.T) {
	config := registrationConfig()
	config.Registration.RedirectHosts = []string{"*.example.com", "127.0.0.1"}
	server := start(t, config, t.TempDir())
	uris := func(uri string) string {
		return fmt.Sprintf(`{"redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, uri)
	}
	for _, body := range []string{
		uris("http://localhost.evil.test/cb"), uris("http://localhost/cb"), uris("JaVaScRiPt:alert(1)"), uris("https://a@app.example.com/cb"), uris("https://app.example.com/..;/cb"),
		uris("https://app.example.com/cb#f"), uris("https://*.example.com/cb"), uris("https://evil.test/cb"), uris("https://example.com/cb"), uris("https://evilexample.com/cb"), `{}`, `{"redirect_uris":[]}`,
	} {
		if a := server.register(http.MethodPost, "/oauth2/register", "", body); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_redirect_uri" {
			t.Errorf("%s: got %d %s", body, a.Code, a.text)
		}
	}
	with := func(member string) string {
		return `{"redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none",` + member + `}`
	}
	for _, body := range []string{
		`[]`, `x`, `{"redirect_uris":"x"}`, with(`"redirect_uris":["https://evil.test"]`), with(`"grant_types":["client_credentials"]`), with(`"grant_types":["implicit"]`), with(`"response_types":["token"]`),
		with(`"client_name":"a\u202eb"`), with(`"client_name":"a\nb"`), with(`"scope":"admin"`), with(`"jwks_uri":"https://app.example.com/jwks"`),
		`{"redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"private_key_jwt"}`, `{"redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"tls_client_auth"}`,
	} {
		if a := server.register(http.MethodPost, "/oauth2/register", "", body); a.Code != http.StatusBadRequest || a.body["error"] != "invalid_client_metadata" {
			t.Errorf("%s: got %d %s", body, a.Code, a.text)
		}
	}
	if a := server.register(http.MethodPost, "/oauth2/register", "", with(`"x":"`+strings.Repeat("x", 17<<10)+`"`)); a.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: got %d", a.Code)
	}
}

func TestRegistrationWithAToken(t *testing.T) {
	config := registrationConfig()
	config.Registration = &Registration{Tokens: []string{cheapHash("initial")}}
	server := start(t, config, t.TempDir())
	for _, token := range []string{"", "x", cheapHash("initial")} {
		if a := server.register(http.MethodPost, "/oauth2/register", token, appMetadata); a.Code != http.StatusUnauthorized || !strings.HasPrefix(a.Header().Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("with %q: got %d %v", token, a.Code, a.Header())
		}
	}
	if a := server.register(http.MethodPost, "/oauth2/register", "initial", appMetadata); a.Code != http.StatusCreated {
		t.Errorf("got %d %s", a.Code, a.text)
	}
}

// Registering the same again costs no row, and gives no client control over what another
// has registered; and there is a limit.
func TestSec_S241_RegistrationIsBounded(t *testing.T) {
	config := registrationConfig()
	config.Registration.Max = 3
	server := start(t, config, t.TempDir())
	first := server.register(http.MethodPost, "/oauth2/register", "", appMetadata)
	for range 10 {
		again := server.register(http.MethodPost, "/oauth2/register", "", appMetadata)
		if again.Code != http.StatusCreated || text(again, "client_id") != text(first, "client_id") || again.body["registration_access_token"] != nil {
			t.Fatalf("got %d %s", again.Code, again.text)
		}
	}
	for i := range 4 {
		a := server.register(http.MethodPost, "/oauth2/register", "", strings.Replace(appMetadata, "An App", fmt.Sprint("App ", i), 1))
		if want := i < 2; (a.Code == http.StatusCreated) != want || !want && a.Code != http.StatusTooManyRequests {
			t.Errorf("client %d: got %d %s", i+2, a.Code, a.text)
		}
	}
}

// A client that has registered itself is always asked about.
func TestSec_S238_ConsentIsNeverSkippedForRegisteredClients(t *testing.T) {
	server := start(t, registrationConfig(), t.TempDir())
	id := text(server.register(http.MethodPost, "/oauth2/register", "", appMetadata), "client_id")
	b := server.browser("alice")
	b.code(authorization(id))
	b.site = "none"
	if a := b.authorize(authorization(id)); a.Code != http.StatusOK {
		t.Errorf("a second time: got %d %v", a.Code, a.Header())
	}
	if a := b.authorize(authorization(id, "prompt", "none")); a.Code != http.StatusBadRequest || !strings.Contains(a.text, "error=consent_required") {
		t.Errorf("silently: got %d %s", a.Code, a.text)
	}
}

// FuzzAuthorization looks for requests that crash the endpoints for browsers, or that send a
// browser to an address that is not registered.
func FuzzAuthorization(f *testing.F) {
	for _, form := range []url.Values{authorization("web"), authorization("phone", "redirect_uri", "http://127.0.0.1:1/cb"), authorization("web", "prompt", "none", "max_age", "1")} {
		f.Add(form.Encode(), `{"subject":"alice"}`)
	}
	f.Add("login=x&client_id=web&request_uri=urn:ietf:params:oauth:request_uri:x", appMetadata)
	config := loginConfig()
	config.Registration = &Registration{Open: true}
	server := start(f, config, f.TempDir())
	f.Fuzz(func(t *testing.T, query, body string) {
		b := (&running{Server: server.Server, t: t}).browser("alice")
		request := httptest.NewRequest(http.MethodGet, "/oauth2/authorize", nil)
		request.URL.RawQuery = query
		a := b.do(request)
		location := a.Header().Get("Location")
		known := strings.HasPrefix(location, testRedirect+"&") || strings.HasPrefix(location, "https://login.example.com/") || strings.HasPrefix(location, "http://127.0.0.1") || strings.HasPrefix(location, "com.example.app:/cb?")
		if a.Code >= 500 || location != "" && !known {
			t.Errorf("%q: got %d %q", query, a.Code, location)
		}
		for _, e := range []endpoint{"/oauth2/par", "/oauth2/logout", "/oauth2/userinfo"} {
			a := b.do(postForm(e, query))
			location := a.Header().Get("Location")
			own := e == "/oauth2/logout" && strings.HasPrefix(location, testIssuer+"/oauth2/logout?")
			if a.Code >= 500 || location != "" && !own {
				t.Errorf("%s %q: got %d %q", e, query, a.Code, location)
			}
		}
		if a := b.application(http.MethodPut, "x", "login-key", body); a.Code >= 500 {
			t.Errorf("answer %q: got %d", body, a.Code)
		}
		if a := b.register(http.MethodPost, "/oauth2/register", "", body); a.Code >= 500 {
			t.Errorf("registration %q: got %d", body, a.Code)
		}
	})
}

// S-242: who registers a client would have a link of this server that sends people to any
// address, without their being asked. An error is shown, with a link; only what the operator
// has configured, or what stays on the person's machine, is redirected to at once.
func TestSec_S242_ErrorsOfRegisteredClientsAreShown(t *testing.T) {
	server := start(t, registrationConfig(), t.TempDir())
	id := func(redirectURI string) string {
		a := server.register(http.MethodPost, "/oauth2/register", "", strings.Replace(appMetadata, "https://app.example.com/cb?x=1", redirectURI, 1))
		if a.Code != http.StatusCreated {
			t.Fatal(a.text)
		}
		return text(a, "client_id")
	}
	const evil = "https://evil.example/cb"
	client := id(evil)
	b := server.browser("alice")
	for name, form := range map[string]url.Values{
		"a wrong scope":          authorization(client, "redirect_uri", evil, "scope", "admin"),
		"no PKCE":                authorization(client, "redirect_uri", evil, "code_challenge", "", "code_challenge_method", ""),
		"a response type":        authorization(client, "redirect_uri", evil, "response_type", "x"),
		"silently":               authorization(client, "redirect_uri", evil, "prompt", "none"),
		"no redirect URI at all": authorization(client, "redirect_uri", "", "scope", "admin"),
	} {
		a := b.authorize(form)
		link := html.UnescapeString(a.text)
		if a.Code != http.StatusBadRequest || a.Header().Get("Location") != "" || !strings.Contains(link, `<a href="`+evil+"?error=") || !strings.Contains(a.text, "Go on to evil.example") {
			t.Errorf("%s: %d %q %s", name, a.Code, a.Header().Get("Location"), a.text)
		}
		if !strings.Contains(link, "state=s+t%26%3Da") || !strings.Contains(link, "iss=https") {
			t.Errorf("%s: the link lacks state or iss: %s", name, link)
		}
	}
	// The person was asked, and said no.
	if values := redirectTo(t, b.decide(b.authorize(authorization(client, "redirect_uri", evil)), "deny"), evil); values.Get("error") != "access_denied" {
		t.Errorf("a no: %v", values)
	}
	for _, own := range []string{"http://127.0.0.1/cb", "com.example.app:/cb"} {
		if values := redirectTo(t, b.authorize(authorization(id(own), "redirect_uri", own, "scope", "admin")), own); values.Get("error") != "invalid_scope" {
			t.Errorf("%s: %v", own, values)
		}
	}
	if values := redirectTo(t, b.authorize(authorization("web", "scope", "admin")), testRedirect); values.Get("error") != "invalid_scope" {
		t.Errorf("a client of the configuration: %v", values)
	}
}
