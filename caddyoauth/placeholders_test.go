// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"net/http"
	"testing"
)

// To CEL a claim that is a list is one: a role whose name contains another one is
// not that one. In a text it is JSON.
func TestListClaimsInMatchers(t *testing.T) {
	g := start(t, simpleApp, `route {
	gluu_oauth_auth
	header X-Roles {gluu.token.roles}
	@admin expression `+"`\"admin\" in {gluu.token.roles}`"+`
	respond @admin admin
	respond other
}
`)
	for token, want := range map[string]struct{ answer, text string }{
		"admin":     {"admin", `["user","admin"]`},
		"not-admin": {"other", `["not-admin"]`},
	} {
		roles := []string{"not-admin"}
		if token == "admin" {
			roles = []string{"user", "admin"}
		}
		g.auth.issue(token, claims("client-a", "", "roles", roles))
		got := g.get("/", token)
		if got.status != http.StatusOK || got.body != want.answer || got.header.Get("X-Roles") != want.text {
			t.Errorf("%s: got %d %q, roles %q, want %q, %q", token, got.status, got.body, got.header.Get("X-Roles"), want.answer, want.text)
		}
	}
}

// Without the list CEL has nothing to look into; a matcher that asks for the type
// first does not match.
func TestMatchersOfClaimsThatAreNotThere(t *testing.T) {
	g := start(t, simpleApp, `route {
	gluu_oauth_auth
	@admin expression `+"`type({gluu.token.roles}) == list && \"admin\" in {gluu.token.roles}`"+`
	respond @admin admin
	respond other
}
`)
	for name, test := range map[string]struct {
		roles any
		want  string
	}{
		"list": {[]string{"admin"}, "admin"}, "text": {"admin", "other"}, "none": {nil, "other"}, "object": {map[string]any{"admin": 1}, "other"},
	} {
		g.auth.issue(name, claims("client-a", "", "roles", test.roles))
		if got := g.get("/", name); got.status != http.StatusOK || got.body != test.want {
			t.Errorf("%s: got %d %q, want %q", name, got.status, got.body, test.want)
		}
	}
}

// A rate limit has a key for every caller.
func TestRateKey(t *testing.T) {
	g := start(t, simpleApp, `gluu_oauth_auth {
	anonymous guest
	consumer_mapping false
}
respond {gluu.rate_key}
`)
	g.auth.issue("consumer", claims("client-a", ""))
	g.auth.issue("client", claims("client-x", ""))
	consumerID := "" // derived from the username
	for token, want := range map[string]func(string) bool{
		"consumer": func(key string) bool { consumerID = key; return len(key) == 36 },
		"client":   func(key string) bool { return key == "client-x" },
		"":         func(key string) bool { return key == "127.0.0.1" },
	} {
		if got := g.get("/", token); got.status != http.StatusOK || !want(got.body) {
			t.Errorf("%q: got %d %q", token, got.status, got.body)
		}
	}
	if consumerID == "client-a" {
		t.Error("the key of a consumer is its client's id")
	}
}
