// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"slices"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/explain"
	"github.com/caddy-gluu/gateway/introspect"
)

// An explanation says what the gateway answers to the same request, and costs no
// ticket.
func TestExplanationsAgreeWithAnswers(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos+"\npath /open {\n GET public\n POST authenticated\n }")
	harness.Eventually(t, 20*time.Second, func() string {
		if a := s.send("GET", "/todos", ""); a.status != 401 {
			return "the resource is not registered yet"
		}
		return ""
	})
	ticket, _ := s.ticket(s.send("GET", "/todos", ""))
	asked, _ := s.server.Ticket(ticket)
	for name, permission := range map[string]map[string]any{
		"view":             {"resource_id": asked.ResourceID, "resource_scopes": []string{"todos:view"}},
		"edit":             {"resource_id": asked.ResourceID, "resource_scopes": []string{"todos:edit"}},
		"another-resource": {"resource_id": "r-2", "resource_scopes": []string{"todos:view"}},
		"ended":            {"resource_id": asked.ResourceID, "resource_scopes": []string{"todos:view"}, "exp": time.Now().Unix() - 100},
		"unreadable":       {"resource_id": 7},
	} {
		s.server.Issue("token-"+name, map[string]any{"client_id": "todo-app", "aud": "gateway", "permissions": []any{permission}})
	}
	s.server.Issue("token-none", map[string]any{"client_id": "todo-app", "aud": "gateway"})
	for _, token := range []string{"", "token-view", "token-edit", "token-another-resource", "token-ended", "token-unreadable", "token-none"} {
		for _, request := range [][2]string{{"GET", "/todos"}, {"GET", "/open"}, {"POST", "/open"}, {"GET", "/nowhere"}} {
			t.Run(token+" "+request[0]+" "+request[1], func(t *testing.T) {
				before := s.server.Count("permission")
				answer, err := introspect.Running().Explain(t.Context(), explain.Question{Token: token, Request: request[0] + " " + request[1]})
				if err != nil {
					t.Fatal(err)
				}
				if n := s.server.Count("permission"); n != before {
					t.Errorf("the explanation asked for %d tickets", n-before)
				}
				got := 200
				if refused := answer.Decision.Refused; refused != nil {
					got = refused.Status
				}
				if want := s.send(request[0], request[1], token).status; got != want || (answer.Decision.Decision == explain.Allow) != (want == 200) {
					t.Errorf("got %s %d, and the answer is %d", answer.Decision.Decision, got, want)
				}
				resource := answer.Decision.Resource
				if protects := request[1] == "/todos"; protects != (resource != nil) {
					t.Fatalf("got the resource %v", resource)
				}
				if resource != nil && (resource.ID != asked.ResourceID || !slices.Equal(resource.Scopes, []string{"todos:view"}) || resource.ObtainRPT) {
					t.Errorf("got the resource %+v", resource)
				}
			})
		}
	}
}
