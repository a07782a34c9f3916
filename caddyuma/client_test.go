// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

func TestAPersonGetsTheirPermission(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	if n := c.server.Count("rpt"); n != 0 {
		t.Errorf("%d requests for a path that needs no permission", n)
	}
	for range 3 {
		alice.passes("/todos")
	}
	if tickets, tokens, asked := c.server.Count("permission"), c.server.Count("rpt"), c.server.Count("introspect"); tickets != 1 || tokens != 1 || asked != 1 {
		t.Errorf("%d tickets, %d token requests and %d introspections for three requests, want one of each", tickets, tokens, asked)
	}
	sent := c.server.RPTRequests()[0]
	if sent.Get("claim_token_format") != idTokenFormat || !strings.HasPrefix(sent.Get("authorization"), "Basic ") || sent.Has("rpt") || sent.Has("pct") {
		t.Errorf("the token endpoint received %v", sent)
	}
	alice.refused("/notes", 403, "access_denied")
	if a := alice.open("/notes"); a.status != 403 || !strings.Contains(a.body, "<h1>Access refused</h1>") {
		t.Errorf("a page: got %d %s", a.status, a.body)
	}
	if a := alice.fetch("POST", "/todos"); a.status != 403 {
		t.Errorf("another rule of the same path: got %+v", a)
	}
}

// Two people in turn through one gateway: S-170, S-181.
func TestSec_S170_S181_APermissionBelongsToOnePerson(t *testing.T) {
	for _, rules := range []string{rpts, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1)} {
		c := startClient(t, harness.UMAConfig{}, rules)
		c.server.Allow("alice", "todos:view")
		c.server.Allow("bob", "notes:view")
		alice, bob := c.visitor("alice"), c.visitor("bob")
		for range 2 {
			alice.passes("/todos")
			bob.refused("/todos", 403, "access_denied")
			bob.passes("/notes")
			alice.refused("/notes", 403, "access_denied")
		}
		if n := c.server.Count("rpt"); n != 4 {
			t.Errorf("%d token requests for two people and two rules, want 4", n)
		}
		seen := map[string]bool{}
		for _, sent := range c.server.RPTRequests() {
			if sent.Has("rpt") {
				t.Errorf("a request brought an earlier RPT, and no one has one for its rule: %v", sent)
			}
			seen[sent.Get("claim_token")+sent.Get("authorization")] = true
		}
		if len(seen) != 2 {
			t.Errorf("%d parties asked, want 2", len(seen))
		}
		stop(t)
	}
}

// A grant lives as long as the RPT, or its permission if that ends first: S-195.
func TestSec_S195_AGrantEndsWithTheRPT(t *testing.T) {
	c := startClient(t, harness.UMAConfig{RPTLife: 2 * time.Second}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	c.server.Allow("alice")
	harness.Eventually(t, 10*time.Second, func() string {
		if a := alice.fetch("GET", "/todos"); a.status != 403 {
			return fmt.Sprintf("after the end of the RPT: %d", a.status)
		}
		return ""
	})
	c.server.Allow("alice", "todos:view")
	alice.refused("/todos", 403, "access_denied") // remembered for a moment
	c.later(denialAge)
	alice.passes("/todos")
}

func TestLogoutEndsThePermission(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	alice.open("/logout")
	alice.refused("/todos", 401, "login_required")
	c.visitor("alice").passes("/todos")
	if n := c.server.Count("rpt"); n != 2 {
		t.Errorf("%d token requests, want one for each session", n)
	}
}

func TestOneRequestForManyAtOnce(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice, bob := c.visitor("alice"), c.visitor("bob")
	together(20, func() { alice.passes("/todos") })
	if n := c.server.Count("rpt"); n != 1 {
		t.Errorf("%d token requests for 20 requests at once, want 1", n)
	}
	together(20, func() { bob.refused("/todos", 403, "access_denied") })
	if n := c.server.Count("rpt"); n != 2 {
		t.Errorf("%d token requests after 20 that were denied at once, want 2", n)
	}
}

func TestAnApprovalIsWaitedFor(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	c.server.AskOwner("alice", true)
	alice := c.visitor("alice")
	a := alice.refused("/todos", 403, "request_submitted")
	if a.header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q, want what the server said", a.header.Get("Retry-After"))
	}
	if a := alice.open("/todos"); a.status != 403 || !strings.Contains(a.body, "Waiting for approval") {
		t.Errorf("a page: got %d %s", a.status, a.body)
	}
	if n := c.server.Count("rpt"); n != 1 {
		t.Errorf("%d token requests before the time was over, want 1", n)
	}
	c.later(2 * time.Second)
	alice.refused("/todos", 403, "request_submitted")
	c.server.AskOwner("alice", false)
	c.later(2 * time.Second)
	alice.passes("/todos")
	if tickets, tokens := c.server.Count("permission"), c.server.Count("rpt"); tickets != 1 || tokens != 3 {
		t.Errorf("%d tickets and %d token requests, want 1 and 3: the ticket of each answer is the next one", tickets, tokens)
	}
}

