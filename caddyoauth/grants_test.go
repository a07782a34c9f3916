// SPDX-License-Identifier: Apache-2.0

package caddyoauth

import (
	"net/http"
	"strings"
	"testing"
)

// grantsProvider has rules ask for scopes, roles and permissions.
const grantsProvider = `provider {
	issuer {issuer}
	introspection_endpoint {issuer}/introspect
	client_id gateway
	client_secret secret
	audience api
	verify introspection
	client_id_claims consumerKey azp
	grants scope
	grants realm_access.roles role:
	grants resource_access["todo.api"].roles role:
	grants permissions
}
` + simpleApp

// What other claims than scope grant decides about a request and is what the
// upstream is told.
func TestRulesAskForRolesAndPermissions(t *testing.T) {
	g := start(t, grantsProvider, `gluu_oauth_auth
gluu_oauth_pep {
	path /admin {
		GET scope role:admin
	}
	path /edit {
		GET scope role:edit and read
	}
	path /permitted {
		GET scope delete:todos
	}
}
header ?X-Scope {gluu.scope}
`+noPEP)
	roles := func(names ...string) map[string]any { return map[string]any{"roles": names} }
	g.auth.issue("admin", claims("", "read", "client_id", nil, "consumerKey", "client-a", "realm_access", roles("admin", "two words")))
	g.auth.issue("editor", claims("", "read", "client_id", nil, "azp", "client-a", "resource_access", map[string]any{"todo.api": roles("edit"), "other": roles("admin")}))
	g.auth.issue("permitted", claims("", "", "client_id", nil, "azp", "client-a", "permissions", []any{"delete:todos", 7}))
	g.auth.issue("pretender", claims("", "role:admin role:edit read", "client_id", nil, "azp", "client-a", "permissions", []any{"role:admin"}))
	g.auth.issue("stranger", claims("client-a", "", "realm_access", roles("admin")))
	for _, test := range []struct {
		token, path string
		status      int
		granted     string // as the upstream is told
	}{
		{"admin", "/admin", 200, "read role:admin"},
		{"admin", "/edit", 403, ""},
		{"editor", "/edit", 200, "read role:edit"},
		{"editor", "/admin", 403, ""},
		{"permitted", "/permitted", 200, "delete:todos"},
		{"pretender", "/admin", 403, ""},
		{"pretender", "/edit", 403, ""},
		{"stranger", "/admin", 401, ""}, // client_id is none of client_id_claims
	} {
		got := g.get(test.path, test.token)
		if got.status != test.status {
			t.Errorf("%s %s: got %d, want %d", test.token, test.path, got.status, test.status)
			continue
		}
		if test.status != http.StatusOK {
			continue
		}
		if told := strings.Join(got.received("X-Authenticated-Scope"), "|"); told != test.granted {
			t.Errorf("%s %s: the upstream is told %q, want %q", test.token, test.path, told, test.granted)
		}
		if scope := got.header.Get("X-Scope"); scope != test.granted {
			t.Errorf("%s %s: {gluu.scope} is %q, want %q", test.token, test.path, scope, test.granted)
		}
	}
}

// A client can request a scope, but not a role: neither a challenge nor the
// metadata of the resource names one as a scope.
func TestRolesAreNotScopesToRequest(t *testing.T) {
	g := start(t, grantsProvider, `gluu_resource_metadata {
	resource https://api.example
}
gluu_oauth_auth
gluu_oauth_pep {
	path /read {
		GET scope read
	}
	path /admin {
		GET scope role:admin and read
	}
}
`+noPEP)
	g.auth.issue("token", claims("", "other", "client_id", nil, "azp", "client-a"))
	if got := g.get("/read", "token").header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="read"`) {
		t.Errorf("/read: the challenge %q does not name the scope", got)
	}
	if got := g.get("/admin", "token").header.Get("WWW-Authenticate"); !strings.Contains(got, "insufficient_scope") || strings.Contains(got, "scope=\"") {
		t.Errorf("/admin: the challenge %q names scopes that would not do", got)
	}
	metadata := g.get("/.well-known/oauth-protected-resource", "").body
	if !strings.Contains(metadata, `"scopes_supported":["read"]`) {
		t.Errorf("got metadata %s", metadata)
	}
}
