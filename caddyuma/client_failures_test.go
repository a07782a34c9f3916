// SPDX-License-Identifier: Apache-2.0

package caddyuma

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gluu/gateway/e2e/harness"
)

// A ticket that the server does not take any more is replaced, once.
func TestASpentTicketIsReplacedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		refuse, tickets, tokens int
		passes                  bool
	}{
		"once":  {1, 2, 2, true},
		"twice": {2, 2, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := startClient(t, harness.UMAConfig{}, rpts)
			c.server.Allow("alice", "todos:view")
			alice := c.visitor("alice")
			left, asked := test.refuse, 0
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.PostFormValue("grant_type") != ticketGrant {
					return false
				}
				if asked++; left == 0 {
					return false
				}
				left--
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
				return true
			})
			if test.passes {
				alice.passes("/todos")
			} else {
				alice.refused("/todos", 502, "server_error")
			}
			if n := c.server.Count("permission"); n != test.tickets || asked != test.tokens {
				t.Errorf("%d tickets and %d token requests, want %d and %d", n, asked, test.tickets, test.tokens)
			}
		})
	}
}

// Keycloak describes every denial as a request that waits, with no ticket to wait with.
// The person is told the truth, and a permission that is granted later holds.
func TestADenialOfKeycloakIsNotAnApprovalToWaitFor(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.PostFormValue("grant_type") != ticketGrant {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"access_denied","error_description":"request_submitted"}`))
		return true
	})
	alice.refused("/todos", 403, "access_denied")
	if a := alice.open("/todos"); a.status != 403 || !strings.Contains(a.body, "Access refused") {
		t.Errorf("a page: got %d %s", a.status, a.body)
	}
	c.server.Intercept(nil)
	alice.refused("/todos", 403, "access_denied") // remembered for a moment
	c.later(denialAge)
	alice.passes("/todos")
}

func TestAnAnswerThatCannotBeUsed(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Issue("of-another-api", map[string]any{"sub": "alice", "aud": "another", "client_id": "todo-app", "exp": time.Now().Unix() + 100})
	for body, status := range map[string]int{
		`{"error":"invalid_request"}`:                                                    400,
		`not JSON`:                                                                       200,
		`{"access_token":"x"}`:                                                           200,
		`{"access_token":"x","token_type":"mac"}`:                                        200,
		`{"access_token":"unknown-token","token_type":"Bearer"}`:                         200,
		`{"access_token":"of-another-api","token_type":"bearer"}`:                        200,
		`{"access_token":"x","token_type":"Bearer","expires_in":"soon"}`:                 200,
		`{"access_token":"x","access_token":"y","token_type":"Bearer"}`:                  200,
		`{"access_token":"` + strings.Repeat("x", maxRPT+1) + `","token_type":"Bearer"}`: 200,
	} {
		alice := c.visitor("alice")
		c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.PostFormValue("grant_type") != ticketGrant {
				return false
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		})
		if a := alice.fetch("GET", "/todos"); a.status != 502 {
			t.Errorf("%.60s: got %d %s, want 502", body, a.status, a.body)
		}
	}
}

// The server is unavailable in each step: 503, and nothing is lost by it.
func TestTheServerIsUnavailableInEachStep(t *testing.T) {
	for step, is := range map[string]func(r *http.Request) bool{
		"ticket":        func(r *http.Request) bool { return r.URL.Path == "/permissions" },
		"token":         func(r *http.Request) bool { return r.PostFormValue("grant_type") == ticketGrant },
		"introspection": func(r *http.Request) bool { return r.URL.Path == "/introspect" },
		"protection": func(r *http.Request) bool {
			return r.URL.Path == "/permissions" || r.PostFormValue("grant_type") == "client_credentials"
		},
	} {
		t.Run(step, func(t *testing.T) {
			c := startClient(t, harness.UMAConfig{}, rpts)
			c.server.Allow("alice", "todos:view")
			alice := c.visitor("alice")
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !is(r) {
					return false
				}
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			})
			a := alice.refused("/todos", 503, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" {
				t.Errorf("got no Retry-After: %v", a.header)
			}
			if a := alice.open("/todos"); a.status != 503 || !strings.Contains(a.body, "<h1>Temporarily unavailable</h1>") {
				t.Errorf("a page: got %d %s", a.status, a.body)
			}
			c.server.Intercept(nil)
			harness.Eventually(t, 20*time.Second, func() string {
				if a := alice.fetch("GET", "/todos"); a.status != 200 {
					return fmt.Sprintf("after the server came back: %d %s", a.status, a.body)
				}
				return ""
			})
		})
	}
}

// A live permission is used while the server is unavailable.
func TestALivePermissionNeedsNoServer(t *testing.T) {
	c := startClient(t, harness.UMAConfig{}, rpts)
	c.server.Allow("alice", "todos:view")
	alice := c.visitor("alice")
	alice.passes("/todos")
	c.server.Stop()
	alice.passes("/todos")
	alice.refused("/notes", 503, "temporarily_unavailable")
}

// The server is unavailable from the start, so that the gateway knows neither its
// endpoints nor its resources when a person asks: 503 that says why in the log. The
// person stays logged in, and gets their permission when the server answers.
func TestTheServerIsUnavailableBeforeItsResourcesAreKnown(t *testing.T) {
	for step, test := range map[string]struct {
		is       func(r *http.Request) bool
		register string
		cause    string
	}{
		"discovery":         {func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/.well-known/") }, "", "uma_configuration"},
		"client":            {func(r *http.Request) bool { return r.URL.Path == "/register" }, "register", "the gateway is not registered as a client yet"},
		"protection token":  {func(r *http.Request) bool { return r.URL.Path == "/token" }, "", "protection API token"},
		"list of resources": {func(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Path == "/resources" }, "", "list resources"},
		"new resource":      {func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/resources" }, "", "resource_registration_endpoint: status 503"},
		"everything":        {func(*http.Request) bool { return true }, "", "uma_configuration"},
	} {
		t.Run(step, func(t *testing.T) {
			c := newClientSite(t, harness.UMAConfig{})
			c.server.Allow("alice", "todos:view")
			var answers atomic.Bool
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case !answers.Load() && test.is(r):
					w.WriteHeader(http.StatusServiceUnavailable)
				case test.register != "" && r.URL.Path == "/register":
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(http.StatusCreated)
					_, _ = w.Write([]byte(`{"client_id":"gateway","client_secret":"gateway-secret","client_secret_expires_at":0}`))
				default:
					return false
				}
				return true
			})
			if test.register != "" {
				c.register = "register\nregistration_endpoint " + c.server.Issuer + "/register"
			}
			c.load(rpts)
			alice := c.visitor("alice")
			for range 2 {
				if a := alice.refused("/todos", 503, "temporarily_unavailable"); a.header.Get("Retry-After") == "" {
					t.Errorf("got no Retry-After: %v", a.header)
				}
			}
			if a := alice.open("/todos"); a.status != 503 || !strings.Contains(a.body, "<h1>Temporarily unavailable</h1>") {
				t.Errorf("a page: got %d %s", a.status, a.body)
			}
			alice.passes("/profile") // she stays logged in
			for _, line := range c.logged("request refused") {
				if cause := fmt.Sprint(line["error"]); line["reason"] != "provider_unavailable" || !strings.Contains(cause, "not registered at the authorization server yet: ") || !strings.Contains(cause, test.cause) {
					t.Errorf("the log line says %v, want provider_unavailable and %q", line, test.cause)
				}
			}
			if n := len(c.logged("request refused")); n != 3 {
				t.Errorf("%d log lines for three refusals", n)
			}
			logins := c.op.Calls("/token")
			answers.Store(true)
			c.awaitResources(3)
			harness.Eventually(t, 20*time.Second, func() string {
				if a := alice.fetch("GET", "/todos"); a.status != 200 || a.body != "passed alice" {
					return fmt.Sprintf("after the server came back: %d %s", a.status, a.body)
				}
				return ""
			})
			alice.passes("/profile")
			if n := c.op.Calls("/token") - logins; n != 0 {
				t.Errorf("%d more logins or renewals, want the session of before", n)
			}
		})
	}
}
