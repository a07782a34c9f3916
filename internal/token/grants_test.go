// SPDX-License-Identifier: Apache-2.0

package token

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gluu/gateway/jose"
)

func TestParseClaimPath(t *testing.T) {
	for text, want := range map[string][]string{
		"scope":                              {"scope"},
		"realm_access.roles":                 {"realm_access", "roles"},
		"cognito:groups":                     {"cognito:groups"},
		`resource_access["todo.api"].roles`:  {"resource_access", "todo.api", "roles"},
		`["https://example.com/roles"]`:      {"https://example.com/roles"},
		`["https://example.com/app"].roles`:  {"https://example.com/app", "roles"},
		`["a"]["b"]`:                         {"a", "b"},
		`a["\"b\" \u0063]"]`:                 {"a", `"b" c]`},
		`resource_access["todo.api"]["x y"]`: {"resource_access", "todo.api", "x y"},
	} {
		got, err := ParseClaimPath(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                          "empty",
		".":                         "empty",
		"a.":                        "empty",
		".a":                        "empty",
		"a..b":                      "empty",
		`a[""]`:                     "empty",
		`a.["b"]`:                   "cannot follow",
		`["a"]b`:                    "cannot follow",
		"a[0]":                      "is not a name",
		"a[":                        "is not a name",
		`a["b"`:                     `'"]'`,
		`a["b`:                      `'"]'`,
		`["\x"]`:                    "JSON's notation",
		"a b":                       "is not a name",
		"a]":                        "is not a name",
		"https://example.com/roles": `'["https://example.com/roles"]'`,
	} {
		if got, err := ParseClaimPath(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want an error that says %q", text, got, err, want)
		}
	}
}

// grantsOf makes the grants from 'path' or 'path prefix' each.
func grantsOf(t *testing.T, lines ...string) (grants []Grant) {
	t.Helper()
	for _, line := range lines {
		text, prefix, _ := strings.Cut(line, " ")
		path, err := ParseClaimPath(text)
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, Grant{path, prefix})
	}
	return grants
}

