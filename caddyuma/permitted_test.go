// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A rule that any permission for a resource satisfies: one that holds now, for
// this resource. The resource is the server's, and a ticket asks for all it has.
func TestAnyPermission(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "path /reports {\n GET permitted {\n resource_name Reports\n }\n }\n path /missing {\n GET permitted\n }")
	s.server.PutResource(harness.UMAResource{ID: "r-1", Name: "Reports", Scopes: []string{"read", "print"}})
	harness.Eventually(t, 20*time.Second, func() string {
		if a := s.send("GET", "/reports", ""); a.status != 401 {
			return "the resource is not found yet"
		}
		return ""
	})
	ticket, _ := s.ticket(s.send("GET", "/reports", ""))
	if asked, ok := s.server.Ticket(ticket); !ok || asked.ResourceID != "r-1" || !slices.Equal(asked.Scopes, []string{"read", "print"}) {
		t.Errorf("the ticket asks for %v", asked)
	}
	if a := s.send("GET", "/missing", ""); a.status != 403 {
		t.Errorf("a resource that the server has not: got %d, want 403", a.status)
	}
	if n := len(s.server.Resources()); n != 1 {
		t.Errorf("%d resources, want 1: none is registered", n)
	}
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		permission map[string]any
		want       int
	}{
		"one scope":             {map[string]any{"resource_id": "r-1", "resource_scopes": []string{"print"}}, 200},
		"another scope":         {map[string]any{"resource_id": "r-1", "resource_scopes": []string{"x"}}, 200},
		"no scope":              {map[string]any{"resource_id": "r-1", "resource_scopes": []string{}}, 401},
		"another resource":      {map[string]any{"resource_id": "r-2", "resource_scopes": []string{"print"}}, 401},
		"one that has ended":    {map[string]any{"resource_id": "r-1", "resource_scopes": []string{"print"}, "exp": now - 100}, 401},
		"one that begins later": {map[string]any{"resource_id": "r-1", "resource_scopes": []string{"print"}, "nbf": now + 1000}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			token := "token-with-" + strings.ReplaceAll(name, " ", "-")
			s.server.Issue(token, map[string]any{"client_id": "todo-app", "aud": "gateway", "permissions": []any{test.permission}})
			for range 2 { // the second time from what is kept
				if a := s.send("GET", "/reports", token); a.status != test.want {
					t.Errorf("got %d %s, want %d", a.status, a.body, test.want)
				}
			}
		})
	}
}
