// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"net/http/httptest"

	"github.com/caddy-gluu/gateway/consumer"
	"github.com/caddy-gluu/gateway/internal/token"
)

func TestPlaceholdersOfAnIdentity(t *testing.T) {
	full := &Identity{
		Token: &token.Token{
			Subject: "sub", ClientID: "client", Scopes: []string{"a", "b"},
			ClaimsJSON: `{"a":{"b":{"c":1},"b.c":"dotted"},"a.b":{"x":"joined"},"n":1e3,"big":12345678901234567890,"t":true,"z":null,"l":["<",{"k":1}],"s":"{env.HOME}"}`,
		},
		Consumer: &consumer.Consumer{ID: "id", Username: "ann", CustomID: "client", Groups: []string{"a", "b"}},
		Rule:     "/x/?",
	}
	anonymous := &Identity{Anonymous: true, Consumer: &consumer.Consumer{CustomID: "c"}}
	for _, test := range []struct {
		id   *Identity
		key  string
		want any
		ok   bool
	}{
		{full, "gluu.client_id", "client", true},
		{full, "gluu.subject", "sub", true},
		{full, "gluu.scope", "a b", true},
		{full, "gluu.anonymous", false, true},
		{full, "gluu.rule", "/x/?", true},
		{full, "gluu.consumer.id", "id", true},
		{full, "gluu.consumer.tags", nil, false},
		{full, "gluu.consumer.groups", `["a","b"]`, true},
		{anonymous, "gluu.consumer.groups", "[]", true},
		{new(Identity), "gluu.consumer.groups", "[]", true},
		{full, "gluu.token.a.b.c", "dotted", true}, // the longest name counts, from the left
		{full, "gluu.token.a.b", `{"x":"joined"}`, true},
		{full, "gluu.token.a.b.x", "joined", true},
		{full, "gluu.token.a", `{"b":{"c":1},"b.c":"dotted"}`, true},
		{full, "gluu.token.n", "1e3", true},
		{full, "gluu.token.big", "12345678901234567890", true},
		{full, "gluu.token.t", "true", true},
		{full, "gluu.token.z", "", true},
		{full, "gluu.token.l", `["<",{"k":1}]`, true},
		{full, "gluu.token.s", "{env.HOME}", true},
		{full, "gluu.token.", "", true},
		{full, "gluu.token.n.x", "", true},
		{full, "gluu.token.missing", "", true},
		{full, "gluu.other", nil, false},
		{full, "gluu", nil, false},
		{full, "http.auth.user.id", "ann", true},
		{full, "http.request.uri", nil, false},
		{anonymous, "gluu.client_id", "", true},
		{anonymous, "gluu.token.a", "", true},
		{anonymous, "gluu.scope", "", true},
		{anonymous, "gluu.anonymous", true, true},
		{anonymous, "http.auth.user.id", "", true},
		{new(Identity), "gluu.consumer.id", "", true},
		{&Identity{Token: &token.Token{Subject: "s", ClientID: "c"}}, "http.auth.user.id", "s", true},
		{&Identity{Token: &token.Token{ClientID: "c"}}, "http.auth.user.id", "c", true},
		{&Identity{Token: &token.Token{ClaimsJSON: "no JSON"}}, "gluu.token.a", "", true},
	} {
		got, ok := test.id.placeholder(test.key)
		if elements, isList := got.(list); isList {
			got = elements.String()
		}
		if got != test.want || ok != test.ok {
			t.Errorf("%s: got %v, %t; want %v, %t", test.key, got, ok, test.want, test.ok)
		}
	}
}

func TestASecondIdentityTakesThePlaceOfTheFirst(t *testing.T) {
	repl := caddy.NewReplacer()
	r := caddyhttp.PrepareRequest(httptest.NewRequest("GET", "/", nil), repl, nil, new(caddyhttp.Server))
	if Of(r) != nil {
		t.Fatal("a request has an identity from the start")
	}
	Attach(r, &Identity{Anonymous: true, Consumer: &consumer.Consumer{Username: "guest"}})
	if got := repl.ReplaceAll("{gluu.consumer.username} {gluu.token.x}", ""); got != "guest " {
		t.Errorf("got %q", got)
	}
	Attach(r, &Identity{Token: &token.Token{ClientID: "c", ClaimsJSON: `{"x":"y"}`}})
	if got := repl.ReplaceAll("{gluu.consumer.username}{gluu.anonymous} {gluu.token.x} {http.auth.user.id}", ""); got != "false y c" {
		t.Errorf("got %q", got)
	}
	if id := Of(r); id.Anonymous || id.ClientID() != "c" {
		t.Errorf("got %+v", id)
	}
	// A variable of the same name that another module sets is not an identity.
	caddyhttp.SetVar(r.Context(), identityVar, "ann")
	if Of(r) != nil {
		t.Error("a text became an identity")
	}
	if Of(httptest.NewRequest("GET", "/", nil)) != nil {
		t.Error("a request that no Caddy server has prepared has an identity")
	}
}
