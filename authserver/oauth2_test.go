// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The client library that Go programs use gets tokens for a person and for itself, and renews
// them.
func TestTheClientLibraryOfGo(t *testing.T) {
	server := start(t, peopleConfig(), t.TempDir())
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := server.ServeHTTP(w, r, nextFunc(func(w http.ResponseWriter, _ *http.Request) error { http.NotFound(w, nil); return nil })); err != nil {
			t.Error(err)
		}
	}))
	defer site.Close()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, site.Client())

	config := &oauth2.Config{
		ClientID: "web", ClientSecret: "web-secret", RedirectURL: testRedirect, Scopes: []string{"todos:read"},
		Endpoint: oauth2.Endpoint{AuthURL: site.URL + "/oauth2/authorize", TokenURL: site.URL + "/oauth2/token"},
	}
	verifier := oauth2.GenerateVerifier()
	address, err := url.Parse(config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		t.Fatal(err)
	}
	b := server.browser("alice")
	values := redirectTo(t, b.decide(b.authorize(address.Query()), "allow"), testRedirect)
	token, err := config.Exchange(ctx, values.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil || token.TokenType != "Bearer" || token.RefreshToken == "" || token.Extra("scope") != "todos:read" || !server.active(token.AccessToken) {
		t.Fatalf("got %+v, %v", token, err)
	}
	token.Expiry = token.Expiry.AddDate(-1, 0, 0)
	renewed, err := config.TokenSource(ctx, token).Token()
	if err != nil || renewed.RefreshToken == token.RefreshToken || !server.active(renewed.AccessToken) {
		t.Fatalf("renewed: %+v, %v", renewed, err)
	}
	_, err = config.Exchange(ctx, values.Get("code"), oauth2.VerifierOption(verifier))
	if err == nil || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("a code twice: %v", err)
	}

	own := &clientcredentials.Config{ClientID: "app", ClientSecret: "app-secret", TokenURL: config.Endpoint.TokenURL, Scopes: []string{"todos:write"}}
	if token, err := own.Token(ctx); err != nil || !server.active(token.AccessToken) {
		t.Errorf("client credentials: %+v, %v", token, err)
	}
}

// Nothing that a client or a person was given is in the file, whatever they did.
func TestNothingOfALoginIsInTheFile(t *testing.T) {
	dir := t.TempDir()
	server := start(t, peopleConfig(), dir)
	b := server.browser("alice@example.com")
	page := b.authorize(authorization("web", "scope", "todos:read openid", "nonce", "a-nonce-of-the-client"))
	path, form := formOf(t, page)
	code := redirectTo(t, b.decide(page, "allow"), testRedirect).Get("code")
	unused := b.code(authorization("web", "scope", "todos:write"))
	granted := server.post(tokenEndpoint, "web", exchange(code))
	renewed := server.post(tokenEndpoint, "web", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(granted, "refresh_token")}})
	pushed := server.post("/oauth2/par", "web", authorization("web"))
	cookies := b.cookies["__Host-gluu_authorize"]
	server.stop()
	secrets := map[string]string{
		"code": code, "unused code": unused, "access token": text(granted, "access_token"), "refresh token": text(granted, "refresh_token"), "second access token": text(renewed, "access_token"),
		"second refresh token": text(renewed, "refresh_token"), "challenge": strings.TrimPrefix(path, "/oauth2/authorize/"), "form token": form, "cookie": cookies, "client secret": "web-secret",
		"request_uri": strings.TrimPrefix(text(pushed, "request_uri"), "urn:ietf:params:oauth:request_uri:"), "person": "alice@example.com", "redirect URI": "app.example.com", "nonce": "a-nonce-of-the-client", "verifier": testVerifier,
	}
	content := readFile(t, dir+"/tokens.db")
	for name, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("%s: nothing to search for: %q", name, secret)
		} else if strings.Contains(content, secret) {
			t.Errorf("the %s is in the file", name)
		}
	}
	for _, kind := range []string{"oauth_grant", "oauth_code", "oauth_refresh", "oauth_consent", "oauth_pushed", "access_token"} {
		if !strings.Contains(content, kind) {
			t.Errorf("no record of kind %s: what was searched?", kind)
		}
	}
}
