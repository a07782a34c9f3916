// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/caddytest"
)

func TestTicketThenRPTThenAccess(t *testing.T) {
	for _, server := range []harness.UMAConfig{
		{},
		{Path: "/realms/todo"},
		{Path: "/realms/todo", Metadata: "/.well-known/uma2-configuration/realms/todo"},
		{Path: "/realms/todo", Metadata: "/.well-known/uma2-configuration"},
		{NoScope: true},
		{Legacy: true},
		{CannotSearch: true},
	} {
		s := start(t, server, todos).registered("GET /todos", "POST /todos", "GET /both")
		ticket, asked := s.ticket(s.send("GET", "/both", ""))
		if want := []string{"todos:view", "todos:edit"}; !slices.Equal(asked.Scopes, want) || asked.ResourceID != s.server.Resources()["GET /both"].ID {
			t.Errorf("%+v: the ticket asks for %+v, want %q", server, asked, want)
		}
		rpt, _ := s.server.Exchange(t, "alice", ticket, "")
		if a := s.send("GET", "/both", rpt); a.body != "passed" {
			t.Errorf("%+v: with the RPT got %+v", server, a)
		}
		if _, asked := s.ticket(s.send("GET", "/todos", rpt)); !slices.Equal(asked.Scopes, []string{"todos:view"}) {
			t.Errorf("%+v: at another resource the ticket asks for %+v", server, asked)
		}
		if got := s.server.Count("token"); server.NoScope && got != 2 || !server.NoScope && got != 1 {
			t.Errorf("%+v: %d requests for a protection token", server, got)
		}
		if got := s.server.Count("introspect"); got != 1 {
			t.Errorf("%+v: %d introspections of one RPT", server, got)
		}
	}
}

func TestOneProtectionTokenForAll(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos", "POST /todos")
	s.server.ForgetTokens()
	before := s.server.Count("token")
	together(40, func() {
		if a := s.send("GET", "/todos", ""); a.status != http.StatusUnauthorized {
			t.Errorf("got %+v", a)
		}
	})
	if got := s.server.Count("token") - before; got != 1 {
		t.Errorf("%d protection tokens for 40 requests after the server forgot the old one, want 1", got)
	}
}

func TestLifeOfAProtectionToken(t *testing.T) {
	begun := time.Unix(1000, 0)
	for answer, want := range map[string]time.Duration{
		`{"access_token": "a", "token_type": "bearer", "expires_in": 3600}`: 3570 * time.Second,
		`{"access_token": "a", "token_type": "Bearer", "expires_in": 60}`:   54 * time.Second,
		`{"access_token": "a", "token_type": "Bearer"}`:                     4500 * time.Millisecond,
		`{"access_token": "a", "token_type": "Bearer", "expires_in": -1}`:   4500 * time.Millisecond,
		`{"access_token": "", "token_type": "Bearer", "expires_in": 60}`:    0,
		`{"access_token": "a", "token_type": "mac", "expires_in": 60}`:      0,
		`[]`: 0,
	} {
		token, err := readToken([]byte(answer), begun)
		if (err != nil) != (want == 0) {
			t.Errorf("%s: %v", answer, err)
		} else if err == nil && token.renew.Sub(begun) != want {
			t.Errorf("%s: renewed after %s, want %s", answer, token.renew.Sub(begun), want)
		}
	}
}

func TestRegistration(t *testing.T) {
	s := start(t, harness.UMAConfig{}, `resource_prefix "shop: "
		path /todos/? {
			GET scope a
			PUT DELETE scope b or c
		}
		path /given {
			GET scope z {
				resource_name "Their todos"
			}
		}
		path /by-id {
			GET scope z {
				resource_id theirs
			}
		}`)
	s.registered("GET /todos/1", "DELETE /todos/1")
	theirs := harness.UMAResource{ID: "theirs", Name: "Their todos", Scopes: []string{"y", "z"}}
	if a := s.send("GET", "/given", ""); a.status != http.StatusForbidden || a.header.Get("Warning") != `199 - "UMA Authorization Server Unreachable"` {
		t.Errorf("a resource that does not exist: %+v", a)
	}
	s.server.PutResource(theirs)
	s.registered("GET /given", "GET /by-id")
	got := s.server.Resources()
	if len(got) != 3 || !slices.Equal(got["shop: PUT,DELETE /todos/?"].Scopes, []string{"b", "c"}) || !slices.Equal(got["Their todos"].Scopes, theirs.Scopes) {
		t.Errorf("registered are %+v", got)
	}

	// What is known is not looked for again: in this process, or in the next.
	counts := s.server.Counts()
	forgetAll(t)
	s.load(`resource_prefix "shop: "
		path /todos/? {
			GET scope a
			PUT DELETE scope b or c
		}`)
	s.registered("GET /todos/1", "DELETE /todos/1")
	for _, what := range []string{"list", "read", "create", "update", "delete"} {
		if got := s.server.Count(what) - counts[what]; got != 0 {
			t.Errorf("after a restart: %d times %q", got, what)
		}
	}

	// Other scopes: updated. A rule that is gone: left alone, then deleted.
	s.load(`resource_prefix "shop: "
		path /todos/? {
			GET scope a and d
		}`)
	harness.Eventually(t, 20*time.Second, func() string {
		if got := s.server.Resources()["shop: GET /todos/?"]; !slices.Equal(got.Scopes, []string{"a", "d"}) {
			return strings.Join(got.Scopes, " ")
		}
		return ""
	})
	if len(s.server.Resources()) != 3 || s.server.Count("delete") != 0 {
		t.Errorf("after a rule is gone: %+v", s.server.Resources())
	}
	s.load(`resource_prefix "shop: "
		registration prune
		path /todos/? {
			GET scope a and d
		}`)
	harness.Eventually(t, 20*time.Second, func() string {
		if _, there := s.server.Resources()["shop: PUT,DELETE /todos/?"]; there {
			return "the resource of the rule that is gone is still there"
		}
		return ""
	})
	if got := s.server.Resources(); len(got) != 2 || got["Their todos"].ID != "theirs" {
		t.Errorf("after pruning: %+v", got)
	}
}