// The person's access token is what the server asks for: Keycloak's way.
func TestThePersonAsks(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1))
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	sent := c.server.RPTRequests()[0]
	if !strings.HasPrefix(sent.Get("authorization"), "Bearer at-") || sent.Has("claim_token") || sent.Has("client_id") || sent.Has("client_secret") {
		t.Errorf("the token endpoint received %v", sent)
	}
}

// An access token that the server refuses must not cause an endless loop
// of logins.
func TestAnAccessTokenThatIsNotTaken(t *testing.T) {
	c := startClient(t, harness.UMAConfig{UserOf: func(string) string { return "" }}, strings.Replace(rpts, "pushed_claims id_token", "requesting_party access_token", 1))
	alice := c.visitor("alice")
	if a := alice.open("/todos"); a.status != 403 {
		t.Errorf("right after the login: got %d %s, want 403", a.status, a.body)
	}
	c.later(time.Minute) // for the gateway; a login is still made by the real clock
	alice.refused("/todos", 401, "login_required")
	alice.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := alice.open("/todos"); a.status != 302 || !strings.HasPrefix(a.header.Get("Location"), c.op.Issuer()+"/authorize?") {
		t.Errorf("later: got %d to %q, want the login", a.status, a.header.Get("Location"))
	}
}

// A path that needs a permission starts a login if an ID token is required, and
// answers with a ticket otherwise.
func TestWithoutASession(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.login = "unauthenticated pass"
	c.server.Allow("alice", "todos:view")
	c.run(rpts)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &visitor{c, "", &http.Client{Jar: jar}}
	c.ticket(stranger.fetch("GET", "/todos"))
	c.ticket(stranger.open("/todos"))
	c.run("require_id_token\n" + rpts)
	before := c.server.Count("permission")
	stranger.refused("/todos", 401, "login_required")
	c.op.Lock()
	c.op.User.Subject = "alice"
	c.op.Unlock()
	if a := stranger.open("/todos?a=b"); a.body != "passed alice" {
		t.Errorf("a person: got %d %s", a.status, a.body)
	}
	if n := c.server.Count("permission") - before; n != 1 {
		t.Errorf("%d tickets, want the one for the RPT", n)
	}
}

// What an ID token says about permissions is not an RPT.
func TestSec_S195_AnIDTokenIsNotAnRPT(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	id := c.server.Resources()["GET /todos"].ID
	c.op.Lock()
	c.op.EditIDToken = func(claims, _ map[string]any) {
		claims["permissions"] = []any{map[string]any{"resource_id": id, "resource_scopes": []string{"todos:view"}}}
	}
	c.op.Unlock()
	c.visitor("mallory").refused("/todos", 403, "access_denied")
}

// What the log says tells nothing that opens a door.
func TestNoRPTIsLogged(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	alice.refused("/notes", 403, "access_denied")
	sent := c.server.RPTRequests()
	secrets := []string{sent[0].Get("ticket"), sent[0].Get("claim_token"), sent[1].Get("ticket")}
	lines := c.logged("request refused")
	if len(lines) != 1 || lines[0]["reason"] != "uma_denied" || lines[0]["rule"] != "/notes" {
		t.Errorf("got %v", lines)
	}
	text, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(string(text), secret) }) {
		t.Errorf("the log has a secret: %s", text)
	}
}