func object(t *testing.T, text string) jose.Object {
	t.Helper()
	o, err := jose.ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestGrants(t *testing.T) {
	const keycloak = `{"scope":"openid profile","realm_access":{"roles":["admin","user"]},"resource_access":{"todo.api":{"roles":["edit"]},"account":{"roles":["view"]}}}`
	for name, c := range map[string]struct {
		grants []string
		claims string
		want   []string
	}{
		"scope by default":                  {nil, `{"scope":"a b","scp":["c"]}`, []string{"a", "b"}},
		"scp by default":                    {nil, `{"scp":["c","d"]}`, []string{"c", "d"}},
		"roles":                             {[]string{"realm_access.roles"}, keycloak, []string{"admin", "user"}},
		"roles of one client":               {[]string{`resource_access["todo.api"].roles`}, keycloak, []string{"edit"}},
		"scopes and roles":                  {[]string{"scope", "realm_access.roles role:"}, keycloak, []string{"openid", "profile", "role:admin", "role:user"}},
		"two claims with one prefix":        {[]string{"realm_access.roles role:", "resource_access.account.roles role:"}, keycloak, []string{"role:admin", "role:user", "role:view"}},
		"scp is split too":                  {[]string{"scp"}, `{"scp":"a  b","scope":"c"}`, []string{"a", "b"}},
		"scope elsewhere is one value":      {[]string{"o.scope"}, `{"o":{"scope":"a b"}}`, []string{"a b"}},
		"a text is one value":               {[]string{"group"}, `{"group":"Todo Admins"}`, []string{"Todo Admins"}},
		"each value once":                   {[]string{"scope", "permissions"}, `{"scope":"a b","permissions":["b","c","c"]}`, []string{"a", "b", "c"}},
		"only texts":                        {[]string{"roles"}, `{"roles":["a",1,null,true,["b"],{"c":"d"},""]}`, []string{"a"}},
		"an object is not a grant":          {[]string{"roles"}, `{"roles":{"admin":true}}`, nil},
		"a number is not a grant":           {[]string{"roles"}, `{"roles":7}`, nil},
		"true is not a grant":               {[]string{"roles"}, `{"roles":true}`, nil},
		"null":                              {[]string{"roles"}, `{"roles":null}`, nil},
		"absent":                            {[]string{"roles", "a.b.c"}, `{"a":{"b":"c"}}`, nil},
		"dots in a name are not a path":     {[]string{"a.b"}, `{"a.b":["x"]}`, nil},
		"a path is not a name":              {[]string{`["a.b"]`}, `{"a":{"b":["x"]}}`, nil},
		"a scope is not taken for a role":   {[]string{"scope", "roles role:"}, `{"scope":"role:admin read","roles":["user"]}`, []string{"read", "role:user"}},
		"nor one of another claim":          {[]string{"permissions", "roles role:"}, `{"permissions":["role:admin"]}`, nil},
		"a role keeps what looks like one":  {[]string{"roles role:"}, `{"roles":["role:admin"]}`, []string{"role:role:admin"}},
		"nor of a claim with another":       {[]string{"roles role:", "groups group:"}, `{"groups":["role:admin"]}`, []string{"group:role:admin"}},
		"names compare exactly":             {[]string{"roles"}, `{"Roles":["a"]}`, nil},
		"scope only if it is written":       {[]string{"roles"}, `{"scope":"a"}`, nil},
		"escapes are decoded before prefix": {[]string{"scope", "roles role:"}, `{"scope":"\u0072ole:admin"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromClaims(object(t, c.claims), Mapping{Grants: grantsOf(t, c.grants...)})
			if err != nil || !slices.Equal(got.Scopes, c.want) {
				t.Errorf("got %q, %v, want %q", got.Scopes, err, c.want)
			}
		})
	}
}

// What scopes mean is prescribed, so one that is malformed makes the token so.
func TestScopesAmongGrantsAreReadStrictly(t *testing.T) {
	for _, claims := range []string{`{"scope":["a",1]}`, `{"scope":7}`, `{"scope":["a b"]}`, `{"scope":{}}`} {
		if got, err := FromClaims(object(t, claims), Mapping{Grants: grantsOf(t, "scope", "roles")}); err == nil {
			t.Errorf("%s: got %q, want an error", claims, got.Scopes)
		}
	}
}

func TestPrefixesMustDiffer(t *testing.T) {
	for _, c := range []struct {
		grants []string
		want   string // "" if they are fine
	}{
		{[]string{"scope", "roles", "groups role:", "more role:"}, ""},
		{[]string{"roles role:", "groups group:"}, ""},
		{[]string{"roles r", "groups role:"}, "begins with the other"},
		{[]string{"roles role:", "groups r"}, "begins with the other"},
		{[]string{"roles", "roles"}, "twice"},
		{[]string{"roles a:", "roles b:"}, ""},
	} {
		err := CheckGrants(grantsOf(t, c.grants...))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.grants, err, c.want)
		}
	}
}

func TestClientIDClaims(t *testing.T) {
	for name, c := range map[string]struct {
		names        []string
		claims, want string
	}{
		"client_id first":        {nil, `{"appid":"d","cid":"c","azp":"b","client_id":"a"}`, "a"},
		"then azp":               {nil, `{"appid":"d","cid":"c","azp":"b"}`, "b"},
		"then cid":               {nil, `{"appid":"d","cid":"c"}`, "c"},
		"then appid":             {nil, `{"appid":"d"}`, "d"},
		"null is as good as no":  {nil, `{"client_id":null,"azp":""," azp":"x","appid":"d"}`, "d"},
		"none":                   {nil, `{"sub":"x"}`, ""},
		"configured":             {[]string{"consumerKey"}, `{"client_id":"a","consumerKey":"k"}`, "k"},
		"configured, in order":   {[]string{"x", "azp"}, `{"azp":"b","x":"y"}`, "y"},
		"a name that has dots":   {[]string{"https://example.com/client"}, `{"https://example.com/client":"a"}`, "a"},
		"only what is there":     {[]string{"x", "azp"}, `{"azp":"b"}`, "b"},
		"none of the configured": {[]string{"x"}, `{"client_id":"a"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromClaims(object(t, c.claims), Mapping{ClientID: c.names})
			if err != nil || got.ClientID != c.want {
				t.Errorf("got %q, %v, want %q", got.ClientID, err, c.want)
			}
		})
	}
	if got, err := FromClaims(object(t, `{"client_id":7,"azp":"b"}`), Mapping{}); err == nil {
		t.Errorf("a number as client id became %q, want an error", got.ClientID)
	}
}

// A role may be two words, which must not be taken for two scopes.
func TestJoinedScopes(t *testing.T) {
	for _, c := range []struct {
		scopes []string
		want   string
	}{
		{nil, ""},
		{[]string{"a", "role:b"}, "a role:b"},
		{[]string{"a", "Todo Admin", "role:b"}, "a role:b"},
	} {
		if got := (&Token{Scopes: c.scopes}).JoinedScopes(); got != c.want {
			t.Errorf("%q: got %q, want %q", c.scopes, got, c.want)
		}
	}
}

func TestIsAssigned(t *testing.T) {
	m := Mapping{Grants: grantsOf(t, "scope s:", "permissions", "roles role:")}
	for grant, want := range map[string]bool{"role:admin": true, "s:read": false, "read": false} {
		if got := m.IsAssigned(grant); got != want {
			t.Errorf("%s: got %t, want %t", grant, got, want)
		}
	}
}

// An introspection answer may list very many grants.
func TestManyGrants(t *testing.T) {
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, `,"r%d"`, i)
	}
	got, err := FromClaims(object(t, `{"roles":["r"`+b.String()+`]}`), Mapping{Grants: grantsOf(t, "scope", "roles role:")})
	if err != nil || len(got.Scopes) != 100_001 {
		t.Errorf("got %d grants, %v", len(got.Scopes), err)
	}
}
