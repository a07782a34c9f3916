// SPDX-License-Identifier: Apache-2.0

package caddyadmin

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/internal/authcore"
)

// grantedTokens begins a grant of a person to a client.
func (a *oauthTest) grantedTokens(clientID, subject string) *authcore.Tokens {
	a.Helper()
	tokens, err := a.store.StartGrant(a.Context(), &authcore.Grant{Issuer: adminIssuer, ClientID: clientID, Subject: subject, Type: "authorization_code", Scopes: []string{"read"}},
		nil, authcore.Terms{AccessTTL: time.Hour, Refresh: true, Idle: time.Hour})
	if err != nil {
		a.Fatal(err)
	}
	return tokens
}

func (a *oauthTest) isActive(text string) bool {
	a.Helper()
	_, err := a.store.FindToken(a.Context(), adminIssuer, text)
	return err == nil
}

func TestTokensAreKeptAsByKong(t *testing.T) {
	a := newOAuthTest(t)
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"steps"}`)
	made := a.object(201, "POST", "/gluu/oauth2_tokens", `{"credential":{"client_id":"steps"},"expires_in":7200,"scope":"read write","authenticated_userid":"bob","access_token":"short","refresh_token":"`+strings.Repeat("r", 9000)+`"}`)
	id := made["id"].(string)
	if made["access_token"] != "short" || made["expires_in"] != 7200.0 || made["scope"] != "read write" || made["authenticated_userid"] != "bob" || made["grant"] == nil || !a.isActive("short") {
		t.Fatalf("got %v", made)
	}
	got := a.object(200, "GET", "/gluu/oauth2_tokens/"+id, "")
	if got["access_token"] != nil || got["refresh_token"] != nil || got["credential"].(map[string]any)["id"] != a.object(200, "GET", "/gluu/oauth2/steps", "")["id"] {
		t.Errorf("got %v", got)
	}
	a.object(409, "POST", "/gluu/oauth2_tokens", `{"credential":{"client_id":"steps"},"expires_in":7200,"access_token":"short"}`)
	if found := a.object(200, "POST", "/gluu/oauth2_tokens/lookup", `{"token":"short"}`); found["id"] != id {
		t.Errorf("got %v", found)
	}
	for filter, want := range map[string]int{"": 1, "?client_id=steps": 1, "?client_id=app": 0, "?subject=bob": 1, "?subject=ann": 0, "?grant=" + got["grant"].(map[string]any)["id"].(string): 1} {
		if list := a.object(200, "GET", "/gluu/oauth2_tokens"+filter, "")["data"].([]any); len(list) != want {
			t.Errorf("%s: got %v, want %d", filter, list, want)
		}
	}
	renamed := a.object(200, "PATCH", "/gluu/oauth2_tokens/"+id, `{"access_token":"another text","scope":"read"}`)
	if renamed["access_token"] != "another text" || renamed["scope"] != "read" || a.isActive("short") || !a.isActive("another text") {
		t.Errorf("got %v", renamed)
	}
	a.object(400, "PATCH", "/gluu/oauth2_tokens/"+renamed["id"].(string), `{"authenticated_userid":"eve"}`)
	expired := a.object(200, "PATCH", "/gluu/oauth2_tokens/"+renamed["id"].(string), `{"expires_in":0}`)
	if expired["expires_in"] != 0.0 || !a.isActive("another text") {
		t.Errorf("got %v, want a token that never expires", expired)
	}
	a.object(204, "POST", "/gluu/oauth2_tokens/revoke", `{"token":"another text"}`)
	if a.isActive("another text") {
		t.Error("a revoked token is active")
	}
	a.object(204, "POST", "/gluu/oauth2_tokens/revoke", `{"token":"never seen"}`)
	a.object(204, "POST", "/gluu/oauth2_tokens/revoke", `{"token":"`+strings.Repeat("r", 9000)+`"}`)
	if list := a.object(200, "GET", "/gluu/oauth2_grants", "")["data"].([]any); len(list) != 0 {
		t.Errorf("the grant of a revoked refresh token is there: %v", list)
	}
	own := a.object(201, "POST", "/gluu/oauth2_tokens", `{"credential":{"client_id":"steps"},"expires_in":0}`)
	if !a.isActive(own["access_token"].(string)) {
		t.Error("a token without a text has none that works")
	}
	a.object(204, "DELETE", "/gluu/oauth2_tokens/"+own["id"].(string), "")
	a.object(204, "DELETE", "/gluu/oauth2_tokens/"+own["id"].(string), "")
	a.object(404, "GET", "/gluu/oauth2_tokens/"+own["id"].(string), "")
}

func TestSec_S230_WhatAPersonHasGrantedEnds(t *testing.T) {
	a := newOAuthTest(t)
	a.object(201, "POST", "/gluu/consumers/ann/oauth2", `{"name":"x","client_id":"steps"}`)
	bob1, bob2, eve := a.grantedTokens("steps", "bob"), a.grantedTokens("app", "bob"), a.grantedTokens("steps", "eve")
	if list := a.object(200, "GET", "/gluu/oauth2_grants?subject=bob", "")["data"].([]any); len(list) != 2 {
		t.Errorf("got %v", list)
	}
	a.object(204, "DELETE", "/gluu/oauth2_grants/"+bob1.Grant.ID, "")
	a.object(404, "GET", "/gluu/oauth2_grants/"+bob1.Grant.ID, "")
	if a.isActive(bob1.AccessText) || !a.isActive(bob2.AccessText) {
		t.Error("a token of the ended grant is active, or one of another is not")
	}
	if ended := a.object(200, "DELETE", "/gluu/oauth2_grants?subject=bob", ""); ended["ended"] != 1.0 {
		t.Errorf("got %v", ended)
	}
	if a.isActive(bob2.AccessText) || !a.isActive(eve.AccessText) {
		t.Error("a token of bob is active, or one of eve is not")
	}
	// A client that is deleted takes all with it.
	a.object(204, "DELETE", "/gluu/oauth2/steps", "")
	if a.isActive(eve.AccessText) {
		t.Error("a token of a deleted client is active")
	}
}
