// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// An umaServer is a UMA authorization server with the client "gateway" and two
// people: alice, who may view and edit todos, and bob, who has no rights.
type umaServer interface {
	issuer() string
	stop(t *testing.T)
	start(t *testing.T)

	// exchange exchanges a ticket on behalf of a person. The code is "" if an
	// RPT was given.
	exchange(t *testing.T, person, ticket, earlier string) (rpt, code string)

	// plainToken returns an access token without permissions.
	plainToken(t *testing.T, person string) string

	// mayView grants alice the right to view, or revokes it.
	mayView(t *testing.T, may bool)
	setRPTLife(t *testing.T, life time.Duration)

	resources(t *testing.T) map[string]string // ids by name
	deleteResource(t *testing.T, id string)

	calls() umaCalls // of the gateway
}

// umaCalls counts the requests to an authorization server.
type umaCalls struct{ tokens, tickets, registration, introspection int }

func (c umaCalls) since(before umaCalls) umaCalls {
	return umaCalls{
		c.tokens - before.tokens, c.tickets - before.tickets,
		c.registration - before.registration, c.introspection - before.introspection,
	}
}

// testUMAServer is the server that the harness implements.
type testUMAServer struct{ *harness.UMAServer }

func startTestUMAServer(t *testing.T) umaServer {
	s := harness.StartUMAServer(t, harness.UMAConfig{Path: "/realms/todo"})
	s.Allow("alice", "todos:view", "todos:edit")
	return testUMAServer{s}
}

func (w testUMAServer) issuer() string                              { return w.Issuer }
func (w testUMAServer) stop(*testing.T)                             { w.Stop() }
func (w testUMAServer) start(t *testing.T)                          { w.Restart(t) }
func (w testUMAServer) setRPTLife(_ *testing.T, life time.Duration) { w.SetRPTLife(life) }
func (w testUMAServer) deleteResource(_ *testing.T, id string)      { w.DeleteResource(id) }

func (w testUMAServer) exchange(t *testing.T, person, ticket, earlier string) (rpt, code string) {
	return w.Exchange(t, person, ticket, earlier)
}

func (w testUMAServer) plainToken(_ *testing.T, person string) string {
	token := "plain-access-token-of-" + person
	w.Issue(token, map[string]any{"sub": person, "client_id": "todo-app", "aud": harness.UMAClient})
	return token
}

func (w testUMAServer) mayView(_ *testing.T, may bool) {
	if may {
		w.Allow("alice", "todos:view", "todos:edit")
	} else {
		w.Allow("alice", "todos:edit")
	}
}

func (w testUMAServer) resources(*testing.T) map[string]string {
	named := map[string]string{}
	for name, each := range w.Resources() {
		named[name] = each.ID
	}
	return named
}

func (w testUMAServer) calls() umaCalls {
	n := w.Counts()
	return umaCalls{
		tokens: n["token"], tickets: n["permission"], introspection: n["introspect"],
		registration: n["list"] + n["read"] + n["create"] + n["update"] + n["delete"],
	}
}

// keycloakUMAServer is Keycloak with the example's realm.
type keycloakUMAServer struct{ *harness.Keycloak }

func newKeycloakUMAServer() (keycloakUMAServer, error) {
	k, err := harness.NewKeycloak(filepath.Join(harness.Root(), "examples", "uma-keycloak", "realm.json"))
	return keycloakUMAServer{k}, err
}

func (w keycloakUMAServer) issuer() string { return w.Issuer }

func (w keycloakUMAServer) stop(t *testing.T) {
	t.Helper()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
}

func (w keycloakUMAServer) start(t *testing.T) {
	t.Helper()
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
}

func (w keycloakUMAServer) plainToken(t *testing.T, person string) string {
	t.Helper()
	return w.Login(t, "todo-app", person, person+"-password")
}

func (w keycloakUMAServer) exchange(t *testing.T, person, ticket, earlier string) (rpt, code string) {
	t.Helper()
	return w.Exchange(t, w.plainToken(t, person), ticket, earlier)
}

func (w keycloakUMAServer) mayView(t *testing.T, may bool) { w.SetRole(t, "alice", "todo-reader", may) }

func (w keycloakUMAServer) setRPTLife(t *testing.T, life time.Duration) { w.SetLifespan(t, life) }

func (w keycloakUMAServer) resources(t *testing.T) map[string]string {
	return w.Resources(t, "gateway")
}

func (w keycloakUMAServer) deleteResource(t *testing.T, id string) {
	w.DeleteResource(t, "gateway", id)
}

func (w keycloakUMAServer) calls() umaCalls {
	var c umaCalls
	for path, n := range maps.All(w.Counts()) {
		switch {
		case path == w.Path(harness.KeycloakTokenPath):
			c.tokens += n
		case path == w.Path(harness.KeycloakTokenPath+"/introspect"):
			c.introspection += n
		case path == w.Path("/authz/protection/permission"):
			c.tickets += n
		case strings.HasPrefix(path, w.Path("/authz/protection/resource_set")):
			c.registration += n
		}
	}
	return c
}