// forgetAll makes this process forget what it knows, as a restart would, and
// keeps the storage.
func forgetAll(t *testing.T) {
	t.Helper()
	authorities.Range(func(_, each any) bool {
		a := each.(*authority)
		a.registry.mu.Lock()
		defer a.registry.mu.Unlock()
		a.registry.byName = nil
		return true
	})
}

func TestFoundByNameInsteadOfCreatedTwice(t *testing.T) {
	for _, server := range []harness.UMAConfig{{}, {CannotSearch: true}} {
		s := &site{TB: t, server: harness.StartUMAServer(t, server), dir: t.TempDir(), addr: caddytest.FreeAddress(t), client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		s.server.PutResource(harness.UMAResource{ID: "1", Name: "another", Scopes: []string{"x"}})
		s.server.PutResource(harness.UMAResource{ID: "2", Name: "GET /todos", Scopes: []string{"x"}, Icon: "https://icon.example"})
		s.load(`path /todos {
			GET scope todos:view
		}`)
		s.registered("GET /todos")
		stop(t)
		got := s.server.Resources()
		if len(got) != 2 || got["GET /todos"].ID != "2" || !slices.Equal(got["GET /todos"].Scopes, []string{"todos:view"}) || got["GET /todos"].Icon == "" || s.server.Count("create") != 0 {
			t.Errorf("%+v: %+v", server, got)
		}
	}
}

func TestRegistrationOff(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "registration off\n"+todos)
	harness.Eventually(t, 20*time.Second, func() string {
		if len(s.logged("registering resources at the authorization server")) == 0 {
			return "nothing in the log"
		}
		return ""
	})
	s.server.PutResource(harness.UMAResource{ID: "1", Name: "GET /todos", Scopes: []string{"todos:view", "x"}})
	s.registered("GET /todos")
	if s.server.Count("create")+s.server.Count("update")+s.server.Count("delete") != 0 || len(s.server.Resources()) != 1 {
		t.Errorf("the server was changed: %v", s.server.Counts())
	}
}

func TestResourceDeletedAtTheServer(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos")
	old := s.server.Resources()["GET /todos"].ID
	s.server.DeleteResource(old)
	if a := s.send("GET", "/todos", ""); a.status != http.StatusForbidden || a.header.Get("Warning") == "" {
		t.Errorf("got %+v, want 403 with a warning", a)
	}
	s.registered("GET /todos")
	if id := s.server.Resources()["GET /todos"].ID; id == "" || id == old {
		t.Errorf("the resource has the id %q, it had %q", id, old)
	}
}

func TestPermissionsEndByThemselves(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos", "GET /both")
	resources, now := s.server.Resources(), time.Now().Unix()
	both := resources["GET /both"].ID
	permission := func(more map[string]any, scopes ...string) map[string]any {
		p := map[string]any{"resource_id": both, "resource_scopes": scopes}
		maps.Copy(p, more)
		return p
	}
	for name, test := range map[string]struct {
		permissions []any
		status      int
	}{
		"both scopes":           {[]any{permission(nil, "todos:view", "todos:edit")}, 200},
		"one by one":            {[]any{permission(nil, "todos:view"), permission(nil, "todos:edit")}, 200},
		"one is missing":        {[]any{permission(nil, "todos:view")}, 401},
		"one has ended":         {[]any{permission(nil, "todos:view"), permission(map[string]any{"exp": now - 5}, "todos:edit")}, 401},
		"one is yet to begin":   {[]any{permission(map[string]any{"nbf": now + 500}, "todos:view", "todos:edit")}, 401},
		"ends later":            {[]any{permission(map[string]any{"exp": now + 500}, "todos:view", "todos:edit")}, 200},
		"an end of 0":           {[]any{permission(map[string]any{"exp": 0}, "todos:view", "todos:edit")}, 200},
		"none":                  {[]any{}, 401},
		"of another resource":   {[]any{map[string]any{"resource_id": "x", "resource_scopes": []string{"todos:view", "todos:edit"}}}, 401},
		"an end that is a word": {[]any{permission(map[string]any{"exp": "soon"}, "todos:view", "todos:edit")}, 401},
	} {
		token := "rpt-" + strings.ReplaceAll(name, " ", "-")
		// The claim scope is that of the token, not of its permissions.
		s.server.Issue(token, map[string]any{"client_id": "todo-app", "aud": "gateway", "scope": "todos:view todos:edit", "permissions": test.permissions})
		if a := s.send("GET", "/both", token); a.status != test.status {
			t.Errorf("%s: got %+v, want %d", name, a, test.status)
		}
	}
}

