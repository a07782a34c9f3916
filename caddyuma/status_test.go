// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
	"github.com/caddy-gluu/gateway/internal/status"
	"github.com/caddy-gluu/gateway/introspect"
)

// statusOf returns what the only handler of the running configuration says.
func statusOf(t *testing.T) status.UMA {
	t.Helper()
	all := introspect.Running().UMA()
	if len(all) != 1 {
		t.Fatalf("got %d handlers, want 1", len(all))
	}
	return all[0]
}

func TestStatusOfResources(t *testing.T) {
	s := start(t, harness.UMAConfig{}, todos).registered("GET /todos", "GET /both")
	server := s.server.Resources()
	got := statusOf(t)
	if got.Provider != "default" || got.Issuer != s.server.Issuer || got.Registration != "on" || got.Problem != nil || got.Missing() != 0 {
		t.Errorf("got %+v", got)
	}
	if got.Tickets.Issued == 0 || got.Tickets.Failed != 0 {
		t.Errorf("got the tickets %+v", got.Tickets)
	}
	if len(got.Resources) != len(server) {
		t.Errorf("got %d resources, the server has %d", len(got.Resources), len(server))
	}
	for _, r := range got.Resources {
		there := server[r.Name]
		if r.State != status.Registered || r.ID != there.ID || len(r.Rules) == 0 {
			t.Errorf("got %+v, the server has %+v", r, there)
		}
		if slices.Sort(there.Scopes); !slices.Equal(r.Scopes, there.Scopes) {
			t.Errorf("%s: got the scopes %q, the server has %q", r.Name, r.Scopes, there.Scopes)
		}
	}

	// Rules that are gone leave something; a resource that exists is not the gateway's.
	s.load("path /todos {\n GET scope todos:view {\n resource_id " + server["GET /todos"].ID + "\n }\n}")
	harness.Eventually(t, 20*time.Second, func() string {
		if len(statusOf(t).Left) == 0 {
			return "nothing is left over"
		}
		return ""
	})
	got = statusOf(t)
	if len(got.Resources) != 1 || got.Resources[0].State != status.Existing || got.Resources[0].Rules[0] != "GET /todos" {
		t.Errorf("got %+v", got.Resources)
	}
	if !slices.ContainsFunc(got.Left, func(r status.Resource) bool { return r.Name == "GET /both" && r.ID == server["GET /both"].ID }) {
		t.Errorf("got left over %+v", got.Left)
	}
}

// A resource that cannot be registered says why, until it can.
func TestStatusOfMissingResources(t *testing.T) {
	s := start(t, harness.UMAConfig{}, "registration off\n"+todos)
	s.send("GET", "/todos", "")
	harness.Eventually(t, 20*time.Second, func() string {
		if statusOf(t).Problem == nil {
			return "there is no problem"
		}
		return ""
	})
	got := statusOf(t)
	if got.Missing() != len(got.Resources) || got.NextAttempt == nil || !got.NextAttempt.After(got.Problem.Time) {
		t.Errorf("got %+v", got)
	}
	if a := s.send("GET", "/todos", ""); a.status != http.StatusForbidden {
		t.Errorf("got %d for a missing resource", a.status)
	}
	s.load(todos)
	s.registered("GET /todos", "GET /both")
	if got := statusOf(t); got.Problem != nil || got.Missing() != 0 {
		t.Errorf("after registration: got %+v", got)
	}
}
