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

// An umaWorld is an UMA authorization server with the client "gateway" and
// two people: alice, who may view and edit todos, and bob, who may nothing.
type umaWorld interface {
	issuer() string
	stop(t *testing.T)
	start(t *testing.T)

	// exchange exchanges a ticket on behalf of a person. The code is "" if an
	// RPT was given.
	exchange(t *testing.T, person, ticket, earlier string) (rpt, code string)

	// plainToken is an access token without permissions, "" if there is none.
	plainToken(t *testing.T, person string) string

	// mayView gives alice the right to view or takes it away.
	mayView(t *testing.T, may bool)
	setRPTLife(t *testing.T, life time.Duration)

	resources(t *testing.T) map[string]string // ids by name
	deleteResource(t *testing.T, id string)

	calls() umaCalls // of the gateway
}

// umaCalls are how often an authorization server was asked.
type umaCalls struct{ tokens, tickets, registration, introspection int }

func (c umaCalls) since(before umaCalls) umaCalls {
	return umaCalls{
		c.tokens - before.tokens, c.tickets - before.tickets,
		c.registration - before.registration, c.introspection - before.introspection,
	}
}

// ownUMA is the server in the tests' own code.
type ownUMA struct{ *harness.UMAServer }

func startOwnUMA(t *testing.T) umaWorld {
	s := harness.StartUMAServer(t, harness.UMAConfig{Path: "/realms/todo"})
	s.Allow("alice", "todos:view", "todos:edit")
	return ownUMA{s}
}

func (w ownUMA) issuer() string                              { return w.Issuer }
func (w ownUMA) stop(*testing.T)                             { w.Stop() }
func (w ownUMA) start(t *testing.T)                          { w.Restart(t) }
func (w ownUMA) setRPTLife(_ *testing.T, life time.Duration) { w.SetRPTLife(life) }
func (w ownUMA) deleteResource(_ *testing.T, id string)      { w.DeleteResource(id) }

func (w ownUMA) exchange(t *testing.T, person, ticket, earlier string) (rpt, code string) {
	return w.Exchange(t, person, ticket, earlier)
}

func (w ownUMA) plainToken(_ *testing.T, person string) string {
	token := "plain-access-token-of-" + person
	w.Issue(token, map[string]any{"sub": person, "client_id": "todo-app", "aud": harness.UMAClient})
	return token
}

func (w ownUMA) mayView(_ *testing.T, may bool) {
	if may {
		w.Allow("alice", "todos:view", "todos:edit")
	} else {
		w.Allow("alice", "todos:edit")
	}
}

func (w ownUMA) resources(*testing.T) map[string]string {
	named := map[string]string{}
	for name, each := range w.Resources() {
		named[name] = each.ID
	}
	return named
}

func (w ownUMA) calls() umaCalls {
	n := w.Counts()
	return umaCalls{
		tokens: n["token"], tickets: n["permission"], introspection: n["introspect"],
		registration: n["list"] + n["read"] + n["create"] + n["update"] + n["delete"],
	}
}

// keycloakUMA is Keycloak with the realm of the example.
type keycloakUMA struct{ *harness.Keycloak }

func newKeycloakUMA() (keycloakUMA, error) {
	k, err := harness.NewKeycloak(filepath.Join(harness.Root(), "examples", "uma-keycloak", "realm.json"))
	return keycloakUMA{k}, err
}

func (w keycloakUMA) issuer() string { return w.Issuer }

func (w keycloakUMA) stop(t *testing.T) {
	t.Helper()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
}

func (w keycloakUMA) start(t *testing.T) {
	t.Helper()
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
}

func (w keycloakUMA) plainToken(t *testing.T, person string) string {
	t.Helper()
	return w.Login(t, "todo-app", person, person+"-password")
}

func (w keycloakUMA) exchange(t *testing.T, person, ticket, earlier string) (rpt, code string) {
	t.Helper()
	return w.Exchange(t, w.plainToken(t, person), ticket, earlier)
}

func (w keycloakUMA) mayView(t *testing.T, may bool) { w.SetRole(t, "alice", "todo-reader", may) }

func (w keycloakUMA) setRPTLife(t *testing.T, life time.Duration) { w.SetLifespan(t, life) }

func (w keycloakUMA) resources(t *testing.T) map[string]string { return w.Resources(t, "gateway") }

func (w keycloakUMA) deleteResource(t *testing.T, id string) { w.DeleteResource(t, "gateway", id) }

func (w keycloakUMA) calls() umaCalls {
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