func TestTokenOfAnotherProviderIsWorthNothing(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos")
	rpt := s.rpt("GET", "/todos")
	if a := s.send("GET", "/todos", rpt); a.body != "passed" {
		t.Fatalf("got %+v", a)
	}
	s.loadWith(todos, "", "other")
	s.ticket(s.send("GET", "/todos", rpt))
}

// Rules that ask for no scopes have no resource, and so no ticket.
func TestPublicAndAuthenticatedRules(t *testing.T) {
	rules := todos + `
		path /open {
			GET public
			POST authenticated
		}`
	s := start(t, harness.UMAConfig{}, rules).registered("GET /todos")
	rpt := s.rpt("GET", "/todos")
	for _, auth := range []string{"", "other"} {
		s.loadWith(rules, "", auth)
		for _, token := range []string{"", rpt} {
			if a := s.send("GET", "/open", token); a.body != "passed" {
				t.Errorf("public, provider %q: got %+v", auth, a)
			}
			a := s.send("POST", "/open", token)
			if authenticated := token != "" && auth == ""; authenticated != (a.body == "passed") {
				t.Errorf("authenticated, provider %q, token %q: got %+v", auth, token, a)
			} else if !authenticated && (a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ")) {
				t.Errorf("authenticated, provider %q, token %q: got %+v, want 401 Bearer", auth, token, a)
			}
		}
	}
	for name := range s.server.Resources() {
		if strings.Contains(name, "/open") {
			t.Errorf("the resource %q was registered", name)
		}
	}
}

func TestDryRunAsksForNoTickets(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "dry_run\n"+todos)
	if a := s.send("GET", "/todos", ""); a.body != "passed" {
		t.Errorf("got %+v", a)
	}
	harness.Eventually(t, 20*time.Second, func() string {
		if len(s.server.Resources()) < 3 {
			return "resources are not registered"
		}
		return ""
	})
	if a := s.send("GET", "/todos", ""); a.body != "passed" || s.server.Count("permission") != 0 {
		t.Errorf("got %+v, %d tickets", a, s.server.Count("permission"))
	}
	if got := s.logged("request would be refused"); len(got) != 2 || got[0]["reason"] != "no_token" {
		t.Errorf("records: %v", got)
	}
}

func TestServerAway(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos")
	rpt := s.rpt("GET", "/todos")
	s.send("GET", "/todos", rpt)
	s.server.Stop()
	for range 7 { // the breaker opens in between
		a := s.send("GET", "/todos", "")
		if a.status != http.StatusForbidden || a.header.Get("Warning") != `199 - "UMA Authorization Server Unreachable"` || a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("without a token got %+v, want 403 with a warning", a)
		}
	}
	if a := s.send("GET", "/todos", rpt); a.body != "passed" {
		t.Errorf("with a known RPT got %+v", a)
	}
	if a := s.send("GET", "/todos", "another"); a.status != http.StatusServiceUnavailable {
		t.Errorf("with an unknown RPT got %+v, want 503", a)
	}
}

func TestFloodIsLimited(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos")
	before, begun := s.server.Count("permission"), time.Now()
	limited := 0
	for range 400 {
		switch a := s.send("GET", "/todos", ""); {
		case a.status == http.StatusTooManyRequests && a.header.Get("Retry-After") == "1":
			limited++
		case a.status != http.StatusUnauthorized:
			t.Fatalf("got %+v", a)
		}
	}
	tickets := s.server.Count("permission") - before
	if most := 100 + int(time.Since(begun).Seconds()*10) + 1; tickets > most || tickets+limited != 400 {
		t.Errorf("%d tickets and %d refusals for 400 requests, want %d tickets at most", tickets, limited, most)
	}
	if got := s.send("POST", "/todos", ""); got.status == http.StatusTooManyRequests {
		t.Error("the limit of one rule holds for another one")
	}
}

func TestHundredThousandRefusalsInASecond(t *testing.T) {
	limits, err := newClientLimits()
	if err != nil {
		t.Fatal(err)
	}
	defer limits.close()
	begun, allowed := time.Unix(1000, 0), 0
	for i := range 100_000 {
		if limits.allow(clientKey{"r", "192.0.2.1 "}, begun.Add(time.Duration(i)*10*time.Microsecond)) {
			allowed++
		}
	}
	t.Logf("100,000 refused requests of one client within a second: %d tickets", allowed)
	if allowed < 100 || allowed > 110 {
		t.Errorf("%d tickets, want 100 to 110", allowed)
	}
	if !limits.allow(clientKey{"r", "192.0.2.2 "}, begun) {
		t.Error("one client's limit holds for another one")
	}
}
